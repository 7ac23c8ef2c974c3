"""Everything before the first statement: the folder, the files, the database's identity, version and journal.

Runs in a worker thread and is safe for many processes at once: only the maker of a store or of a new schema holds
the folder's lock; all others see either nothing or a whole store.
"""

from __future__ import annotations

import os
import re
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from console.domain.timestamps import Timestamp
from console.store.errors import StoreBusy, StoreDamaged, StoreMissing, StoreNewer, translate_sqlite_errors
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
from console.store.pragmas import JournalMode, connection_pragmas, database_uri, safe_journal_mode

ID, JOURNAL, MADE = "state_id", "journal_mode", "made_ms"
"""Names in the table `meta`."""


def prepare_store(
    folder: Path, *, now: Timestamp, read_only: bool, busy_ms: int, journal: JournalMode | None = None
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
    with translate_sqlite_errors():
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


def _make(folder: Path, steps: Sequence[Migration], now: Timestamp, busy_ms: int, wanted: JournalMode) -> JournalMode:
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
    with closing(
        sqlite3.connect(database_uri(folder), uri=True, isolation_level=None, timeout=busy_ms / 1000)
    ) as opened:
        for setting in connection_pragmas(JournalMode.DELETE, busy_ms):
            opened.execute(setting)
        yield opened


MIGRATIONS = Path(__file__).with_name("migrations")
_NAME = re.compile(r"(\d{3})_[a-z0-9_]+\.sql\Z", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class Migration:
    """One step: what makes version `number` out of the one before it."""

    number: int
    name: str
    script: str


def packaged_migrations() -> tuple[Migration, ...]:
    """The steps that come with the program, in order. Raises ValueError where a number is missing or doubled."""
    steps = []
    for entry in MIGRATIONS.iterdir():
        if match := _NAME.match(entry.name):
            steps.append(Migration(number=int(match[1]), name=entry.name, script=entry.read_text(encoding="utf-8")))
    steps.sort(key=lambda step: step.number)
    if [step.number for step in steps] != list(range(1, len(steps) + 1)):
        raise ValueError(f"migrations are not numbered 1 to {len(steps)}: {[step.name for step in steps]}")
    return tuple(steps)


def version_of(connection: sqlite3.Connection) -> int:
    """The `user_version` of the database; 0 where nothing was made yet."""
    (version,) = connection.execute("pragma user_version").fetchone()
    return int(version)


def check_version(version: int, latest: int) -> None:
    """Raises StoreNewer where a newer program has made the database."""
    if version > latest:
        raise StoreNewer(
            f"the state store is of version {version}, this program knows versions up to {latest}; use the newer one"
        )


def migrate(connection: sqlite3.Connection, steps: Sequence[Migration]) -> int:
    """Runs the steps that are missing; gives how many. One IMMEDIATE transaction per step.

    `connection` has `isolation_level=None`. Another process may migrate at the same time: each step looks again at
    the version inside its transaction. Raises StoreNewer, sqlite3.Error.
    """
    check_version(version_of(connection), len(steps))
    done = 0
    for step in steps:
        connection.execute("begin immediate")
        try:
            if version_of(connection) == step.number - 1:
                for statement in statements(step.script):
                    connection.execute(statement)
                connection.execute(f"pragma user_version = {step.number:d}")
                done += 1
            connection.execute("commit")
        except BaseException:
            if connection.in_transaction:
                connection.execute("rollback")
            raise
    return done


def statements(script: str) -> Iterator[str]:
    """The statements of a script, triggers with their inner semicolons whole.

    Not `executescript`: that commits what is open before it starts, and half a step could stay.
    """
    buffer: list[str] = []
    for line in script.splitlines(keepends=True):
        buffer.append(line)
        text = "".join(buffer)
        if line.rstrip().endswith(";") and sqlite3.complete_statement(text):
            yield text
            buffer.clear()
    if any(line.strip() and not line.strip().startswith("--") for line in buffer):
        raise ValueError("the script ends within a statement")
