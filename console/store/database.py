"""The one door to SQLite: a unit of work runs whole, whatever happens to whoever asked for it.

A statement of aiosqlite goes on in its thread after the caller was cancelled, and a transaction left open would take
the next caller's rows with it. So each unit is a task of its own that is always awaited to its end, and only then is
the caller told that it was cancelled.
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
"""The connection inside a unit. Units run statements on it and nothing else: no begin, commit or rollback."""


class Database:
    """Two connections, a writer and a reader, each used by one unit at a time. `Store.open` makes it."""

    def __init__(self, folder: Path, writer: aiosqlite.Connection | None, reader: aiosqlite.Connection) -> None:
        self.folder = folder
        self._writer = writer
        self._reader = reader
        self._write_turn = asyncio.Lock()
        self._read_turn = asyncio.Lock()
        self._file = database_inode(folder)

    @classmethod
    async def connect(
        cls, folder: Path, *, journal: JournalMode, busy_ms: int = BUSY_MS, read_only: bool = False
    ) -> Database:
        """Connects to a database that `prepare` has made. Raises StoreError."""
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
        """What `unit` gives, after its changes are on disk; or none of them where it raises.

        Cancelled: the unit still runs to its end, then CancelledError is raised; what was written shows on reading.
        Raises StoreError, and what `unit` raises.
        """
        if self._writer is None:
            raise StoreError("the state store was opened for reading only")
        async with self._write_turn:
            self._check_present()
            return await run_uncancelled(self._whole(self._writer, "begin immediate", unit), "store write")

    async def read(self, unit: Callable[[Transaction], Awaitable[T]]) -> T:
        """What `unit` gives from one unchanging view of the database. Raises StoreError, and what `unit` raises.

        In DELETE mode no other process commits meanwhile: read, and leave.
        """
        async with self._read_turn:
            return await run_uncancelled(self._whole(self._reader, "begin", unit), "store read")

    async def close(self) -> None:
        """Closes both connections, after the units that run. The database's threads would keep the process alive."""
        for turn, connection in ((self._write_turn, self._writer), (self._read_turn, self._reader)):
            if connection is not None:
                async with turn:
                    await run_uncancelled(connection.close(), "store close")

    @property
    def in_transaction(self) -> bool:
        """True while a unit is at work."""
        return any(connection.in_transaction for connection in (self._writer, self._reader) if connection is not None)

    async def _whole(
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
        """SQLite would go on writing to a file that was deleted or replaced, where nobody reads it."""
        if database_inode(self.folder) != self._file:
            raise StoreMissing(f"{self.folder / DATABASE} was removed or replaced while it was in use")


async def run_uncancelled(work: Coroutine[Any, Any, T], name: str) -> T:
    """What `work` gives. It runs to its end also where the caller is cancelled, who is told only then."""
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
            for setting in connection_pragmas(journal, busy_ms):
                await connection.execute_fetchall(setting)
            await _check_settings(connection, journal)
        except BaseException:
            await connection.close()
            raise
    return connection


async def _check_settings(connection: aiosqlite.Connection, journal: JournalMode) -> None:
    """A build of SQLite may ignore a pragma: what would let a commit be lost is read back, and refused."""
    for pragma, wanted in (
        ("journal_mode", journal.value),
        ("synchronous", journal.synchronous),
        ("foreign_keys", 1),
    ):
        rows = list(await connection.execute_fetchall(f"pragma {pragma}"))
        if rows[0][0] != wanted:
            kind = StoreBusy if pragma == "journal_mode" else StoreError
            raise kind(f"the state store has {pragma}={rows[0][0]}, needed is {wanted}")
