"""A clock that moves only when a test moves it: both clocks together, or the wall clock alone."""

from __future__ import annotations

from datetime import UTC, datetime

from console.domain.timestamps import Timestamp

START = datetime(2026, 11, 23, 3, 0, 0, tzinfo=UTC)
"""The time that a new clock shows."""


class ManualClock:
    """A `domain.moment.Clock` in the hand of the test."""

    def __init__(self, start: datetime = START, *, boot_ms: int = 1_000_000, boot_id: str = "boot-1") -> None:
        self._wall_ms = int(start.timestamp() * 1000)
        self._boot_ms = boot_ms
        self._boot_id = boot_id

    def now(self) -> Timestamp:
        """Both clocks."""
        return Timestamp(wall_ms=self._wall_ms, boot_ms=self._boot_ms, boot_id=self._boot_id)

    def advance(self, seconds: float) -> Timestamp:
        """Real time passes, awake or suspended: both clocks move. Raises ValueError for a negative time."""
        if seconds < 0:
            raise ValueError("real time never goes back; step_wall does")
        self._wall_ms += round(seconds * 1000)
        self._boot_ms += round(seconds * 1000)
        return self.now()

    def step_wall(self, seconds: float) -> Timestamp:
        """The wall clock is set forward or back; no real time passes."""
        self._wall_ms += round(seconds * 1000)
        return self.now()

    def set_wall(self, instant: datetime) -> Timestamp:
        """The wall clock is set to `instant` (aware); no real time passes."""
        self._wall_ms = int(instant.timestamp() * 1000)
        return self.now()

    def reboot(self, *, away_seconds: float = 30.0) -> Timestamp:
        """The machine restarts and is back after `away_seconds`, with a new boot id and a boot clock near zero."""
        name, _, number = self._boot_id.rpartition("-")
        self._boot_id = f"{name}-{int(number) + 1}"
        self._boot_ms = 5_000
        self._wall_ms += round(away_seconds * 1000)
        return self.now()
