"""The filter of a table whose rows are all in memory: what a row offers to it, and whether the row fits."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal

from console.ui.filtering.help import help_line
from console.ui.filtering.terms import (
    COMPARED,
    Comparison,
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


@dataclass(frozen=True, slots=True, kw_only=True)
class RowFields:
    """What a row offers to a filter."""

    named: Mapping[str, str] = field(default_factory=dict)
    """By name of a filter: the value that it is compared with."""
    figures: Mapping[str, Decimal | None] = field(default_factory=dict)
    """The same for figures; None for one that is not known, which meets no comparison."""
    text: str = ""
    """What words are looked for in."""
    at_ms: int | None = None
    """What `since:` and `until:` compare with."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldNames:
    """The names of the filters that a table has."""

    texts: tuple[str, ...] = ()
    figures: tuple[str, ...] = ()
    dated: bool = False
    """True where `since:` and `until:` are among them."""
    begun: frozenset[str] = frozenset({"key"})
    """Names of which the beginning of the value is enough."""
    values: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """The accepted values of names that take one of a few words."""

    @property
    def all(self) -> tuple[str, ...]:
        """Every name, in the order of the help."""
        return (*self.texts, *self.figures, *(("since", "until") if self.dated else ()))


@dataclass(frozen=True, slots=True, kw_only=True)
class RowFilter:
    """Which rows are wanted."""

    terms: tuple[Term, ...] = ()
    compared: tuple[tuple[Term, tuple[Comparison, ...]], ...] = ()
    since_ms: int | None = None
    until_ms: int | None = None
    begun: frozenset[str] = frozenset()

    @property
    def is_everything(self) -> bool:
        """True where every row fits."""
        return not (self.terms or self.compared or self.since_ms or self.until_ms)

    def fits(self, row: RowFields) -> bool:
        """True where the row meets every term."""
        if self.since_ms is not None and (row.at_ms is None or row.at_ms < self.since_ms):
            return False
        if self.until_ms is not None and (row.at_ms is None or row.at_ms >= self.until_ms):
            return False
        return all(self._meets(term, row) != term.negated for term in self.terms) and all(
            _holds(comparisons, row.figures.get(term.name)) != term.negated for term, comparisons in self.compared
        )

    def _meets(self, term: Term, row: RowFields) -> bool:
        if not term.name:
            text = row.text.lower()
            found = (value.lower() in text for value in term.values)
            return any(found) if term.negated else all(found)
        value = row.named.get(term.name, "").lower()
        wanted = (each.lower() for each in term.values)
        return any(value.startswith(each) if term.name in self.begun else value == each for each in wanted)


def _holds(comparisons: Sequence[Comparison], value: Decimal | None) -> bool:
    return value is not None and all(each.holds(value) for each in comparisons)


class RowGrammar:
    """The filter of a table in memory, for the line that it is typed into."""

    def __init__(
        self,
        names: FieldNames,
        context: Callable[[], FilterContext],
        ellipsis: str,
    ) -> None:
        self._names = names
        self._context = context
        self._ellipsis = ellipsis

    def parse(self, text: str) -> RowFilter:
        """The filter that the text asks for. Several terms of one name are alternatives. Raises FilterError."""
        names = self._names
        terms = parse_terms(text, names.all, days=names.dated)
        takes = dict.fromkeys(names.figures, COMPARED)
        check_values((term for term in terms if term.name), names.values, takes)
        return RowFilter(
            terms=_joined(term for term in terms if term.name not in (*names.figures, "since", "until")),
            compared=tuple(
                (term, tuple(comparison(term.name, value) for value in term.values))
                for term in terms
                if term.name in names.figures
            ),
            since_ms=instant_of(terms, "since", self._context()),
            until_ms=instant_of(terms, "until", self._context()),
            begun=names.begun,
        )

    def is_same(self, one: RowFilter, other: RowFilter) -> bool:
        """True where both ask for the same."""
        return one == other

    def without_unfinished(self, text: str) -> str:
        """The text without a last piece that may still become the name of a filter."""
        return without_unfinished_name(text, self._names.all)

    def completions(self, text: str) -> tuple[str, ...]:
        """Completions of the last piece of the text, best first."""
        return completions(text, self._names.all, {"task": self._context().tasks, **self._names.values})

    def complete(self, text: str) -> str:
        """The text with its last piece completed as far as all completions agree."""
        return complete(text, self.completions(text))

    def help(self, text: str, trouble: str, cells: int) -> Line:
        """What is wrong with the text, or what can be typed next."""
        return help_line(text, trouble, self._names.all, self.completions(text), cells, self._ellipsis)


def _joined(terms: Iterable[Term]) -> tuple[Term, ...]:
    """The terms with those of one name as one: its values are alternatives. Words stay apart, because all count."""
    kept: dict[tuple[str, bool], Term] = {}
    words: list[Term] = []
    for term in terms:
        if not term.name:
            words.append(term)
        else:
            before = kept.get((term.name, term.negated))
            values = (*before.values, *term.values) if before is not None else term.values
            kept[term.name, term.negated] = Term(name=term.name, values=values, negated=term.negated)
    return (*kept.values(), *words)
