"""Reads the open runs without an event loop and without the other repositories.

A module of its own, because a command that only lists runs must start quickly: importing aiosqlite and the rest of the
store takes longer than the query.
"""

from __future__ import annotations

import shutil
import sqlite3
import tempfile
from contextlib import closing
from pathlib import Path

from console.domain.run import Run
from console.domain.timestamps import Timestamp
from console.store.bootstrap import prepare_store
from console.store.errors import StoreDamaged, StoreError, translate_sqlite_errors
from console.store.files import DATABASE
from console.store.pragmas import BUSY_MS, connection_pragmas, database_uri
from console.store.rows import RunListing, UnreadableRun, number_queries, run_of

# Without the hint the planner reads all runs in order, to save sorting the few that are open.
SELECT_OPEN = "select runs.* from runs indexed by runs_open where state <> 'ended' order by seq"
SELECT_BY_SEQ = "select * from runs where seq = ?"


def open_runs(folder: Path, *, now: Timestamp, busy_ms: int = BUSY_MS) -> RunListing:
    """Return the runs of the store in `folder` that have not ended, oldest first.

    A store that does not exist is created. Raises StoreError.
    """
    journal = prepare_store(folder, now=now, read_only=False, busy_ms=busy_ms)
    with translate_sqlite_errors():
        opened = sqlite3.connect(database_uri(folder), uri=True, isolation_level=None, timeout=busy_ms / 1000)
        with closing(opened) as connection:
            connection.row_factory = sqlite3.Row
            for pragma in (*connection_pragmas(journal, busy_ms), "pragma query_only = on"):
                connection.execute(pragma)
            return list_open(connection)


def peek_open_runs(folder: Path) -> RunListing:
    """Return the open runs as the file holds them, past the lock of a process that keeps all others from reading.

    The file may be in the middle of a change. Only for a process without another connection to the database, whose
    locks would be dropped by the end of this one. Raises StoreError.
    """
    with translate_sqlite_errors():
        uri = f"{database_uri(folder).partition('?')[0]}?mode=ro&immutable=1"
        with closing(sqlite3.connect(uri, uri=True, isolation_level=None)) as connection:
            connection.row_factory = sqlite3.Row
            return list_open(connection)


def open_runs_of_copy(folder: Path) -> RunListing:
    """Return the open runs from a copy of the database in which SQLite undoes an unfinished commit. Raises StoreError.

    For a store on a read-only file system, where it cannot be undone in place.
    """
    with tempfile.TemporaryDirectory(prefix="nightdesk-") as name:
        copy = Path(name)
        try:
            for suffix in ("", "-journal", "-wal"):
                if (part := folder / f"{DATABASE}{suffix}").exists():
                    shutil.copyfile(part, copy / part.name)
        except OSError as error:
            raise StoreError(f"the state store cannot be copied: {error}") from error
        with translate_sqlite_errors(), closing(sqlite3.connect(database_uri(copy), uri=True)) as connection:
            connection.row_factory = sqlite3.Row
            return list_open(connection)


def list_open(connection: sqlite3.Connection) -> RunListing:
    """Return the runs that have not ended, oldest first, and apart from them the rows that cannot be read.

    `connection` gives rows by name. Raises StoreError where not even the list of open runs can be read.
    """
    try:
        with translate_sqlite_errors():
            return RunListing(runs=tuple(map(run_of, connection.execute(SELECT_OPEN).fetchall())))
    except StoreDamaged:
        return _list_one_by_one(connection)


def _list_one_by_one(connection: sqlite3.Connection) -> RunListing:
    runs: list[Run] = []
    unreadable: list[UnreadableRun] = []
    by_index, by_table = number_queries(SELECT_OPEN)
    try:
        with translate_sqlite_errors():
            numbers = connection.execute(by_index).fetchall()
    except StoreDamaged:
        with translate_sqlite_errors():
            numbers = connection.execute(by_table).fetchall()
    for (seq,) in numbers:
        try:
            with translate_sqlite_errors():
                runs += map(run_of, connection.execute(SELECT_BY_SEQ, (seq,)).fetchall())
        except StoreDamaged as error:
            unreadable.append(UnreadableRun(seq=seq, why=str(error)))
    return RunListing(runs=tuple(runs), unreadable=tuple(unreadable))
