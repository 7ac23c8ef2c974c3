"""The first use creates the store once, however many processes come at a time; a wrong or damaged one is refused."""

from __future__ import annotations

import asyncio
import multiprocessing
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from multiprocessing.synchronize import Barrier
from pathlib import Path

import pytest

from console.domain.timestamps import Timestamp
from console.store.bootstrap import (
    Migration,
    add_migration_functions,
    check_version,
    migrate,
    packaged_migrations,
    split_script,
    version_of,
)
from console.store.errors import StoreAbsent, StoreBusy, StoreDamaged, StoreMissing, StoreNewer, StoreUnsafe
from console.store.files import create_file, folder_lock, make_folder
from console.store.pragmas import JournalMode, database_uri
from console.store.store import Store
from tests.clock import ManualClock

NOW: Timestamp = ManualClock().now()
MAKERS = 6


async def _made(folder: Path) -> str:
    """Create the store and return its id."""
    store = await Store.open(folder, now=NOW)
    held = await store.controls.meta_get("state_id")
    await store.close()
    assert held is not None
    return held


def _empty(folder: Path) -> Path:
    """Create an empty state folder."""
    folder.mkdir(mode=0o700)
    return folder


def _names(folder: Path) -> set[str]:
    """Return the names in the folder; none if it does not exist."""
    return {path.name for path in folder.iterdir()} if folder.exists() else set()


async def _who_paused(folder: Path, journal: JournalMode) -> str | None:
    store = await Store.open(folder, now=NOW, journal=journal)
    pause = await store.controls.paused()
    await store.close()
    return pause.by if pause else None


def _execute(folder: Path, sql: str) -> None:
    with closing(sqlite3.connect(database_uri(folder), uri=True, isolation_level=None)) as connection:
        connection.execute(sql)


async def test_first_use_makes_everything_and_the_second_changes_nothing(folder: Path) -> None:
    held = await _made(folder)
    assert _names(folder) == {"nightdesk.db", "state.id"}
    assert (folder / "state.id").read_text() == f"{held}\n"
    before = (folder / "nightdesk.db").stat().st_mtime_ns
    assert await _made(folder) == held
    assert (folder / "nightdesk.db").stat().st_mtime_ns == before


def _make(folder: Path, barrier: Barrier, answers: multiprocessing.Queue[str]) -> None:
    barrier.wait(timeout=60)
    answers.put(asyncio.run(_made(folder)))


@pytest.mark.proofs
def test_many_processes_make_one_store(folder: Path) -> None:
    context = multiprocessing.get_context("spawn")
    barrier, answers = context.Barrier(MAKERS), context.Queue()
    makers = [context.Process(target=_make, args=(folder, barrier, answers)) for _ in range(MAKERS)]
    for maker in makers:
        maker.start()
    ids = {answers.get(timeout=60) for _ in makers}
    for maker in makers:
        maker.join(timeout=60)
    assert [maker.exitcode for maker in makers] == [0] * MAKERS
    assert len(ids) == 1
    assert (folder / "state.id").read_text().strip() in ids


async def test_many_tasks_of_one_process_make_one_store(folder: Path) -> None:
    assert len({*await asyncio.gather(*(_made(folder) for _ in range(8)))}) == 1


async def test_a_lost_database_is_not_made_anew(folder: Path) -> None:
    await _made(folder)
    (folder / "nightdesk.db").unlink()
    for read_only in (False, True):
        with pytest.raises(StoreMissing, match="restore the database"):
            await Store.open(folder, now=NOW, read_only=read_only)
    assert not (folder / "nightdesk.db").exists()


async def test_an_emptied_database_is_not_filled_anew(folder: Path) -> None:
    """A new store would know none of the keys that were taken."""
    await _made(folder)
    (folder / "nightdesk.db").write_bytes(b"")
    with pytest.raises(StoreMissing, match="empty"):
        await Store.open(folder, now=NOW)


async def test_the_database_of_another_folder_is_refused(folder: Path, tmp_path: Path) -> None:
    await _made(folder)
    await _made(tmp_path / "other")
    (tmp_path / "other" / "nightdesk.db").replace(folder / "nightdesk.db")
    with pytest.raises(StoreMissing, match="not the one"):
        await Store.open(folder, now=NOW)


