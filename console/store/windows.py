"""When a day or a month of the caps begins and ends. Pure; the day is the caps' zone's, through its clock changes."""

from __future__ import annotations

from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from console.domain.key import day_date
from console.domain.moment import Moment


def day_of(now: Moment, zone: ZoneInfo, last_day: str | None) -> str:
    """Today in `zone`, but never before `last_day`: a clock set back opens no second day."""
    today = day_date(now.utc(), zone)
    return today if last_day is None else max(today, last_day)


def month_of(day: str) -> str:
    """`2026-11` of `2026-11-23`."""
    return day[:7]


def day_ends_ms(day: str, zone: ZoneInfo) -> int:
    """The instant at which the day after `day` begins in `zone`."""
    return _midnight_ms(date.fromisoformat(day) + timedelta(days=1), zone)


def month_ends_ms(day: str, zone: ZoneInfo) -> int:
    """The instant at which the month after that of `day` begins in `zone`."""
    first = date.fromisoformat(day).replace(day=1)
    return _midnight_ms((first + timedelta(days=32)).replace(day=1), zone)


def _midnight_ms(day: date, zone: ZoneInfo) -> int:
    # Where midnight does not exist, the first reading of the gap (fold 0) is the very instant of the change.
    return int(datetime.combine(day, time(), tzinfo=zone).timestamp() * 1000)
