"""Figures as people read them on screens and in tables: one formatter for each kind of figure.

Every interface uses these functions. The exact forms of log, CSV and messages are `units_text` and `money_text` in
`console.domain.usage` and `iso_ms` in `console.domain.timestamps`. Rounding is conservative: a figure never looks safer
than it is.
"""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from console.domain.task import CutOff
from console.domain.usage import money_text

SECOND = 1000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
DAY = 24 * HOUR

LATEST_MS = 253_402_128_000_000
"""9999-12-30T00:00Z in UTC milliseconds, the last day that every zone can express."""


def format_countdown(milliseconds: int) -> str:
    """Format remaining time: `9:58`, from one hour `1:02:07`. A started second counts; negative time is `0:00`."""
    return _clock_form(max(0, -(-milliseconds // SECOND)))


def format_elapsed(milliseconds: int) -> str:
    """Format elapsed time in the form of `format_countdown`; only whole seconds count."""
    return _clock_form(max(0, milliseconds // SECOND))


def _clock_form(seconds: int) -> str:
    minutes, second = divmod(seconds, 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours}:{minute:02d}:{second:02d}" if hours else f"{minute}:{second:02d}"


def format_age(milliseconds: int) -> str:
    """Format how long ago something was, in one unit: `2 s`, `14 min`, `3 h`, `5 d`."""
    value = max(0, milliseconds)
    for size, unit in ((DAY, "d"), (HOUR, "h"), (MINUTE, "min")):
        if value >= 2 * size:
            return f"{value // size} {unit}"
    return f"{value // SECOND} s"


def format_duration(milliseconds: int) -> str:
    """Format a limit: `90 s`, `15 min`, `2 h 30 min`, `3 d`."""
    seconds = milliseconds // SECOND
    if seconds < 120 or (seconds % 60 and seconds < 600):
        return f"{decimals(milliseconds, SECOND)} s" if milliseconds % SECOND else f"{seconds} s"
    days, rest = divmod(seconds, 86_400)
    hours, rest = divmod(rest, 3600)
    parts = [(days, "d"), (hours, "h"), (rest // 60, "min")]
    return " ".join(f"{value} {unit}" for value, unit in parts if value)


def format_units(milliunits: int) -> str:
    """Format milli-units in at most six characters up to 10^9 units: `38.2`, `812`, `8112`, `81.1k`, `2.5M`."""
    whole = milliunits // 1000
    if whole < 100:
        return decimals(milliunits, 1000)
    if whole < 10_000:
        return str(whole)
    for size, letter in ((10**12, "T"), (10**9, "G"), (10**6, "M"), (10**3, "k")):
        if whole >= size:
            return f"{decimals(milliunits, 1000 * size)}{letter}"
    return str(whole)


def format_money(micro: int | None, currency: str | None) -> str:
    """Format micro-money: `0.91 USD`; `unknown` for None, which is not the same as 0."""
    if micro is None:
        return "unknown"
    whole, _, part = money_text(micro).partition(".")
    places = part if micro < 1_000_000 else part[:2]
    return f"{format_count(int(whole))}.{places[:4]} {currency or ''}".rstrip()


def format_count(number: int) -> str:
    """Format a whole number in groups of three digits: `381 224`."""
    return f"{number:,}".replace(",", " ")


def counted(number: int, noun: str, plural: str | None = None) -> str:
    """Format a number with its noun, which gets an `s` for the plural unless that is given: `1 task`, `3 tasks`."""
    return f"{number} {noun}" if number == 1 else f"{number} {plural or f'{noun}s'}"


def format_percent(part: int, whole: int) -> str:
    """Format a share, rounded down so that only a full one is `100 %`. Any part of 0 is `100 %`."""
    return f"{part * 100 // whole} %" if whole > 0 else "100 %"


def decimals(value: int, scale: int, places: int = 1) -> str:
    """Format `value / scale`, cut (not rounded) to `places` fractional digits, without trailing zeros."""
    scaled = value * 10**places // scale
    whole, part = divmod(scaled, 10**places)
    return f"{whole}.{part:0{places}d}".rstrip("0").rstrip(".")


def cut_off_rule(cut_off: CutOff) -> str:
    """Say when the budget stops a run, to be read after "cut off"."""
    return "before it would pass" if cut_off is CutOff.BEFORE else "when it is reached"


def zone_or_utc(name: str) -> ZoneInfo:
    """Return the time zone called `name`; UTC if this system does not know it."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError):
        return ZoneInfo("UTC")


def at(wall_ms: int, zone: ZoneInfo) -> datetime:
    """Return UTC milliseconds as an aware datetime in `zone`; one outside 1970 to 9999 is moved into it."""
    return datetime.fromtimestamp(min(max(0, wall_ms), LATEST_MS) / 1000, UTC).astimezone(zone)


def format_clock(wall_ms: int, zone: ZoneInfo) -> str:
    """Format the time of day: `03:06:52`."""
    return f"{at(wall_ms, zone):%H:%M:%S}"


def zone_name(wall_ms: int, zone: ZoneInfo) -> str:
    """Return the abbreviation of `zone` at that time: `CET`, `UTC`, or `+05:30` for a zone without letters."""
    name = at(wall_ms, zone).strftime("%Z")
    return name if name.isalpha() else f"{at(wall_ms, zone):%z}"[:3] + ":" + f"{at(wall_ms, zone):%z}"[3:5]


def format_when(wall_ms: int, now_ms: int, zone: ZoneInfo) -> str:
    """Format a minute, with its day unless that is today: `03:06`, `Tue 03:06`, `2026-11-23 03:06`."""
    then, now = at(wall_ms, zone), at(now_ms, zone)
    if then.date() == now.date():
        return f"{then:%H:%M}"
    if abs((then.date() - now.date()).days) < 7:
        return f"{then:%a %H:%M}"
    return f"{then:%Y-%m-%d %H:%M}"
