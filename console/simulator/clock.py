"""The world's time, which a test may own or put forward, and the bell that wakes who waits for a change."""

from __future__ import annotations

import time
from collections.abc import Callable


class WorldClock:
    """A monotonic clock and a wall clock that are put forward together."""

    def __init__(self, now: Callable[[], float] = time.monotonic, wall: Callable[[], float] = time.time) -> None:
        """`now`: seconds of any monotonic clock; `wall`: seconds since the epoch."""
        self._now, self._wall = now, wall
        self._ahead_s = 0.0
        self.longest_nap_s = 5.0 if now is time.monotonic else 0.1
        """Nobody waits longer between two looks: a clock of a test's own moves without ringing a bell."""

    def now(self) -> float:
        """Seconds of the world's clock."""
        return self._now() + self._ahead_s

    def wall(self) -> float:
        """Seconds since the epoch."""
        return self._wall() + self._ahead_s

    def advance(self, seconds: float) -> None:
        """Puts both forward. Raises ValueError for a step back."""
        if seconds < 0:
            raise ValueError(f"the world's clock never goes back: {seconds!r}")
        self._ahead_s += seconds


class Bell:
    """Rung, from any thread, after something changed other than by time."""

    def __init__(self) -> None:
        self._listeners: tuple[Callable[[], None], ...] = ()

    def listen(self, listener: Callable[[], None]) -> None:
        """`listener` must be quick and must not raise."""
        self._listeners = (*self._listeners, listener)

    def ring(self) -> None:
        """Tells every listener."""
        for listener in self._listeners:
            listener()
