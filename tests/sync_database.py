"""The real store on an SQLite connection without threads: every transaction runs at once and as a whole.

For tests that need thousands of stores, or time that moves only when no task is ready. That a commit survives a power
loss, and that a cancellation does not tear a transaction, is shown elsewhere on the real database.
"""

from __future__ import annotations

import asyncio
import sqlite3
import tempfile
from collections.abc import Awaitable, Callable, Iterable
from contextlib import AbstractAsyncContextManager
from functools import cache
from pathlib import Path
from typing import TypeVar

from console.store.bootstrap import prepare_store
from console.store.database import SqliteDatabase, run_sync
from console.store.errors import translate_sqlite_errors
from console.store.files import DATABASE
from console.store.pragmas import JournalMode
from console.store.store import Store
from console.store.transaction import NO_PARAMETERS, Columns, Row, Statement, Transaction
from tests.clock import ManualClock

T = TypeVar("T")
Between = Callable[[str], Awaitable[None]]
"""Called before and after each transaction, with `before write record_launched` and the like. There a test may let time
pass, raise, or let the process die."""
Turn = Callable[[str, int | None, bool], AbstractAsyncContextManager[None]]
"""Surrounds each unit with the wait for its turn, given `write` or `read`, `busy_ms` and `urgent` as in
`Database.transaction`. There a test may have the store blocked."""


class _Inline:
    """A transaction whose statements are answered at once. Rows are dicts, which is faster."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    async def rows(self, sql: str, named: Columns = NO_PARAMETERS, /) -> list[Row]:
        cursor = self._connection.execute(sql, named)
        rows = cursor.fetchall()
        if not rows:
            return []
        names = [column[0] for column in cursor.description]
        return [dict(zip(names, row, strict=True)) for row in rows]

    async def many(self, sql: str, named: Iterable[Columns], /) -> None:
        self._connection.executemany(sql, named)

    async def batch(self, *statements: Statement) -> list[list[Row]]:
        return [await self.rows(each.sql, each.named) for each in statements]


class SyncDatabase(SqliteDatabase):
    """A process's access to a database that several may share. Without `between`, nothing happens between steps."""

    def __init__(
        self, folder: Path, connection: sqlite3.Connection, between: Between | None = None, turn: Turn | None = None
    ) -> None:
        self.folder = folder
        self.connection = connection
        self._between = between
        self._turn = turn
        self._tx = _Inline(connection)

    async def transaction(
        self,
        unit: Callable[[Transaction], Awaitable[T]],
        *,
        gated: bool = True,
        busy_ms: int | None = None,
        urgent: bool = False,
    ) -> T:
        """As `Database.transaction`."""
        return await self._run_whole("write", unit, busy_ms, urgent=urgent)

    async def read(self, unit: Callable[[Transaction], Awaitable[T]], *, busy_ms: int | None = None) -> T:
        """As `Database.read`."""
        return await self._run_whole("read", unit, busy_ms)

    async def version(self, tx: Transaction) -> int | None:
        """None: this database reads and writes on one connection, and does not count its own commits."""
        return None

    async def close(self) -> None:
        """Does nothing: the maker of the connection closes it."""

    @property
    def in_transaction(self) -> bool:
        """False between any two steps of the event loop, unless the test holds a transaction open."""
        return self.connection.in_transaction

    async def _run_whole(
        self, what: str, unit: Callable[[Transaction], Awaitable[T]], busy_ms: int | None, *, urgent: bool = False
    ) -> T:
        """Runs to its end even where the caller is cancelled, as the real one does; then raises CancelledError."""
        if self._between is None:
            return self._at_once(what, unit)
        cancelled: asyncio.CancelledError | None = None
        step = f"{what} {unit_name(unit)}"
        try:
            await self._between(f"before {step}")
        except asyncio.CancelledError as error:
            cancelled = error
        try:
            if self._turn is None:
                # One that was cancelled meanwhile counts as one that had begun.
                result = self._at_once(what, unit)
            else:
                if cancelled is not None:
                    raise cancelled
                async with self._turn(what, busy_ms, urgent):
                    result = self._at_once(what, unit)
        except Exception as error:
            if cancelled is not None:
                raise cancelled from error
            raise
        try:
            await self._between(f"after {step}")
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


def unit_name(unit: Callable[..., object]) -> str:
    """The method or function that made a transaction: `mark_sending` for `RunRepository.mark_sending.<locals>.unit`."""
    first, _, rest = unit.__qualname__.partition(".")
    second = rest.partition(".")[0]
    return first if second in ("", "<locals>") else second


@cache
def _template() -> bytes:
    """An empty store as bytes, made once by the real code."""
    with tempfile.TemporaryDirectory(prefix="template-") as made:
        folder = Path(made) / "state"
        prepare_store(folder, now=ManualClock().now(), read_only=False, busy_ms=1000, journal=JournalMode.DELETE)
        source = sqlite3.connect(folder / DATABASE)
        try:
            return source.serialize()
        finally:
            source.close()


def memory_connection() -> sqlite3.Connection:
    """A new empty store in memory; the caller closes it."""
    connection = sqlite3.connect(":memory:", isolation_level=None, cached_statements=512)
    connection.deserialize(_template())
    connection.execute("pragma foreign_keys = on")
    connection.execute("pragma trusted_schema = off")
    return connection


def sync_store(
    folder: Path, connection: sqlite3.Connection, between: Between | None = None, turn: Turn | None = None
) -> Store:
    """A store on `connection`, which several may share. `folder` is asked for its free space and its place only."""
    return Store(SyncDatabase(folder, connection, between, turn))
