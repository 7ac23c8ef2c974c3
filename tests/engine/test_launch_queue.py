"""A bounded number of launches is sent at once; the others wait in a queue that is shown, and none is lost."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from console.domain.caps import Caps
from console.domain.run import Outcome, RunId, State
from console.engine.run.launch_queue import LaunchQueue
from console.provider.contract import LaunchOrder, Verdict
from tests.clock import ManualClock
from tests.engine.building import BY, QUICK, a_task, engine_harness, settings
from tests.engine.fake_provider import FakeProvider
from tests.waiting import until

UNLIMITED = Caps(daily_units=None, monthly_units=None, daily_runs=None, concurrent_runs=None, time_zone="UTC")
NAMES = tuple(f"task-{number}" for number in range(6))


class SlowProvider(FakeProvider):
    """Answers launches only after `release` is set, and counts the pending ones."""

    def __init__(self) -> None:
        super().__init__()
        self.release = asyncio.Event()
        self.pending = self.max_pending = 0

    async def create(self, order: LaunchOrder) -> Verdict:
        self.pending += 1
        self.max_pending = max(self.max_pending, self.pending)
        await self.release.wait()
        self.pending -= 1
        return await super().create(order)


async def test_launches_beyond_the_bound_wait_in_order_and_all_are_sent_in_the_end(tmp_path: Path) -> None:
    provider, clock = SlowProvider(), ManualClock()
    use = settings(*(a_task(name, max_ms=3_600_000) for name in NAMES), caps=UNLIMITED)
    timings = replace(QUICK, launches_at_once=2)
    async with engine_harness(tmp_path, provider, use, clock=clock, timings=timings) as here:
        runs = [(await here.launch(name)).run for name in NAMES]
        await until(lambda: provider.pending == 2)
        queued = (await here.engine.queries.snapshot()).queued
        assert dict(queued) == {run.id: position for position, run in enumerate(runs[2:])}
        # Longer than the window of a claim, which does not run while the launch is queued.
        clock.advance(120)
        provider.release.set()
        for run in runs:
            await here.reaches(run.id, State.RUNNING)
        assert provider.max_pending == 2
        assert not (await here.engine.queries.snapshot()).queued


async def test_a_stop_ends_a_queued_run_at_once_without_sending_it(tmp_path: Path) -> None:
    provider, use = SlowProvider(), settings(*(a_task(name) for name in NAMES), caps=UNLIMITED)
    async with engine_harness(tmp_path, provider, use, timings=replace(QUICK, launches_at_once=1)) as here:
        first, second = [(await here.launch(name)).run for name in NAMES[:2]]
        await until(lambda: provider.pending == 1)
        await here.engine.operations.stop(second.id, by=BY)
        ended = await here.engine.wait(second.id)
        assert ended.outcome is Outcome.CANCELLED
        provider.release.set()
        await here.reaches(first.id, State.RUNNING)
        assert len(provider.agents) == 1


async def test_a_successor_sends_what_was_queued_for_longer_than_its_window(tmp_path: Path) -> None:
    provider, clock = SlowProvider(), ManualClock()
    use = settings(*(a_task(name, max_ms=3_600_000) for name in NAMES), caps=UNLIMITED)
    timings = replace(QUICK, launches_at_once=1, beat_ms=50)
    async with engine_harness(tmp_path, provider, use, clock=clock, timings=timings) as here:
        first, second, third = [(await here.launch(name)).run for name in NAMES[:3]]
        await until(lambda: provider.pending == 1)

        async def queued() -> bool:
            return len((await here.engine.queries.snapshot()).queued) == 2

        async def stored() -> bool:
            windows = [(await here.run(run.id)).expires_ms or 0 for run in (second, third)]
            return all(window > clock.now().wall_ms for window in windows)

        await until(queued, what="two queued launches")
        clock.advance(120)
        await until(stored, what="extended windows")
        # The rest of the window is as long as it was at the claim.
        assert (await here.run(second.id)).expires_ms == (second.expires_ms or 0) + 120_000
        assert (await here.run(first.id)).expires_ms == first.expires_ms
    provider.release.set()
    async with engine_harness(tmp_path, provider, use, clock=clock, timings=timings) as here:
        await here.reaches(second.id, State.RUNNING)
        await here.reaches(third.id, State.RUNNING)


async def _hold(queue: LaunchQueue, run_id: str, entered: list[str], leave: asyncio.Event) -> None:
    async with queue.turn(RunId(run_id)):
        entered.append(run_id)
        await leave.wait()


async def test_cancelling_a_queued_launch_does_not_leak_its_slot() -> None:
    queue, leave, entered = LaunchQueue(1), asyncio.Event(), list[str]()
    holds = [asyncio.create_task(_hold(queue, name, entered, leave)) for name in ("a", "b", "c", "d")]
    await until(lambda: len(queue.positions) == 3)
    holds[1].cancel()
    leave.set()
    # The slot of the first is passed to the third while the third is being cancelled.
    await holds[0]
    holds[2].cancel()
    await asyncio.gather(*holds, return_exceptions=True)
    assert "d" in entered
    async with queue.turn(RunId("e")):
        assert not queue.positions


async def test_a_closed_queue_gives_nobody_a_slot() -> None:
    queue, leave, entered = LaunchQueue(1), asyncio.Event(), list[str]()
    holds = [asyncio.create_task(_hold(queue, name, entered, leave)) for name in ("a", "b")]
    await until(lambda: len(queue.positions) == 1)
    queue.close()
    with pytest.raises(asyncio.CancelledError):
        await holds[1]
    with pytest.raises(asyncio.CancelledError):
        await _hold(queue, "c", entered, leave)
    leave.set()
    await holds[0]
    assert entered == ["a"]
