"""Several engines on one folder take over the runs of dead owners, and cancel overdue runs of unresponsive ones."""

from __future__ import annotations

from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path

import pytest

from console.domain.run import Outcome, Run, State, StopReason
from console.domain.usage import Usage
from console.engine.clock import SystemClock
from console.engine.errors import OperationRefused
from console.engine.kernel_locks import KernelLocks
from console.engine.models import LaunchKind, LaunchRequest
from console.engine.settings import ProcessKind
from console.journal.launch_journal import LaunchJournal
from tests.clock import ManualClock
from tests.engine.building import BY, EngineHarness, a_task, engine_harness, settings
from tests.engine.fake_provider import FakeAgent, FakeProvider
from tests.waiting import until

DEAD = "d" * 32
"""An owner whose lock no process holds."""


def spent(agent: FakeAgent) -> None:
    agent.usage = Usage(total=1_000)


async def abandoned_run(folder: Path, provider: FakeProvider, *states: State) -> Run:
    """Return a run in one of `states` whose engine has exited."""
    async with engine_harness(folder, provider) as here:
        run_id = (await here.launch()).run.id
        return await here.reaches(run_id, *states)


async def disown(here: EngineHarness, run: Run) -> Run:
    """Assign the run to an owner that is dead, and return its row."""
    taken = await here.store.runs.take_over(run, owner=DEAD, now=SystemClock().now())
    assert taken is not None
    return taken


async def test_a_running_run_is_taken_over_and_supervised_to_its_end(tmp_path: Path) -> None:
    provider = FakeProvider(spent)
    run = await abandoned_run(tmp_path, provider, State.RUNNING)
    async with engine_harness(tmp_path, provider) as here:
        await until(lambda: run.id in here.engine.guarded)
        taken = await here.run(run.id)
        assert taken.fence > run.fence
        assert taken.owner != run.owner
        provider.agents["v1_0001"].status = "completed"
        assert (await here.engine.wait(run.id)).outcome is Outcome.OK
    assert len(provider.orders) == 1


async def test_a_deadline_that_passed_without_a_supervisor_is_enforced_at_take_over(tmp_path: Path) -> None:
    provider = FakeProvider(spent)
    clock = ManualClock()
    use = settings(a_task(max_ms=60_000))
    async with engine_harness(tmp_path, provider, use, clock=clock) as here:
        run_id = (await here.launch()).run.id
        await here.reaches(run_id, State.RUNNING)
    clock.advance(3600)
    async with engine_harness(tmp_path, provider, use, clock=clock) as here:
        run = await here.engine.wait(run_id)
        assert run.outcome is Outcome.TIMEOUT
        assert run.elapsed_ms >= 3_600_000, "the elapsed time includes the hour without a supervisor"


async def test_a_reboot_does_not_extend_the_deadline(tmp_path: Path) -> None:
    provider, clock = FakeProvider(spent), ManualClock()
    use = settings(a_task(max_ms=60_000))
    async with engine_harness(tmp_path, provider, use, clock=clock) as here:
        run_id = (await here.launch()).run.id
        await here.reaches(run_id, State.RUNNING)
    clock.reboot(away_seconds=120)
    async with engine_harness(tmp_path, provider, use, clock=clock) as here:
        assert (await here.engine.wait(run_id)).outcome is Outcome.TIMEOUT


async def test_a_wall_clock_step_stops_no_run_and_pauses_launches(tmp_path: Path) -> None:
    provider, clock = FakeProvider(spent), ManualClock()
    async with engine_harness(tmp_path, provider, settings(a_task("a"), a_task("b")), clock=clock) as here:
        run_id = (await here.launch("a")).run.id
        await here.reaches(run_id, State.RUNNING)
        clock.step_wall(86_400)

        async def paused() -> bool:
            return (await here.engine.queries.snapshot()).paused is not None

        await until(paused)
        assert (await here.run(run_id)).state is State.RUNNING
        assert (await here.launch("b")).kind is LaunchKind.REFUSED


async def test_a_remote_id_in_the_journal_is_adopted_without_another_post(tmp_path: Path) -> None:
    provider = FakeProvider(spent)
    provider.hold_create.clear()
    async with AsyncExitStack() as stack:
        here = await stack.enter_async_context(engine_harness(tmp_path, provider))
        run_id = (await here.launch()).run.id
        await until(lambda: provider.orders)
        agent = provider.start_agent(provider.orders[0])
        journal = LaunchJournal(tmp_path / "launch.journal")
        journal.append(run_id, 1, agent.remote_id)
        await disown(here, await here.run(run_id))
        second = await stack.enter_async_context(engine_harness(tmp_path, provider))
        run = await second.reaches(run_id, State.RUNNING)
        assert run.remote_id == agent.remote_id
        agent.status = "completed"
        assert (await second.engine.wait(run_id)).outcome is Outcome.OK
        provider.hold_create.set()
    assert len(provider.orders) == 1


async def test_a_launch_of_a_dead_owner_without_a_remote_id_is_unconfirmed(tmp_path: Path) -> None:
    provider = FakeProvider(spent)
    provider.hold_create.clear()
    async with AsyncExitStack() as stack:
        here = await stack.enter_async_context(engine_harness(tmp_path, provider))
        run_id = (await here.launch()).run.id
        await until(lambda: provider.orders)
        await disown(here, await here.run(run_id))
        second = await stack.enter_async_context(engine_harness(tmp_path, provider))
        run = await second.reaches(run_id, State.UNCONFIRMED)
        assert "died" in run.trouble
        provider.hold_create.set()
    assert len(provider.orders) == 1


