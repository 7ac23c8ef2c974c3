"""The time of a simulated service, and the signal that wakes its streams when something other than time changes."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable


class SimulatorClock:
    """A monotonic clock and a wall clock that can be advanced together."""

    def __init__(self, now: Callable[[], float] = time.monotonic, wall: Callable[[], float] = time.time) -> None:
        """`now` returns the seconds of any monotonic clock, `wall` seconds since the epoch."""
        self._now, self._wall = now, wall
        self._advanced_s = 0.0
        self.longest_wait_s = 5.0 if now is time.monotonic else 0.1
        """The longest time to wait between two looks at the clock: a test's own clock moves without a signal."""

    def now(self) -> float:
        """Return the monotonic time in seconds."""
        return self._now() + self._advanced_s

    def wall(self) -> float:
        """Return the wall time in seconds since the epoch."""
        return self._wall() + self._advanced_s

    def advance(self, seconds: float) -> None:
        """Move both clocks forward. Raises ValueError for a negative number."""
        if seconds < 0:
            raise ValueError(f"the clock cannot go back: {seconds!r}")
        self._advanced_s += seconds


class ChangeSignal:
    """Wakes the coroutines that wait for a change, in any number of event loops."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiters: dict[asyncio.AbstractEventLoop, dict[asyncio.Future[None], str]] = {}

    def notify(self, run_id: str | None = None) -> None:
        """Wake the waiters of one run, or every waiter. May be called from any thread."""
        with self._lock:
            loops = tuple(self._waiters)
        for loop in loops:
            try:
                loop.call_soon_threadsafe(self._wake, loop, run_id)
            except RuntimeError:
                # The loop was closed, so nothing waits in it any more.
                with self._lock:
                    self._waiters.pop(loop, None)

    async def wait(self, run_id: str, timeout_s: float, disconnected: asyncio.Future[None]) -> None:
        """Return at the next change of this run or of all, after `timeout_s`, or once `disconnected` is done."""
        loop = asyncio.get_running_loop()
        waiter: asyncio.Future[None] = loop.create_future()
        with self._lock:
            self._waiters.setdefault(loop, {})[waiter] = run_id
        try:
            await asyncio.wait({waiter, disconnected}, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
        finally:
            with self._lock:
                waiters = self._waiters.get(loop, {})
                waiters.pop(waiter, None)
                if not waiters:
                    self._waiters.pop(loop, None)

    def _wake(self, loop: asyncio.AbstractEventLoop, run_id: str | None) -> None:
        with self._lock:
            waiters = tuple(self._waiters.get(loop, {}).items())
        for waiter, waits_for in waiters:
            if run_id in (None, waits_for) and not waiter.done():
                waiter.set_result(None)
