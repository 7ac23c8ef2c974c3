"""Transactions on the SQLite database, each run as a whole even if its caller is cancelled.

aiosqlite gives each connection a thread of its own. A unit of work runs in it from its first statement to its last, so
that the event loop neither waits for the disk nor converts rows, and a cancelled caller cannot tear a unit: it is told
that it was cancelled only after the unit has ended. Writing units that wait at the same time share one commit, because
a commit waits for the disk; each of them is undone alone if it raises.
"""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any, Generic, TypeVar

import aiosqlite

from console.store.errors import StoreBusy, StoreError, StoreMissing, store_error, translate_sqlite_errors
from console.store.files import DATABASE, database_inode
from console.store.full_text import FTS5
from console.store.pragmas import BUSY_MS, JournalMode, connection_pragmas, database_uri
from console.store.transaction import NO_PARAMETERS, Columns, Row, Statement, Transaction, Unit

T = TypeVar("T")

GROUP_UNITS = 32
"""Most units that share one commit."""
GROUP_S = 0.02
"""No further unit joins a commit after this time, in seconds: a stop that is asked for meanwhile waits for it."""


class SqliteTransaction:
    """A `Transaction` in the thread of its connection; none of its methods really waits."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    async def rows(self, sql: str, named: Columns = NO_PARAMETERS, /) -> list[Row]:
        """See `Transaction`."""
        return self._connection.execute(sql, named).fetchall()

    async def many(self, sql: str, named: Iterable[Columns], /) -> None:
        """See `Transaction`."""
        self._connection.executemany(sql, named)

    async def batch(self, *statements: Statement) -> list[list[Row]]:
        """See `Transaction`."""
        return [self._connection.execute(each.sql, each.named).fetchall() for each in statements]


class SqliteDatabase:
    """A writing and a reading connection, each used by one unit of work at a time. `Store.open` makes it."""

    is_shared = False
    words = FTS5

    def __init__(
        self,
        folder: Path,
        writer: aiosqlite.Connection | None,
        reader: aiosqlite.Connection,
        *,
        busy_ms: int = BUSY_MS,
    ) -> None:
        self.folder = folder
        self._inode = database_inode(folder)
        self._reader = _Worker(reader, "begin", busy_ms)
        self._writer = (
            _Worker(writer, "begin immediate", busy_ms, check=self._check_present, groups=True)
            if writer is not None
            else None
        )

    @classmethod
    async def connect(
        cls, folder: Path, *, journal: JournalMode, busy_ms: int = BUSY_MS, read_only: bool = False
    ) -> SqliteDatabase:
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
        self, unit: Unit[T], *, gated: bool = True, busy_ms: int | None = None, urgent: bool = False
    ) -> T:
        """See `Database`. Every unit is gated: SQLite has one writer."""
        if self._writer is None:
            raise StoreError("the state store was opened for reading only")
        return await self._writer.run(unit, busy_ms=busy_ms, urgent=urgent)

    async def read(self, unit: Unit[T], *, busy_ms: int | None = None) -> T:
        """See `Database`. In DELETE mode no other process can commit while a unit reads."""
        return await self._reader.run(unit, busy_ms=busy_ms)

    async def version(self, tx: Transaction) -> int | None:
        """Return a number that differs after each commit of any process, within a `read` of this process.

        None where that cannot be told.
        """
        return int((await tx.rows("pragma data_version"))[0]["data_version"])

    async def close(self) -> None:
        """Close both connections after the units that were asked for. Closing twice is harmless."""
        for worker in (self._writer, self._reader):
            if worker is not None:
                await worker.close()

    @property
    def session(self) -> str:
        """See `Database`."""
        return ""

    @property
    def in_transaction(self) -> bool:
        """True while a unit is running."""
        return any(worker.in_transaction for worker in (self._writer, self._reader) if worker is not None)

    @property
    def unit_s(self) -> float:
        """How long the unit under way has worked, or waited for other processes or the disk; 0 without one."""
        return max(worker.unit_s for worker in (self._writer, self._reader) if worker is not None)

    def _check_present(self) -> None:
        """Raise StoreMissing if the file was deleted or replaced: SQLite would go on writing to the old one."""
        if database_inode(self.folder) != self._inode:
            raise StoreMissing(f"{self.folder / DATABASE} was removed or replaced while it was in use")


def run_sync(work: Awaitable[T]) -> T:
    """Run a unit of work to its end without an event loop. Raises RuntimeError if it waits for something else."""
    steps = work.__await__()
    try:
        next(steps)
    except StopIteration as end:
        result: T = end.value
        return result
    steps.close()
    raise RuntimeError("a unit of the store waits for something outside of it")


class _Job(Generic[T]):
    """One unit of work and its caller, who waits for `done`."""

    def __init__(self, unit: Unit[T], busy_ms: int | None) -> None:
        """`busy_ms` is the longest time to wait for others, over all that the unit waits for; None: no limit."""
        self.unit = unit
        self.ends_s = None if busy_ms is None else time.monotonic() + busy_ms / 1000
        self.loop = asyncio.get_running_loop()
        self.done: asyncio.Future[T] = self.loop.create_future()
        self.result: T | None = None
        self.error: BaseException | None = None

    @property
    def left_s(self) -> float | None:
        """The time that is left to wait for others; None without a limit."""
        return None if self.ends_s is None else max(0.0, self.ends_s - time.monotonic())

    def attempt(self, tx: Transaction) -> bool:
        """Run the unit in this thread and keep its result, or the error that it raised; False for an error."""
        try:
            with translate_sqlite_errors():
                self.result = run_sync(self.unit(tx))
        except BaseException as error:
            self.error = error
        return self.error is None

    def settle(self) -> None:
        """Give the caller the result or the error."""
        if self.done.done():
            return
        if self.error is None:
            self.done.set_result(self.result)  # type: ignore[arg-type]  # set, since there is no error
        else:
            self.done.set_exception(self.error)
            self.done.exception()  # read: a caller that was cancelled does not ask for it


class _Worker:
    """A connection with its thread, and the units of work that wait for it.

    Urgent units run before all others, otherwise the first to come.
    """

    def __init__(
        self,
        connection: aiosqlite.Connection,
        begin: str,
        busy_ms: int,
        *,
        check: Callable[[], None] = lambda: None,
        groups: bool = False,
    ) -> None:
        """`check` raises where nothing may be written; with `groups`, units that wait share a commit."""
        self._opened = connection
        # The connection that aiosqlite wraps: used only by functions that aiosqlite runs in its thread.
        self._connection = connection._conn
        self._tx = SqliteTransaction(self._connection)
        self._begin = begin
        self._busy_ms = busy_ms
        self._check = check
        self._groups = groups
        self._urgent: deque[_Job[Any]] = deque()
        self._others: deque[_Job[Any]] = deque()
        self._running: list[_Job[Any]] = []
        """The units that share the transaction under way."""
        self._began_s = 0.0
        """Monotonic time at which the transaction under way was begun."""
        self._carrier: asyncio.Task[None] | None = None
        self._closed = False

    @property
    def in_transaction(self) -> bool:
        """True while a unit is running."""
        return not self._closed and self._connection.in_transaction

    @property
    def unit_s(self) -> float:
        """How long the unit under way has worked or waited."""
        return time.monotonic() - self._began_s if self._running else 0.0

    async def run(self, unit: Unit[T], *, busy_ms: int | None, urgent: bool = False) -> T:
        """Run `unit` when its turn comes; see `Database.transaction`."""
        if self._closed:
            raise StoreError("the state store is closed")
        job = _Job(unit, busy_ms)
        queue = self._urgent if urgent else self._others
        queue.append(job)
        self._start_next()
        cancelled: asyncio.CancelledError | None = None
        while not job.done.done():
            waits = job in queue
            try:
                await asyncio.wait([job.done], timeout=job.left_s if waits else None)
            except asyncio.CancelledError as error:
                if _withdraw(job, queue):
                    raise
                cancelled = error
            else:
                if waits and not job.done.done() and _withdraw(job, queue):
                    raise StoreBusy("the state store is busy: other work of this process holds it")
        if cancelled is not None:
            if not job.done.cancelled():
                job.done.exception()
            raise cancelled
        return job.done.result()

    async def close(self) -> None:
        """Close the connection after all units that were asked for. A second call does nothing."""
        if self._closed:
            return
        cancelled: asyncio.CancelledError | None = None
        while jobs := [job.done for job in (*self._running, *self._urgent, *self._others) if not job.done.done()]:
            try:
                await asyncio.wait(jobs)
            except asyncio.CancelledError as error:
                cancelled = error
        if not self._closed:
            self._closed = True
            await run_uncancelled(self._opened.close(), "store close")
        if cancelled is not None:
            raise cancelled

    def _start_next(self) -> None:
        """Hand the next unit to the thread, unless one is running."""
        if not self._running and (queue := self._urgent or self._others):
            is_urgent = queue is self._urgent
            job = queue.popleft()
            self._running, self._began_s = [job], time.monotonic()
            self._carry(job, is_urgent)

    def _carry(self, job: _Job[Any], is_urgent: bool) -> None:
        """Have aiosqlite run the group. What becomes of the task that asks it does not matter to the group."""
        asked = False

        async def ask() -> None:
            nonlocal asked
            asked = True
            # aiosqlite has no public way to run a function in its thread; this is how it runs its own.
            await self._opened._execute(self._run_group, job, is_urgent)  # type: ignore[no-untyped-call]  # has no types

        def ended(task: asyncio.Task[None]) -> None:
            error = None if task.cancelled() else task.exception()
            if error is not None:
                self._fail_all(StoreError(f"the state store cannot be used: {error}"))
                self._ended()
            elif not asked:
                # Cancelled before its first step, as all tasks are when a loop ends: its caller waits all the same.
                self._carry(job, is_urgent)

        self._carrier = job.loop.create_task(ask(), name="store")
        self._carrier.add_done_callback(ended)

    def _ended(self) -> None:
        group, self._running = self._running, []
        for job in group:
            job.settle()
        self._start_next()

    def _run_group(self, first: _Job[Any], is_urgent: bool) -> None:
        """Run `first`, and with it other units that wait, in one transaction; in the thread."""
        try:
            with translate_sqlite_errors():
                self._check()
                self._set_busy_timeout(first)
                self._connection.execute(self._begin)
            if first.attempt(self._tx):
                with translate_sqlite_errors():
                    if self._groups and first.ends_s is None:
                        self._join_waiting(is_urgent)
                    # In DELETE mode a commit waits for readers, so it has the rest of the time only.
                    self._set_busy_timeout(first)
                    self._connection.commit()
        except BaseException as error:
            self._fail_all(error)
        try:
            if self._connection.in_transaction:
                self._connection.rollback()
            if first.ends_s is not None:
                self._connection.execute(f"pragma busy_timeout = {self._busy_ms:d}")
        except BaseException as error:
            self._fail_all(store_error(error) if isinstance(error, sqlite3.Error) else error)
        # A loop that is closed has nobody left who waits.
        with suppress(RuntimeError):
            first.loop.call_soon_threadsafe(self._ended)

    def _join_waiting(self, has_urgent: bool) -> None:
        """Run waiting units in the transaction under way. Once an urgent one is in it, only urgent ones join."""
        ends_s = time.monotonic() + GROUP_S
        while len(self._running) < GROUP_UNITS:
            job = _take(self._urgent)
            has_urgent = has_urgent or job is not None or bool(self._urgent)
            if job is None and not has_urgent and time.monotonic() < ends_s:
                job = _take(self._others)
            if job is None:
                return
            self._running.append(job)
            self._connection.execute("savepoint unit")
            if not job.attempt(self._tx):
                if not self._connection.in_transaction:
                    # Some errors, as of a full disk, undo the whole transaction.
                    raise StoreError(f"a transaction was undone as a whole: {job.error}") from job.error
                self._connection.execute("rollback to unit")
            self._connection.execute("release unit")

    def _fail_all(self, error: BaseException) -> None:
        """Nothing of the transaction is stored: each unit in it that did not fail by itself gets an error."""
        for job in self._running:
            if job.error is None:
                job.error = _another(error) if job is not self._running[0] else error

    def _set_busy_timeout(self, job: _Job[Any]) -> None:
        if (left_s := job.left_s) is not None:
            self._connection.execute(f"pragma busy_timeout = {int(left_s * 1000):d}")


def _withdraw(job: _Job[Any], queue: deque[_Job[Any]]) -> bool:
    """Take a unit out of its queue; False if it has begun. The thread takes units out of the same queue."""
    try:
        queue.remove(job)
    except ValueError:
        return False
    return True


def _take(queue: deque[_Job[Any]]) -> _Job[Any] | None:
    """Take the next unit that may share a transaction: one whose caller waits as long as the store does."""
    with suppress(IndexError):
        if queue[0].ends_s is None:
            return queue.popleft()
    return None


def _another(error: BaseException) -> BaseException:
    """A second error with the same text, since one that is raised in two tasks collects the frames of both."""
    if isinstance(error, StoreError):
        again = type(error)(*error.args)
    else:
        again = StoreError(f"the state store cannot be used: {error}")
    again.__cause__ = error
    return again


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