async def test_a_lost_state_id_is_written_again_from_the_database(folder: Path) -> None:
    held = await _made(folder)
    (folder / "state.id").unlink()
    assert await _made(folder) == held
    assert (folder / "state.id").read_text() == f"{held}\n"


@pytest.mark.parametrize("steps", range(len(packaged_migrations()) + 1))
async def test_a_maker_that_died_half_way_is_finished_by_the_next(folder: Path, steps: int) -> None:
    (_empty(folder) / "nightdesk.db").touch(mode=0o600)
    with closing(sqlite3.connect(database_uri(folder), uri=True, isolation_level=None)) as connection:
        add_migration_functions(connection)
        for step in packaged_migrations()[:steps]:
            connection.executescript(step.script)
            connection.execute(f"pragma user_version = {step.number}")
    held = await _made(folder)
    assert (folder / "state.id").read_text() == f"{held}\n"


async def test_a_newer_database_is_refused_and_not_touched(folder: Path) -> None:
    await _made(folder)
    _execute(folder, "pragma user_version = 99")
    before = (folder / "nightdesk.db").read_bytes()
    for read_only in (False, True):
        with pytest.raises(StoreNewer, match="version 99"):
            await Store.open(folder, now=NOW, read_only=read_only)
    assert (folder / "nightdesk.db").read_bytes() == before


@pytest.mark.parametrize("damage", [b"this is no database, but is long enough to be looked at" * 20, b"\0" * 4096])
async def test_a_damaged_database_is_refused(folder: Path, damage: bytes) -> None:
    await _made(folder)
    (folder / "nightdesk.db").write_bytes(damage)
    with pytest.raises(StoreDamaged):
        await Store.open(folder, now=NOW)


async def test_a_negative_version_is_damage(folder: Path) -> None:
    await _made(folder)
    _execute(folder, "pragma user_version = -1")
    for read_only in (False, True):
        with pytest.raises(StoreDamaged, match="version -1"):
            await Store.open(folder, now=NOW, read_only=read_only)


async def test_the_database_of_another_program_is_not_filled(folder: Path) -> None:
    make_folder(folder)
    create_file(folder / "nightdesk.db")
    _execute(folder, "create table moz_places (x)")
    before = (folder / "nightdesk.db").read_bytes()
    with pytest.raises(StoreMissing, match="of another program"):
        await Store.open(folder, now=NOW)
    assert (folder / "nightdesk.db").read_bytes() == before
    assert not (folder / "state.id").exists()


async def test_links_are_refused(folder: Path, tmp_path: Path) -> None:
    await _made(folder)
    (tmp_path / "elsewhere.db").touch(mode=0o600)
    (folder / "nightdesk.db").unlink()
    (folder / "nightdesk.db").symlink_to(tmp_path / "elsewhere.db")
    with pytest.raises(StoreUnsafe, match="symbolic link"):
        await Store.open(folder, now=NOW)
    assert (tmp_path / "elsewhere.db").stat().st_size == 0


async def test_a_dangling_link_is_not_created_through(folder: Path, tmp_path: Path) -> None:
    (_empty(folder) / "nightdesk.db").symlink_to(tmp_path / "elsewhere.db")
    with pytest.raises(StoreUnsafe):
        await Store.open(folder, now=NOW)
    assert not (tmp_path / "elsewhere.db").exists()


@pytest.mark.parametrize("name", ["nightdesk.db", "state.id"])
async def test_a_file_that_others_may_read_is_refused(folder: Path, name: str) -> None:
    await _made(folder)
    (folder / name).chmod(0o644)
    with pytest.raises(StoreUnsafe, match="chmod 600"):
        await Store.open(folder, now=NOW)


async def test_reading_only_makes_nothing(folder: Path) -> None:
    with pytest.raises(StoreAbsent, match="no state folder"):
        await Store.open(folder, now=NOW, read_only=True)
    assert not _names(folder)
    _empty(folder)
    with pytest.raises(StoreAbsent, match="no state store in"):
        await Store.open(folder, now=NOW, read_only=True)
    (folder / "nightdesk.db").touch(mode=0o600)
    with pytest.raises(StoreMissing, match="not complete"):
        await Store.open(folder, now=NOW, read_only=True)
    assert (folder / "nightdesk.db").stat().st_size == 0


