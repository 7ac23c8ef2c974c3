"""Log records wait in the outbox until they are marked, without gaps, and can all be read again."""

from __future__ import annotations

import asyncio

from console.domain.log_record import format_line, parse_line
from console.domain.run import Outcome
from tests.store.harness import StoreHarness, a_task


async def test_records_wait_in_order_until_they_are_marked(harness: StoreHarness) -> None:
    await harness.ended(Outcome.OK)
    await harness.ended(Outcome.REJECTED, date="2026-11-24")
    first, second, third = await harness.store.outbox.unlogged()
    assert [record.ev for record in (first, second, third)] == [1, 2, 3]
    assert await harness.store.outbox.unlogged(limit=2) == (first, second)
    await harness.store.outbox.mark_logged([1, 2])
    await harness.store.outbox.mark_logged([2])
    await harness.store.outbox.mark_logged([])
    assert await harness.store.outbox.unlogged() == (third,)
    assert await harness.store.outbox.all_records() == (first, second, third)
    assert await harness.store.outbox.all_records(after_ev=1, limit=1) == (second,)


async def test_numbers_have_no_gaps_whatever_is_written_at_a_time(harness: StoreHarness) -> None:
    await asyncio.gather(*(harness.ended(Outcome.OK, a_task(f"task-{number}")) for number in range(6)))
    assert [record.ev for record in await harness.records()] == list(range(1, 13))


async def test_hostile_values_survive_and_stay_in_one_line(harness: StoreHarness) -> None:
    hostile = 'a"b\\\n\x1b]0;x\x07 \ud800 \u2028 end=00000000'
    await harness.store.runs.note(event="stall", fields={"by": hostile}, run=None, now=harness.now)
    (record,) = await harness.store.outbox.unlogged()
    assert record.fields["by"] == hostile
    line = format_line(record)
    assert line.count(b"\n") == 1
    assert parse_line(line).ev == record.ev
