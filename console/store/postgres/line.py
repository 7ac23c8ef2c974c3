"""One session at the server, whose silence is noticed, and the statements of a unit of work on it.

Nothing tells a client that its server has gone silent: a line that is cut somewhere on its way stays open. So each
answer has a time, after which the line is shut on this side; those that wait for the answer get an error.
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

import psycopg
from psycopg.adapt import Loader
from psycopg.rows import DictRow, dict_row

from console.store.fleet_settings import FleetSettings
from console.store.postgres.statements import SELECT_TIMELINE, translated
from console.store.transaction import NO_PARAMETERS, Columns, Row, Statement

CONNECT_S = 5
WRITE_SILENCE_S, READ_SILENCE_S = 3.0, 30.0
"""After this time without an answer the line is shut. A write waits longer where it waits for the gate, and only there:
the server ends a session that stops inside of a write transaction within `door.IDLE_MS`, which is less."""
GRACE_S = 0.1
"""A process that was stopped finds both its time over and the answer there: it reads what has come first."""
KEEPALIVES: Mapping[str, Any] = {
    "connect_timeout": CONNECT_S,
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 3,
}
"""Parameters of every session: an idle line that is cut is noticed."""
COMMIT_IN_DOUBT = frozenset({"01000", "57P01"})
"""The codes of the warnings that a commit is not known to be at the standby. The first of them comes with a success."""


class _IntegerLoader(Loader):
    """Sums of `bigint` are `numeric`; the program takes integers."""

    def load(self, data: Any) -> int | float:
        text = bytes(data).decode("ascii")
        return float(text) if "." in text else int(text)


class Line:
    """A session. Each of its methods is one round trip, and the methods of `Transaction` are those of a unit on it.

    Methods raise psycopg.Error.
    """

    def __init__(self, connection: psycopg.AsyncConnection[DictRow], silence_s: float) -> None:
        self._connection = connection
        self._silence_s = silence_s
        self.timeline = ""
        """The history of the server since its last failover, eight digits: only within it numbers of transactions are
        told apart."""
        self.is_in_doubt = False
        """True once the server has warned that a commit may be lost with it."""
        connection.add_notice_handler(self._on_notice)

    @classmethod
    async def open(cls, settings: FleetSettings, silence_s: float) -> Line:
        """Connect to the server that takes writes."""
        # A pooler passes no options, and does not keep the statements that a session has prepared.
        session: dict[str, Any] = (
            {"prepare_threshold": None}
            if settings.pooled
            else {"options": f"-c search_path={settings.schema}", "target_session_attrs": "primary"}
        )
        connection = await psycopg.AsyncConnection.connect(
            settings.conninfo, autocommit=True, row_factory=dict_row, **KEEPALIVES, **session
        )
        connection.adapters.register_loader("numeric", _IntegerLoader)
        line = cls(connection, silence_s)
        try:
            ((row,),) = (await line.rows(SELECT_TIMELINE),)
        except BaseException:
            await line.close()
            raise
        line.timeline = row["timeline"]
        return line

    @property
    def is_closed(self) -> bool:
        """True once the session has ended, by whatever."""
        return self._connection.closed

    @property
    def is_in_transaction(self) -> bool:
        """True within a transaction, a failed one too."""
        return not self._connection.closed and bool(self._connection.info.transaction_status)

    async def rows(self, sql: str, named: Columns = NO_PARAMETERS, /) -> list[Row]:
        """See `Transaction`."""
        statement, parameters = translated(sql, named)
        with self._heard(self._silence_s):
            return await _rows_of(await self._connection.execute(statement, parameters))

    async def many(self, sql: str, named: Iterable[Columns], /) -> None:
        """See `Transaction`."""
        with self._heard(self._silence_s):
            async with self._connection.cursor() as cursor:
                await cursor.executemany(translated(sql, NO_PARAMETERS)[0], list(named))

    async def batch(self, *statements: Statement) -> list[list[Row]]:
        """See `Transaction`."""
        asked = [translated(each.sql, each.named) for each in statements]
        with self._heard(self._silence_s):
            async with self._connection.pipeline():
                cursors = [await self._connection.execute(*each) for each in asked]
            return [await _rows_of(cursor) for cursor in cursors]

    async def script(self, statements: str, *, wait_s: float = 0.0) -> Row | None:
        """Send several statements without parameters together, and return the first row of the last of them.

        `wait_s` is for how long they may wait for locks.
        """
        with self._heard(self._silence_s + wait_s):
            cursor = await self._connection.execute(statements.encode())
            while cursor.nextset():
                pass
            return await cursor.fetchone() if cursor.description is not None else None

    async def commit(self) -> None:
        """End the transaction. An OperationalError does not say that it is undone, unless the session goes on."""
        self.is_in_doubt = False
        with self._heard(self._silence_s):
            await self._connection.execute("commit", prepare=False)

    async def roll_back(self) -> None:
        """Undo the transaction, if one is open; a session that does not answer is ended, which undoes it too."""
        if self.is_in_transaction:
            with suppress(psycopg.Error), self._heard(self._silence_s):
                await self._connection.rollback()

    async def close(self) -> None:
        """End the session."""
        await self._connection.close()

    @contextmanager
    def _heard(self, seconds: float) -> Iterator[None]:
        """Shut the line if the block lasts longer."""
        loop = asyncio.get_running_loop()
        timers: list[asyncio.TimerHandle] = []
        timers.append(loop.call_later(seconds, lambda: timers.append(loop.call_later(GRACE_S, self._shut))))
        try:
            yield
        finally:
            for timer in timers:
                timer.cancel()

    def _shut(self) -> None:
        with suppress(OSError, psycopg.Error), socket.socket(fileno=os.dup(self._connection.fileno())) as line:
            line.shutdown(socket.SHUT_RDWR)

    def _on_notice(self, notice: psycopg.errors.Diagnostic) -> None:
        self.is_in_doubt = self.is_in_doubt or notice.sqlstate in COMMIT_IN_DOUBT


async def _rows_of(cursor: psycopg.AsyncCursor[DictRow]) -> list[Row]:
    return list(await cursor.fetchall()) if cursor.description is not None else []
