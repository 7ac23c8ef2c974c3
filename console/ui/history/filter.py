"""The filter of the history: `task:NAME outcome:failed since:7d -key:9f cost:>1 words`."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

from console.domain.run import Outcome
from console.domain.task import Origin, Stage
from console.domain.timestamps import ACCEPTED
from console.engine.models import Bound, HistoryFilter
from console.ui.filtering.help import help_line
from console.ui.filtering.terms import (
    COMPARED,
    FilterContext,
    Term,
    check_values,
    comparison,
    complete,
    completions,
    instant_of,
    parse_terms,
    without_unfinished_name,
)
from console.ui.spans import Line

VALUES: dict[str, tuple[str, ...]] = {
    "outcome": tuple(outcome.value for outcome in Outcome),
    "stage": tuple(stage.label for stage in Stage),
    "origin": tuple(origin.value for origin in Origin),
}
"""The accepted values of filters that take one of a few words."""
TAKES = {
    "task": "a task's name",
    "target": "a target",
    "provider": "a provider's name",
    "host": "a host's name",
    "key": "a key or the beginning of one",
    "cost": COMPARED,
    "units": COMPARED,
    "since": ACCEPTED,
    "until": ACCEPTED,
}
NAMES = ("task", "outcome", "since", "until", "stage", "origin", "target", "provider", "key", "cost", "units")
IN_FLEET = (*NAMES, "host")
"""Where runs have a host."""
SCALES = {"cost": 1_000_000, "units": 1_000}
"""The stored integers for one unit of money and for one unit."""


def names_in(context: FilterContext) -> tuple[str, ...]:
    """The names of the filters that there are."""
    return IN_FLEET if context.in_fleet else NAMES


def parse_filter(text: str, context: FilterContext) -> HistoryFilter:
    """The filter that the text asks for.

    Attempts of a key are folded unless the filter selects among them. Raises FilterError.
    """
    terms = parse_terms(text, names_in(context), days=True)
    check_values((term for term in terms if term.name), VALUES, TAKES)
    named = [term for term in terms if term.name]
    times = [term for term in named if term.name in ("since", "until")]
    wanted = HistoryFilter(
        **_fields(term for term in named if not term.negated and term not in times),
        without=tuple(HistoryFilter(**_fields([term])) for term in named if term.negated and term not in times),
        text=" ".join(word for term in terms if not term.name and not term.negated for word in term.values),
        without_text=" ".join(word for term in terms if not term.name and term.negated for word in term.values),
        since_ms=instant_of(times, "since", context),
        until_ms=instant_of(times, "until", context),
    )
    everything = HistoryFilter(tasks=wanted.tasks, since_ms=wanted.since_ms, folded=True)
    return everything if replace(wanted, folded=True) == everything else wanted


def _fields(terms: Iterable[Term]) -> dict[str, Any]:
    """The fields of a HistoryFilter that the terms set; several terms of one name are alternatives."""
    values: dict[str, list[str]] = {}
    for term in terms:
        values.setdefault(term.name, []).extend(term.values)
    made: dict[str, Any] = {
        "tasks": tuple(values.get("task", ())),
        "outcomes": tuple(Outcome(value) for value in values.get("outcome", ())),
        "stages": tuple(Stage.of(value) for value in values.get("stage", ())),
        "origins": tuple(Origin(value) for value in values.get("origin", ())),
        "targets": tuple(values.get("target", ())),
        "providers": tuple(values.get("provider", ())),
        "hosts": tuple(values.get("host", ())),
        "keys": tuple(value.lower() for value in values.get("key", ())),
        "costs": _bounds(values, "cost"),
        "used": _bounds(values, "units"),
    }
    return {name: value for name, value in made.items() if value}


def _bounds(values: dict[str, list[str]], name: str) -> tuple[Bound, ...]:
    bounds: list[Bound] = []
    for value in values.get(name, ()):
        found = comparison(name, value)
        limit, inclusive = int(found.value * SCALES[name]), "=" in found.sign
        if found.sign != "=":
            bounds.append(Bound(least=">" in found.sign, value=limit, inclusive=inclusive))
        else:
            bounds += [Bound(least=least, value=limit, inclusive=True) for least in (True, False)]
    return tuple(bounds)


SAME_MS = 60_000
"""Filters whose times differ by less count as the same: with each letter `7d` is counted from a later time."""


class HistoryGrammar:
    """The filter of the history, for the line that it is typed into."""

    def __init__(self, context: Callable[[], FilterContext], ellipsis: str) -> None:
        """`context` gives what a filter needs to be read now."""
        self._context = context
        self._ellipsis = ellipsis

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
        return without_unfinished_name(text, names_in(self._context()))

    def completions(self, text: str) -> tuple[str, ...]:
        """Completions of the last piece of the text, best first."""
        context = self._context()
        values = {**VALUES, "task": context.tasks, "provider": context.providers}
        return completions(text, names_in(context), values)

    def complete(self, text: str) -> str:
        """The text with its last piece completed as far as all completions agree."""
        return complete(text, self.completions(text))

    def help(self, text: str, trouble: str, cells: int) -> Line:
        """What is wrong with the text, or what can be typed next."""
        names = names_in(self._context())
        return help_line(text, trouble, names, self.completions(text), cells, self._ellipsis)
