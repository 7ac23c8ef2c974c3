"""One wall clock for all hosts of a fleet: that of the database, carried on by the boot clock of this host.

Each round of the leases brings a sample. So times of sending, limits across hosts, days of the caps and scheduled times
do not depend on whether the wall clock of a host is right. While the database is away, the boot clock goes on.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, replace

from console.domain.timestamps import Clock, Timestamp

SAMPLES = 8
"""The best of so many samples counts: the one whose answer came soonest."""
DRIFT_MS = 200
"""By so much more than their answers took two samples may differ before the older one counts as wrong."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Sample:
    offset_ms: int
    """The clock of the database minus the boot clock of this host."""
    took_ms: int
    """From the question to the answer; the offset is wrong by half of it at most."""


class FleetClock:
    """A `Clock` whose wall clock is that of the database; until the first sample, that of this host."""

    def __init__(self, system: Clock) -> None:
        """`system` reads the clocks of this host."""
        self._system = system
        self._samples: deque[_Sample] = deque(maxlen=SAMPLES)
        self._best: _Sample | None = None

    def now(self) -> Timestamp:
        """Read both clocks, in milliseconds."""
        read = self._system.now()
        return read if self._best is None else replace(read, wall_ms=read.boot_ms + self._best.offset_ms)

    @property
    def behind_ms(self) -> int:
        """By how much the wall clock of this host is behind that of the database; negative where it is ahead."""
        return self.now().wall_ms - self._system.now().wall_ms

    @property
    def round_trip_ms(self) -> int | None:
        """How long the answer of the best sample took; None before the first one."""
        return None if self._best is None else self._best.took_ms

    def sample(self, database_ms: int, *, asked: Timestamp, answered: Timestamp) -> None:
        """Take in that the clock of the database showed `database_ms` between the two readings of this host."""
        took_ms = answered.boot_ms - asked.boot_ms
        new = _Sample(offset_ms=database_ms - asked.boot_ms - took_ms // 2, took_ms=took_ms)
        if self._best is not None:
            apart_ms = abs(new.offset_ms - self._best.offset_ms)
            if apart_ms > (new.took_ms + self._best.took_ms) / 2 + DRIFT_MS:
                # One of the clocks was set, or this machine was halted without its boot clock noticing.
                self._samples.clear()
        self._samples.append(new)
        self._best = min(self._samples, key=lambda each: each.took_ms)
