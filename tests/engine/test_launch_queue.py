"""A bounded number of launches is sent at once; the others wait visibly, and none is forgotten."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from console.domain.limits import Caps
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
    """Answers no launch before `go_on` is set, and counts those that are under way."""

    def __init__(self) -> None:
        super().__init__()
        self.go_on = asyncio.Event()
        self.under_way = self.most = 0

    async def create(self, order: LaunchOrder) -> Verdict:
        self.under_way += 1
        self.most = max(self.most, self.under_way)
        await self.go_on.wait()
        self.under_way -= 1
        return await super().create(order)


async def test_launches_beyond_the_bound_wait_in_order_and_all_are_sent_whatever_that_takes(tmp_path: Path) -> None:
    provider, clock = SlowProvider(), ManualClock()
    use = settings(*(a_task(name, max_ms=3_600_000) for name in NAMES), caps=UNLIMITED)
    timings = replace(QUICK, launches_at_once=2)
    async with engine_harness(tmp_path, provider, use, clock=clock, timings=timings) as here:
        runs = [(await here.launch(name)).run for name in NAMES]
        await until(lambda: provider.under_way == 2)
        queued = (await here.engine.queries.snapshot()).queued
        assert dict(queued) == {run.id: before for before, run in enumerate(runs[2:])}
        # Longer than the window of a claim, which counts only while a run could have been sent.
        clock.advance(120)
        provider.go_on.set()
        for run in runs:
            await here.reaches(run.id, State.RUNNING)
        assert provider.most == 2
        assert not (await here.engine.queries.snapshot()).queued


async def test_a_stop_of_a_queued_run_ends_it_unsent_without_waiting_for_its_turn(tmp_path: Path) -> None:
    provider, use = SlowProvider(), settings(*(a_task(name) for name in NAMES), caps=UNLIMITED)
    async with engine_harness(tmp_path, provider, use, timings=replace(QUICK, launches_at_once=1)) as here:
        first, second = [(await here.launch(name)).run for name in NAMES[:2]]
        await until(lambda: provider.under_way == 1)
        await here.engine.operations.stop(second.id, by=BY)
        ended = await here.engine.wait(second.id)
        assert ended.outcome is Outcome.CANCELLED
        provider.go_on.set()
        await here.reaches(first.id, State.RUNNING)
        assert len(provider.agents) == 1


async def _hold(queue: LaunchQueue, run_id: str, entered: list[str], leave: asyncio.Event) -> None:
    async with queue.turn(RunId(run_id)):
        entered.append(run_id)
        await leave.wait()


async def test_a_place_is_not_lost_with_a_launch_that_is_cancelled_while_it_waits() -> None:
    queue, leave, entered = LaunchQueue(1), asyncio.Event(), list[str]()
    holds = [asyncio.create_task(_hold(queue, name, entered, leave)) for name in ("a", "b", "c", "d")]
    await until(lambda: len(queue.positions) == 3)
    holds[1].cancel()
    leave.set()
    # The place of the first is given to the third while that is being cancelled.
    await holds[0]
    holds[2].cancel()
    await asyncio.gather(*holds, return_exceptions=True)
    assert "d" in entered
    async with queue.turn(RunId("e")):
        assert not queue.positions


async def test_after_a_hand_over_has_begun_nothing_gets_a_turn() -> None:
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
