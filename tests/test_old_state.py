"""A state folder made by version 0.1.0 is opened and continued by this version.

The folder stands in `tests/fixtures/state_0_1_0`: ended runs of every common outcome, one proposal, one unconfirmed
run, and four runs whose process was killed between two steps.
"""

from __future__ import annotations

import asyncio
import gzip
import shutil
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import pytest

from console.domain.log_record import parse_line
from console.domain.run import Outcome, Run, RunId, State
from console.domain.server_limit import TokenLimit
from console.provider.contract import LaunchOrder
from console.simulator.server import SimulatorThread
from tests.cli.nightdesk import Nightdesk
from tests.clock import ManualClock
from tests.engine.building import BY, EngineHarness, engine_harness
from tests.engine.fake_provider import FakeAgent, FakeProvider
from tests.evidence import open_database
from tests.tree import TESTS
from tests.waiting import until

FIXTURE = TESTS / "fixtures" / "state_0_1_0"
SOON_AFTER = datetime.fromisoformat("2026-11-28T02:11:30+00:00")
"""When this version starts: less than two minutes after the last write of version 0.1.0."""
OUTCOMES = {
    ("endless", "running", None),
    ("failing", "ended", "failed"),
    ("good", "ended", "ok"),
    ("good", "ended", "skipped"),
    ("greedy", "ended", "budget"),
    ("lost", "unconfirmed", None),
    ("nightly", "proposed", None),
    ("rejected", "ended", "rejected"),
    ("report", "claimed", None),
    ("report", "sending", None),
    ("timed", "ended", "timeout"),
}
"""Task, state and outcome of every run as version 0.1.0 left them."""


@pytest.fixture
def state(tmp_path: Path) -> Path:
    """A copy of the old folder, with the permissions and the empty files that git does not keep."""
    folder = tmp_path / "state"
    (folder / "owners").mkdir(parents=True, mode=0o700)
    folder.chmod(0o700)
    for name in ("runs.log", "launch.journal", "state.id"):
        shutil.copyfile(FIXTURE / name, folder / name)
    (folder / "nightdesk.db").write_bytes(gzip.decompress((FIXTURE / "nightdesk.db.gz").read_bytes()))
    for path in folder.iterdir():
        path.chmod(0o700 if path.is_dir() else 0o600)
    return folder


@pytest.fixture
def nightdesk(state: Path) -> Iterator[Nightdesk]:
    """The command on the old folder."""
    with SimulatorThread() as simulator:
        yield Nightdesk(folder=state.parent, url=simulator.url, service=simulator.state)


def _rows(folder: Path) -> dict[str, tuple[str, str, str | None]]:
    """Task, state and outcome by target; of several runs of one target the newest."""
    with open_database(folder) as database:
        found = database.execute("select target, task, state, outcome from runs order by seq")
        return {row[0]: (row[1], row[2], row[3]) for row in found}


def test_the_fixture_holds_what_this_test_is_about(state: Path) -> None:
    with open_database(state) as database:
        assert set(map(tuple, database.execute("select task, state, outcome from runs"))) == OUTCOMES


def test_commands_read_the_old_folder(nightdesk: Nightdesk) -> None:
    live = {(run["task"], run["state"]) for run in nightdesk("ps", "--json").json}
    assert {("endless", "running"), ("lost", "unconfirmed"), ("nightly", "proposed")} <= live
    ended = {(run["task"], run["outcome"]) for run in nightdesk("history", "--json").json}
    assert {(task, outcome) for task, _, outcome in OUTCOMES if outcome} <= ended
    assert [run["task"] for run in nightdesk("history", "--task", "greedy", "--json").json] == ["greedy"]
    assert len(nightdesk("log", "--json").json) == 16
    for command in ("usage", "stage", "caps", "log", "show " + nightdesk("ps", "--json").json[0]["run"]):
        done = nightdesk(*command.split())
        assert done.code == 0, (command, done.err)
    assert nightdesk("doctor").code in (0, 1), "a warning or a finding about a check, but no failure to read"


def _orders(folder: Path) -> Iterator[tuple[str, LaunchOrder]]:
    """The agents that version 0.1.0 launched and never saw the end of: remote id and create call."""
    with open_database(folder) as database:
        known = {row["id"]: row["remote_id"] for row in database.execute("select id, remote_id from runs")}
        rows = database.execute("select * from runs where state in ('running', 'sending')").fetchall()
    journal = dict(
        (fields["run"], fields["remote"].strip('"'))
        for line in (folder / "launch.journal").read_text(encoding="ascii").splitlines()
        for fields in [dict(part.split("=", 1) for part in line.split(" "))]
    )
    for row in rows:
        remote_id = known[row["id"]] or journal.get(row["id"])
        if remote_id is not None:
            yield (
                remote_id,
                LaunchOrder(
                    agent="agent",
                    model="model",
                    prompt="Go.",
                    environment="remote",
                    prepared_id=row["sandbox_id"],
                    server_limit=TokenLimit(tokens=1_000_000),
                    max_ms=600_000,
                    labels={"nightdesk-key": row["key"], "nightdesk-run": row["id"], "nightdesk-attempt": "1"},
                ),
            )


def _service(folder: Path) -> FakeProvider:
    """A service at which the agents of version 0.1.0 are still at work."""
    provider = FakeProvider()
    for remote_id, order in _orders(folder):
        provider.agents[remote_id] = FakeAgent(remote_id, order)
    return provider


async def _run_of(here: EngineHarness, target: str) -> Run:
    with open_database(here.folder) as database:
        row = database.execute("select id from runs where target = ? order by seq desc", (target,)).fetchone()
    return await here.run(RunId(row["id"]))


async def test_every_open_run_is_taken_over_and_brought_to_its_end(state: Path) -> None:
    provider = _service(state)
    assert len(provider.agents) == 2
    ids = {line.split("ev=")[1].split()[0] for line in (state / "runs.log").read_text().splitlines()}
    async with engine_harness(state, provider, clock=ManualClock(SOON_AFTER, boot_id="boot-9")) as here:

        async def recovered() -> bool:
            rows = await asyncio.to_thread(_rows, state)
            found = {target: rows[target][1] for target in ("endless", "adopted", "blocked", "claimed")}
            return found == {"endless": "running", "adopted": "running", "blocked": "unconfirmed", "claimed": "ended"}

        await until(recovered, what="the recovery table applied to every run of a dead process")
        assert (await _run_of(here, "claimed")).outcome is Outcome.EXPIRED, "its window passed before anything was sent"
        assert not provider.orders, "nothing is sent a second time"

        for target in ("endless", "adopted"):
            run = await _run_of(here, target)
            await here.engine.operations.stop(run.id, by=BY)
            ended = await here.engine.wait(run.id)
            assert (ended.state, ended.outcome) == (State.ENDED, Outcome.CANCELLED)
        lost = await _run_of(here, "lost")
        await here.engine.operations.settle_not_launched(lost.id, by=BY, reason="the service shows no such agent")
        assert (await here.run(lost.id)).outcome is Outcome.NOT_SENT

    records = [parse_line(line) for line in (state / "runs.log").read_bytes().splitlines()]
    assert ids <= {str(record.ev) for record in records}, "no line of version 0.1.0 is lost"
    assert sorted({record.ev for record in records}) == list(range(1, max(record.ev for record in records) + 1))


def test_a_key_of_version_0_1_0_is_not_launched_again(nightdesk: Nightdesk) -> None:
    again = nightdesk("run", "good", "--origin", "manual", "--date", "2026-11-20")
    assert (again.code, nightdesk.service.posts()) == (0, 0)
    assert "skipped" in again.out + again.err
