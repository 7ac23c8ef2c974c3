"""Everything before the first statement: the folder, the files, the database's identity, version and journal.

Runs in a worker thread and is safe for many processes at once: only the maker of a store or of a new schema holds
the folder's lock; all others see either nothing or a whole store.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

from console.domain.moment import Moment
from console.store.connecting import JournalMode, location, safe_journal_mode, settings_of
from console.store.errors import StoreBusy, StoreDamaged, StoreMissing, translated
from console.store.files import (
    DATABASE,
    STATE_ID,
    check_files,
    check_folder,
    create_file,
    folder_lock,
    make_folder,
    read_state_id,
    replace_file,
    sync_folder,
)
from console.store.migrate import Migration, check_version, migrate, packaged_migrations, version_of

ID, JOURNAL, MADE = "state_id", "journal_mode", "made_ms"
"""Names in the table `meta`."""


def prepare(
    folder: Path, *, now: Moment, read_only: bool, busy_ms: int, journal: JournalMode | None = None
) -> JournalMode:
    """The journal mode of a store that is whole, ours and of this program's version.

    First use makes it. `journal` overrides what a new store gets. Raises StoreError.
    """
    steps = packaged_migrations()
    wanted = journal or safe_journal_mode()
    if not read_only:
        make_folder(folder)
    check_folder(folder)
    check_files(folder)
    if (state_id := read_state_id(folder)) is None and read_only and not (folder / DATABASE).exists():
        raise StoreMissing(f"there is no state store in {folder} yet, and nothing is written in read-only use")
    with translated():
        if state_id is not None or read_only:
            version, mode = _look(folder, state_id, steps, busy_ms, wanted)
            if mode is not None:
                return mode
            if read_only:
                lacks = (
                    f"is of version {version}, older than this program's {len(steps)}" if version else "is not complete"
                )
                raise StoreMissing(f"the state store in {folder} {lacks}, and nothing is written in read-only use")
        with folder_lock(folder, wait_s=busy_ms / 1000):
            return _make(folder, steps, now, busy_ms, wanted)


def _look(
    folder: Path, state_id: str | None, steps: Sequence[Migration], busy_ms: int, wanted: JournalMode
) -> tuple[int, JournalMode | None]:
    """The version of a store, and its mode; None where steps are missing."""
    with _database(folder, busy_ms) as connection:
        version = version_of(connection)
        check_version(version, len(steps))
        if version == 0:
            _nothing_in_it(folder, state_id)
            return version, None
        _check_identity(connection, folder, state_id)
        return version, _journal_of(connection, wanted) if version == len(steps) else None


def _nothing_in_it(folder: Path, state_id: str | None) -> None:
    if state_id is not None:
        raise StoreMissing(f"the database in {folder} is empty, though {STATE_ID} says that it held a store")


def _make(folder: Path, steps: Sequence[Migration], now: Moment, busy_ms: int, wanted: JournalMode) -> JournalMode:
    """Makes what is missing, holding the folder's lock; another process may have been quicker."""
    state_id = read_state_id(folder)
    if not (folder / DATABASE).exists():
        if state_id is not None:
            raise StoreMissing(f"{folder / DATABASE} is missing, though {STATE_ID} is there; restore the database")
        create_file(folder / DATABASE)
        sync_folder(folder)
    check_files(folder)
    with _database(folder, busy_ms) as connection:
        if version_of(connection) == 0:
            _nothing_in_it(folder, state_id)
            connection.execute(f"pragma journal_mode = {wanted.value}").fetchone()
        mode = _journal_of(connection, wanted)
        connection.execute(f"pragma synchronous = {mode.synchronous:d}")
        migrate(connection, steps)
        connection.execute("begin immediate")
        for name, value in ((ID, os.urandom(16).hex()), (JOURNAL, mode.value), (MADE, str(now.wall_ms))):
            connection.execute("insert into meta (name, value) values (?, ?) on conflict do nothing", (name, value))
        connection.execute("commit")
        if state_id is None:
            replace_file(folder / STATE_ID, f"{_identity(connection)}\n".encode("ascii"))
        _check_identity(connection, folder, state_id)
        return mode


def _identity(connection: sqlite3.Connection) -> str | None:
    row = connection.execute("select value from meta where name = ?", (ID,)).fetchone()
    return row[0] if row else None


def _check_identity(connection: sqlite3.Connection, folder: Path, state_id: str | None) -> None:
    held = _identity(connection)
    if state_id is not None and held != state_id:
        raise StoreMissing(f"the database in {folder} is not the one that {STATE_ID} names; restore the right one")


def _journal_of(connection: sqlite3.Connection, wanted: JournalMode) -> JournalMode:
    """The mode the file is in. A WAL that this SQLite could break is turned off first, or StoreBusy is raised."""
    (mode,) = connection.execute("pragma journal_mode").fetchone()
    if mode == JournalMode.WAL.value and wanted is JournalMode.DELETE:
        (mode,) = connection.execute("pragma journal_mode = delete").fetchone()
        if mode != JournalMode.DELETE.value:
            raise StoreBusy("the state store is in WAL mode, which this SQLite may break, and others have it open")
    try:
        return JournalMode(mode)
    except ValueError:
        raise StoreDamaged(f"the state store is in journal mode {mode}") from None


@contextmanager
def _database(folder: Path, busy_ms: int) -> Iterator[sqlite3.Connection]:
    if not (folder / DATABASE).exists():
        raise StoreMissing(f"{folder / DATABASE} is missing, though {STATE_ID} is there; restore the database")
    with closing(sqlite3.connect(location(folder), uri=True, isolation_level=None, timeout=busy_ms / 1000)) as opened:
        for setting in settings_of(JournalMode.DELETE, busy_ms):
            opened.execute(setting)
        yield opened
