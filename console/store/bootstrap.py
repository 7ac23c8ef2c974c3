"""Prepares a state folder for use: creates or upgrades its database, and checks that it is the right one.

It blocks, so asynchronous callers run it in a worker thread. Many processes may do it at once: the one that creates or
upgrades the store holds the lock of the folder, and the others see either no store or a complete one.
"""

from __future__ import annotations

import os
import re
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from console.domain.text import to_index_text
from console.domain.timestamps import Timestamp
from console.os_files import sync_folder
from console.store.errors import StoreAbsent, StoreBusy, StoreDamaged, StoreMissing, StoreNewer, translate_sqlite_errors
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
)
from console.store.pragmas import JournalMode, connection_pragmas, database_uri, safe_journal_mode

ID, JOURNAL, MADE = "state_id", "journal_mode", "made_ms"
"""Names in the table `meta`: the id that `state.id` repeats, the journal mode, and when the store was created."""
MOVED = 1_000_000
"""The schema version of a store whose rows were moved into a database of several hosts: no program opens it again."""
MOVED_SENTENCE = (
    "the state store of this folder was moved into a database of several hosts, and is not used any more; "
    "set [store] url in the config"
)
MIGRATIONS = Path(__file__).with_name("migrations")
_MIGRATION_NAME = re.compile(r"(\d{3})_[a-z0-9_]+\.sql\Z", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class Migration:
    """The script that turns schema version `number` - 1 into version `number`.

    It may use the SQL functions of `add_migration_functions`.
    """

    number: int
    name: str
    script: str


def prepare_store(
    folder: Path,
    *,
    now: Timestamp,
    read_only: bool,
    create: bool = True,
    busy_ms: int,
    journal: JournalMode | None = None,
) -> JournalMode:
    """Create or upgrade the store of `folder` if needed, check it, and return its journal mode.

    Without `create` a store is upgraded and none is created, and with `read_only` neither. `journal` overrides the
    journal mode of a new store. Raises StoreAbsent if there is none and none may be created, StoreError if it cannot be
    used.
    """
    migrations = packaged_migrations()
    wanted = journal or safe_journal_mode()
    create = create and not read_only
    if create:
        make_folder(folder)
    check_folder(folder)
    check_files(folder)
    if (state_id := read_state_id(folder)) is None and not create and not (folder / DATABASE).exists():
        raise StoreAbsent(folder)
    with translate_sqlite_errors():
        if state_id is not None or read_only:
            version, mode = _check_existing(folder, state_id, len(migrations), busy_ms, wanted)
            if mode is not None:
                return mode
            if read_only:
                older = f"is of version {version}, older than this program's {len(migrations)}"
                lacks = older if version else "is not complete"
                raise StoreMissing(f"the state store in {folder} {lacks}, and nothing is written in read-only use")
        with folder_lock(folder, wait_s=busy_ms / 1000):
            return _create_or_upgrade(folder, migrations, now, busy_ms, wanted)


def _check_existing(
    folder: Path, state_id: str | None, latest: int, busy_ms: int, wanted: JournalMode
) -> tuple[int, JournalMode | None]:
    """Return the schema version of a store, and its journal mode, or None if its schema is not the latest."""
    with _connect(folder, busy_ms) as connection:
        version = version_of(connection)
        check_version(version, latest)
        if version == 0:
            _check_may_be_empty(folder, state_id)
            return version, None
        _check_identity(connection, folder, state_id)
        return version, _journal_of(connection, wanted) if version == latest else None


def _check_may_be_empty(folder: Path, state_id: str | None) -> None:
    if state_id is not None:
        raise StoreMissing(f"the database in {folder} is empty, though {STATE_ID} says that it held a store")


def _check_is_ours(connection: sqlite3.Connection, folder: Path) -> None:
    """Raise StoreMissing if a database of version 0, which is to be filled, is that of another program."""
    (objects,) = connection.execute("select count(*) from sqlite_schema").fetchone()
    if objects:
        raise StoreMissing(f"{folder / DATABASE} is a database of another program; move it away")


def _create_or_upgrade(
    folder: Path, migrations: Sequence[Migration], now: Timestamp, busy_ms: int, wanted: JournalMode
) -> JournalMode:
    """Create what is missing. The caller holds the lock of the folder; another process may have done it before."""
    state_id = read_state_id(folder)
    if not (folder / DATABASE).exists():
        if state_id is not None:
            raise StoreMissing(f"{folder / DATABASE} is missing, though {STATE_ID} is there; restore the database")
        create_file(folder / DATABASE)
        sync_folder(folder)
    check_files(folder)
    with _connect(folder, busy_ms) as connection:
        if version_of(connection) == 0:
            _check_may_be_empty(folder, state_id)
            _check_is_ours(connection, folder)
            connection.execute(f"pragma journal_mode = {wanted.value}").fetchone()
        mode = _journal_of(connection, wanted)
        connection.execute(f"pragma synchronous = {mode.synchronous:d}")
        migrate(connection, migrations)
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
    """Return the journal mode of the file. If this SQLite could break its WAL, turn it off or raise StoreBusy."""
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
def _connect(folder: Path, busy_ms: int) -> Iterator[sqlite3.Connection]:
    if not (folder / DATABASE).exists():
        raise StoreMissing(f"{folder / DATABASE} is missing, though {STATE_ID} is there; restore the database")
    connection = sqlite3.connect(database_uri(folder), uri=True, isolation_level=None, timeout=busy_ms / 1000)
    with closing(connection):
        for pragma in connection_pragmas(JournalMode.DELETE, busy_ms):
            connection.execute(pragma)
        yield connection


def add_migration_functions(connection: sqlite3.Connection) -> None:
    """Make the SQL functions that migrations use known to the connection."""
    connection.create_function("to_index_text", 1, to_index_text, deterministic=True)


def packaged_migrations() -> tuple[Migration, ...]:
    """Return the migrations of this program in order. Raises ValueError if a number is missing or used twice."""
    found = []
    for entry in MIGRATIONS.iterdir():
        if match := _MIGRATION_NAME.match(entry.name):
            found.append(Migration(number=int(match[1]), name=entry.name, script=entry.read_text(encoding="utf-8")))
    found.sort(key=lambda migration: migration.number)
    if [migration.number for migration in found] != list(range(1, len(found) + 1)):
        raise ValueError(f"migrations are not numbered 1 to {len(found)}: {[each.name for each in found]}")
    return tuple(found)


def version_of(connection: sqlite3.Connection) -> int:
    """Return the schema version of the database; 0 if it is empty."""
    (version,) = connection.execute("pragma user_version").fetchone()
    return int(version)


def check_version(version: int, latest: int) -> None:
    """Raise StoreNewer if a newer version of this program made the database, StoreDamaged for a negative version."""
    if version < 0:
        raise StoreDamaged(f"the state store is damaged: it is of version {version}")
    if version == MOVED:
        raise StoreMissing(MOVED_SENTENCE)
    if version > latest:
        raise StoreNewer(
            f"the state store is of version {version}, this program knows versions up to {latest}; use the newer one"
        )


def migrate(connection: sqlite3.Connection, migrations: Sequence[Migration]) -> int:
    """Run the migrations that are missing, each in a transaction of its own, and return how many were run.

    `connection` has `isolation_level=None`. Another process may migrate at the same time, so each transaction reads
    the version again. Raises StoreNewer, sqlite3.Error.
    """
    check_version(version_of(connection), len(migrations))
    add_migration_functions(connection)
    done = 0
    for migration in migrations:
        connection.execute("begin immediate")
        try:
            if version_of(connection) == migration.number - 1:
                for statement in split_script(migration.script):
                    connection.execute(statement)
                connection.execute(f"pragma user_version = {migration.number:d}")
                done += 1
            connection.execute("commit")
        except BaseException:
            if connection.in_transaction:
                connection.execute("rollback")
            raise
    return done


def split_script(script: str) -> Iterator[str]:
    """Yield the statements of a script; the semicolons inside a trigger do not end it.

    `executescript` cannot be used, because it commits the open transaction first: half of a migration could stay.
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
