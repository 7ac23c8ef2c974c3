"""The real store on a database in memory, each unit run at once and whole: fast, and with no thread in it.

For tests that need many thousands of stores, or time that moves only when nothing is pending. What it leaves out is
proven elsewhere on real files: that a commit survives a power loss, and that a unit is not torn by a cancellation.
"""

from __future__ import annotations

import asyncio
import sqlite3
import tempfile
from collections.abc import Awaitable, Callable, Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Any, TypeVar, cast

from console.store.bootstrap import prepare_store
from console.store.database import Database, Transaction, run_sync
from console.store.errors import translate_sqlite_errors
from console.store.files import DATABASE
from console.store.pragmas import JournalMode
from console.store.store import Store
from tests.clock import ManualClock

T = TypeVar("T")
Between = Callable[[str], Awaitable[None]]
"""Called before and after each unit with a word for it: there a test may let time pass, or the process die."""


class _Inline:
    """What units ask of a connection, answered at once. Rows are dicts: theirs are found by name, and faster."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    async def execute_fetchall(self, sql: str, parameters: Mapping[str, Any] | None = None) -> list[dict[str, Any]]:
        cursor = self._connection.execute(sql, parameters or {})
        rows = cursor.fetchall()
        if not rows:
            return []
        names = [column[0] for column in cursor.description]
        return [dict(zip(names, row, strict=True)) for row in rows]

    async def executemany(self, sql: str, parameters: Iterable[Mapping[str, Any]]) -> None:
        self._connection.executemany(sql, parameters)


class SyncDatabase(Database):
    """One process's door to a database that others may share; `between` is None where nothing happens between."""

    def __init__(self, folder: Path, connection: sqlite3.Connection, between: Between | None = None) -> None:
        self.folder = folder
        self.connection = connection
        self._between = between
        self._tx = cast(Transaction, _Inline(connection))

    async def transaction(
        self, unit: Callable[[Transaction], Awaitable[T]], *, busy_ms: int | None = None, urgent: bool = False
    ) -> T:
        """As `Database.transaction`."""
        return await self._run_whole("write", unit)

    async def read(self, unit: Callable[[Transaction], Awaitable[T]], *, busy_ms: int | None = None) -> T:
        """As `Database.read`; nobody else can write while it runs."""
        return await self._run_whole("read", unit)

    async def version(self, tx: Transaction) -> int | None:
        """None: this database reads and writes on one connection, and does not count its own commits."""
        return None

    async def close(self) -> None:
        """Nothing: the connection belongs to whoever made it."""

    @property
    def in_transaction(self) -> bool:
        """Never between two steps of the event loop."""
        return self.connection.in_transaction

    async def _run_whole(self, what: str, unit: Callable[[Transaction], Awaitable[T]]) -> T:
        """Like the real one it runs to its end also where the caller is cancelled, who is told only then."""
        if self._between is None:
            return self._at_once(what, unit)
        cancelled: asyncio.CancelledError | None = None
        try:
            await self._between(f"before {what}")
        except asyncio.CancelledError as error:
            cancelled = error
        result = self._at_once(what, unit)
        try:
            await self._between(f"after {what}")
        except asyncio.CancelledError as error:
            cancelled = error
        if cancelled is not None:
            raise cancelled
        return result

    def _at_once(self, what: str, unit: Callable[[Transaction], Awaitable[T]]) -> T:
        with translate_sqlite_errors():
            if what == "read":
                return run_sync(unit(self._tx))
            self.connection.execute("savepoint unit")
            try:
                result = run_sync(unit(self._tx))
            except BaseException:
                self.connection.execute("rollback to unit")
                self.connection.execute("release unit")
                raise
            self.connection.execute("release unit")
            return result


@cache
def _template() -> bytes:
    """An empty store as bytes, made once by the real opener."""
    with tempfile.TemporaryDirectory(prefix="template-") as made:
        folder = Path(made) / "state"
        prepare_store(folder, now=ManualClock().now(), read_only=False, busy_ms=1000, journal=JournalMode.DELETE)
        source = sqlite3.connect(folder / DATABASE)
        try:
            return source.serialize()
        finally:
            source.close()


def memory_connection() -> sqlite3.Connection:
    """A new empty store in memory; to be closed by whoever asked."""
    connection = sqlite3.connect(":memory:", isolation_level=None, cached_statements=512)
    connection.deserialize(_template())
    connection.execute("pragma foreign_keys = on")
    connection.execute("pragma trusted_schema = off")
    return connection


def sync_store(folder: Path, connection: sqlite3.Connection, between: Between | None = None) -> Store:
    """A process's store on `connection`; several may share one. `folder` is only asked for its free room."""
    return Store(SyncDatabase(folder, connection, between))
