"""Transactions: a unit of work commits as a whole or not at all, and leaves no transaction or lock behind."""

from __future__ import annotations

import asyncio
import random
import sqlite3
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import closing, suppress
from pathlib import Path

import pytest

from console.domain.timestamps import Timestamp
from console.store.database import GROUP_UNITS, SqliteDatabase
from console.store.errors import StoreBusy, StoreDamaged, StoreError, StoreFull, StoreMissing, StoreRefused
from console.store.pragmas import JournalMode, database_uri, safe_journal_mode
from console.store.rows import fetch_batch
from console.store.store import Store
from console.store.transaction import Statement, Transaction
from tests.clock import ManualClock

ROWS = 4
"""Rows that each unit writes, one statement each."""
PATIENCE_S = 2
"""How long the store of these tests waits for locks."""
NOW: Timestamp = ManualClock().now()
MODES = pytest.mark.parametrize("store", list(JournalMode), indirect=True, ids=str)


@pytest.fixture
async def store(folder: Path, request: pytest.FixtureRequest) -> AsyncIterator[Store]:
    journal: JournalMode | None = getattr(request, "param", None)
    opened = await Store.open(folder, now=NOW, journal=journal, busy_ms=PATIENCE_S * 1000)
    await opened.database.transaction(lambda tx: tx.rows("create table scratch (n integer) strict"))
    yield opened
    await opened.close()


async def _write(tx: Transaction) -> None:
    for _ in range(ROWS):
        await tx.rows("insert into scratch (n) values (1)")


async def _count(store: Store) -> int:
    rows = await store.database.read(lambda tx: tx.rows("select count(*) as n from scratch"))
    return int(rows[0]["n"])


def _others_can_write(folder: Path) -> None:
    """Raise sqlite3.OperationalError if a lock was left behind."""
    with closing(sqlite3.connect(database_uri(folder), uri=True, isolation_level=None, timeout=0)) as other:
        other.execute("begin immediate")
        other.execute("rollback")


@MODES
async def test_a_cancelled_caller_leaves_whole_units_and_no_lock(store: Store, folder: Path) -> None:
    seed = random.randrange(2**32)
    dice, written = random.Random(seed), 0
    for turns in range(120):
        tasks = [asyncio.create_task(store.database.transaction(_write)) for _ in range(dice.choice([1, 2, 8]))]
        for _ in range(turns % 40):
            await asyncio.sleep(0)
        for task in dice.sample(tasks, dice.randint(1, len(tasks))):
            for _ in range(dice.randint(1, 3)):
                task.cancel()
                await asyncio.sleep(0)
        done = await asyncio.gather(*tasks, return_exceptions=True)
        assert not store.database.in_transaction, f"seed {seed} turn {turns}"
        count = await _count(store)
        assert count % ROWS == 0, f"half a unit: seed {seed} turn {turns}"
        units, finished = (count - written) // ROWS, sum(answer is None for answer in done)
        assert finished <= units <= len(tasks), f"seed {seed} turn {turns}"
        written = count
    _others_can_write(folder)


@MODES
async def test_a_timeout_is_raised_only_after_the_unit_has_ended(store: Store) -> None:
    let_go = threading.Event()

    async def slow(tx: Transaction) -> None:
        await _write(tx)
        let_go.wait(PATIENCE_S)

    asyncio.get_running_loop().call_later(0.05, let_go.set)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await store.database.transaction(slow)
    assert not store.database.in_transaction
    assert await _count(store) == ROWS, "the outcome is known: it was written"


async def test_the_end_of_the_loop_may_cancel_the_unit_itself(store: Store, folder: Path) -> None:
    """`asyncio.run` cancels all tasks at its end, also the one that runs the unit."""
    for turns in range(40):
        caller = asyncio.create_task(store.database.transaction(_write))
        for _ in range(turns):
            await asyncio.sleep(0)
        for task in asyncio.all_tasks() - {asyncio.current_task()}:
            task.cancel()
        with suppress(asyncio.CancelledError):
            await caller
        assert await _count(store) % ROWS == 0
        assert not store.database.in_transaction
    _others_can_write(folder)


async def test_a_unit_that_raises_changes_nothing(store: Store) -> None:
    async def broken(tx: Transaction) -> None:
        await _write(tx)
        raise LookupError("half way")

    with pytest.raises(LookupError):
        await store.database.transaction(broken)
    assert await _count(store) == 0
    await store.database.transaction(_write)
    assert await _count(store) == ROWS