@pytest.mark.parametrize(("seconds", "outcome", "posts"), [(10, Outcome.OK, 1), (61, Outcome.EXPIRED, 0)])
async def test_a_claim_is_continued_only_within_its_window_of_a_minute(
    tmp_path: Path, seconds: float, outcome: Outcome, posts: int
) -> None:
    provider, clock = FakeProvider(lambda agent: setattr(agent, "status", "completed")), ManualClock()
    async with engine_harness(tmp_path, provider, settings(kind=ProcessKind.COMMAND), clock=clock) as here:
        request = LaunchRequest(task="report", by=BY)
        terms = replace(here.engine.operations.terms(request), owner=DEAD)
        claimed = await here.store.claims.claim(request, terms, clock.now())
    clock.advance(seconds)
    async with engine_harness(tmp_path, provider, clock=clock) as here:
        ended = await here.engine.wait(claimed.run.id)
        assert (ended.outcome, len(provider.orders)) == (outcome, posts)
        assert all(s.held == 0 for s in (await here.engine.queries.snapshot()).cap_usages)


async def test_runs_of_a_living_owner_are_not_taken_over(tmp_path: Path) -> None:
    provider = FakeProvider(spent)
    async with engine_harness(tmp_path, provider) as first, engine_harness(tmp_path, provider) as second:
        run_id = (await first.launch()).run.id
        run = await first.reaches(run_id, State.RUNNING)
        for _ in range(3):
            await second.engine.tick()
        assert (await second.run(run_id)).owner == run.owner
        assert second.engine.guarded == frozenset()


async def test_any_engine_can_stop_a_run(tmp_path: Path) -> None:
    provider = FakeProvider(spent)
    async with engine_harness(tmp_path, provider) as first, engine_harness(tmp_path, provider) as second:
        run_id = (await first.launch()).run.id
        await first.reaches(run_id, State.RUNNING)
        await second.engine.operations.stop(run_id, by=BY)
        assert provider.agents["v1_0001"].cancels >= 1, "the engine that stores the stop sends the first cancel"
        assert (await second.engine.wait(run_id)).outcome is Outcome.CANCELLED


async def test_the_timeout_is_enforced_although_the_owner_is_stuck(tmp_path: Path) -> None:
    """The owner holds its lock but does nothing: another engine cancels the run, and its owner stays the same."""
    provider, clock = FakeProvider(spent), ManualClock()
    async with engine_harness(tmp_path, provider, clock=clock) as here:
        run_id = (await here.launch()).run.id
        run = await here.reaches(run_id, State.RUNNING)
        stuck = KernelLocks(tmp_path, supervises=True)
        assert await here.store.runs.take_over(run, owner=stuck.id, now=clock.now()) is not None
        await until(lambda: not here.engine.guarded)
        clock.advance(60.1)
        await here.engine.tick()
        assert provider.agents["v1_0001"].cancels == 0, "the owner is given time to cancel the run itself"
        clock.advance(15)
        await until(lambda: provider.agents["v1_0001"].cancels >= 1)
        row = await here.run(run_id)
        assert row.stop is not None
        assert (row.stop.reason, row.owner) == (StopReason.TIMEOUT, stuck.id)
        stuck.release()
        assert (await here.engine.wait(run_id)).outcome is Outcome.TIMEOUT


async def test_a_short_command_leaves_its_claim_to_an_engine(tmp_path: Path) -> None:
    """A command holds no lock, so a run that it owned would be taken over during its launch."""
    provider = FakeProvider(spent)
    async with engine_harness(tmp_path, provider, settings(kind=ProcessKind.COMMAND)) as command:
        run = (await command.launch()).run
        assert run.owner is None
        assert not command.engine.guarded
    async with engine_harness(tmp_path, provider) as here:
        await here.reaches(run.id, State.RUNNING)
    assert len(provider.orders) == 1


async def test_a_launch_that_hangs_past_its_limit_loses_its_sandbox_and_can_be_settled(tmp_path: Path) -> None:
    """The process is alive but hangs during the launch, so no other process knows the result."""
    provider, clock = FakeProvider(spent), ManualClock()
    provider.hold_create.clear()
    async with engine_harness(tmp_path, provider, clock=clock) as hanging:
        run_id = (await hanging.launch()).run.id
        run = await hanging.reaches(run_id, State.SENDING)
        async with engine_harness(tmp_path, provider, clock=clock) as other:
            with pytest.raises(OperationRefused, match="only an unconfirmed run"):
                await other.engine.operations.settle_not_launched(run_id, by=BY, reason="too early")
            clock.advance(76)
            await until(lambda: run.sandbox_id in provider.deleted)
            settled = await other.engine.operations.settle_not_launched(run_id, by=BY, reason="looked")
            assert settled.outcome is Outcome.NOT_SENT
        provider.hold_create.set()
        await until(lambda: not hanging.engine.guarded)
        assert (await hanging.run(run_id)).outcome is Outcome.NOT_SENT, "the late reply does not change the outcome"
        await until(lambda: all(agent.cancels for agent in provider.agents.values()))