async def test_only_who_may_begin_a_store_does(folder: Path) -> None:
    with pytest.raises(StoreAbsent, match="no state folder"):
        await Store.open(folder, now=NOW, create=False)
    assert not _names(folder)
    _empty(folder)
    with pytest.raises(StoreAbsent, match="no state store in"):
        await Store.open(folder, now=NOW, create=False)
    assert not _names(folder)
    held = await _made(folder)
    store = await Store.open(folder, now=NOW, create=False)
    assert await store.controls.meta_get("state_id") == held
    await store.close()


async def test_reading_only_upgrades_nothing(folder: Path) -> None:
    await _made(folder)
    _execute(folder, "pragma user_version = 1")
    with pytest.raises(StoreMissing, match="of version 1, older than this program's"):
        await Store.open(folder, now=NOW, read_only=True)


async def test_a_maker_that_hangs_does_not_hang_the_others_for_ever(folder: Path) -> None:
    with folder_lock(_empty(folder)), pytest.raises(StoreBusy, match="is making"):
        await Store.open(folder, now=NOW, busy_ms=30)


@pytest.mark.parametrize("journal", list(JournalMode))
def test_what_is_committed_outlives_the_process_that_was_killed(folder: Path, journal: JournalMode) -> None:
    script = f"""
import asyncio, os, signal
from pathlib import Path
from console.store.pragmas import JournalMode
from console.store.store import Store
from tests.clock import ManualClock
async def main():
    now = ManualClock().now()
    store = await Store.open(Path({str(folder)!r}), now=now, journal=JournalMode({journal.value!r}))
    await store.controls.pause(by="killed", now=now)
    await store.database.transaction(lambda tx: die())
async def die():
    os.kill(os.getpid(), signal.SIGKILL)
asyncio.run(main())
"""
    done = subprocess.run([sys.executable, "-c", script], check=False, timeout=60)
    assert done.returncode == -9
    assert asyncio.run(_who_paused(folder, journal)) == "killed"


ONE = Migration(number=1, name="001_a.sql", script="-- why\ncreate table a (n integer);\ninsert into a values (1);\n")
TWO = Migration(number=2, name="002_b.sql", script="alter table a add column m integer;\n")
BROKEN = Migration(number=2, name="002_b.sql", script="create table b (n integer);\ninsert into a values ('x', 'y');\n")


@pytest.fixture
def empty() -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        yield connection


def _schema(connection: sqlite3.Connection) -> list[tuple[str, str]]:
    return connection.execute("select name, sql from sqlite_schema order by name").fetchall()


def test_empty_becomes_the_newest(empty: sqlite3.Connection) -> None:
    steps = packaged_migrations()
    assert migrate(empty, steps) == len(steps)
    assert version_of(empty) == len(steps)
    assert {"runs", "sends", "holds", "events", "stage_changes"} <= {name for name, _ in _schema(empty)}
    assert empty.execute("pragma integrity_check").fetchone() == ("ok",)
    assert migrate(empty, steps) == 0


def test_step_by_step_ends_where_all_at_once_does(empty: sqlite3.Connection) -> None:
    steps = packaged_migrations()
    for reached in range(1, len(steps) + 1):
        assert migrate(empty, steps[:reached]) == 1
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as fresh:
        migrate(fresh, steps)
        assert _schema(empty) == _schema(fresh)


def test_the_migrations_are_numbered_and_begin_with_a_comment() -> None:
    for number, step in enumerate(packaged_migrations(), start=1):
        assert step.number == number
        assert step.script.startswith("-- ")


def test_a_step_that_fails_leaves_nothing_and_the_next_try_goes_on(empty: sqlite3.Connection) -> None:
    with pytest.raises(sqlite3.OperationalError):
        migrate(empty, [ONE, BROKEN])
    assert version_of(empty) == 1
    assert not empty.in_transaction
    assert [name for name, _ in _schema(empty)] == ["a"]
    assert migrate(empty, [ONE, TWO]) == 1
    assert empty.execute("select n, m from a").fetchall() == [(1, None)]


