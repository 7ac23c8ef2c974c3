"""Transactions on the SQLite database, each run as a whole even if its caller is cancelled.

A statement of aiosqlite goes on in its thread after the caller was cancelled, and a transaction left open would take
in the rows of the next caller. So each unit of work is a task of its own that is always awaited to its end; only then
is the caller told that it was cancelled.
"""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
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

    def __init__(
        self,
        folder: Path,
        writer: aiosqlite.Connection | None,
        reader: aiosqlite.Connection,
        *,
        busy_ms: int = BUSY_MS,
    ) -> None:
        self.folder = folder
        self._writer = writer
        self._reader = reader
        self._busy_ms = busy_ms
        self._write_turn = _Turn()
        self._read_turn = _Turn()
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
        return cls(folder, writer, reader, busy_ms=busy_ms)

    async def transaction(
        self, unit: Callable[[Transaction], Awaitable[T]], *, busy_ms: int | None = None, urgent: bool = False
    ) -> T:
        """Run `unit` in a write transaction and return its result once its changes are on disk.

        If `unit` raises, none of its changes are kept. If the caller is cancelled, the unit still runs to its end
        before CancelledError is raised; a later read shows whether it committed.

        `busy_ms` is the longest time to wait for other units of this process and for locks of other processes; None
        waits for the other units without a limit, and for locks as long as the store was opened with. An `urgent`
        unit runs before all waiting units that are not. Raises StoreBusy when the time is over, other StoreErrors,
        and what `unit` raises.
        """
        if self._writer is None:
            raise StoreError("the state store was opened for reading only")
        patience = _Patience(busy_ms)
        async with self._write_turn.taken(patience, urgent=urgent):
            self._check_present()
            work = self._run_unit(self._writer, "begin immediate", unit, patience)
            return await run_uncancelled(work, "store write")

    async def read(self, unit: Callable[[Transaction], Awaitable[T]], *, busy_ms: int | None = None) -> T:
        """Run `unit` on one unchanging view of the database and return its result.

        In DELETE mode no other process can commit while a unit reads, so a unit only reads and returns. `busy_ms` is
        as in `transaction`. Raises StoreError, and what `unit` raises.
        """
        patience = _Patience(busy_ms)
        async with self._read_turn.taken(patience):
            return await run_uncancelled(self._run_unit(self._reader, "begin", unit, patience), "store read")

    async def close(self) -> None:
        """Close both connections after their running units. Unclosed, their threads keep the process alive."""
        for turn, connection in ((self._write_turn, self._writer), (self._read_turn, self._reader)):
            if connection is not None:
                async with turn.taken(_Patience(None)):
                    await run_uncancelled(connection.close(), "store close")

    @property
    def in_transaction(self) -> bool:
        """True while a unit is running."""
        return any(connection.in_transaction for connection in (self._writer, self._reader) if connection is not None)

    async def _run_unit(
        self,
        connection: aiosqlite.Connection,
        begin: str,
        unit: Callable[[Transaction], Awaitable[T]],
        patience: _Patience,
    ) -> T:
        with translate_sqlite_errors():
            try:
                await _set_busy_timeout(connection, patience.left_ms)
                await connection.execute_fetchall(begin)
                result = await unit(connection)
                # In DELETE mode a commit waits for readers, so it has the rest of the time only.
                await _set_busy_timeout(connection, patience.left_ms)
                await connection.commit()
            except BaseException:
                await connection.rollback()
                raise
            finally:
                await _set_busy_timeout(connection, self._busy_ms if patience.is_limited else None)
            return result

    def _check_present(self) -> None:
        """Raise StoreMissing if the file was deleted or replaced: SQLite would go on writing to the old one."""
        if database_inode(self.folder) != self._inode:
            raise StoreMissing(f"{self.folder / DATABASE} was removed or replaced while it was in use")


class _Patience:
    """How long one unit of work waits for others, over all that it waits for."""

    def __init__(self, busy_ms: int | None) -> None:
        self._ends_s = None if busy_ms is None else time.monotonic() + busy_ms / 1000

    @property
    def is_limited(self) -> bool:
        """True if the caller has set a limit of its own."""
        return self._ends_s is not None

    @property
    def left_ms(self) -> int | None:
        """The time that is left; None without a limit."""
        return None if self._ends_s is None else max(0, int((self._ends_s - time.monotonic()) * 1000))


class _Turn:
    """A lock between the tasks of this process. Urgent tasks get it before all others, otherwise the first to come."""

    def __init__(self) -> None:
        self._is_taken = False
        self._urgent: deque[asyncio.Future[None]] = deque()
        self._others: deque[asyncio.Future[None]] = deque()

    @asynccontextmanager
    async def taken(self, patience: _Patience, *, urgent: bool = False) -> AsyncIterator[None]:
        """Hold the lock for a block. Raises StoreBusy if it is not free in time."""
        if self._is_taken:
            await self._wait(self._urgent if urgent else self._others, patience.left_ms)
        self._is_taken = True
        try:
            yield
        finally:
            self._pass_on()

    async def _wait(self, queue: deque[asyncio.Future[None]], wait_ms: int | None) -> None:
        turn = asyncio.get_running_loop().create_future()
        queue.append(turn)
        try:
            async with asyncio.timeout(None if wait_ms is None else wait_ms / 1000):
                await turn
        except BaseException as error:
            if not turn.cancelled():
                # The lock was passed to this task while it was being cancelled.
                self._pass_on()
            if isinstance(error, TimeoutError):
                raise StoreBusy("the state store is busy: other work of this process holds it") from None
            raise

    def _pass_on(self) -> None:
        for queue in (self._urgent, self._others):
            while queue:
                turn = queue.popleft()
                if not turn.done():
                    turn.set_result(None)
                    return
        self._is_taken = False


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


async def _set_busy_timeout(connection: aiosqlite.Connection, wait_ms: int | None) -> None:
    if wait_ms is not None:
        await connection.execute_fetchall(f"pragma busy_timeout = {wait_ms:d}")


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