async def test_a_batch_gives_the_rows_of_each_statement_and_ends_at_the_first_that_fails(store: Store) -> None:
    insert, every = "insert into scratch (n) values (:n) returning n", Statement("select n from scratch order by n")
    first, second = Statement(insert, {"n": 1}), Statement(insert, {"n": 2})
    seen: list[list[int]] = []

    async def unit(tx: Transaction) -> None:
        seen.extend([row["n"] for row in rows] for rows in await fetch_batch(tx, first, every, second, every))

    async def broken(tx: Transaction) -> None:
        await fetch_batch(tx, first, Statement(insert, {"n": "x"}), second)

    await store.database.transaction(unit)
    assert seen == [[1], [1], [2], [1, 2]]
    with pytest.raises(StoreRefused):
        await store.database.transaction(broken)
    assert await _count(store) == 2


async def test_units_that_share_a_commit_are_undone_one_by_one(store: Store) -> None:
    async def fails(tx: Transaction) -> None:
        await _write(tx)
        raise LookupError

    calls = [store.database.transaction(fails if number % 3 == 0 else _write) for number in range(12)]
    done = await asyncio.gather(*calls, return_exceptions=True)
    assert await _count(store) == ROWS * sum(answer is None for answer in done) == ROWS * 8


@MODES
async def test_a_read_sees_one_state_of_the_database(store: Store) -> None:
    """In WAL mode a write goes on during the read, in DELETE mode it waits; the read sees neither."""

    async def twice(tx: Transaction) -> tuple[int, int]:
        (first,) = await tx.rows("select count(*) as n from scratch")
        loop.call_soon_threadsafe(begun.set)
        loop.call_soon_threadsafe(loop.call_later, 0.05, let_go.set)
        let_go.wait(PATIENCE_S)
        (second,) = await tx.rows("select count(*) as n from scratch")
        return first["n"], second["n"]

    loop, begun, let_go = asyncio.get_running_loop(), asyncio.Event(), threading.Event()
    reading = asyncio.create_task(store.database.read(twice))
    await begun.wait()
    await store.database.transaction(_write)
    assert await reading == (0, 0)
    assert await _count(store) == ROWS


async def test_the_reader_cannot_write(store: Store) -> None:
    with pytest.raises(StoreError, match="readonly"):
        await store.database.read(_write)


async def test_a_store_opened_for_reading_refuses_every_write(store: Store, folder: Path) -> None:
    reader = await Store.open(folder, now=NOW, read_only=True)
    try:
        assert await reader.controls.paused() is None
        with pytest.raises(StoreError, match="reading only"):
            await reader.controls.pause(by="me", now=NOW)
    finally:
        await reader.close()
    assert await store.controls.paused() is None


@MODES
async def test_a_lock_that_nobody_frees_is_busy_and_nothing_is_written(store: Store, folder: Path) -> None:
    impatient = await Store.open(folder, now=NOW, busy_ms=50, journal=safe_mode_of(store))
    try:
        with closing(sqlite3.connect(database_uri(folder), uri=True, isolation_level=None)) as other:
            other.execute("begin immediate")
            with pytest.raises(StoreBusy):
                await impatient.database.transaction(_write)
            other.execute("rollback")
        assert not impatient.database.in_transaction
        await impatient.database.transaction(_write)
    finally:
        await impatient.close()


@MODES
async def test_a_caller_may_wait_for_less_time_than_the_store_does(store: Store, folder: Path) -> None:
    """After that transaction the connection waits as long as before."""
    began = time.monotonic()
    with closing(sqlite3.connect(database_uri(folder), uri=True, isolation_level=None)) as other:
        other.execute("begin immediate")
        with pytest.raises(StoreBusy):
            await store.database.transaction(_write, busy_ms=50)
        other.execute("rollback")
    assert time.monotonic() - began < PATIENCE_S / 2
    assert (await _pragmas(store.database.transaction))["busy_timeout"] == PATIENCE_S * 1000
    await store.database.transaction(_write, busy_ms=50)
    assert await _count(store) == ROWS


async def test_a_reader_of_another_process_holds_up_a_commit_no_longer_than_the_caller_waits(
    store: Store, folder: Path
) -> None:
    began = time.monotonic()
    with closing(sqlite3.connect(database_uri(folder), uri=True, isolation_level=None)) as other:
        other.execute("begin")
        other.execute("select count(*) from scratch").fetchone()
        with pytest.raises(StoreBusy):
            await store.database.transaction(_write, busy_ms=50)
        other.execute("rollback")
    assert time.monotonic() - began < PATIENCE_S / 2
    assert await _count(store) == 0


