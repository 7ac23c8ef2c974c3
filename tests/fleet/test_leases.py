"""Who is taken for alive in a fleet: by the kernel on one host, by leases between hosts."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path

import pytest

from console.domain.run import Outcome, State
from console.engine.leases import LeaseOwnership, LeaseTimes
from console.engine.settings import ProcessKind
from console.store.errors import StoreError
from console.store.fleet_settings import FleetSettings
from tests.clock import ManualClock
from tests.engine.building import QUICK, a_task, settings
from tests.engine.fake_provider import FakeProvider
from tests.fleet.building import SHORT, Host, host, lease_ownership
from tests.waiting import until

SERVE = settings(kind=ProcessKind.SERVE)
PATIENT = replace(QUICK, answer_ms=600_000)


@pytest.fixture
async def owners(fleet: FleetSettings, tmp_path: Path) -> AsyncIterator[list[LeaseOwnership]]:
    """Three processes with clocks in the hand of the test: two in one state folder, and one in another."""
    async with AsyncExitStack() as stack:
        made = []
        for name in ("one", "one", "two"):
            (tmp_path / name).mkdir(mode=0o700, exist_ok=True)
            # The folders share a boot, as those of one machine do.
            owner, _, leases = lease_ownership(fleet, tmp_path / name, system=CLOCK, times=LeaseTimes())
            stack.push_async_callback(leases.close)
            stack.callback(owner.release)
            made.append(owner)
        yield made


CLOCK = ManualClock()


async def everybody(owners: list[LeaseOwnership]) -> None:
    for _ in range(2):
        for owner in owners:
            await owner.exchange()


async def test_the_kernel_decides_within_a_folder_and_a_lease_between_folders(owners: list[LeaseOwnership]) -> None:
    here, beside, there = owners
    await everybody(owners)
    assert (here.is_elsewhere(beside.id), here.is_elsewhere(there.id)) == (False, True)
    assert here.is_alive(beside.id)
    assert here.is_alive(there.id)
    beside.release()
    with here.if_dead(beside.id) as dead:
        assert dead, "its lock is free: at once, whatever its lease says"
    assert there.is_alive(beside.id), "from elsewhere only its lease is seen"
    there.release()
    assert here.is_alive(there.id)


async def test_a_process_trusts_its_lease_from_the_beginning_of_the_last_renewal(owners: list[LeaseOwnership]) -> None:
    here = owners[0]
    assert not here.is_held(), "nothing was confirmed yet"
    await here.exchange()
    assert here.is_held()
    CLOCK.advance(11.9)
    assert here.is_held()
    CLOCK.advance(0.2)
    assert not here.is_held()
    await here.exchange()
    assert here.is_held()


async def test_nobody_takes_over_before_it_had_contact_for_as_long_as_a_lease(
    owners: list[LeaseOwnership], monkeypatch: pytest.MonkeyPatch
) -> None:
    here, _, there = owners
    short = LeaseTimes(term_ms=1)
    monkeypatch.setattr(there, "_times", short)
    await there.exchange()

    async def over() -> bool:
        await here.exchange()
        return not here.is_alive(there.id)

    await until(over, what="the end of the lease")
    with here.if_dead(there.id) as dead:
        assert not dead, "it has come a moment ago"
    for _ in range(2):
        CLOCK.advance(9)
        await here.exchange()
    with here.if_dead(there.id) as dead:
        assert not dead
    CLOCK.advance(3)
    await here.exchange()
    with here.if_dead(there.id) as dead:
        assert dead
    CLOCK.advance(13)
    with here.if_dead(there.id) as dead:
        assert not dead, "its own contact is broken"
    await here.exchange()
    with here.if_dead(there.id) as dead:
        assert not dead, "contact counts from the answer on"


async def test_who_does_not_reach_the_database_takes_nothing_over_and_guards_on(
    owners: list[LeaseOwnership], monkeypatch: pytest.MonkeyPatch
) -> None:
    here, _, there = owners
    await everybody(owners)

    async def silent(*arguments: object, **named: object) -> None:
        raise StoreError("the state database does not answer")

    monkeypatch.setattr(here._leases, "exchange", silent)
    CLOCK.advance(30)
    with pytest.raises(StoreError):
        await here.exchange()
    assert here.is_alive(there.id), "what the database said last counts"
    with here.if_dead(there.id) as dead:
        assert not dead
    assert not here.is_held()


async def test_one_process_of_the_fleet_schedules(owners: list[LeaseOwnership]) -> None:
    here, beside, there = owners
    assert not here.take_schedule(), "the next exchange asks for it"
    await here.exchange()
    assert here.take_schedule()
    assert not there.take_schedule()
    await everybody(owners)
    assert not there.take_schedule()
    assert (there.scheduler(), beside.scheduler()) == (here.id, here.id)
    here.release_schedule()
    assert not there.take_schedule()
    await here.exchange()
    await there.exchange()
    await there.exchange()
    assert there.take_schedule()
    assert not here.take_schedule()
    CLOCK.advance(13)
    assert not there.take_schedule(), "it could not renew that lease"


async def test_a_host_that_goes_in_order_leaves_its_runs_at_once(fleet: FleetSettings, tmp_path: Path) -> None:
    provider = FakeProvider()
    async with host(fleet, tmp_path / "two", provider, SERVE, times=LeaseTimes()) as second:
        async with host(fleet, tmp_path / "one", provider, SERVE, times=LeaseTimes()) as first:
            run_id = (await first.launch()).run.id
            await first.reaches(run_id, State.RUNNING)
            owner = first.ownership.id
            await until(lambda: second.ownership.view and owner in second.ownership.view.leases)
        await until(lambda: second.engine.guarded == {run_id})
        provider.agents["v1_0001"].status = "completed"
        await second.reaches(run_id, State.ENDED)
    assert len(provider.orders) == 1


async def silence(one: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the host renew its lease no more, while all else of it goes on."""

    async def nothing(*arguments: object, **named: object) -> None:
        raise StoreError("the line is cut")

    monkeypatch.setattr(one.ownership._leases, "exchange", nothing)


