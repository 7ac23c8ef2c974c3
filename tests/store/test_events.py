"""Log records are numbered without gaps, can all be read again, and go on after any line that is of one of them."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Mapping
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from console.domain.log_record import LogRecord, format_line, parse_line
from console.domain.run import Outcome
from console.store.pragmas import database_uri
from tests.store.harness import StoreHarness, a_task


async def three_records(harness: StoreHarness) -> tuple[LogRecord, ...]:
    """Write the records of a run that ended ok and of one that was rejected."""
    await harness.ended(Outcome.OK)
    await harness.ended(Outcome.REJECTED, date="2026-11-24")
    records = await harness.store.log_records.after(0)
    assert [record.ev for record in records] == [1, 2, 3]
    return records


def written(record: LogRecord) -> LogRecord:
    """Return the record as a reader of the log has it."""
    return parse_line(format_line(record))


async def test_records_are_read_in_order_from_any_number_on(harness: StoreHarness) -> None:
    first, second, _ = await three_records(harness)
    log_records = harness.store.log_records
    assert await log_records.after(0, limit=2) == (first, second)
    assert await log_records.after(1, limit=1) == (second,)
    assert await log_records.after(3) == ()


async def test_a_line_of_a_record_is_followed_by_the_later_ones(harness: StoreHarness) -> None:
    first, second, third = await three_records(harness)
    log_records = harness.store.log_records
    assert await log_records.following(written(first)) == (second, third)
    assert await log_records.following(written(first), limit=1) == (second,)
    assert await log_records.following(written(third)) == ()


async def test_fields_that_another_version_writes_are_no_other_record(harness: StoreHarness) -> None:
    first, *later = await three_records(harness)
    line = written(first)
    other = replace(line, fields={"task": line.fields["task"], "run": line.fields["run"], "host": "web1"})
    assert await harness.store.log_records.following(other) == tuple(later)


@pytest.mark.parametrize("changes", [{"ev": 9}, {"at_ms": 5}, {"key": "-"}, {"status": "ok"}, {"fields": {}}])
async def test_a_line_of_another_store_is_followed_by_nothing(
    harness: StoreHarness, changes: Mapping[str, Any]
) -> None:
    first, second, _ = await three_records(harness)
    other = replace(written(first), **changes)
    assert await harness.store.log_records.following(other) is None
    assert await harness.store.log_records.first_known([other, written(second), written(first)]) == written(second)
    assert await harness.store.log_records.first_known([other]) is None


@pytest.mark.sqlite
async def test_a_damaged_record_holds_up_no_later_one(harness: StoreHarness, folder: Path) -> None:
    first, *later = await three_records(harness)
    with closing(sqlite3.connect(database_uri(folder), uri=True)) as connection, connection:
        connection.execute("drop trigger events_never_change")
        connection.execute("update events set record = '{' where ev = 1")
    assert await harness.store.log_records.following(written(first)) == tuple(later)


async def test_numbers_have_no_gaps_whatever_is_written_at_a_time(harness: StoreHarness) -> None:
    await asyncio.gather(*(harness.ended(Outcome.OK, a_task(f"task-{number}")) for number in range(6)))
    assert [record.ev for record in await harness.records()] == list(range(1, 13))


async def test_hostile_values_survive_and_stay_in_one_line(harness: StoreHarness) -> None:
    hostile = 'a"b\\\n\x1b]0;x\x07 \ud800 \u2028 end=00000000'
    await harness.store.runs.note(event="stall", fields={"by": hostile}, run=None, now=harness.now)
    (record,) = await harness.store.log_records.after(0)
    assert record.fields["by"] == hostile
    line = format_line(record)
    assert line.count(b"\n") == 1
    assert parse_line(line).ev == record.ev
