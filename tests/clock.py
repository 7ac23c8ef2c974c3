"""A clock that moves only when a test says so: both hands at once, or one alone as suspend, NTP and reboots do."""

from __future__ import annotations

from datetime import UTC, datetime

from console.domain.timestamps import Timestamp

START = datetime(2026, 11, 23, 3, 0, 0, tzinfo=UTC)
"""Where a new clock stands."""


class ManualClock:
    """A `domain.moment.Clock` in the hand of the test."""

    def __init__(self, start: datetime = START, *, boot_ms: int = 1_000_000, boot_id: str = "boot-1") -> None:
        self._wall_ms = int(start.timestamp() * 1000)
        self._boot_ms = boot_ms
        self._boot_id = boot_id

    def now(self) -> Timestamp:
        """Both hands as they stand."""
        return Timestamp(wall_ms=self._wall_ms, boot_ms=self._boot_ms, boot_id=self._boot_id)

    def advance(self, seconds: float) -> Timestamp:
        """Real time passes, awake or suspended: both hands move. Raises ValueError for less than 0 seconds."""
        if seconds < 0:
            raise ValueError("real time never goes back; step_wall does")
        self._wall_ms += round(seconds * 1000)
        self._boot_ms += round(seconds * 1000)
        return self.now()

    def step_wall(self, seconds: float) -> Timestamp:
        """Somebody sets the wall clock, forward or back; no real time passes."""
        self._wall_ms += round(seconds * 1000)
        return self.now()

    def set_wall(self, instant: datetime) -> Timestamp:
        """Sets the wall clock to `instant` (aware); no real time passes."""
        self._wall_ms = int(instant.timestamp() * 1000)
        return self.now()

    def reboot(self, *, away_seconds: float = 30.0) -> Timestamp:
        """The machine comes back `away_seconds` later with a new boot id and a young boot clock."""
        name, _, number = self._boot_id.rpartition("-")
        self._boot_id = f"{name}-{int(number) + 1}"
        self._boot_ms = 5_000
        self._wall_ms += round(away_seconds * 1000)
        return self.now()