async def test_a_run_is_taken_over_once_the_lease_is_over_and_the_fence_refuses_its_former_owner(
    fleet: FleetSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    provider = FakeProvider()
    async with (
        host(fleet, tmp_path / "one", provider, SERVE) as first,
        host(fleet, tmp_path / "two", provider, SERVE) as second,
    ):
        run_id = (await first.launch()).run.id
        await first.reaches(run_id, State.RUNNING)
        await silence(first, monkeypatch)
        await until(lambda: second.engine.guarded == {run_id})
        await until(lambda: not first.engine.guarded, what="the former owner drops it")
        assert not first.ownership.is_held()
        launched = (await first.launch("report", date="2026-11-24", target="other")).run
        ended = await first.reaches(launched.id, State.ENDED, State.RUNNING)
        assert ended.owner == second.ownership.id or ended.outcome is Outcome.NOT_SENT, "it was not sent there"


async def test_a_launch_that_may_still_be_answered_elsewhere_is_left_alone(
    fleet: FleetSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    provider = FakeProvider()
    provider.hold_create.clear()
    async with (
        host(fleet, tmp_path / "one", provider, SERVE, timings=PATIENT) as first,
        host(fleet, tmp_path / "two", provider, SERVE, timings=PATIENT) as second,
    ):
        run_id = (await first.launch()).run.id
        await until(lambda: provider.orders)
        await silence(first, monkeypatch)
        await until(lambda: not second.ownership.is_alive(first.ownership.id))
        await until(lambda: _may_take_from(second, first))
        await second.next_tick()
        assert (await second.run(run_id)).state is State.SENDING
        provider.hold_create.set()
        await first.reaches(run_id, State.RUNNING)
    assert len(provider.orders) == 1


def _may_take_from(one: Host, other: Host) -> bool:
    with one.ownership.if_dead(other.ownership.id) as dead:
        return dead


async def test_a_claim_whose_task_a_host_lacks_is_left_to_those_that_have_it(
    fleet: FleetSettings, tmp_path: Path
) -> None:
    provider = FakeProvider()
    command = settings(kind=ProcessKind.COMMAND)
    lacking = settings(a_task("other"), kind=ProcessKind.SERVE)
    edited = settings(a_task(prompt="Something else."), kind=ProcessKind.SERVE)
    async with AsyncExitStack() as stack:
        without = [
            await stack.enter_async_context(host(fleet, tmp_path / name, provider, use))
            for name, use in (("lacks", lacking), ("edited", edited))
        ]
        launcher = await stack.enter_async_context(host(fleet, tmp_path / "cron", provider, command))
        run_id = (await launcher.launch()).run.id
        for each in without:
            await each.next_tick()
        assert (await launcher.run(run_id)).state is State.CLAIMED
        having = await stack.enter_async_context(host(fleet, tmp_path / "has", provider, SERVE))
        run = await having.reaches(run_id, State.RUNNING)
        assert run.owner == having.ownership.id


async def test_hosts_schedule_and_see_each_other(fleet: FleetSettings, tmp_path: Path) -> None:
    provider = FakeProvider()
    use = replace(SERVE, schedules=True)
    async with (
        host(fleet, tmp_path / "one", provider, use) as first,
        host(fleet, tmp_path / "two", provider, use) as second,
    ):

        async def seen() -> bool:
            views = [await each.engine.queries.snapshot() for each in (first, second)]
            holders = {view.scheduler.id if view.scheduler else None for view in views}
            return len(holders) == 1 and None not in holders and all(len(view.owners) == 2 for view in views)

        await until(seen, what="both see both, and one scheduler")
        view = await first.engine.queries.snapshot()
        assert {owner.host for owner in view.owners.values()} == {"one", "two"}
        assert view.round_trip_ms is not None


def test_the_intervals_leave_room_for_each_other() -> None:
    """Who trusts its lease longest stops launching before anybody takes it for dead, by a margin for a slow round."""
    for times in (LeaseTimes(), SHORT):
        assert times.renew_ms * 2 < times.trust_ms
        assert times.trust_ms + times.renew_ms < times.term_ms
        assert times.contact_ms >= times.term_ms


async def test_each_host_keeps_a_whole_log_that_names_the_host_of_each_line(
    fleet: FleetSettings, tmp_path: Path
) -> None:
    provider = FakeProvider(lambda agent: setattr(agent, "status", "completed"))
    # A host writes under the name that its config gives it.
    first, second = (replace(fleet, host=name) for name in ("we'b1", "web2"))
    async with (
        host(first, tmp_path / "one", provider, SERVE) as one,
        host(second, tmp_path / "two", provider, SERVE) as two,
    ):
        await one.engine.wait((await one.launch()).run.id)
        await two.engine.wait((await two.launch(target="other")).run.id)
        await until(lambda: len(one.log()) == len(two.log()) >= 4)
        assert one.log() == two.log()
        hosts = {line.key: line.fields["host"] for line in one.log()}
        assert sorted(hosts.values()) == ["we'b1", "web2"]
    async with host(second, tmp_path / "three", provider, SERVE) as three:
        await until(lambda: three.log() == two.log(), what="a new host has the whole log")
