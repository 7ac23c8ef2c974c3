"""What goes on while the database does not answer, and what happens once it is back."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from pathlib import Path

from console.cli.unstored_cancel import launched_in_log
from console.domain.log_record import LogRecord, format_line
from console.domain.run import Outcome, RunId, State
from console.engine.settings import ProcessKind
from console.store.fleet_settings import FleetSettings
from tests.engine.building import a_task, settings
from tests.engine.fake_provider import FakeProvider
from tests.fleet.building import SHORT, Host, host
from tests.fleet.line_proxy import LineProxy, line_to
from tests.waiting import until

BRIEF = settings(a_task(max_ms=1_500), kind=ProcessKind.SERVE)
LONG = settings(kind=ProcessKind.SERVE)


@asynccontextmanager
async def two_hosts(
    fleet: FleetSettings, folder: Path, first: FakeProvider, second: FakeProvider, brief: bool = False
) -> AsyncIterator[tuple[Host, Host, tuple[LineProxy, LineProxy]]]:
    """Two hosts with a line each, which see the same agents through providers of their own."""
    second.agents = first.agents
    async with AsyncExitStack() as stack:
        hosts, lines = [], []
        for name, provider in (("one", first), ("two", second)):
            line = await stack.enter_async_context(line_to(fleet.url))
            there = replace(fleet, url=line.url)
            lines.append(line)
            use = BRIEF if brief else LONG
            hosts.append(await stack.enter_async_context(host(there, folder / name, provider, use)))
        yield hosts[0], hosts[1], (lines[0], lines[1])
        for line in lines:
            line.restore()


async def test_a_run_is_cut_off_without_the_database_by_a_host_that_saw_it_and_what_is_owed_is_stored_later(
    fleet: FleetSettings, tmp_path: Path
) -> None:
    first, second = FakeProvider(), FakeProvider()
    async with two_hosts(fleet, tmp_path, first, second, brief=True) as (one, two, lines):
        run = (await one.launch()).run
        await two.reaches(run.id, State.RUNNING)
        await two.next_tick()
        first.offline = True
        for line in lines:
            line.refuse()
        await until(lambda: first.agents["v1_0001"].cancels, what="the cancel of the other host")
        first.offline = False
        assert first.agents["v1_0001"].status == "cancelled"
        await until(lambda: _shows_store_problem(one), what="the operator is told")
        for line in lines:
            line.restore()
        ended = await two.reaches(run.id, State.ENDED)
        assert ended.outcome is Outcome.TIMEOUT
        assert (await two.store.ledger.cap_usages(BRIEF.caps, two.clock.now()))[0].held == 0


async def test_a_database_that_was_away_for_longer_than_a_lease_moves_no_run(
    fleet: FleetSettings, tmp_path: Path
) -> None:
    first, second = FakeProvider(), FakeProvider()
    async with two_hosts(fleet, tmp_path, first, second) as (one, two, lines):
        run = (await one.launch()).run
        await one.reaches(run.id, State.RUNNING)
        await until(lambda: two.ownership.view and one.ownership.id in two.ownership.view.leases)
        for line in lines:
            line.refuse()
        left = one.clock.now()
        await until(lambda: one.clock.now().since(left) > 2 * SHORT.term_ms, what="all leases are over")
        assert not one.ownership.is_held()
        for line in lines:
            line.restore()
        await until(lambda: one.ownership.is_held() and two.ownership.is_held(), what="both renew")
        back = two.clock.now()
        await until(lambda: two.clock.now().since(back) > 2 * SHORT.contact_ms, what="who may take over would")
        row = await one.run(run.id)
        assert (row.owner, row.fence) == (one.ownership.id, 1)
        first.agents["v1_0001"].status = "completed"
        await one.reaches(run.id, State.ENDED)


async def _shows_store_problem(one: Host) -> bool:
    return any(problem.topic == "store" for problem in one.engine.problems.entries())


def test_live_runs_of_all_hosts_are_found_in_the_log_of_one(tmp_path: Path) -> None:
    """By the beginning of an id, by key and by task; all of them without a name."""
    path = tmp_path / "runs.log"
    ids = [RunId(f"01m8h{number}".ljust(26, "0")) for number in range(4)]
    lines = [_line(number, "launched", run_id, f"v1_{number}") for number, run_id in enumerate(ids)]
    lines += [_line(4, "ok", ids[0], "-"), _line(5, "unconfirmed", ids[2], "-"), _line(6, "note", ids[3], "-")]
    path.write_bytes(b"".join(lines))
    oldest = RunId(ids[1])
    assert launched_in_log(path, (), oldest) == {ids[1]: "v1_1", ids[2]: "v1_2", ids[3]: "v1_3"}
    assert launched_in_log(path, (ids[3][:8],), oldest) == {ids[3]: "v1_3"}
    assert launched_in_log(path, ("task-1", f"{2:016x}"), oldest) == {ids[1]: "v1_1", ids[2]: "v1_2"}
    assert launched_in_log(path, ("nothing",), oldest) == {}


def _line(number: int, status: str, run_id: RunId, remote_id: str) -> bytes:
    of = int(run_id[5])
    fields = {"task": f"task-{of}", "run": str(run_id), "remote": remote_id, "host": "web1"}
    return format_line(LogRecord(ev=number + 1, at_ms=0, key=f"{of:016x}", status=status, fields=fields))
