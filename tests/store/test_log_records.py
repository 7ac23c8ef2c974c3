"""Log records hold only what was reported, in the form the log accepts."""

from __future__ import annotations

import pytest

from console.domain.log_record import format_line
from console.domain.run import Outcome
from console.store import events
from console.store.events import write_event
from tests.store.harness import StoreHarness


async def test_a_record_comes_back_from_the_database_as_it_was(harness: StoreHarness) -> None:
    run = await harness.ended(Outcome.OK)
    record = events.ended_record(run, harness.now.wall_ms)
    assert events.record_from_json(0, events.record_to_json(record)) == record
    assert format_line(record).startswith(b"ts=2026-11-23T03:00:00.000Z key=")


async def test_a_run_is_no_skip(harness: StoreHarness) -> None:
    with pytest.raises(ValueError, match="is a run"):
        events.not_run_record(await harness.running(), 0, "done")


async def test_only_money_that_is_known_has_a_currency(harness: StoreHarness) -> None:
    run = await harness.running()
    free = await harness.settle(run, cost_micro=0, currency="USD")
    assert events.ended_record(free, 0).fields["cost"] == "0.00"
    harness.task = type(harness.task)(
        name="t", type="t", target="t", prompt="", agent="a", model="m", guardrails=harness.task.guardrails
    )
    unknown = await harness.settle(await harness.running(), cost_micro=None, currency="USD")
    fields = events.ended_record(unknown, 0).fields
    assert (fields["cost"], fields["currency"]) == ("-", "-")


async def test_facts_that_are_none_are_left_out_of_an_event(harness: StoreHarness) -> None:
    run = await harness.claimed()
    await harness.store.database.transaction(lambda tx: write_event(tx, "x", 0, run=run, by="y", owner=None, n=0))
    assert (await harness.store.runs.timeline(run.id))[-1].detail == {"by": "y", "n": 0}
