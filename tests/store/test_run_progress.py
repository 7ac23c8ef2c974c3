"""Progress of live runs: amounts only grow, a stall is logged once, steps keep their first time."""

from __future__ import annotations

from dataclasses import replace

import pytest

from console.domain.run import IllegalTransition, Run, State, StepRecord
from console.domain.usage import Usage
from console.store.errors import StaleRun
from console.store.progress import CHUNK, Progress, ProgressUpdate
from console.store.rows import MAX_AMOUNT
from tests.store.harness import CAPS, StoreHarness, a_task, record_progress, run_in


async def test_figures_are_stored_and_the_state_stays(harness: StoreHarness) -> None:
    run = await harness.running()
    progress = Progress(
        usage=Usage(total=100, input=60, output=40),
        used=1_000,
        usage_known=True,
        largest_step=400,
        remote_status="in_progress",
        trouble="late",
        polled_ms=5,
        last_step="tool: ls",
        last_step_ms=4,
        steps=2,
        cost_micro=7,
        currency="USD",
    )
    after = await record_progress(harness.store.runs, run, progress, harness.now)
    assert (after.state, after.usage, after.used, after.usage_known) == (State.RUNNING, progress.usage, 1_000, True)
    assert (after.largest_step, after.steps, after.last_step, after.polled_ms) == (400, 2, "tool: ls", 5)
    assert (after.trouble, after.cost_micro, after.currency) == ("late", 7, "USD")
    assert await harness.run(run) == after


async def test_cumulative_figures_never_shrink(harness: StoreHarness) -> None:
    run = await harness.running()
    high = Progress(usage=Usage(total=100, input=50), used=10, usage_known=True, largest_step=9, steps=3)
    low = Progress(usage=Usage(total=40, input=60), used=4, largest_step=1, steps=1)
    run = await record_progress(harness.store.runs, run, high, harness.now)
    run = await record_progress(harness.store.runs, run, low, harness.now)
    assert run.usage == Usage(total=100, input=60)
    assert (run.used, run.usage_known, run.largest_step, run.steps) == (10, True, 9, 3)


async def test_absurd_figures_are_bounded_and_broken_text_is_mended(harness: StoreHarness) -> None:
    run = await harness.running()
    progress = Progress(usage=Usage(total=10**30, input=-5), used=10**40, last_step="a\ud800\0b", cost_micro=10**30)
    after = await record_progress(harness.store.runs, run, progress, harness.now)
    assert (after.usage.total, after.usage.input, after.used, after.cost_micro) == (
        MAX_AMOUNT,
        0,
        MAX_AMOUNT,
        MAX_AMOUNT,
    )
    assert after.last_step == "a\ufffd\ufffdb"
    settled = await harness.settle(after, used=10**40, result="\udfff\0", note="\ud800")
    assert (settled.used, settled.result) == (MAX_AMOUNT, "\ufffd\ufffd")


async def test_a_stall_is_noted_when_it_begins(harness: StoreHarness) -> None:
    run = await harness.running()
    harness.clock.advance(400)
    for stalled in (True, True, False, True):
        run = await record_progress(harness.store.runs, run, Progress(stalled=stalled), harness.now)
    notes = [record for record in await harness.records() if record.fields.get("event") == "stall"]
    assert [record.fields["quiet"] for record in notes] == ["400s", "400s"]
    assert run.stalled


@pytest.mark.parametrize("state", [State.CLAIMED, State.SENDING, State.UNCONFIRMED])
async def test_only_a_run_with_an_id_has_progress(harness: StoreHarness, state: State) -> None:
    with pytest.raises(IllegalTransition):
        await record_progress(harness.store.runs, await run_in(harness, state), Progress(), harness.now)


async def _record_steps(harness: StoreHarness, run: Run, *steps: StepRecord) -> None:
    update = ProgressUpdate(run=run, progress=Progress(), steps=steps)
    (outcome,) = await harness.store.runs.record_progress_of_many([update], harness.now)
    assert isinstance(outcome, Run)


