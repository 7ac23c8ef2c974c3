"""A state store that does not answer for a while: something else holds its lock, or the disk stands still.

Units of one process wait for each other as in the real `Database`: one runs at a time, urgent ones come first, and a
unit that waits longer than its caller allows is given up.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from enum import StrEnum

from console.store.errors import StoreBusy
from console.store.pragmas import BUSY_MS
from tests.simulation.virtual_loop import VirtualLoop

RESOLUTION_S = 1e-6
"""Shorter times are none: sums of seconds are not exact."""

LOOKS_EVERY_S = 2.0
"""A unit that waits looks this often whether the store was freed early."""


class Holder(StrEnum):
    """What keeps the store from answering."""

    READER = "a reader holds it"
    """Commits wait, reads work."""
    WRITER = "a writer holds it"
    """Everything waits."""
    FROZEN = "its disk stands still"
    """Everything waits, and nothing is given up."""


class StoreGate:
    """The lock of one store, as all its processes see it."""

    def __init__(self, loop: VirtualLoop) -> None:
        self._loop = loop
        self._holder = Holder.READER
        self._until = 0.0
        self._is_closed = self._has_frozen = False
        self.held: list[tuple[float, float]] = []
        """Every time from when to when it was held; seconds of the world."""

    def hold(self, holder: Holder, seconds: float) -> None:
        """Holds the store from now on; nothing new while it is held."""
        if self.left_s() == 0.0 and not self._is_closed:
            now = self._loop.time()
            self._holder, self._until = holder, now + seconds
            self._has_frozen = self._has_frozen or holder is Holder.FROZEN
            self.held.append((now, self._until))

    def close(self) -> None:
        """The store answers from now on, whatever wants to hold it."""
        self._is_closed = True
        if self.left_s() > 0.0:
            self._until = self._loop.time()
            self.held[-1] = (self.held[-1][0], self._until)

    @property
    def was_frozen(self) -> bool:
        """True where its disk stood still at some time: what was under way then could not even be given up."""
        return self._has_frozen

    def was_held(self, at: float) -> bool:
        """True where the store was held at that second of the world."""
        return any(begun <= at <= ended for begun, ended in self.held)

    def left_s(self) -> float:
        """For how long it is still held; 0 where that is less than the clock can show."""
        left_s = self._until - self._loop.time()
        return left_s if left_s > RESOLUTION_S else 0.0

    def blocks(self, what: str) -> bool:
        """True where a unit of this kind, `read` or `write`, has to wait now."""
        return self.left_s() > 0.0 and (what == "write" or self._holder is not Holder.READER)

    async def pass_through(self, what: str, patience_s: float) -> asyncio.CancelledError | None:
        """Waits until a unit may run; a cancellation that came meanwhile is returned. Raises StoreBusy."""
        began = self._loop.time()
        cancelled: asyncio.CancelledError | None = None
        while self.blocks(what):
            left_s = patience_s - (self._loop.time() - began)
            if self._holder is Holder.FROZEN:
                left_s = self.left_s()
            elif left_s <= RESOLUTION_S:
                raise cancelled or StoreBusy("the state store is busy")
            try:
                await asyncio.sleep(min(left_s, self.left_s(), LOOKS_EVERY_S))
            except asyncio.CancelledError as error:
                cancelled = error
        return cancelled


class _Worker:
    """One connection of a process: the units that wait for it."""

    def __init__(self) -> None:
        self._is_taken = False
        self._urgent: deque[asyncio.Future[None]] = deque()
        self._others: deque[asyncio.Future[None]] = deque()

    async def take(self, busy_ms: int | None, *, urgent: bool) -> None:
        """Waits for the connection. Raises StoreBusy after `busy_ms`."""
        if not self._is_taken:
            self._is_taken = True
            return
        queue = self._urgent if urgent else self._others
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        queue.append(turn)
        try:
            await asyncio.wait([turn], timeout=None if busy_ms is None else busy_ms / 1000)
        except asyncio.CancelledError:
            self._withdraw(turn, queue)
            raise
        if not turn.done():
            self._withdraw(turn, queue)
            raise StoreBusy("the state store is busy: other work of this process holds it")

    def release(self) -> None:
        """The next unit has its turn."""
        queue = self._urgent or self._others
        if queue:
            queue.popleft().set_result(None)
        else:
            self._is_taken = False

    def _withdraw(self, turn: asyncio.Future[None], queue: deque[asyncio.Future[None]]) -> None:
        with suppress(ValueError):
            queue.remove(turn)
        if turn.done():
            self.release()


class StoreTurns:
    """The turns of one process at a store with a gate: a `Turn` of `SyncDatabase`."""

    def __init__(self, gate: StoreGate) -> None:
        self._gate = gate
        self._workers = {"read": _Worker(), "write": _Worker()}

    @asynccontextmanager
    async def turn(self, what: str, busy_ms: int | None, urgent: bool) -> AsyncIterator[None]:  # as Turn
        """Waits for the connection and for the store, and holds the connection during the unit."""
        worker = self._workers[what]
        cancelled: asyncio.CancelledError | None = None
        await worker.take(busy_ms, urgent=urgent)
        try:
            patience_ms = BUSY_MS if busy_ms is None else busy_ms
            cancelled = await self._gate.pass_through(what, patience_ms / 1000)
            yield
        except Exception as error:
            if cancelled is not None:
                raise cancelled from error
            raise
        finally:
            worker.release()
        if cancelled is not None:
            raise cancelled