async def test_waiting_for_other_units_of_this_process_is_limited_too(store: Store) -> None:
    loop, begun, let_go = asyncio.get_running_loop(), asyncio.Event(), threading.Event()

    async def slow(tx: Transaction) -> None:
        loop.call_soon_threadsafe(begun.set)
        let_go.wait(PATIENCE_S)

    holder = asyncio.create_task(store.database.transaction(slow))
    await begun.wait()
    with pytest.raises(StoreBusy, match="other work of this process"):
        await store.database.transaction(_write, busy_ms=20)
    let_go.set()
    await holder
    await store.database.transaction(_write, busy_ms=20)


async def test_an_urgent_unit_overtakes_all_that_wait(store: Store) -> None:
    loop, begun, let_go = asyncio.get_running_loop(), asyncio.Event(), threading.Event()
    order: list[str] = []

    async def slow(tx: Transaction) -> None:
        loop.call_soon_threadsafe(begun.set)
        let_go.wait(PATIENCE_S)

    def noting(name: str) -> Callable[[Transaction], Awaitable[None]]:
        async def unit(tx: Transaction) -> None:
            order.append(name)

        return unit

    tasks = [asyncio.create_task(store.database.transaction(slow))]
    await begun.wait()
    for name, urgent in (("first", False), ("second", False), ("stop", True), ("other stop", True)):
        tasks.append(asyncio.create_task(store.database.transaction(noting(name), urgent=urgent)))
        await asyncio.sleep(0)
    let_go.set()
    await asyncio.gather(*tasks)
    assert order == ["stop", "other stop", "first", "second"]


async def test_units_that_wait_share_one_commit(store: Store, folder: Path) -> None:
    loop, begun, let_go = asyncio.get_running_loop(), asyncio.Event(), threading.Event()

    async def slow(tx: Transaction) -> None:
        loop.call_soon_threadsafe(begun.set)
        let_go.wait(PATIENCE_S)

    async def commits() -> int:
        rows = await store.database.read(lambda tx: tx.rows("pragma data_version"))
        return int(rows[0]["data_version"])

    before = await commits()
    tasks = [asyncio.create_task(store.database.transaction(slow))]
    await begun.wait()
    tasks += [asyncio.create_task(store.database.transaction(_write)) for _ in range(GROUP_UNITS - 1)]
    await asyncio.sleep(0)
    let_go.set()
    await asyncio.gather(*tasks)
    assert await _count(store) == ROWS * (GROUP_UNITS - 1)
    assert await commits() - before < len(tasks) / 2


async def test_an_error_that_undoes_the_whole_transaction_is_raised_to_each_caller(store: Store) -> None:
    loop, begun, let_go = asyncio.get_running_loop(), asyncio.Event(), threading.Event()

    async def slow(tx: Transaction) -> None:
        loop.call_soon_threadsafe(begun.set)
        let_go.wait(PATIENCE_S)
        await _write(tx)

    async def undoes(tx: Transaction) -> None:
        await tx.rows("insert or rollback into one (n) values (1)")

    await store.database.transaction(lambda tx: tx.rows("create table one (n integer unique) strict"))
    await store.database.transaction(lambda tx: tx.rows("insert into one (n) values (1)"))
    shared = asyncio.create_task(store.database.transaction(slow))
    await begun.wait()
    breaking = asyncio.create_task(store.database.transaction(undoes))
    await asyncio.sleep(0)
    let_go.set()
    answers = await asyncio.gather(shared, breaking, return_exceptions=True)
    assert [type(answer) for answer in answers] == [StoreError, StoreRefused]
    assert await _count(store) == 0
    await store.database.transaction(_write)
    assert await _count(store) == ROWS


async def test_a_unit_that_waits_for_something_else_is_refused(store: Store) -> None:
    async def waits(tx: Transaction) -> None:
        await _write(tx)
        await asyncio.sleep(0)

    with pytest.raises(RuntimeError, match="waits for something outside"):
        await store.database.transaction(waits)
    assert await _count(store) == 0


async def test_a_turn_is_not_lost_with_a_caller_that_is_cancelled_while_it_waits(store: Store) -> None:
    for turns in range(40):
        tasks = [asyncio.create_task(store.database.transaction(_write, busy_ms=2_000)) for _ in range(4)]
        for _ in range(turns):
            await asyncio.sleep(0)
        tasks[1].cancel()
        tasks[2].cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await store.database.transaction(_write, busy_ms=2_000)