async def test_steps_keep_their_first_time_and_that_they_are_done(harness: StoreHarness) -> None:
    run = await harness.running()
    first = StepRecord(index=0, kind="code", text="ls", at_ms=10, units=5, done=True)
    second = StepRecord(index=1, kind="model", text="hm\ud800", at_ms=20, units=6, done=False)
    await _record_steps(harness, run, first, second)
    changed = StepRecord(index=0, kind="code", text="ls -l", at_ms=99, units=3, done=False)
    await _record_steps(harness, run, changed)
    await _record_steps(harness, run)
    one, two = await harness.store.runs.steps(run.id)
    assert (one.text, one.at_ms, one.units, one.done) == ("ls -l", 10, 5, True)
    assert (two.text, two.done) == ("hm\ufffd", False)


async def test_a_note_is_a_log_record_and_its_field_names_are_checked_first(harness: StoreHarness) -> None:
    run = await harness.running()
    await harness.store.runs.note(event="clock", fields={"by": "5 s\x1b", "empty": ""}, run=run, now=harness.now)
    await harness.store.runs.note(event="clock", fields={"task": "t"}, run=None, now=harness.now)
    with_run, without = (await harness.records())[-2:]
    assert (with_run.key, with_run.status) == (run.key, "note")
    assert dict(with_run.fields) == {"event": "clock", "task": "report", "run": run.id, "by": "5 s\x1b", "empty": "-"}
    assert (without.key, without.fields["task"]) == ("-", "t")
    for name in ("ev", "end", "key", "Bad", "a b", "", "task"):
        with pytest.raises(ValueError, match="field name"):
            await harness.store.runs.note(event="x", fields={name: "y"}, run=run, now=harness.now)


async def test_many_runs_are_stored_at_once_and_each_has_its_own_outcome(harness: StoreHarness) -> None:
    harness.caps = replace(CAPS, concurrent_runs=None, daily_units=None, daily_runs=None)
    runs = [await harness.running(a_task(f"t{number}")) for number in range(CHUNK + 3)]
    taken = await harness.store.runs.take_over(runs[1], owner="owner-2", now=harness.now)
    assert taken is not None
    claimed = await harness.claimed(a_task("claimed"))
    updates = [
        ProgressUpdate(run=run, progress=Progress(used=number, last_step="a\ud800", usage=Usage(total=10**30)))
        for number, run in enumerate([*runs, claimed])
    ]
    outcomes = await harness.store.runs.record_progress_of_many(updates, harness.now)
    assert isinstance(outcomes[1], StaleRun)
    assert isinstance(outcomes[-1], IllegalTransition)
    for number, run in enumerate(runs):
        stored = await harness.run(run)
        assert stored.used == (0 if number == 1 else number)
        if number != 1:
            assert outcomes[number] == stored
            assert (stored.last_step, stored.usage.total) == ("a\ufffd", MAX_AMOUNT)
    assert await harness.store.runs.record_progress_of_many([], harness.now) == ()


async def test_the_batch_writes_steps_and_stalls_only_of_runs_it_could_change(harness: StoreHarness) -> None:
    mine, lost = await harness.running(a_task("mine")), await harness.running(a_task("lost"))
    await harness.store.runs.take_over(lost, owner="owner-2", now=harness.now)
    step = StepRecord(index=0, kind="code", text="ls", at_ms=10, units=5, done=True)
    updates = [ProgressUpdate(run=run, progress=Progress(stalled=True), steps=[step]) for run in (mine, lost)]
    await harness.store.runs.record_progress_of_many(updates, harness.now)
    assert await harness.store.runs.steps(mine.id) == (step,)
    assert await harness.store.runs.steps(lost.id) == ()
    stalls = [record.fields["run"] for record in await harness.records() if record.fields.get("event") == "stall"]
    assert stalls == [mine.id]
    again = ProgressUpdate(run=await harness.run(mine), progress=Progress(stalled=True))
    await harness.store.runs.record_progress_of_many([again], harness.now)
    assert len(await harness.records()) == 3, "two launches and one stall"
