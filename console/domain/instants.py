"""What people type for an instant: a day, an instant, or how long ago."""

from __future__ import annotations

import re
from datetime import UTC, datetime, time
from zoneinfo import ZoneInfo

ACCEPTED = "a day (2026-11-23), an instant (2026-11-23T03:00Z), or how long ago (90m, 12h, 7d)"
_AGO = re.compile(r"(\d{1,6})([smhdw])\Z", re.ASCII)
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}


def parse_instant(text: str, *, now_ms: int, zone: ZoneInfo, end_of_day: bool = False) -> int:
    """UTC milliseconds. A day means its beginning in `zone`, or with `end_of_day` the beginning of the next one.

    An instant without an offset is read in `zone`. Raises ValueError in one line.
    """
    if ago := _AGO.match(text):
        return now_ms - int(ago[1]) * _SECONDS[ago[2]] * 1000
    try:
        instant = datetime.fromisoformat(text)
        if re.fullmatch(r"\d{4}-\d{2}-\d{2}", text, re.ASCII):
            day = instant.date()
            if end_of_day:
                day = type(day).fromordinal(day.toordinal() + 1)
            instant = datetime.combine(day, time(), zone)
        elif instant.tzinfo is None:
            instant = instant.replace(tzinfo=zone)
        return int(instant.astimezone(UTC).timestamp() * 1000)
    except (ValueError, OverflowError):
        raise ValueError(f"{text!r} is no instant; accepted: {ACCEPTED}") from None
