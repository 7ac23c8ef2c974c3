"""Numbers as an operator reads them. Rounded towards the careful side: nothing looks fuller or safer than it is."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from console.domain.task import CutOff
from console.domain.usage import money_text

SECOND = 1000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
DAY = 24 * HOUR


def countdown(milliseconds: int) -> str:
    """What is left: `9:58`, from one hour `1:02:07`; a started second counts, and below zero it is `0:00`."""
    return _clock_form(max(0, -(-milliseconds // SECOND)))


def elapsed(milliseconds: int) -> str:
    """What has passed, in the form of `countdown`; only whole seconds count."""
    return _clock_form(max(0, milliseconds // SECOND))


def _clock_form(seconds: int) -> str:
    minutes, second = divmod(seconds, 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours}:{minute:02d}:{second:02d}" if hours else f"{minute}:{second:02d}"


def age(milliseconds: int) -> str:
    """How long ago, with one unit: `2 s`, `14 min`, `3 h`, `5 d`."""
    value = max(0, milliseconds)
    for size, unit in ((DAY, "d"), (HOUR, "h"), (MINUTE, "min")):
        if value >= 2 * size:
            return f"{value // size} {unit}"
    return f"{value // SECOND} s"


def format_duration(milliseconds: int) -> str:
    """A limit in words: `15 min`, `90 s`, `2 h 30 min`, `3 d`."""
    seconds = milliseconds // SECOND
    if seconds < 120 or (seconds % 60 and seconds < 600):
        return f"{decimals(milliseconds, SECOND)} s" if milliseconds % SECOND else f"{seconds} s"
    days, rest = divmod(seconds, 86_400)
    hours, rest = divmod(rest, 3600)
    parts = [(days, "d"), (hours, "h"), (rest // 60, "min")]
    return " ".join(f"{value} {unit}" for value, unit in parts if value)


def cut_off_rule(cut_off: CutOff) -> str:
    """When the budget stops a run, to be read behind "cut off"."""
    return "before it would pass" if cut_off is CutOff.BEFORE else "when it is reached"


def decimals(value: int, scale: int, places: int = 1) -> str:
    """`value / scale` cut (not rounded) to `places` behind the point, with no zeros at the end."""
    scaled = value * 10**places // scale
    whole, part = divmod(scaled, 10**places)
    return f"{whole}.{part:0{places}d}".rstrip("0").rstrip(".")


def units(milliunits: int) -> str:
    """Milli-units as at most six characters up to 10^9 units: `38.2`, `812`, `8112`, `81.1k`, `2.5M`."""
    whole = milliunits // 1000
    if whole < 100:
        return decimals(milliunits, 1000)
    if whole < 10_000:
        return str(whole)
    for size, letter in ((10**12, "T"), (10**9, "G"), (10**6, "M"), (10**3, "k")):
        if whole >= size:
            return f"{decimals(milliunits, 1000 * size)}{letter}"
    return str(whole)


def count(number: int) -> str:
    """A whole number in groups of three: `381 224`."""
    return f"{number:,}".replace(",", " ")


def money(micro: int | None, currency: str | None) -> str:
    """`0.91 USD`; `unknown` where the price is not known, which is never the same as 0."""
    if micro is None:
        return "unknown"
    whole, _, part = money_text(micro).partition(".")
    places = part if micro < 1_000_000 else part[:2]
    return f"{count(int(whole))}.{places[:4]} {currency or ''}".rstrip()


def percent(part: int, whole: int) -> str:
    """`41 %`, cut, so that 100 % is only shown where it is reached; of nothing everything is."""
    return f"{part * 100 // whole} %" if whole > 0 else "100 %"


def zone(name: str) -> ZoneInfo:
    """The zone of that name; UTC where this system does not know it."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError):
        return ZoneInfo("UTC")


def at(wall_ms: int, where: ZoneInfo) -> datetime:
    """The instant as an aware datetime in `where`."""
    return datetime.fromtimestamp(wall_ms / 1000, UTC).astimezone(where)


def clock(wall_ms: int, where: ZoneInfo) -> str:
    """`03:06:52`."""
    return f"{at(wall_ms, where):%H:%M:%S}"


def zone_name(wall_ms: int, where: ZoneInfo) -> str:
    """`CET`, `UTC`, or an offset as `+05:30` where a zone has no letters."""
    name = at(wall_ms, where).strftime("%Z")
    return name if name.isalpha() else f"{at(wall_ms, where):%z}"[:3] + ":" + f"{at(wall_ms, where):%z}"[3:5]


def when(wall_ms: int, now_ms: int, where: ZoneInfo) -> str:
    """The minute, with its day unless that is today: `03:06`, `Tue 03:06`, `2026-11-23 03:06`."""
    then, now = at(wall_ms, where), at(now_ms, where)
    if then.date() == now.date():
        return f"{then:%H:%M}"
    if abs((then.date() - now.date()).days) < 7:
        return f"{then:%a %H:%M}"
    return f"{then:%Y-%m-%d %H:%M}"
