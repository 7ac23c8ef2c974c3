"""Units of work on PostgreSQL, each run as a whole even if its caller is cancelled.

There is a connection for gated writes, one for the others and one for reads, each used by one unit at a time. A gated
unit begins by taking an advisory lock of the schema, which it holds until its end: READ COMMITTED behind that lock sees
every commit before it, as SQLite does after `begin immediate`. A process that is stopped inside of the gate holds the
others up for IDLE_MS, until the server ends its session.

Where the answer to a commit is lost, a new connection asks the server what became of the transaction.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

import psycopg
from psycopg.adapt import Loader
from psycopg.rows import DictRow, dict_row

from console.store.database import run_uncancelled
from console.store.errors import StoreBusy, StoreError, StoreUnknown
from console.store.fleet_settings import SCHEMA_NAME
from console.store.postgres.errors import store_error
from console.store.postgres.schema import LOCK_CLASS
from console.store.postgres.statements import translated
from console.store.transaction import NO_PARAMETERS, Columns, Row, Statement, Transaction, Unit

T = TypeVar("T")
Connection = psycopg.AsyncConnection[DictRow]

LOCK_MS = 30_000
"""How long a statement waits for locks of other processes unless the caller says otherwise."""
IDLE_MS = 2_000
"""After this time without a statement the server ends a session that is inside of a write transaction."""
RESOLVE_S = 30.0
"""For this long a lost commit is asked for."""
RESOLVE_EVERY_S = 0.2
CONNECT_S = 5
LINE: Mapping[str, Any] = {
    "connect_timeout": CONNECT_S,
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 3,
}
"""Parameters of every connection: a line that is silent is noticed."""
SYNC_CANCELLED = "01000"
"""The code of the warning that a commit is not known to be at the standby, which PostgreSQL reports as a success."""


class _IntegerLoader(Loader):
    """Sums of `bigint` are `numeric`; the program takes integers."""

    def load(self, data: Any) -> int | float:
        text = bytes(data).decode("ascii")
        return float(text) if "." in text else int(text)


class PostgresTransaction:
    """A `Transaction` on a connection; each of its methods is one round trip."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def rows(self, sql: str, named: Columns = NO_PARAMETERS, /) -> list[Row]:
        """See `Transaction`."""
        return await _rows_of(await self._connection.execute(translated(sql), named))

    async def many(self, sql: str, named: Iterable[Columns], /) -> None:
        """See `Transaction`."""
        async with self._connection.cursor() as cursor:
            await cursor.executemany(translated(sql), list(named))

    async def batch(self, *statements: Statement) -> list[list[Row]]:
        """See `Transaction`."""
        async with self._connection.pipeline():
            cursors = [await self._connection.execute(translated(each.sql), each.named) for each in statements]
        return [await _rows_of(cursor) for cursor in cursors]


async def _rows_of(cursor: psycopg.AsyncCursor[DictRow]) -> list[Row]:
    return list(await cursor.fetchall()) if cursor.description is not None else []


class PostgresDatabase:
    """See `Database`. `folder` is the state folder of this machine."""

    def __init__(self, folder: Path, url: str, schema: str, *, read_only: bool = False) -> None:
        """`url` is what libpq reads; it holds no password. Raises ValueError for a name that is none of a schema."""
        if not SCHEMA_NAME.match(schema):
            raise ValueError(f"not the name of a schema: {schema!r}")
        self.folder = folder
        self.schema = schema
        gate = f"select pg_current_xact_id()::text as xid, pg_advisory_xact_lock({LOCK_CLASS:d}, hashtext('{schema}'))"
        ungated = "select pg_current_xact_id()::text as xid"
        self._reader = _Door(url, schema, "begin isolation level repeatable read read only", None)
        self._gated = None if read_only else _Door(url, schema, "begin", gate)
        self._ungated = None if read_only else _Door(url, schema, "begin", ungated)

    async def transaction(
        self, unit: Unit[T], *, gated: bool = True, busy_ms: int | None = None, urgent: bool = False
    ) -> T:
        """See `Database`. Raises StoreUnknown where nobody says whether the unit is stored."""
        door = self._gated if gated else self._ungated
        if door is None:
            raise StoreError("the state store was opened for reading only")
        return await door.run(unit, busy_ms=busy_ms, urgent=urgent)

    async def read(self, unit: Unit[T], *, busy_ms: int | None = None) -> T:
        """See `Database`."""
        return await self._reader.run(unit, busy_ms=busy_ms)

    async def version(self, tx: Transaction) -> int | None:
        """Return None: the server counts no commits that a reader could compare."""
        return None

    async def close(self) -> None:
        """See `Database`."""
        for door in (self._gated, self._ungated, self._reader):
            if door is not None:
                await door.close()

    @property
    def in_transaction(self) -> bool:
        """See `Database`."""
        return any(door.is_busy for door in (self._gated, self._ungated, self._reader) if door is not None)

    @property
    def unit_s(self) -> float:
        """See `Database`."""
        return max(door.unit_s for door in (self._gated, self._ungated, self._reader) if door is not None)


