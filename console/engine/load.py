"""How often the live runs of a process are polled, and whether this process keeps up with its work.

Polls show how a run stands; no time limit depends on them. So they make room first: a bounded number is under way at
once, they are spread over their interval, and the interval is longer with very many runs and while the event loop
runs late.
"""

from __future__ import annotations

import asyncio
import resource
import zlib
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress

from console.domain.run import RunId
from console.engine.problems import Problems

BEHIND = "behind"
"""Topic of the problem that this process does not keep up."""
LATE_S = 0.1
"""The polls are stretched while the event loop runs later than this."""
ROUNDS = 3
"""Consecutive measurements after which a late event loop counts: one alone may be a pause of the machine."""
BEHIND_S = 1.0
"""An event loop this late does not keep up."""
WAITED_S = 30.0
"""A poll that has waited for so long shows that the polls do not keep up."""
BEHIND_STRETCH = 4.0
"""Polls that come so much less often than configured do not keep up either."""
KEPT_FILES = 320
"""Descriptors that streams leave to polls, cancels, launches and files."""
MOST_STREAMS = 500
"""Further runs are only polled: each event of a stream takes some 0.3 ms of CPU, and the polls are bounded too."""
LEAST_POLLS_PER_S = 20.0
"""Fewer polls are not worth stretching."""
MOST_POLLS_PER_S = 100.0
"""More polls cost more than they tell: between them the event streams show steps and usage, and the end of a stream
is followed by a poll at once. A poll takes some 1 to 2 ms of CPU."""
LONGEST_STRETCH = 12.0
"""The interval grows no further than this for a late event loop; for MOST_POLLS_PER_S it may."""
MOST_DESCRIPTORS = 65_536
"""More open files than any number of live runs needs."""


def streams_at_once() -> int:
    """Return how many event streams this process may have open: each takes a descriptor, and other work needs some."""
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return MOST_STREAMS if limit == resource.RLIM_INFINITY else max(0, min(limit - KEPT_FILES, MOST_STREAMS))


class PollPace:
    """Decides when each run is polled."""

    def __init__(self, at_once: int) -> None:
        """`at_once`: polls under way at the same time."""
        self._slots = asyncio.Semaphore(at_once)
        self._waiting: dict[object, float] = {}
        """Loop times since when polls wait for a slot, oldest first."""
        self._polled = 0
        self.stretch = 1.0
        """By how much the interval is longer than configured."""

    @contextmanager
    def polling(self) -> Iterator[None]:
        """Count one more run that is polled, for the block."""
        self._polled += 1
        try:
            yield
        finally:
            self._polled -= 1

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """Wait for a free slot and keep it for the block."""
        ticket = object()
        self._waiting[ticket] = asyncio.get_running_loop().time()
        try:
            await self._slots.acquire()
        finally:
            del self._waiting[ticket]
        try:
            yield
        finally:
            self._slots.release()

    def wait_s(self, run_id: RunId, interval_s: float, *, is_first: bool) -> float:
        """Return the seconds until the next poll of a run. After its first poll they differ by run, up to a whole
        interval, so that runs that were taken over together are not polled together.
        """
        phase = zlib.crc32(run_id.encode()) / 2**32 if is_first else 1.0
        return interval_s * self.stretch * phase

    def adjust(self, late_s: float, interval_s: float) -> None:
        """Stretch the interval while the event loop is late by more than LATE_S, and relax it afterwards.

        It is never so short that there would be more than MOST_POLLS_PER_S.
        """
        wanted = self.stretch * 1.5 if late_s > LATE_S else self.stretch / 1.2
        polls_per_s = self._polled / interval_s if interval_s > 0 else 0.0
        least = polls_per_s / MOST_POLLS_PER_S
        self.stretch = max(1.0, least, min(wanted, polls_per_s / LEAST_POLLS_PER_S, LONGEST_STRETCH))

    def waited_s(self) -> tuple[int, float]:
        """Return how many polls wait for a slot, and for how many seconds the oldest of them has waited."""
        oldest = next(iter(self._waiting.values()), None)
        return len(self._waiting), 0.0 if oldest is None else asyncio.get_running_loop().time() - oldest


def raise_descriptor_limit() -> None:
    """Let this process open as many files as the system allows: without a free descriptor no cancel can be sent."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = MOST_DESCRIPTORS if hard == resource.RLIM_INFINITY else min(hard, MOST_DESCRIPTORS)
    if 0 <= soft < most:
        with suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))


class LoadMeter:
    """Measures how late the event loop runs, adjusts the polls, and reports a process that does not keep up."""

    def __init__(self, pace: PollPace, problems: Problems) -> None:
        self._pace = pace
        self._problems = problems
        self._due: float | None = None
        self._late: list[float] = []

    async def measure(self, every_s: float, interval_s: float) -> None:
        """Measure once; called every `every_s` seconds. `interval_s` is the configured time between two polls."""
        # Again and again, as the limit of a process can be changed while it runs.
        raise_descriptor_limit()
        now = asyncio.get_running_loop().time()
        if self._due is not None:
            self._late = [*self._late, max(0.0, now - self._due)][-ROUNDS:]
        self._due = now + every_s
        late_s = min(self._late) if len(self._late) == ROUNDS else 0.0
        self._pace.adjust(late_s, interval_s)
        waiting, waited_s = self._pace.waited_s()
        if late_s >= BEHIND_S:
            self._problems.report(
                BEHIND, f"behind: this process reacts {late_s:.1f} s late; fewer live runs would help"
            )
        elif waited_s >= WAITED_S:
            self._problems.report(BEHIND, f"behind: {waiting} polls wait, the oldest for {waited_s:.0f} s")
        elif self._pace.stretch >= BEHIND_STRETCH:
            seldom_s = self._pace.stretch * interval_s
            text = f"behind: each live run is polled every {seldom_s:.0f} s, not every {interval_s:.0f} s"
            self._problems.report(BEHIND, f"{text}; fewer live runs would help")
        else:
            self._problems.clear(BEHIND)
