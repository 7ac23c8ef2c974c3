"""Two clocks read together, since neither alone tells real time: the wall clock steps, the boot clock restarts.

Within one boot the boot clock is believed; it runs through suspend. Across boots only the wall clock is left.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol

_ISO_MS = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z\Z", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """One reading of both clocks."""

    wall_ms: int
    """Milliseconds since the Unix epoch, UTC; may step."""
    boot_ms: int
    """CLOCK_BOOTTIME in milliseconds; only comparable where `boot_id` is equal."""
    boot_id: str
    """The kernel's id of this boot."""

    def since(self, earlier: Moment) -> int:
        """Real milliseconds from `earlier` to here, never negative."""
        if self.boot_id == earlier.boot_id:
            return max(0, self.boot_ms - earlier.boot_ms)
        return max(0, self.wall_ms - earlier.wall_ms)

    def utc(self) -> datetime:
        """The wall clock as an aware datetime."""
        return datetime.fromtimestamp(self.wall_ms / 1000, UTC)


class Clock(Protocol):
    """Where moments come from. Injected everywhere, so that tests own time."""

    def now(self) -> Moment:
        """Both clocks, read together."""
        ...


def iso_ms(wall_ms: int) -> str:
    """`2026-11-23T03:06:52.114Z`; ISO 8601 in UTC with milliseconds."""
    moment = datetime.fromtimestamp(wall_ms // 1000, UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{wall_ms % 1000:03d}Z"


def parse_iso_ms(text: str) -> int:
    """The milliseconds that `iso_ms` wrote. Raises ValueError where `text` is not of that form."""
    if not _ISO_MS.match(text):
        raise ValueError(f"not an instant of the form 2026-11-23T03:06:52.114Z: {text!r}")
    seconds = datetime.fromisoformat(text[:19]).replace(tzinfo=UTC)
    return int(seconds.timestamp()) * 1000 + int(text[20:23])