class _Door:
    """A connection and the units that wait for it; urgent ones first, otherwise the first to come."""

    def __init__(self, url: str, schema: str, begin: str, gate: str | None) -> None:
        """`gate` is the first statement of a write, which returns the id of its transaction; None for reads."""
        self._url = url
        self._schema = schema
        self._begin = begin
        self._gate = gate
        self._connection: Connection | None = None
        self._urgent: deque[asyncio.Future[None]] = deque()
        self._others: deque[asyncio.Future[None]] = deque()
        self.is_busy = False
        self._closed = False
        self._since_s: float | None = None
        """When the unit that runs now began; None between units."""
        self._warned = False
        """True if the server warned that a commit is not safe."""

    @property
    def unit_s(self) -> float:
        """For how many seconds the unit that runs now has been running; 0.0 between units."""
        return 0.0 if self._since_s is None else time.monotonic() - self._since_s

    async def run(self, unit: Unit[T], *, busy_ms: int | None, urgent: bool = False) -> T:
        """Run `unit` when its turn comes."""
        if self._closed:
            raise StoreError("the state store is closed")
        ends_s = None if busy_ms is None else time.monotonic() + busy_ms / 1000
        await self._take_turn(self._urgent if urgent else self._others, busy_ms)
        # From here on the unit runs to its end, whatever becomes of its caller.
        return await run_uncancelled(self._run_in_turn(unit, ends_s), "store")

    async def close(self) -> None:
        """Close the connection after all units that were asked for. A second call does nothing."""
        if self._closed:
            return
        await self._take_turn(self._others, None)
        self._closed = True
        if self._connection is not None:
            await self._connection.close()
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
            raise store_error(error, self._place) from error
        finally:
            connection = self._connection
            if connection is not None and not connection.closed and connection.info.transaction_status:
                with suppress(psycopg.Error):
                    await connection.rollback()
            self._since_s = None
            self._pass_turn()

    async def _attempt(self, unit: Unit[T], ends_s: float | None) -> T:
        connection = await self._connected()
        xid = await self._start(connection, ends_s)
        result = await unit(PostgresTransaction(connection))
        self._warned = False
        try:
            await connection.execute("commit")
        except psycopg.OperationalError as error:
            if xid is None or not connection.closed:
                raise
            if not await self._is_committed(xid):
                raise store_error(error, self._place) from error
        if self._warned:
            raise StoreUnknown("whether the write is stored is not known: the standby of the database is silent")
        return result

    async def _start(self, connection: Connection, ends_s: float | None) -> str | None:
        """Begin a transaction in one round trip, and return its id; None for a read."""
        if self._gate is None:
            await connection.execute(self._begin)
            return None
        lock_ms = LOCK_MS if ends_s is None else max(1, int((ends_s - time.monotonic()) * 1000))
        limits = f"set local lock_timeout = {lock_ms:d}; set local idle_in_transaction_session_timeout = {IDLE_MS:d}"
        cursor = await connection.execute(f"{self._begin}; {limits}; {self._gate}".encode())
        while cursor.nextset():
            pass
        row = await cursor.fetchone()
        return None if row is None else str(row["xid"])

    async def _connected(self) -> Connection:
        if self._connection is None or self._connection.closed:
            self._connection = await self._connect()
        return self._connection

    async def _connect(self) -> Connection:
        connection = await psycopg.AsyncConnection.connect(
            self._url, autocommit=True, row_factory=dict_row, options=f"-c search_path={self._schema}", **LINE
        )
        connection.adapters.register_loader("numeric", _IntegerLoader)
        connection.add_notice_handler(self._on_notice)
        return connection

    def _on_notice(self, notice: psycopg.errors.Diagnostic) -> None:
        self._warned = self._warned or notice.sqlstate == SYNC_CANCELLED

    async def _is_committed(self, xid: str) -> bool:
        """Ask on a new connection what became of the transaction. Raises StoreUnknown if nobody says so."""
        ends_s = time.monotonic() + RESOLVE_S
        while time.monotonic() < ends_s:
            with suppress(psycopg.Error):
                connection = await self._connected()
                cursor = await connection.execute("select pg_xact_status(%s::xid8) as status", (xid,))
                row = await cursor.fetchone()
                if row is not None and row["status"] in ("committed", "aborted"):
                    return bool(row["status"] == "committed")
            await asyncio.sleep(RESOLVE_EVERY_S)
        raise StoreUnknown("whether the write is stored is not known: the connection was lost at the commit")

    @property
    def _place(self) -> str:
        info = psycopg.conninfo.conninfo_to_dict(self._url)
        return str(info.get("host") or info.get("service") or "localhost")
