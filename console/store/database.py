"""Transactions on the SQLite database, each run as a whole even if its caller is cancelled.

A statement of aiosqlite goes on in its thread after the caller was cancelled, and a transaction left open would take
in the rows of the next caller. So each unit of work is a task of its own that is always awaited to its end; only then
is the caller told that it was cancelled.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Awaitable, Callable, Coroutine
from pathlib import Path
from typing import Any, TypeVar

import aiosqlite

from console.store.errors import StoreBusy, StoreError, StoreMissing, translate_sqlite_errors
from console.store.files import DATABASE, database_inode
from console.store.pragmas import BUSY_MS, JournalMode, connection_pragmas, database_uri

T = TypeVar("T")
Transaction = aiosqlite.Connection
"""The connection inside a unit of work. A unit runs statements on it, but never begin, commit or rollback."""


class Database:
    """A writing and a reading connection, each used by one unit of work at a time. `Store.open` makes it."""

    def __init__(self, folder: Path, writer: aiosqlite.Connection | None, reader: aiosqlite.Connection) -> None:
        self.folder = folder
        self._writer = writer
        self._reader = reader
        self._write_lock = asyncio.Lock()
        self._read_lock = asyncio.Lock()
        self._inode = database_inode(folder)

    @classmethod
    async def connect(
        cls, folder: Path, *, journal: JournalMode, busy_ms: int = BUSY_MS, read_only: bool = False
    ) -> Database:
        """Connect to a database that `prepare_store` has made. Raises StoreError."""
        writer = None if read_only else await _connect(folder, journal, busy_ms)
        try:
            reader = await _connect(folder, journal, busy_ms)
            await reader.execute_fetchall("pragma query_only = on")
        except BaseException:
            if writer is not None:
                await writer.close()
            raise
        return cls(folder, writer, reader)

    async def transaction(self, unit: Callable[[Transaction], Awaitable[T]]) -> T:
        """Run `unit` in a write transaction and return its result once its changes are on disk.

        If `unit` raises, none of its changes are kept. If the caller is cancelled, the unit still runs to its end
        before CancelledError is raised; a later read shows whether it committed. Raises StoreError, and what `unit`
        raises.
        """
        if self._writer is None:
            raise StoreError("the state store was opened for reading only")
        async with self._write_lock:
            self._check_present()
            return await run_uncancelled(self._run_unit(self._writer, "begin immediate", unit), "store write")

    async def read(self, unit: Callable[[Transaction], Awaitable[T]]) -> T:
        """Run `unit` on one unchanging view of the database and return its result.

        In DELETE mode no other process can commit while a unit reads, so a unit only reads and returns. Raises
        StoreError, and what `unit` raises.
        """
        async with self._read_lock:
            return await run_uncancelled(self._run_unit(self._reader, "begin", unit), "store read")

    async def close(self) -> None:
        """Close both connections after their running units. Unclosed, their threads keep the process alive."""
        for lock, connection in ((self._write_lock, self._writer), (self._read_lock, self._reader)):
            if connection is not None:
                async with lock:
                    await run_uncancelled(connection.close(), "store close")

    @property
    def in_transaction(self) -> bool:
        """True while a unit is running."""
        return any(connection.in_transaction for connection in (self._writer, self._reader) if connection is not None)

    async def _run_unit(
        self, connection: aiosqlite.Connection, begin: str, unit: Callable[[Transaction], Awaitable[T]]
    ) -> T:
        with translate_sqlite_errors():
            try:
                await connection.execute_fetchall(begin)
                result = await unit(connection)
                await connection.commit()
            except BaseException:
                await connection.rollback()
                raise
            return result

    def _check_present(self) -> None:
        """Raise StoreMissing if the file was deleted or replaced: SQLite would go on writing to the old one."""
        if database_inode(self.folder) != self._inode:
            raise StoreMissing(f"{self.folder / DATABASE} was removed or replaced while it was in use")


async def run_uncancelled(work: Coroutine[Any, Any, T], name: str) -> T:
    """Run `work` to its end and return its result. A cancellation of the caller is raised only after that."""
    task = asyncio.create_task(work, name=name)
    cancelled: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.wait([task])
        except asyncio.CancelledError as error:
            cancelled = error
    if cancelled is None:
        return task.result()
    if not task.cancelled():
        task.exception()
    raise cancelled


async def _connect(folder: Path, journal: JournalMode, busy_ms: int) -> aiosqlite.Connection:
    with translate_sqlite_errors():
        connection = await aiosqlite.connect(
            database_uri(folder), uri=True, isolation_level=None, timeout=busy_ms / 1000, cached_statements=256
        )
        try:
            connection.row_factory = sqlite3.Row
            for pragma in connection_pragmas(journal, busy_ms):
                await connection.execute_fetchall(pragma)
            await _check_pragmas(connection, journal)
        except BaseException:
            await connection.close()
            raise
    return connection


async def _check_pragmas(connection: aiosqlite.Connection, journal: JournalMode) -> None:
    """Raise StoreError if SQLite ignored a pragma without which a commit can be lost; some builds ignore pragmas."""
    for pragma, wanted in (
        ("journal_mode", journal.value),
        ("synchronous", journal.synchronous),
        ("foreign_keys", 1),
    ):
        rows = list(await connection.execute_fetchall(f"pragma {pragma}"))
        if rows[0][0] != wanted:
            kind = StoreBusy if pragma == "journal_mode" else StoreError
            raise kind(f"the state store has {pragma}={rows[0][0]}, needed is {wanted}")