RUN = """
    insert into runs (
        id, key, task, type, target, date, attempt, stage, origin, requested_by, state, outcome, result, fingerprint,
        max_ms, budget, belt_tokens, tokens_per_unit, cached_weight_milli, cut_off, stall_ms, day, created_ms, ended_ms
    ) values (
        printf('%026d', :n), printf('%016d', :n), 't', 't', 't', '', 1, 'manual', 'manual', '', 'ended', 'ok', :result,
        '{}', 1, 1, 1, 1, 1, 'reached', 0, '2026-11-23', 0, 0
    )
"""


def test_text_in_japanese_that_was_indexed_as_one_word_is_indexed_again(empty: sqlite3.Connection) -> None:
    migrate(empty, packaged_migrations()[:5])
    for number, result in enumerate(("東京の日報", "plain", "日報 only")):
        empty.execute(RUN, {"n": number, "result": result})
    empty.execute("insert into runs_text (runs_text) values ('rebuild')")
    migrate(empty, packaged_migrations())
    for query, rows in (('"日 報"', [1, 3]), ('"東 京"', [1]), ("plain", [2]), ("only", [3]), ('"東京の日報"', [])):
        found = empty.execute("select rowid from runs_text where runs_text match ? order by rowid", [query]).fetchall()
        assert found == [(row,) for row in rows], query
    empty.execute("insert into runs_text (runs_text) values ('integrity-check')")


def test_events_keep_their_rows_and_numbers_without_the_marks_of_the_log(empty: sqlite3.Connection) -> None:
    migrate(empty, packaged_migrations()[:9])
    for at_ms, ev, logged in ((10, 1, 1), (20, None, 0), (30, 2, 1), (40, 3, 0)):
        empty.execute(
            "insert into events (at_ms, kind, detail, ev, record, logged) values (?, 'stop', '{}', ?, ?, ?)",
            (at_ms, ev, None if ev is None else f'{{"n":{ev}}}', logged),
        )
    columns = "id, run_id, at_ms, kind, detail, ev, record"
    before = list(map(tuple, empty.execute(f"select {columns} from events order by id")))

    migrate(empty, packaged_migrations())
    assert list(map(tuple, empty.execute(f"select {columns} from events order by id"))) == before
    assert len(before) == 4
    assert ", ".join(row[1] for row in empty.execute("pragma table_info(events)")) == columns
    insert = "insert into events (at_ms, kind, ev, record) values (50, 'note', ?, '{}')"
    for number in (3, 5):
        with pytest.raises(sqlite3.IntegrityError, match="numbered without gaps"):
            empty.execute(insert, (number,))
    empty.execute(insert, (4,))


def test_two_that_migrate_at_once_do_each_step_once(tmp_path: Path) -> None:
    """The second process has read version 0 before the first one began."""
    path = tmp_path / "some.db"
    with closing(sqlite3.connect(path, isolation_level=None)) as first:
        with closing(sqlite3.connect(path, isolation_level=None)) as second:
            assert version_of(second) == 0
            assert migrate(first, [ONE]) == 1
            assert migrate(second, [ONE, TWO]) == 1
        assert first.execute("select count(*) from a").fetchone() == (1,)


def test_a_newer_database_is_left_alone(empty: sqlite3.Connection) -> None:
    migrate(empty, [ONE, TWO])
    with pytest.raises(StoreNewer, match="version 2, this program knows versions up to 1"):
        migrate(empty, [ONE])
    check_version(2, 2)


def test_statements_are_cut_where_they_end() -> None:
    script = "-- a; b\ncreate table t (x text default ';');\n\ncreate trigger g after insert on t begin\n"
    script += "    select 1;\n    select ';';\nend;\n-- the end\n"
    first, second = split_script(script)
    assert "default ';'" in first
    assert second.strip().endswith("end;")
    with pytest.raises(ValueError, match="within a statement"):
        list(split_script("select 1;\nselect 2"))
