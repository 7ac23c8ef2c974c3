"""Every write with an outdated owner, fence or state raises StaleRun and changes nothing."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace

import pytest

from console.domain.run import Outcome, Run, State, StopReason
from console.domain.timestamps import Timestamp
from console.store.errors import StaleRun
from console.store.progress import Progress
from console.store.runs import RunRepository
from console.store.transitions import RunResult
from tests.store.harness import BY, StoreHarness, record_progress, run_in

Write = Callable[[RunRepository, Run, Timestamp], Awaitable[object]]
ENDING = RunResult(outcome=Outcome.OK, usage_known=True)

WRITES: dict[str, tuple[State, Write]] = {
    "sandbox": (
        State.CLAIMED,
        lambda runs, run, now: runs.record_sandbox(run, sandbox_id="e", own=True, note="", now=now),
    ),
    "mark_sending": (State.CLAIMED, lambda runs, run, now: runs.mark_sending(run, now)),
    "not_sent": (State.SENDING, lambda runs, run, now: runs.record_not_sent(run, why="", final=False, now=now)),
    "not_sent_final": (State.SENDING, lambda runs, run, now: runs.record_not_sent(run, why="", final=True, now=now)),
    "rejected": (State.SENDING, lambda runs, run, now: runs.record_rejected(run, why="", now=now)),
    "unconfirmed": (State.SENDING, lambda runs, run, now: runs.record_unconfirmed(run, why="", now=now)),
    "launched": (
        State.SENDING,
        lambda runs, run, now: runs.record_launched(run, remote_id="r", status="", sandbox_id=None, now=now),
    ),
    "progress": (State.RUNNING, lambda runs, run, now: record_progress(runs, run, Progress(used=1), now)),
    "settle": (State.RUNNING, lambda runs, run, now: runs.settle(run, ENDING, now)),
    "settle_stopping": (State.STOPPING, lambda runs, run, now: runs.settle(run, ENDING, now)),
    "settle_claimed": (State.CLAIMED, lambda runs, run, now: runs.settle(run, ENDING, now)),
    "adopt": (
        State.UNCONFIRMED,
        lambda runs, run, now: runs.adopt(run, remote_id="r", by=BY, reason="seen", now=now),
    ),
    "not_launched": (
        State.UNCONFIRMED,
        lambda runs, run, now: runs.rule_not_launched(run, by=BY, reason="looked", now=now),
    ),
    "write_off": (State.UNCONFIRMED, lambda runs, run, now: runs.write_off(run, by=BY, reason="gone", now=now)),
}


@pytest.mark.parametrize("name", WRITES)
async def test_an_owner_that_lost_the_run_writes_nothing(harness: StoreHarness, name: str) -> None:
    state, write = WRITES[name]
    run = await run_in(harness, state)
    taken = await harness.store.runs.take_over(run, owner="owner-2", now=harness.now)
    assert taken is not None
    before = (await harness.run(run), await harness.hold(run), await harness.sends(run), await harness.records())
    for stale in (run, replace(taken, owner=run.owner), replace(taken, fence=run.fence), replace(taken, fence=9)):
        with pytest.raises(StaleRun):
            await write(harness.store.runs, stale, harness.now)
    assert (
        await harness.run(run),
        await harness.hold(run),
        await harness.sends(run),
        await harness.records(),
    ) == before
    await write(harness.store.runs, taken, harness.now)
    assert await harness.run(run) != before[0]


@pytest.mark.parametrize("name", WRITES)
async def test_no_write_is_done_twice(harness: StoreHarness, name: str) -> None:
    """The second write raises StaleRun, except for progress and sandboxes, which may be stored again."""
    state, write = WRITES[name]
    run = await run_in(harness, state)
    await write(harness.store.runs, run, harness.now)
    if (await harness.run(run)).state is state:
        return
    after = (await harness.run(run), await harness.hold(run), await harness.records())
    with pytest.raises(StaleRun):
        await write(harness.store.runs, run, harness.now)
    assert (await harness.run(run), await harness.hold(run), await harness.records()) == after


async def test_of_two_processes_that_take_over_one_gets_nothing(harness: StoreHarness) -> None:
    run = await harness.running()
    first = await harness.store.runs.take_over(run, owner="owner-2", now=harness.now)
    second = await harness.store.runs.take_over(run, owner="owner-3", now=harness.now)
    assert first is not None
    assert (first.owner, first.fence, second) == ("owner-2", 2, None)
    assert (await harness.kinds(run))[-1] == "taken_over"


async def test_a_stop_needs_no_fence_and_changes_the_state_for_the_owner(harness: StoreHarness) -> None:
    run = await harness.running()
    await harness.store.runs.request_stop(run.id, reason=StopReason.OPERATOR, by=BY, now=harness.now)
    with pytest.raises(StaleRun, match="no longer running"):
        await record_progress(harness.store.runs, run, Progress(), harness.now)
    stopping = await harness.run(run)
    await record_progress(harness.store.runs, stopping, Progress(used=5), harness.now)
