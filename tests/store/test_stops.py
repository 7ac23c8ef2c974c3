"""A stop is a wish with a reason: the first one stays, every try is counted, and nothing here says that it ended."""

from __future__ import annotations

import pytest

from console.domain.run import Outcome, Reason, Run, RunId, State
from console.store.errors import StaleRun
from tests.store.building import BY, Bench, run_in


@pytest.mark.parametrize(
    ("state", "then"),
    [
        (State.CLAIMED, State.CLAIMED),
        (State.SENDING, State.SENDING),
        (State.UNCONFIRMED, State.UNCONFIRMED),
        (State.RUNNING, State.STOPPING),
    ],
)
async def test_a_stop_is_stored_before_anything_is_sent(bench: Bench, state: State, then: State) -> None:
    run = await run_in(bench, state)
    asked = await bench.store.runs.request_stop(run.id, reason=Reason.TIMEOUT, by="nightdesk", now=bench.now)
    assert asked.stop is not None
    assert (asked.state, asked.stop.reason, asked.stop.by, asked.stop.at_ms) == (
        then,
        Reason.TIMEOUT,
        "nightdesk",
        bench.now.wall_ms,
    )
    assert (await bench.kinds(run))[-1] == "stop"
    assert await bench.hold(run) == ("open", None)


async def test_the_first_reason_wins(bench: Bench) -> None:
    run = await bench.stopping()
    bench.clock.advance(5)
    again = await bench.store.runs.request_stop(run.id, reason=Reason.BUDGET, by="other", now=bench.now)
    assert again == run


async def test_what_ended_or_was_only_proposed_comes_back_as_it_is(bench: Bench) -> None:
    ended = await bench.ended(Outcome.OK)
    proposal = await bench.proposed(date="2026-11-24")
    for run in (ended, proposal):
        assert await bench.store.runs.request_stop(run.id, reason=Reason.OPERATOR, by=BY, now=bench.now) == run
    with pytest.raises(StaleRun, match="no run"):
        await bench.store.runs.request_stop(RunId("nobody"), reason=Reason.OPERATOR, by=BY, now=bench.now)


async def test_every_try_is_counted_by_whoever_makes_it(bench: Bench) -> None:
    run = await bench.stopping()
    await bench.store.runs.take_over(run, owner="owner-2", now=bench.now)
    for number, (answer, trouble) in enumerate([("", "offline"), ("404 \x1b", "")], start=1):
        tried = await bench.store.runs.record_stop_try(run, answer=answer, trouble=trouble, now=bench.now)
        assert tried.stop is not None
        assert (tried.stop.tries, tried.trouble) == (number, trouble)
    assert tried.stop is not None
    assert (tried.stop.answer, tried.state) == ("404 ␛", State.STOPPING)
    assert (await bench.kinds(run))[-2:] == ["cancel", "cancel"]


async def test_an_alarm_is_noted_each_time(bench: Bench) -> None:
    run = await bench.stopping()
    bench.clock.advance(600)
    for _ in range(2):
        alarmed = await bench.store.runs.record_alarm(run, bench.now)
    assert alarmed.stop is not None
    assert alarmed.stop.alarmed
    notes = [dict(record.fields) for record in await bench.records() if record.fields.get("event") == "alarm"]
    assert len(notes) == 2
    assert (notes[0]["reason"], notes[0]["waited"], notes[0]["run"]) == ("operator", "600s", run.id)


async def _tries(bench: Bench, run: Run) -> tuple[Run, Run, Run]:
    runs = bench.store.runs
    return (
        await runs.record_stop_try(run, answer="late", trouble="", now=bench.now),
        await runs.record_alarm(run, bench.now),
        await runs.record_sandbox_deleted(run, answer="deleted", gone=True, now=bench.now),
    )


async def test_after_the_end_nothing_of_it_changes(bench: Bench) -> None:
    run = await bench.stopping()
    ended = await bench.settle(run, Outcome.CANCELLED)
    assert await _tries(bench, run) == (ended, ended, ended)


async def test_without_a_stop_there_is_nothing_to_try(bench: Bench) -> None:
    run = await bench.running()
    assert (await _tries(bench, run))[:2] == (run, run)


async def test_the_first_deletion_of_its_sandbox_is_kept(bench: Bench) -> None:
    run, runs = await bench.unconfirmed(), bench.store.runs
    failed = await runs.record_sandbox_deleted(run, answer="503", gone=False, now=bench.now)
    assert failed.sandbox_deleted_ms is None
    gone = await runs.record_sandbox_deleted(run, answer="deleted", gone=True, now=bench.now)
    first = bench.now.wall_ms
    bench.clock.advance(1)
    again = await runs.record_sandbox_deleted(run, answer="deleted", gone=True, now=bench.now)
    assert (gone.sandbox_deleted_ms, again.sandbox_deleted_ms, again.state) == (first, first, State.UNCONFIRMED)
    assert (await bench.kinds(run))[-3:] == ["sandbox_deleted"] * 3