def safe_mode_of(store: Store) -> JournalMode:
    """Return the journal mode of the store."""
    wal = (store.database.folder / "nightdesk.db-wal").exists()
    return JournalMode.WAL if wal else JournalMode.DELETE


async def test_a_full_disk_undoes_the_unit_and_the_store_goes_on(store: Store) -> None:
    async def pages(tx: Transaction) -> None:
        await tx.rows("pragma max_page_count = 1")
        for _ in range(20_000):
            await tx.rows("insert into scratch (n) values (1)")

    with pytest.raises(StoreFull):
        await store.database.transaction(pages)
    assert not store.database.in_transaction
    assert await _count(store) == 0


async def test_a_row_refused_by_the_schema_is_not_a_broken_store(store: Store) -> None:
    with pytest.raises(StoreRefused):
        await store.database.transaction(lambda tx: tx.rows("insert into scratch (n) values ('12abc')"))


async def test_a_text_that_is_not_utf8_is_damage(store: Store) -> None:
    async def unit(tx: Transaction) -> None:
        await tx.rows("select cast(x'ff41' as text)")

    with pytest.raises(StoreDamaged):
        await store.database.read(unit)


@pytest.mark.parametrize("how", ["removed", "replaced"])
async def test_a_database_removed_while_open_is_noticed_at_the_next_write(store: Store, folder: Path, how: str) -> None:
    """SQLite would go on writing to a deleted file, and the keys taken there would be lost."""
    database = folder / "nightdesk.db"
    database.rename(folder / "elsewhere.db")
    if how == "replaced":
        database.touch(mode=0o600)
    with pytest.raises(StoreMissing):
        await store.database.transaction(_write)


async def test_every_connection_has_the_settings_that_make_a_commit_last(folder: Path) -> None:
    for journal, synchronous in ((JournalMode.DELETE, 3), (JournalMode.WAL, 2)):
        opened = await Store.open(folder / journal.value, now=NOW, journal=journal)
        found = [await _pragmas(door) for door in (opened.database.transaction, opened.database.read)]
        await opened.close()
        wanted = {
            "journal_mode": journal.value,
            "synchronous": synchronous,
            "foreign_keys": 1,
            "trusted_schema": 0,
            "cell_size_check": 1,
            "busy_timeout": 30_000,
        }
        assert found == [wanted, wanted]


async def _pragmas(door: object) -> dict[str, object]:
    names = ("journal_mode", "synchronous", "foreign_keys", "trusted_schema", "cell_size_check", "busy_timeout")

    async def unit(tx: Transaction) -> dict[str, object]:
        return {name: next(iter(tuple((await tx.rows(f"pragma {name}"))[0]))) for name in names}

    assert callable(door)
    found: dict[str, object] = await door(unit)
    return found


async def test_a_database_in_another_mode_than_believed_is_refused(store: Store, folder: Path) -> None:
    with pytest.raises(StoreBusy, match="journal_mode"):
        await SqliteDatabase.connect(folder, journal=JournalMode.WAL)


@pytest.mark.parametrize(
    ("version", "mode"),
    [
        ((3, 40, 1), JournalMode.DELETE),
        ((3, 44, 5), JournalMode.DELETE),
        ((3, 44, 6), JournalMode.WAL),
        ((3, 45, 0), JournalMode.DELETE),
        ((3, 50, 6), JournalMode.DELETE),
        ((3, 50, 7), JournalMode.WAL),
        ((3, 51, 2), JournalMode.DELETE),
        ((3, 51, 3), JournalMode.WAL),
        ((3, 52, 0), JournalMode.WAL),
    ],
)
def test_wal_only_where_its_bug_is_fixed(version: tuple[int, int, int], mode: JournalMode) -> None:
    assert safe_journal_mode(version) is mode


async def test_a_wal_that_this_sqlite_could_break_is_turned_off_unless_others_are_in_it(folder: Path) -> None:
    first = await Store.open(folder, now=NOW, journal=JournalMode.WAL)
    with pytest.raises(StoreBusy):
        await Store.open(folder, now=NOW, journal=JournalMode.DELETE, busy_ms=50)
    await first.close()
    second = await Store.open(folder, now=NOW, journal=JournalMode.DELETE)
    assert (await _pragmas(second.database.read))["journal_mode"] == "delete"
    await second.close()
    await second.close()
