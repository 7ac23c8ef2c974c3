"""A repeated listing returns what is stored now, and the same objects for rows that did not change."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from console.domain.run import StopReason
from tests.store.harness import StoreHarness, a_task


@pytest.mark.sqlite
async def test_nothing_is_read_again_while_nobody_commits(harness: StoreHarness) -> None:
    await harness.running()
    first = await harness.store.runs.list_open()
    assert await harness.store.runs.list_open() is first


@pytest.mark.sqlite
async def test_runs_whose_rows_did_not_change_are_the_same_objects(harness: StoreHarness) -> None:
    await harness.running(a_task("one"))
    two = await harness.running(a_task("two"))
    before = await harness.store.runs.open_runs()
    stopped = await harness.store.runs.request_stop(
        two.id, reason=StopReason.OPERATOR, by="me", now=harness.clock.now()
    )
    after = await harness.store.runs.open_runs()
    assert after[0] is before[0]
    assert after[1] == stopped != before[1]


@pytest.mark.sqlite
@pytest.mark.parametrize("change", ["trouble = 'x'", "used = 7"])
async def test_a_commit_of_another_process_is_seen_at_the_next_call(
    harness: StoreHarness, folder: Path, change: str
) -> None:
    await harness.running()
    (before,) = await harness.store.runs.open_runs()
    with closing(sqlite3.connect(folder / "nightdesk.db")) as other:
        other.execute(f"update runs set {change}")
        other.commit()
    (after,) = await harness.store.runs.open_runs()
    assert (after.trouble, after.used) != (before.trouble, before.used)


@pytest.mark.sqlite
@pytest.mark.parametrize("value", ["1.0", "'1'", "x'31'", "1e999"])
async def test_a_value_that_is_equal_but_of_another_type_is_seen(
    harness: StoreHarness, folder: Path, value: str
) -> None:
    """As a flipped byte can bring about in a run that was listed before; the other runs stay the same objects."""
    await harness.running(a_task("one"))
    await harness.running(a_task("two"))
    first, second = await harness.store.runs.open_runs()
    with closing(sqlite3.connect(folder / "nightdesk.db", isolation_level=None)) as other:
        for (name,) in other.execute("select name from sqlite_schema where type = 'trigger'").fetchall():
            other.execute(f"drop trigger {name}")
        other.execute("pragma writable_schema = on")
        other.execute("update sqlite_schema set sql = replace(sql, 'fence integer', 'fence any') where name = 'runs'")
    with closing(sqlite3.connect(folder / "nightdesk.db", isolation_level=None)) as other:
        other.execute("pragma ignore_check_constraints = on")
        other.execute(f"update runs set fence = {value} where id = ?", (second.id,))
    for _ in range(2):
        listing = await harness.store.runs.list_open()
        assert listing.runs == (first,)
        assert len(listing.unreadable) == 1


async def test_an_ended_run_is_listed_among_the_recent_ones(harness: StoreHarness) -> None:
    run = await harness.running()
    assert await harness.store.history.recent() == ()
    ended = await harness.settle(run)
    assert await harness.store.runs.open_runs() == ()
    assert await harness.store.history.recent() == (ended,)
