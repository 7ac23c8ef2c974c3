"""Stop requests: the first one stays, every cancel is counted, and none of them ends the run."""

from __future__ import annotations

import pytest

from console.domain.run import Outcome, Run, RunId, State, StopReason
from console.store.errors import StaleRun
from tests.store.harness import BY, StoreHarness, run_in


@pytest.mark.parametrize(
    ("state", "then"),
    [
        (State.CLAIMED, State.CLAIMED),
        (State.SENDING, State.SENDING),
        (State.UNCONFIRMED, State.UNCONFIRMED),
        (State.RUNNING, State.STOPPING),
    ],
)
async def test_a_stop_is_stored_before_anything_is_sent(harness: StoreHarness, state: State, then: State) -> None:
    run = await run_in(harness, state)
    asked = await harness.store.runs.request_stop(run.id, reason=StopReason.TIMEOUT, by="nightdesk", now=harness.now)
    assert asked.stop is not None
    assert (asked.state, asked.stop.reason, asked.stop.by, asked.stop.at_ms) == (
        then,
        StopReason.TIMEOUT,
        "nightdesk",
        harness.now.wall_ms,
    )
    assert (await harness.kinds(run))[-1] == "stop"
    assert await harness.hold(run) == ("open", None)


async def test_the_first_reason_wins(harness: StoreHarness) -> None:
    run = await harness.stopping()
    harness.clock.advance(5)
    again = await harness.store.runs.request_stop(run.id, reason=StopReason.BUDGET, by="other", now=harness.now)
    assert again == run


async def test_what_ended_or_was_only_proposed_comes_back_as_it_is(harness: StoreHarness) -> None:
    ended = await harness.ended(Outcome.OK)
    proposal = await harness.proposed(date="2026-11-24")
    for run in (ended, proposal):
        assert await harness.store.runs.request_stop(run.id, reason=StopReason.OPERATOR, by=BY, now=harness.now) == run
    with pytest.raises(StaleRun, match="no run"):
        await harness.store.runs.request_stop(RunId("nobody"), reason=StopReason.OPERATOR, by=BY, now=harness.now)


async def test_every_cancel_is_counted_whichever_process_sends_it(harness: StoreHarness) -> None:
    run = await harness.stopping()
    await harness.store.runs.take_over(run, owner="owner-2", now=harness.now)
    for number, (answer, trouble) in enumerate([("", "offline"), ("404 \x1b", "")], start=1):
        tried = await harness.store.runs.record_stop_try(run, answer=answer, trouble=trouble, now=harness.now)
        assert tried.stop is not None
        assert (tried.stop.tries, tried.trouble) == (number, trouble)
    assert tried.stop is not None
    assert (tried.stop.answer, tried.state) == ("404 ␛", State.STOPPING)
    assert (await harness.kinds(run))[-2:] == ["cancel", "cancel"]


async def test_an_alarm_is_noted_each_time(harness: StoreHarness) -> None:
    run = await harness.stopping()
    harness.clock.advance(600)
    for _ in range(2):
        alarmed = await harness.store.runs.record_alarm(run, harness.now)
    assert alarmed.stop is not None
    assert alarmed.stop.alarmed
    notes = [dict(record.fields) for record in await harness.records() if record.fields.get("event") == "alarm"]
    assert len(notes) == 2
    assert (notes[0]["reason"], notes[0]["waited"], notes[0]["run"]) == ("operator", "600s", run.id)


async def _tries(harness: StoreHarness, run: Run) -> tuple[Run, Run, Run]:
    runs = harness.store.runs
    return (
        await runs.record_stop_try(run, answer="late", trouble="", now=harness.now),
        await runs.record_alarm(run, harness.now),
        await runs.record_sandbox_deleted(run, answer="deleted", gone=True, now=harness.now),
    )


async def test_after_the_end_nothing_of_it_changes(harness: StoreHarness) -> None:
    run = await harness.stopping()
    ended = await harness.settle(run, Outcome.CANCELLED)
    assert await _tries(harness, run) == (ended, ended, ended)


async def test_without_a_stop_there_is_nothing_to_try(harness: StoreHarness) -> None:
    run = await harness.running()
    assert (await _tries(harness, run))[:2] == (run, run)


async def test_the_first_deletion_of_its_sandbox_is_kept(harness: StoreHarness) -> None:
    run, runs = await harness.unconfirmed(), harness.store.runs
    failed = await runs.record_sandbox_deleted(run, answer="503", gone=False, now=harness.now)
    assert failed.sandbox_deleted_ms is None
    gone = await runs.record_sandbox_deleted(run, answer="deleted", gone=True, now=harness.now)
    first = harness.now.wall_ms
    harness.clock.advance(1)
    again = await runs.record_sandbox_deleted(run, answer="deleted", gone=True, now=harness.now)
    assert (gone.sandbox_deleted_ms, again.sandbox_deleted_ms, again.state) == (first, first, State.UNCONFIRMED)
    assert (await harness.kinds(run))[-3:] == ["sandbox_deleted"] * 3
