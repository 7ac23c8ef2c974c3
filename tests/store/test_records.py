"""What the store puts into a line: nothing that was not told, and nothing that the log would refuse later."""

from __future__ import annotations

import pytest

from console.domain.record import format_line
from console.domain.run import Outcome
from console.store import records
from tests.store.building import Bench


async def test_a_record_comes_back_from_the_database_as_it_was(bench: Bench) -> None:
    run = await bench.ended(Outcome.OK)
    record = records.ended(run, bench.now.wall_ms)
    assert records.from_json(0, records.to_json(record)) == record
    assert format_line(record).startswith(b"ts=2026-11-23T03:00:00.000Z key=")


async def test_a_run_is_no_skip(bench: Bench) -> None:
    with pytest.raises(ValueError, match="is a run"):
        records.not_run(await bench.running(), 0, "done")


async def test_only_money_that_is_known_has_a_currency(bench: Bench) -> None:
    run = await bench.running()
    free = await bench.settle(run, cost_micro=0, currency="USD")
    assert records.ended(free, 0).fields["cost"] == "0.00"
    bench.task = type(bench.task)(
        name="t", type="t", target="t", prompt="", agent="a", model="m", guardrails=bench.task.guardrails
    )
    unknown = await bench.settle(await bench.running(), cost_micro=None, currency="USD")
    fields = records.ended(unknown, 0).fields
    assert (fields["cost"], fields["currency"]) == ("-", "-")


def test_facts_that_are_none_are_left_out_of_a_detail() -> None:
    assert records.details(by="x", owner=None, n=0) == '{"by":"x","n":0}'
