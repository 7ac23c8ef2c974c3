"""Wraps the ports of an engine so that its process kills itself at a named step; the program has no code for this."""

from __future__ import annotations

import asyncio
import os
import signal
from collections import Counter
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TypeVar

import httpx

from console.provider.contract import Provider, StreamEvent
from console.store.database import SqliteDatabase
from console.store.pragmas import safe_journal_mode
from console.store.transaction import Transaction
from tests.provider_in_steps import ProviderInSteps
from tests.sync_database import unit_name

T = TypeVar("T")


class When(StrEnum):
    """Before, in the middle of, or after a step."""

    BEFORE = "before"
    INSIDE = "inside"
    """For a write to the store: all statements have run, nothing is committed. For a line: half of it is written."""
    AFTER = "after"


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """One step of a process at which it dies."""

    step: str
    """A write to the store by the name of its method, a call of the provider, `journal` or `log`."""
    when: When
    nth: int = 1

    def __str__(self) -> str:
        return f"{self.step}:{self.when}" + (f"#{self.nth}" if self.nth > 1 else "")


LAUNCH_BEGINS = ("mark_sending", When.INSIDE)
LAUNCH_IS_KNOWN = frozenset(
    {
        ("journal", When.AFTER),
        ("record_launched", When.BEFORE),
        ("record_rejected", When.AFTER),
        ("record_not_sent", When.AFTER),
    }
)
"""A death between the first step and one of these leaves a run of which nobody can know whether it was launched."""
ASKING_BEGINS = ("resolve", When.BEFORE)
ANSWER_IS_KNOWN = frozenset(
    {
        ("adopt", When.AFTER),
        ("journal", When.AFTER),
        ("record_not_sent", When.AFTER),
        ("rule_not_launched", When.AFTER),
    }
)
"""A death between the first step and one of these may leave a session that was deleted without a record of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """Steps between which a death leaves a mark."""

    begins: tuple[str, When]
    ends: frozenset[tuple[str, When]]
    mark: Path
    """A file that is created when the process dies in between, at whichever step."""


class CrashInjector:
    """Kills this process with SIGKILL when it reaches its crash point. One per process."""

    def __init__(self, point: Point | None, spans: Sequence[Span] = ()) -> None:
        self._point = point
        self._spans = spans
        self._within: set[Span] = set()
        self._seen: Counter[tuple[str, When]] = Counter()

    def at(self, step: str, when: When) -> None:
        """Called when the process reaches a step. Does not return from the crash point."""
        self._seen[step, when] += 1
        self._within -= {span for span in self._within if (step, when) in span.ends}
        if self._point == Point(step=step, when=when, nth=self._seen[step, when]):
            for span in self._within:
                span.mark.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        self._within |= {span for span in self._spans if (step, when) == span.begins}

    async def around(self, step: str, call: Awaitable[T]) -> T:
        """Awaits `call`, with a crash point before and after it."""
        self.at(step, When.BEFORE)
        try:
            result = await call
        except Exception:
            self.at(step, When.AFTER)
            raise
        self.at(step, When.AFTER)
        return result

    def write(self, step: str) -> Callable[[int, bytes], int]:
        """A replacement for `os.write` that has crash points before, inside and after each line."""

        def write(descriptor: int, line: bytes) -> int:
            self.at(step, When.BEFORE)
            if self._point is not None and self._point.step == step and self._point.when is When.INSIDE:
                if self._point.nth == self._seen[step, When.BEFORE]:
                    os.write(descriptor, line[: len(line) // 2])
                self.at(step, When.INSIDE)
            count = os.write(descriptor, line)
            self.at(step, When.AFTER)
            return count

        return write


class CrashingDatabase(SqliteDatabase):
    """A database whose every write is a step, named after the method of the store that makes it."""

    injector = CrashInjector(None)

    async def transaction(
        self,
        unit: Callable[[Transaction], Awaitable[T]],
        *,
        gated: bool = True,
        busy_ms: int | None = None,
        urgent: bool = False,
    ) -> T:
        """As `Database.transaction`."""
        step = unit_name(unit)

        async def crashing(tx: Transaction) -> T:
            result = await unit(tx)
            self.injector.at(step, When.INSIDE)
            return result

        return await self.injector.around(
            step, super().transaction(crashing, gated=gated, busy_ms=busy_ms, urgent=urgent)
        )


async def crashing_database(folder: Path, injector: CrashInjector) -> CrashingDatabase:
    """Opens the database of an existing state folder."""
    database = await CrashingDatabase.connect(folder, journal=safe_journal_mode())
    assert isinstance(database, CrashingDatabase)
    database.injector = injector
    return database


class CrashingProvider(ProviderInSteps):
    """A provider whose every call is a step, named after its method."""

    def __init__(self, inner: Provider, injector: CrashInjector, *, streams: bool) -> None:
        """Without `streams`, an event stream ends at once without an event."""
        super().__init__(inner, injector.around)
        self._streams = streams

    async def follow(self, remote_id: str) -> AsyncGenerator[StreamEvent, None]:
        if self._streams:
            async for event in self._inner.follow(remote_id):
                yield event


REQUEST = "request"
"""The bytes of the create POST. Before: half are sent. Inside: all are sent. After: the answer has begun."""
ANSWER_S = 0.01
"""How long to wait for the first byte of the answer."""


def is_start(request: httpx.Request) -> bool:
    """True for the create POST of every service: no other POST has a connection of its own."""
    return request.method == "POST" and request.headers["connection"] == "close"


class CrashingTransport(httpx.AsyncBaseTransport):
    """The network of a process that dies in the middle of its create POST. Other requests are sent as usual."""

    def __init__(self, injector: CrashInjector) -> None:
        self._injector = injector
        self._usual = httpx.AsyncHTTPTransport(trust_env=False)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """As the transport of httpx; does not return from the create POST."""
        if is_start(request):
            await self._die(request)
        return await self._usual.handle_async_request(request)

    async def _die(self, request: httpx.Request) -> None:
        reader, writer = await asyncio.open_connection(request.url.host, request.url.port)
        head = f"POST {request.url.raw_path.decode()} HTTP/1.1\r\n"
        head += "".join(f"{name}: {value}\r\n" for name, value in request.headers.items())
        whole = head.encode() + b"\r\n" + await request.aread()
        half = len(whole) // 2
        for part, when in ((whole[:half], When.BEFORE), (whole[half:], When.INSIDE)):
            writer.write(part)
            await writer.drain()
            self._injector.at(REQUEST, when)
        with suppress(OSError):
            async with asyncio.timeout(ANSWER_S):
                await reader.read(1)
        self._injector.at(REQUEST, When.AFTER)

    async def aclose(self) -> None:
        """Closes the transport of the other requests."""
        await self._usual.aclose()
