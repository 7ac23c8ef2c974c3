"""Where a process kills itself: the ports of an engine, wrapped, so that the program holds no line for its tests."""

from __future__ import annotations

import asyncio
import os
import signal
from collections import Counter
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TypeVar

import httpx

from console.provider.contract import CancelAnswer, LaunchOrder, Provider, RemoteRun, StreamEvent, Verdict
from console.store.database import Database, Transaction
from console.store.pragmas import safe_journal_mode

T = TypeVar("T")


class When(StrEnum):
    """Before, in the middle of, or after a step."""

    BEFORE = "before"
    INSIDE = "inside"
    """Of a write to the store: all its statements ran, nothing is committed. Of a line: half of it is written."""
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


INTO_THE_DARK = ("mark_sending", When.INSIDE)
TO_LIGHT = frozenset(
    {
        ("journal", When.AFTER),
        ("record_launched", When.BEFORE),
        ("record_rejected", When.AFTER),
        ("record_not_sent", When.AFTER),
    }
)
"""From the one to one of the others, a death leaves a run of which nobody knows whether it was launched."""


class CrashInjector:
    """Kills this process, without a word, when it comes to its point. One per process."""

    def __init__(self, point: Point | None, dark: Path = Path(os.devnull)) -> None:
        """`dark` is made by a death in the middle of a launch, whatever the step that brought it: many run at once."""
        self._point = point
        self._dark = dark
        self._launching = False
        self._seen: Counter[tuple[str, When]] = Counter()

    def at(self, step: str, when: When) -> None:
        """This process is there; it does not return from its point."""
        self._seen[step, when] += 1
        if (step, when) in TO_LIGHT:
            self._launching = False
        if self._point == Point(step=step, when=when, nth=self._seen[step, when]):
            if self._launching:
                self._dark.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        if (step, when) == INTO_THE_DARK:
            self._launching = True

    async def around(self, step: str, call: Awaitable[T]) -> T:
        """`call`, with a chance to die before and after it."""
        self.at(step, When.BEFORE)
        try:
            result = await call
        except Exception:
            self.at(step, When.AFTER)
            raise
        self.at(step, When.AFTER)
        return result

    def write(self, step: str) -> Callable[[int, bytes], int]:
        """`os.write` of one file, line by line."""

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


class CrashingDatabase(Database):
    """Each write is a step, named as the method of the store that makes it."""

    reaper = CrashInjector(None)

    async def transaction(self, unit: Callable[[Transaction], Awaitable[T]]) -> T:
        """As the real one."""
        step = step_of(unit)

        async def mortal(tx: Transaction) -> T:
            result = await unit(tx)
            self.reaper.at(step, When.INSIDE)
            return result

        return await self.reaper.around(step, super().transaction(mortal))


async def crashing_database(folder: Path, reaper: CrashInjector) -> CrashingDatabase:
    """The database of a state folder that is made."""
    database = await CrashingDatabase.connect(folder, journal=safe_journal_mode())
    assert isinstance(database, CrashingDatabase)
    database.reaper = reaper
    return database


def step_of(unit: Callable[..., object]) -> str:
    """`mark_sending` of the function `Sending.mark_sending.<locals>.unit`."""
    return unit.__qualname__.split(".")[1]


class CrashingProvider:
    """A provider of which each call is a step, of the name of its method."""

    def __init__(self, inner: Provider, reaper: CrashInjector, *, streams: bool) -> None:
        """`streams` False: no event stream is ever opened, which the engine takes for one that says nothing."""
        self._inner = inner
        self._reaper = reaper
        self._streams = streams

    async def make_sandbox(self, *, network: str | None) -> str:
        return await self._reaper.around("make_sandbox", self._inner.make_sandbox(network=network))

    async def delete_sandbox(self, sandbox_id: str) -> None:
        await self._reaper.around("delete_sandbox", self._inner.delete_sandbox(sandbox_id))

    async def create(self, order: LaunchOrder) -> Verdict:
        return await self._reaper.around("create", self._inner.create(order))

    async def get(self, remote_id: str) -> RemoteRun:
        return await self._reaper.around("get", self._inner.get(remote_id))

    async def follow(self, remote_id: str) -> AsyncGenerator[StreamEvent, None]:
        if self._streams:
            async for event in self._inner.follow(remote_id):
                yield event

    async def cancel(self, remote_id: str) -> CancelAnswer:
        return await self._reaper.around("cancel", self._inner.cancel(remote_id))

    async def aclose(self) -> None:
        await self._inner.aclose()


REQUEST = "request"
"""The bytes of the create POST: before means half of them are sent, inside all, after that the answer has begun."""


ANSWER_S = 0.01
"""How long the first byte of the answer is waited for."""


class CrashingTransport(httpx.AsyncBaseTransport):
    """The network of a process that dies in the middle of its create POST. All else goes its usual way."""

    def __init__(self, reaper: CrashInjector) -> None:
        self._reaper = reaper
        self._usual = httpx.AsyncHTTPTransport(trust_env=False)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """As the transport of httpx; does not return from the create POST."""
        if request.method == "POST" and request.url.path.endswith("/interactions"):
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
            self._reaper.at(REQUEST, when)
        with suppress(OSError):
            async with asyncio.timeout(ANSWER_S):
                await reader.read(1)
        self._reaper.at(REQUEST, When.AFTER)

    async def aclose(self) -> None:
        """Closes what it usually uses."""
        await self._usual.aclose()
