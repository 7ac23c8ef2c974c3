"""Parses the filter of the history, `task:NAME outcome:failed since:7d words`, and completes it while it is typed."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from typing import TypeVar
from zoneinfo import ZoneInfo

from console.domain.run import Outcome
from console.domain.task import Origin, Stage
from console.domain.timestamps import ACCEPTED, parse_instant
from console.engine.models import HistoryFilter
from console.ui.filtering.line import FilterError
from console.ui.glyphs import Glyphs
from console.ui.spans import Line, Span, Tone, fit, line, sanitize_cell

NAMES = ("task", "outcome", "stage", "origin", "since", "until")
VALUES: dict[str, tuple[str, ...]] = {
    "outcome": tuple(outcome.value for outcome in Outcome),
    "stage": tuple(stage.label for stage in Stage),
    "origin": tuple(origin.value for origin in Origin),
}
"""The accepted values of filters that take one of a few words."""

_PIECE = re.compile(r'"([^"]*)"?|(\S+)')
_NAMED = re.compile(r"([A-Za-z_]+):(.*)", re.DOTALL)

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class FilterContext:
    """The context of a filter: days are days of `zone`, and `7d` is counted back from `now_ms`."""

    now_ms: int
    zone: ZoneInfo
    tasks: Sequence[str] = ()
    """Names of tasks to be offered. Other names are accepted too, because runs stay when their task is removed."""


@dataclass(slots=True)
class _ParsedFilter:
    values: dict[str, list[str]] = field(default_factory=dict)
    words: list[str] = field(default_factory=list)


def parse_filter(text: str, context: FilterContext) -> HistoryFilter:
    """The filter that the text asks for.

    Attempts of a key are folded unless the filter selects among them. Raises FilterError.
    """
    found = _parsed(text)
    wanted = HistoryFilter(
        tasks=tuple(found.values.get("task", ())),
        outcomes=_chosen(found, "outcome", Outcome),
        stages=_chosen(found, "stage", Stage.of),
        origins=_chosen(found, "origin", Origin),
        since_ms=_instant(found, "since", context),
        until_ms=_instant(found, "until", context),
        text=" ".join(found.words),
    )
    picks = wanted.outcomes or wanted.stages or wanted.origins or wanted.text or wanted.until_ms is not None
    return wanted if picks else HistoryFilter(tasks=wanted.tasks, since_ms=wanted.since_ms, folded=True)


def without_unfinished_name(text: str) -> str:
    """The text without a last piece that may still become the name of a filter."""
    head, blank, last = text.rpartition(" ")
    return head + blank if last and any(name.startswith(last.lower()) for name in NAMES) else text


def _parsed(text: str) -> _ParsedFilter:
    found = _ParsedFilter()
    for quoted, bare in _PIECE.findall(text):
        named = _NAMED.fullmatch(bare) if bare else None
        if named is None:
            found.words += (quoted or bare).split()
            continue
        name, value = named[1].lower(), named[2]
        if name not in NAMES:
            raise FilterError(_no_such(name))
        found.values.setdefault(name, []).extend(part for part in value.split(",") if part)
        if not found.values[name]:
            raise FilterError(f"{name}: takes {_takes(name)}")
    return found


def _no_such(name: str) -> str:
    near = get_close_matches(name, NAMES, n=1)
    meant = f"did you mean {near[0]}:?" if near else "filters are " + ", ".join(f"{each}:" for each in NAMES)
    return f'unknown filter {name}:; {meant} (put text with a colon in "quotes")'


def _takes(name: str) -> str:
    return ", ".join(VALUES[name]) if name in VALUES else ACCEPTED if name in ("since", "until") else "a task's name"


def _chosen(found: _ParsedFilter, name: str, make: Callable[[str], T]) -> tuple[T, ...]:
    chosen = []
    for value in found.values.get(name, ()):
        if value not in VALUES[name]:
            raise FilterError(f"unknown {name}: {value}; accepted: {_takes(name)}")
        chosen.append(make(value))
    return tuple(chosen)


def _instant(found: _ParsedFilter, name: str, context: FilterContext) -> int | None:
    values = found.values.get(name, [])
    if not values:
        return None
    if len(values) > 1:
        raise FilterError(f"{name}: is given twice")
    try:
        return parse_instant(values[0], now_ms=context.now_ms, zone=context.zone, end_of_day=name == "until")
    except ValueError:
        raise FilterError(f"{name}: takes {_takes(name)}") from None


def completions(text: str, context: FilterContext) -> tuple[str, ...]:
    """Completions of the last piece of the text, best first: names of filters, or values of the begun filter."""
    last = text.rpartition(" ")[2]
    name, colon, typed = last.partition(":")
    if not colon:
        return tuple(f"{each}:" for each in NAMES if each.startswith(last.lower()))
    before, comma, begun = typed.rpartition(",")
    known = context.tasks if name == "task" else VALUES.get(name, ())
    return tuple(f"{name}:{before}{comma}{value}" for value in known if value.startswith(begun))


def complete(text: str, context: FilterContext) -> str:
    """The text with its last piece completed as far as all completions agree; a single completion ends in a blank."""
    found = completions(text, context)
    if not found:
        return text
    head, blank, _ = text.rpartition(" ")
    if len(found) == 1:
        return head + blank + found[0] + ("" if found[0].endswith(":") else " ")
    return head + blank + _common(found)


def _common(texts: Iterable[str]) -> str:
    first, *rest = texts
    length = len(first)
    for text in rest:
        length = next((at for at in range(min(length, len(text))) if text[at] != first[at]), min(length, len(text)))
    return first[:length]


def help_line(text: str, trouble: str, context: FilterContext, cells: int, glyphs: Glyphs) -> Line:
    """The line below the filter: what is wrong with it, or the completions of its last piece."""
    begun = text.rpartition(" ")[2]
    found = completions(text, context)
    if trouble and begun not in ("since:", "until:") and not (":" in begun and found):
        return fit(line(Span("   "), Span(sanitize_cell(trouble), Tone.BAD)), cells, glyphs.ellipsis)
    if begun and found:
        choices = "  ".join(sanitize_cell(each) for each in found)
        return fit(line(Span("   tab ", Tone.KEY), Span(choices, Tone.MUTED)), cells, glyphs.ellipsis)
    if begun.startswith(("since:", "until:")):
        say = "a day as 2026-11-23, an instant as 2026-11-23T03:00Z, or how long ago as 90m, 12h, 7d"
        return fit(line(Span(f"   {say}", Tone.MUTED)), cells, glyphs.ellipsis)
    names = " ".join(f"{name}:" for name in NAMES)
    say = f"   {names} and words   "
    keys = line(Span(say, Tone.MUTED), Span("enter", Tone.KEY), " table   ", Span("esc", Tone.KEY), " clear")
    return fit(keys, cells, glyphs.ellipsis)


SAME_MS = 60_000
"""Filters whose times differ by less count as the same: with each letter `7d` is counted from a later time."""


class HistoryGrammar:
    """The filter of the history, for the line that it is typed into."""

    def __init__(self, context: Callable[[], FilterContext], glyphs: Glyphs) -> None:
        """`context` gives what a filter needs to be read now."""
        self._context = context
        self._glyphs = glyphs

    def parse(self, text: str) -> HistoryFilter:
        """The filter that the text asks for. Raises FilterError."""
        return parse_filter(text, self._context())

    def is_same(self, one: HistoryFilter, other: HistoryFilter) -> bool:
        """True where both ask for the same, up to a minute."""
        moved = (one.since_ms or 0) - (other.since_ms or 0), (one.until_ms or 0) - (other.until_ms or 0)
        same = replace(one, since_ms=other.since_ms, until_ms=other.until_ms) == other
        return same and all(abs(each) < SAME_MS for each in moved)

    def without_unfinished(self, text: str) -> str:
        """The text without a last piece that may still become the name of a filter."""
        return without_unfinished_name(text)

    def complete(self, text: str) -> str:
        """The text with its last piece completed as far as all completions agree."""
        return complete(text, self._context())

    def help(self, text: str, trouble: str, cells: int) -> Line:
        """What is wrong with the text, or what can be typed next."""
        return help_line(text, trouble, self._context(), cells, self._glyphs)
