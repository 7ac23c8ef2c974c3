"""The facts of events as people read them: units, times in their zone and words, whatever form they are stored in.

Screens, `show` and exports use this one formatter, so that no stored integer, field name or enum value reaches a
person.
"""

from __future__ import annotations

from collections.abc import Mapping
from zoneinfo import ZoneInfo

from console.domain.formatting import at, format_duration, format_units, zone_name
from console.domain.run import StopReason, StopRequest

UNIT_FACTS = frozenset({"hold", "used", "amount", "budget"})
"""Facts that are milli-units where they are stored as numbers."""
YES_NO_FACTS = frozenset({"gone", "forced", "own"})
PROCESS_FACTS = frozenset({"owner", "before", "by"})
"""Facts that hold the id of a process, 32 hex digits."""
HIDDEN_FACTS = frozenset({"fence"})
"""Facts that mean something to the program only."""
LABELS = {
    "why": "reason",
    "remote": "id at the provider",
    "owner": "process",
    "before": "from",
    "after": "to",
    "said": "answer",
    "gone": "deleted",
    "up_to": "up to event",
}
"""Labels of facts whose names do not say what they are."""
FIRST_TIME_MS = 10**11
"""A fact in `_ms` of at least this many milliseconds is a time (after 1973), a smaller one a duration."""
DOORS = {"tty=yes": "terminal", "tty=no": "script"}
SHORT_ID = 8
"""Characters of the id of a process that are shown."""


def facts_text(facts: Mapping[str, object], zone: ZoneInfo) -> str:
    """The facts in one line, `by: alice (terminal); hold: 50 units`; not sanitized."""
    return "; ".join(
        f"{label_of(name)}: {value_text(name, value, zone)}"
        for name, value in facts.items()
        if name not in HIDDEN_FACTS and value not in (None, "")
    )


def label_of(name: str) -> str:
    """The name of a fact as it is shown: `expires` for `expires_ms`."""
    return LABELS.get(name, name.removesuffix("_ms").replace("_", " "))


def value_text(name: str, value: object, zone: ZoneInfo) -> str:
    """The value of a fact as it is shown."""
    if name.endswith("_ms") and isinstance(value, int):
        return time_text(value, zone) if value >= FIRST_TIME_MS else format_duration(value)
    if name in UNIT_FACTS and isinstance(value, int):
        return f"{format_units(value)} units"
    if name in UNIT_FACTS:
        return f"{value} units"
    if name in YES_NO_FACTS and isinstance(value, int):
        return "yes" if value else "no"
    if name in PROCESS_FACTS and isinstance(value, str) and len(value) == 32:
        return value[:SHORT_ID]
    if name == "by":
        return author_text(str(value))
    if name in ("reason", "ruling", "outcome") and isinstance(value, str):
        return words_of(value)
    return str(value)


def author_text(by: str) -> str:
    """Who did something: `alice (terminal)` for the recorded `alice tty=yes`, or `root (sudo by alice; from 10.0.0.5;
    script)`; not sanitized.
    """
    name, _, door = by.rpartition(" ")
    if not name or door not in DOORS:
        return by
    return f"{name[:-1]}; {DOORS[door]})" if name.endswith(")") else f"{name} ({DOORS[door]})"


def stop_text(stop: StopRequest) -> str:
    """Why a run is stopped and by whom: `by alice (terminal)`, `kill switch by alice (terminal)`, `timeout`.

    Not sanitized.
    """
    by = f"by {author_text(stop.by)}" if stop.by else ""
    # That somebody asked is the whole reason of a cancel.
    why = "" if by and stop.reason is StopReason.OPERATOR else words_of(stop.reason)
    return " ".join(filter(None, (why, by)))


def words_of(value: str) -> str:
    """A stored word as people write it: `kill switch` for `kill_switch`, `taken over` for `taken_over`."""
    return value.replace("_", " ") if value.isascii() and value.replace("_", "").isalnum() else value


def time_text(wall_ms: int, zone: ZoneInfo) -> str:
    """A time to the second in its zone: `2026-11-23 04:06:52 CET`."""
    return f"{at(wall_ms, zone):%Y-%m-%d %H:%M:%S} {zone_name(wall_ms, zone)}"
