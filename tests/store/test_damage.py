"""Damaged rows and indexes: a value that cannot be read is StoreDamaged and affects only what needs it."""

from __future__ import annotations

import sqlite3
from collections.abc import Awaitable, Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from console.domain.run import Outcome
from console.store import claims, fast_read
from console.store.diagnostics import inspect_database
from console.store.errors import StoreDamaged
from console.store.history import HistoryFilter
from console.store.pragmas import database_uri
from console.store.progress import Progress, ProgressUpdate
from console.store.store import Store
from tests.store.harness import BY, CAPS, StoreHarness, a_task

pytestmark = pytest.mark.sqlite

PAGE = 4096
INDEX_LEAF = 0x0A
"""First byte of a page of an index, https://sqlite.org/fileformat2.html#b_tree_pages"""

UNREADABLE = {
    "not UTF-8": "trouble = cast(x'ff41' as text)",
    "not JSON": "fingerprint = '{'",
    "no such word": "cut_off = 'sometimes'",
    "no time": "created_ms = 9000000000000000000",
}


def _break(folder: Path, assignment: str, run_id: str) -> None:
    """Change a run against the constraints of the schema, as a flipped byte can."""
    with closing(sqlite3.connect(database_uri(folder), uri=True, isolation_level=None)) as connection:
        connection.execute("pragma ignore_check_constraints = on")
        for (name,) in connection.execute("select name from sqlite_schema where type = 'trigger'").fetchall():
            connection.execute(f"drop trigger {name}")
        connection.execute(f"update runs set {assignment} where id = ?", (run_id,))


@pytest.mark.parametrize("how", UNREADABLE)
async def test_an_open_run_that_cannot_be_read_hides_no_other(harness: StoreHarness, folder: Path, how: str) -> None:
    bad, good = await harness.running(a_task("bad")), await harness.running(a_task("good"))
    _break(folder, UNREADABLE[how], bad.id)
    listing = await harness.store.runs.list_open()
    assert [run.id for run in listing.runs] == [good.id]
    (unreadable,) = listing.unreadable
    assert "damaged" in unreadable.why
    assert await harness.store.runs.open_runs() == listing.runs
    fast = fast_read.open_runs(folder, now=harness.now)
    assert [run.id for run in fast.runs] == [good.id]
    assert [row.seq for row in fast.unreadable] == [unreadable.seq]
    with inspect_database(folder) as inspector, pytest.raises(StoreDamaged):
        _ = inspector.open_runs


async def test_an_unreadable_run_is_named_by_its_id_where_that_can_be_read(harness: StoreHarness, folder: Path) -> None:
    run = await harness.running()
    _break(folder, UNREADABLE["not JSON"], run.id)
    (unreadable,) = (await harness.store.runs.list_open()).unreadable
    assert f"run {run.id} cannot be read" in unreadable.why


@pytest.mark.parametrize("how", UNREADABLE)
async def test_what_needs_an_unreadable_run_raises_store_damaged(harness: StoreHarness, folder: Path, how: str) -> None:
    run = await harness.running()
    other = await harness.running(a_task("other"))
    _break(folder, UNREADABLE[how], run.id)
    runs, launches = harness.store.runs, harness.store.claims
    calls: list[Callable[[], Awaitable[object]]] = [
        lambda: runs.get(run.id),
        lambda: runs.by_key(run.key),
        lambda: runs.find(run.id),
        lambda: runs.record_stop_try(run, answer="", trouble="", now=harness.now),
        lambda: launches.claim(*harness.launch_of(), harness.now),
        lambda: launches.preview(*harness.launch_of(), harness.now),
        lambda: launches.decline(run.id, by=BY, reason="", now=harness.now),
        lambda: harness.store.history.keys([run.key]),
    ]
    for call in calls:
        with pytest.raises(StoreDamaged):
            await call()
    assert await runs.get(other.id) == other
    assert (await harness.settle(other)).outcome is Outcome.OK
    await harness.claimed(a_task("third"))


async def test_runs_of_a_provider_are_found_beside_a_damaged_row(harness: StoreHarness, folder: Path) -> None:
    usual = await harness.ended(Outcome.OK)
    other = await harness.ended(Outcome.OK, a_task("other", provider="claude"))
    damaged = await harness.ended(Outcome.OK, a_task("third", provider="claude"))
    _break(folder, "fingerprint = '{'", damaged.id)

    async def found(**wanted: Any) -> list[str]:
        return [run.id for run in (await harness.store.history.page(HistoryFilter(**wanted))).runs]

    assert await found(providers=("claude",)) == [other.id]
    assert await found(providers=("default",)) == [usual.id]
    assert await found(providers=("default", "claude"), tasks=("other",)) == [other.id]
    assert await found(without=(HistoryFilter(providers=("claude",)),)) == [usual.id]
    assert await found(providers=("none",)) == []


