"""An id that comes back late is adopted by the host that sent the launch, and by no other."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from console.domain.run import Outcome, Run, State
from console.engine.settings import ProcessKind
from console.journal.launch_journal import LaunchIntent
from console.journal.log_files import JournalError
from console.store.errors import StoreError
from console.store.fleet_settings import FleetSettings
from tests.engine.building import BY, QUICK, settings
from tests.engine.fake_provider import FakeProvider
from tests.fleet.building import Host, host
from tests.waiting import until

SERVE = settings(kind=ProcessKind.SERVE)
HASTY = replace(QUICK, answer_ms=0)


async def cut_off(one: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the host renew its lease no more, while all else of it goes on."""

    async def fails(*arguments: object, **named: object) -> None:
        raise StoreError("the line is cut")

    monkeypatch.setattr(one.ownership._leases, "exchange", fails)


async def unconfirmed_elsewhere(
    first: Host, second: Host, provider: FakeProvider, monkeypatch: pytest.MonkeyPatch
) -> Run:
    """Return a run whose POST of the first host is under way while the second has taken it over."""
    provider.hold_create.clear()
    run_id = (await first.launch()).run.id
    await until(lambda: provider.orders)
    await cut_off(first, monkeypatch)
    run = await second.reaches(run_id, State.UNCONFIRMED)
    assert run.owner == second.ownership.id
    return run


async def test_an_answer_that_comes_late_is_adopted_by_its_sender_and_supervised_by_the_taker(
    fleet: FleetSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    provider = FakeProvider()
    async with (
        host(fleet, tmp_path / "one", provider, SERVE, timings=HASTY) as first,
        host(fleet, tmp_path / "two", provider, SERVE, timings=HASTY) as second,
    ):
        run = await unconfirmed_elsewhere(first, second, provider, monkeypatch)
        provider.hold_create.set()
        running = await second.reaches(run.id, State.RUNNING)
        assert running.remote_id == "v1_0001"
        provider.agents["v1_0001"].status = "completed"
        ended = await second.reaches(run.id, State.ENDED)
        assert (ended.outcome, ended.owner) == (Outcome.OK, second.ownership.id)
    assert len(provider.orders) == 1


async def test_an_id_in_the_journal_of_its_host_is_adopted_and_one_of_another_run_is_not(
    fleet: FleetSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    provider = FakeProvider()
    async with (
        host(fleet, tmp_path / "one", provider, SERVE, timings=HASTY) as first,
        host(fleet, tmp_path / "two", provider, SERVE, timings=HASTY) as second,
    ):
        run = await unconfirmed_elsewhere(first, second, provider, monkeypatch)
        agent = provider.start_agent(provider.orders[0])
        first.launches.append(type(run.id)("0" * 26), 1, "v1_9999")
        await first.next_tick()
        assert (await second.run(run.id)).state is State.UNCONFIRMED
        first.launches.append(run.id, 1, agent.remote_id)
        assert (await second.reaches(run.id, State.RUNNING)).remote_id == agent.remote_id
        provider.hold_create.set()
        agent.status = "completed"
        await second.reaches(run.id, State.ENDED)


async def test_a_late_answer_to_a_launch_that_was_ruled_out_is_cancelled(
    fleet: FleetSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    provider = FakeProvider()
    async with (
        host(fleet, tmp_path / "one", provider, SERVE, timings=HASTY) as first,
        host(fleet, tmp_path / "two", provider, SERVE, timings=HASTY) as second,
    ):
        run = await unconfirmed_elsewhere(first, second, provider, monkeypatch)
        await second.engine.operations.settle_not_launched(run.id, by=BY, reason="looked at the service")
        provider.hold_create.set()
        await until(lambda: provider.agents and provider.agents["v1_0001"].cancels)


async def test_the_intent_is_on_disk_before_the_request_leaves_and_without_it_nothing_is_sent(
    fleet: FleetSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []
    provider = FakeProvider(lambda agent: seen.append(one.launches.read_intents()))
    async with host(fleet, tmp_path / "one", provider, SERVE) as one:
        run = (await one.launch()).run
        await one.reaches(run.id, State.RUNNING)
        assert seen == [{run.id: LaunchIntent.of(run, seen[0][run.id].row)}]
        assert one.launches.read() == {run.id: "v1_0001"}

        def full(intent: LaunchIntent) -> None:
            raise JournalError("the disk is full")

        monkeypatch.setattr(one.launches, "append_intent", full)
        other = (await one.launch(target="other")).run
        ended = await one.reaches(other.id, State.ENDED)
        assert (ended.outcome, len(provider.orders)) == (Outcome.NOT_SENT, 1)
