"""Timestamps from two clocks, their ISO form, and the forms in which people type a point in time.

Neither clock is enough alone: the wall clock can step, and the boot clock restarts with the machine. Within one
boot the boot clock decides (it also counts while the machine is suspended); across boots only the wall clock is left.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Protocol
from zoneinfo import ZoneInfo

_ISO_MS = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z\Z", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class Timestamp:
    """One reading of both clocks."""

    wall_ms: int
    """Milliseconds since the Unix epoch, UTC. The wall clock may step."""
    boot_ms: int
    """CLOCK_BOOTTIME in milliseconds; comparable only between timestamps with the same `boot_id`."""
    boot_id: str
    """Id of the period in which boot clock readings can be compared: the boot, and within it the time namespace."""

    def since(self, earlier: Timestamp) -> int:
        """Return the real milliseconds between `earlier` and this timestamp, never negative.

        A boot clock that went back under the same id belongs to another boot, on a system where the id is constant.
        """
        if self.boot_id == earlier.boot_id and self.boot_ms >= earlier.boot_ms:
            return self.boot_ms - earlier.boot_ms
        return max(0, self.wall_ms - earlier.wall_ms)

    def utc(self) -> datetime:
        """Return the wall clock as an aware datetime."""
        return datetime.fromtimestamp(self.wall_ms / 1000, UTC)


class Clock(Protocol):
    """The source of timestamps. It is passed in everywhere, so that tests control time."""

    def now(self) -> Timestamp:
        """Read both clocks together."""
        ...


def iso_ms(wall_ms: int) -> str:
    """Format milliseconds since the epoch as ISO 8601 in UTC: `2026-11-23T03:06:52.114Z`."""
    second = datetime.fromtimestamp(wall_ms // 1000, UTC)
    return f"{second:%Y-%m-%dT%H:%M:%S}.{wall_ms % 1000:03d}Z"


def parse_iso_ms(text: str) -> int:
    """Parse what `iso_ms` wrote back to milliseconds. Raises ValueError for any other form."""
    if not _ISO_MS.match(text):
        raise ValueError(f"not an instant of the form 2026-11-23T03:06:52.114Z: {text!r}")
    seconds = datetime.fromisoformat(text[:19]).replace(tzinfo=UTC)
    return int(seconds.timestamp()) * 1000 + int(text[20:23])


ACCEPTED = (
    "a day (2026-11-23, today, yesterday, mon), an instant (2026-11-23T03:00Z, 03:00), or how long ago (90m, 12h, 7d)"
)
"""What `parse_instant` accepts, for messages and help texts."""
_AGO = re.compile(r"(\d{1,6})([smhdw])\Z", re.ASCII)
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}


def parse_instant(text: str, *, now_ms: int, zone: ZoneInfo, end_of_day: bool = False) -> int:
    """Parse a point in time as a person types it and return UTC milliseconds.

    A day, in any form of ISO 8601 (also `20261123`), means its beginning in `zone` or, with `end_of_day`, the beginning
    of the next day. The name of a weekday means the last such day, today included; `03:00` means the last time that the
    clocks of `zone` showed it. An instant without a UTC offset is read in `zone`. Raises ValueError with a one-line
    message that names the accepted forms.
    """
    if ago := _AGO.match(text):
        return now_ms - int(ago[1]) * _SECONDS[ago[2]] * 1000
    try:
        today = datetime.fromtimestamp(now_ms / 1000, zone).date()
        day = _named_day(text.lower(), today) or _parse_day(text)
        if _CLOCK.match(text):
            return _last_time(time.fromisoformat(text.zfill(5)), today, now_ms, zone)
        if day is not None:
            instant = datetime.combine(day + timedelta(days=1) if end_of_day else day, time(), zone)
        else:
            instant = datetime.fromisoformat(text)
            instant = instant.replace(tzinfo=zone) if instant.tzinfo is None else instant
        return int(instant.astimezone(UTC).timestamp() * 1000)
    except (ValueError, OverflowError):
        raise ValueError(f"not a date or time: {text!r}; accepted: {ACCEPTED}") from None


WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_CLOCK = re.compile(r"\d{1,2}:\d\d\Z", re.ASCII)


def _named_day(text: str, today: date) -> date | None:
    """The day that a word means, not after today; None for another word."""
    ago = {"today": 0, "yesterday": 1}.get(text)
    if ago is None and text in WEEKDAYS:
        ago = (today.weekday() - WEEKDAYS.index(text)) % 7
    return None if ago is None else today - timedelta(days=ago)


def _last_time(clock: time, today: date, now_ms: int, zone: ZoneInfo) -> int:
    """The last instant, not after now, at which the clocks of the zone showed that time."""
    at = int(datetime.combine(today, clock, zone).timestamp() * 1000)
    return at if at <= now_ms else int(datetime.combine(today - timedelta(days=1), clock, zone).timestamp() * 1000)


def _parse_day(text: str) -> date | None:
    try:
        return date.fromisoformat(text)
    except ValueError:
        return None