async def test_a_page_of_the_history_leaves_out_what_cannot_be_read(harness: StoreHarness, folder: Path) -> None:
    for date in ("2026-11-23", "2026-11-24", "2026-11-25"):
        await harness.ended(Outcome.OK, date=date)
        harness.clock.advance(1)
    page = await harness.store.history.page(HistoryFilter())
    newest, middle, oldest = page.runs
    for how in ("not UTF-8", "not JSON"):
        _break(folder, UNREADABLE[how], middle.id)
        assert (await harness.store.history.page(HistoryFilter())).runs == (newest, oldest)
        assert await harness.store.history.recent() == (newest, oldest)
        first = await harness.store.history.page(HistoryFilter(), limit=2)
        assert first.runs == (newest,)
        assert (await harness.store.history.page(HistoryFilter(), limit=2, after=first.after)).runs == (oldest,)


async def test_a_batch_of_progress_names_the_run_that_cannot_be_read(harness: StoreHarness, folder: Path) -> None:
    bad, good = await harness.running(a_task("bad")), await harness.running(a_task("good"))
    _break(folder, UNREADABLE["not JSON"], bad.id)
    updates = [ProgressUpdate(run=run, progress=Progress(used=7)) for run in (bad, good)]
    of_bad, of_good = await harness.store.runs.record_progress_of_many(updates, harness.now)
    assert isinstance(of_bad, StoreDamaged)
    assert of_good == await harness.run(good)
    assert (await harness.run(good)).used == 7


VALUES: dict[str, tuple[str, Callable[[StoreHarness], Awaitable[object]]]] = {
    "the day of the newest hold": (
        "update meta set value = 'yesterday' where name = 'last_day'",
        lambda harness: harness.store.ledger.cap_usages(CAPS, harness.now),
    ),
    "the detail of an event": (
        "update events set detail = '[]'",
        lambda harness: _first_timeline(harness),
    ),
    "a record of the log": ("update events set record = '{' where ev = 1", lambda harness: harness.records()),
    "a stage": (
        "insert into stage_changes (task, before, after, by, reason, forced, evidence, at_ms)"
        " values ('report', 'semi', 'top', '', '', 0, '{}', 0)",
        lambda harness: harness.store.stages.stage("report"),
    ),
    "the evidence of a change of stage": (
        "insert into stage_changes (task, before, after, by, reason, forced, evidence, at_ms)"
        " values ('report', 'semi', 'manual', '', '', 0, '{', 0)",
        lambda harness: harness.store.stages.changes("report"),
    ),
    "the position of a schedule": (
        "insert into meta (name, value) values ('instant:s', 'soon')",
        lambda harness: harness.store.cursors.reached("s"),
    ),
    "a raise": (
        "insert into raises (cap, task, amount, by, reason, at_ms, window) values ('x', null, 1, '', '', 0, '2026-11')",
        lambda harness: harness.store.ledger.cap_usages(CAPS, harness.now),
    ),
}


async def _first_timeline(harness: StoreHarness) -> object:
    (run,) = await harness.store.runs.open_runs()
    return await harness.store.runs.timeline(run.id)


@pytest.mark.parametrize("what", VALUES)
async def test_no_value_that_cannot_be_read_is_anything_but_store_damaged(
    harness: StoreHarness, folder: Path, what: str
) -> None:
    run = await harness.running()
    sql, read = VALUES[what]
    _break(folder, "note = note", run.id)
    with closing(sqlite3.connect(database_uri(folder), uri=True, isolation_level=None)) as connection:
        connection.execute("pragma ignore_check_constraints = on")
        connection.execute(sql)
    with pytest.raises(StoreDamaged):
        await read(harness)


@pytest.mark.parametrize("outcome", [None, Outcome.OK, Outcome.FAILED])
async def test_a_key_that_its_index_has_lost_is_not_launched_again(
    harness: StoreHarness, folder: Path, outcome: Outcome | None
) -> None:
    """One flipped byte in each index on keys, and none in the table."""
    run = await harness.running() if outcome is None else await harness.ended(outcome)
    await harness.store.close()
    assert _flip_in_indexes(folder / "nightdesk.db", run.key) >= 1
    damaged = StoreHarness(await Store.open(folder, now=harness.now), harness.clock)
    try:
        assert await damaged.store.runs.by_key(run.key) == (), "the index does not find it"
        with pytest.raises(StoreDamaged, match=run.key):
            await damaged.claim()
        with pytest.raises(StoreDamaged, match=run.key):
            await damaged.claim(rerun=True, reason="again")
        assert (await damaged.claim(a_task("other"))).run.attempt == 1
    finally:
        await damaged.store.close()


async def test_an_old_key_that_its_index_has_lost_is_found_by_the_full_text_index(
    harness: StoreHarness, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(claims, "SCANNED", 0)
    run = await harness.ended(Outcome.OK)
    await harness.store.close()
    _flip_in_indexes(folder / "nightdesk.db", run.key)
    damaged = StoreHarness(await Store.open(folder, now=harness.now), harness.clock)
    try:
        with pytest.raises(StoreDamaged, match=run.key):
            await damaged.claim()
    finally:
        await damaged.store.close()


def _flip_in_indexes(database: Path, key: str) -> int:
    """Change the key in every page of an ordinary index; return in how many places."""
    content = bytearray(database.read_bytes())
    flipped = 0
    at = content.find(key.encode())
    while at >= 0:
        if content[at // PAGE * PAGE] == INDEX_LEAF and content[at + len(key) : at + len(key) + 1]:
            content[at] ^= 1
            flipped += 1
        at = content.find(key.encode(), at + 1)
    database.write_bytes(content)
    return flipped
