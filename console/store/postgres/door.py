"""One way into the database: a session, and the units of work that wait for it.

A gated unit begins by taking an advisory lock of the schema, which it holds until its end: READ COMMITTED behind that
lock sees every commit before it, as SQLite does after `begin immediate`. A process that is stopped inside of the gate
holds the others up for IDLE_MS, until the server ends its session.

Where the answer to a commit is lost, a new session asks the server what became of the transaction.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from contextlib import suppress
from typing import TypeVar

import psycopg

from console.store.database import run_uncancelled
from console.store.errors import StoreBusy, StoreError, StoreUnknown, StoreUnreachable
from console.store.fleet_settings import FleetSettings
from console.store.postgres.errors import store_error
from console.store.postgres.line import CONNECT_S, READ_SILENCE_S, WRITE_SILENCE_S, Line
from console.store.postgres.schema import LOCK_CLASS
from console.store.transaction import Unit

T = TypeVar("T")

LOCK_MS = 30_000
"""How long a unit waits for locks of other processes unless its caller says otherwise."""
IDLE_MS = 2_000
"""After this time without a statement the server ends a session that is inside of a write transaction."""
RESOLVE_S = 30.0
"""For this long a lost commit is asked for."""
RESOLVE_EVERY_S = 0.2
READ = """begin isolation level repeatable read read only; set local jit = off;
    set local max_parallel_workers_per_gather = 0; set local enable_hashjoin = off; set local enable_mergejoin = off"""
"""The planner takes a page of the history for much more than it is, and prepares accordingly: by seconds."""
SELECT_STATUS = "select pg_xact_status(cast(:xid as xid8)) as status"
CONFIRM = "select pg_logical_emit_message(true, 'nightdesk', '')"
"""A commit that is at the standby only after all commits before it."""
UNKNOWN = "whether the write is stored is not known"


class Door:
    """Runs units one after the other, urgent ones first, otherwise the first to come."""

    def __init__(self, settings: FleetSettings, *, writes: bool, gated: bool = False) -> None:
        """A door that `writes` may be `gated`; the other kind reads."""
        self._settings = settings
        self._writes = writes
        self._search = f"set local search_path = {settings.schema}; " if settings.pooled else ""
        # The rows of `events` take it from there.
        host = settings.host.replace("'", "''")
        self._host = f"set local nightdesk.host = '{host}'; "
        lock = f", pg_advisory_xact_lock({LOCK_CLASS:d}, hashtext('{settings.schema}'))" if gated else ""
        self._gate = f"select cast(pg_current_xact_id() as text) as xid{lock}"
        self._line: Line | None = None
        self._urgent: deque[asyncio.Future[None]] = deque()
        self._others: deque[asyncio.Future[None]] = deque()
        self._opened = 0
        """How many sessions were opened."""
        self.is_busy = False
        """True while a unit is running."""
        self._closed = False
        self._since_s: float | None = None
        """When the unit that runs now began; None between units."""

    @property
    def unit_s(self) -> float:
        """For how many seconds the unit that runs now has been running; 0.0 between units."""
        return 0.0 if self._since_s is None else time.monotonic() - self._since_s

    @property
    def timeline(self) -> str:
        """That of the newest session; empty before the first."""
        return "" if self._line is None else self._line.timeline

    @property
    def session(self) -> str:
        """Another text for each session."""
        return f"{self.timeline}/{self._opened}"

    async def run(self, unit: Unit[T], *, busy_ms: int | None, urgent: bool = False) -> T:
        """Run `unit` when its turn comes; see `Database.transaction`."""
        if self._closed:
            raise StoreError("the state store is closed")
        ends_s = None if busy_ms is None else time.monotonic() + busy_ms / 1000
        await self._take_turn(self._urgent if urgent else self._others, busy_ms)
        # From here on the unit runs to its end, whatever becomes of its caller.
        return await run_uncancelled(self._run_in_turn(unit, ends_s), "store")

    async def close(self) -> None:
        """Close the session after all units that were asked for. A second call does nothing."""
        if self._closed:
            return
        await self._take_turn(self._others, None)
        self._closed = True
        if self._line is not None:
            await self._line.close()
        self._pass_turn()

    async def _take_turn(self, queue: deque[asyncio.Future[None]], busy_ms: int | None) -> None:
        if not self.is_busy:
            self.is_busy = True
            return
        turn = asyncio.get_running_loop().create_future()
        queue.append(turn)
        try:
            await asyncio.wait_for(asyncio.shield(turn), None if busy_ms is None else busy_ms / 1000)
        except BaseException as error:
            if turn.done():
                self._pass_turn()
            else:
                queue.remove(turn)
            if isinstance(error, TimeoutError):
                raise StoreBusy("the state store is busy: other work of this process holds it") from None
            raise

    def _pass_turn(self) -> None:
        queue = self._urgent or self._others
        if queue:
            queue.popleft().set_result(None)
        else:
            self.is_busy = False

    async def _run_in_turn(self, unit: Unit[T], ends_s: float | None) -> T:
        self._since_s = time.monotonic()
        try:
            return await self._attempt(unit, ends_s)
        except psycopg.Error as error:
            raise store_error(error, self._settings.place) from error
        finally:
            if self._line is not None:
                await self._line.roll_back()
            self._since_s = None
            self._pass_turn()

    async def _attempt(self, unit: Unit[T], ends_s: float | None) -> T:
        line, xid = await self._begin(ends_s)
        result = await unit(line)
        try:
            await line.commit()
        except psycopg.OperationalError as error:
            if xid is None or not line.is_closed:
                raise
            if not await self._is_committed(xid, line.timeline):
                raise store_error(error, self._settings.place) from error
            return result
        if line.is_in_doubt:
            raise StoreUnknown(f"{UNKNOWN}: the standby of the database is silent")
        return result

    async def _begin(self, ends_s: float | None) -> tuple[Line, str | None]:
        """Begin a transaction; return its session and its number, which is None for a read."""
        line, is_used = self._line, True
        if line is None or line.is_closed:
            line, is_used = await self._connect(ends_s), False
        try:
            return line, await self._start(line, ends_s)
        except psycopg.OperationalError:
            if not (is_used and line.is_closed):
                raise
        # The session had ended while nobody used it, as after a restart of the server: nothing was asked of it yet.
        line = await self._connect(ends_s)
        return line, await self._start(line, ends_s)

    async def _start(self, line: Line, ends_s: float | None) -> str | None:
        if not self._writes:
            await line.script(f"{READ}; {self._search}")
            return None
        lock_ms = LOCK_MS if ends_s is None else max(1, int((ends_s - time.monotonic()) * 1000))
        limits = f"set local lock_timeout = {lock_ms:d}; set local idle_in_transaction_session_timeout = {IDLE_MS:d}"
        row = await line.script(f"begin; {self._search}{self._host}{limits}; {self._gate}", wait_s=lock_ms / 1000)
        return None if row is None else str(row["xid"])

    async def _connect(self, ends_s: float | None) -> Line:
        left_s = None if ends_s is None else max(0.1, ends_s - time.monotonic())
        try:
            async with asyncio.timeout(left_s):
                self._line = await Line.open(self._settings, WRITE_SILENCE_S if self._writes else READ_SILENCE_S)
            self._opened += 1
        except TimeoutError:
            why = f"the state database at {self._settings.place} does not answer (no answer within {left_s:.1f} s)"
            raise StoreUnreachable(why) from None
        return self._line

    async def _is_committed(self, xid: str, timeline: str) -> bool:
        """Ask in a new session what became of the transaction. Raises StoreUnknown if nobody says so."""
        ends_s = time.monotonic() + RESOLVE_S
        while time.monotonic() < ends_s:
            with suppress(psycopg.Error, StoreUnreachable, _NotYet):
                return await self._ask(xid, timeline)
            await asyncio.sleep(RESOLVE_EVERY_S)
        raise StoreUnknown(f"{UNKNOWN}: the connection was lost at the commit")

    async def _ask(self, xid: str, timeline: str) -> bool:
        """Raises _NotYet while the transaction has not ended, or is not safe, and StoreUnknown after a failover."""
        line = self._line
        if line is None or line.is_closed:
            line = await self._connect(time.monotonic() + CONNECT_S)
        if line.timeline != timeline:
            raise StoreUnknown(f"{UNKNOWN}: the database failed over at the commit")
        (row,) = await line.rows(SELECT_STATUS, {"xid": xid})
        if row["status"] == "aborted":
            return False
        line.is_in_doubt = False
        if row["status"] == "committed":
            await line.rows(CONFIRM)
        if row["status"] != "committed" or line.is_in_doubt:
            raise _NotYet
        return True


class _NotYet(Exception):
    """Nobody can say so at this moment."""
