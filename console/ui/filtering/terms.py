"""What is typed behind `/`: words, `name:value`, and `-` before either for what is left out.

Every table reads its filter by these rules; which names it has is its own matter. No module of Textual is loaded here,
because commands read filters too.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from difflib import get_close_matches
from zoneinfo import ZoneInfo

from console.domain.timestamps import ACCEPTED, parse_instant

_PIECE = re.compile(r'(-?)"([^"]*)"?|(\S+)')
_NAMED = re.compile(r"(-?)([A-Za-z_]+):(.*)", re.DOTALL)
_BOUND = re.compile(r"(<=|>=|<|>|=)(.+)")
DAYS = ("today", "yesterday")
"""Words that stand for a day where they stand alone."""


class FilterError(ValueError):
    """The text is not a filter (yet). `str()` is one sentence that says what is accepted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Term:
    """One piece of a filter."""

    name: str = ""
    """Empty for a word of text."""
    values: tuple[str, ...]
    negated: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """`>1` behind the name of a figure."""

    sign: str
    """`<`, `<=`, `>`, `>=` or `=`."""
    value: Decimal

    def holds(self, value: Decimal) -> bool:
        """True for a value on the right side."""
        return {
            "<": value < self.value,
            "<=": value <= self.value,
            ">": value > self.value,
            ">=": value >= self.value,
            "=": value == self.value,
        }[self.sign]


@dataclass(frozen=True, slots=True, kw_only=True)
class FilterContext:
    """The context of a filter: days are days of `zone`, and `7d` is counted back from `now_ms`."""

    now_ms: int
    zone: ZoneInfo
    tasks: Sequence[str] = ()
    """Names of tasks to be offered. Other names are accepted too, because runs stay when their task is removed."""
    providers: Sequence[str] = ()
    """Names of providers to be offered, likewise."""
    in_fleet: bool = False
    """True where runs have a host."""


def parse_terms(text: str, names: Collection[str], *, days: bool = False) -> tuple[Term, ...]:
    """The pieces of a filter in their order; with `days` the word `today` means `since:today`, and so on.

    Raises FilterError for a name that is not among `names`, and for a name without a value.
    """
    terms = []
    for sign, quoted, bare in _PIECE.findall(text):
        named = _NAMED.fullmatch(bare) if bare else None
        if named is not None:
            terms.append(_named(named[1], named[2].lower(), named[3], names))
        elif days and bare in DAYS:
            terms.append(Term(name="since", values=(bare,)))
            if bare == "yesterday":
                terms.append(Term(name="until", values=(bare,)))
        else:
            word = quoted or bare
            is_negated = bool(sign) or (len(bare) > 1 and bare.startswith("-"))
            words = tuple((word.removeprefix("-") if is_negated and bare else word).split())
            if words:
                terms.append(Term(values=words, negated=is_negated))
    return tuple(terms)


def _named(sign: str, name: str, value: str, names: Collection[str]) -> Term:
    if name not in names:
        near = get_close_matches(name, names, n=1)
        meant = f"did you mean {near[0]}:?" if near else "filters are " + ", ".join(f"{each}:" for each in names)
        raise FilterError(f'unknown filter {name}:; {meant} (put text with a colon in "quotes")')
    return Term(name=name, values=tuple(part for part in value.split(",") if part), negated=bool(sign))


def check_values(terms: Iterable[Term], accepted: Mapping[str, Sequence[str]], takes: Mapping[str, str]) -> None:
    """Check terms that take one of a few words, and that each has a value. Raises FilterError.

    `takes` says in words what the other names take.
    """
    for term in terms:
        said = ", ".join(accepted[term.name]) if term.name in accepted else takes.get(term.name, "a value")
        if not term.values:
            raise FilterError(f"{term.name}: takes {said}")
        for value in term.values:
            if term.name in accepted and value not in accepted[term.name]:
                raise FilterError(f"unknown {term.name}: {value}; accepted: {said}")


COMPARED = "a comparison such as >1, <=0.5 or =0"


def comparison(name: str, value: str) -> Comparison:
    """What `cost:>1` compares with. Raises FilterError."""
    found = _BOUND.fullmatch(value)
    try:
        number = Decimal(found[2]) if found else None
    except InvalidOperation:
        number = None
    if found is None or number is None or not number.is_finite() or abs(number) >= 10**12:
        raise FilterError(f"{name}: takes {COMPARED}")
    return Comparison(sign=found[1], value=number)


def instant_of(terms: Sequence[Term], name: str, context: FilterContext) -> int | None:
    """The instant that `since:` or `until:` names; None where there is none. Raises FilterError."""
    values = [value for term in terms if term.name == name for value in term.values]
    if not values:
        return None
    if len(values) > 1:
        raise FilterError(f"{name}: is given twice")
    if any(term.negated for term in terms if term.name == name):
        raise FilterError(f"-{name}: is not a filter; {'until' if name == 'since' else 'since'}: is its opposite")
    try:
        return parse_instant(values[0], now_ms=context.now_ms, zone=context.zone, end_of_day=name == "until")
    except ValueError:
        raise FilterError(f"{name}: takes {ACCEPTED}") from None


def without_unfinished_name(text: str, names: Iterable[str]) -> str:
    """The text without a last piece that may still become the name of a filter, or that is only a minus."""
    head, blank, last = text.rpartition(" ")
    begun = last.removeprefix("-").lower()
    return head + blank if last and any(name.startswith(begun) for name in names) else text


def completions(text: str, names: Iterable[str], values: Mapping[str, Sequence[str]]) -> tuple[str, ...]:
    """Completions of the last piece of the text, best first: names of filters, or values of the begun filter."""
    last = text.rpartition(" ")[2]
    sign = "-" if last.startswith("-") else ""
    name, colon, typed = last.removeprefix("-").partition(":")
    if not colon:
        return tuple(f"{sign}{each}:" for each in names if each.startswith(name.lower()))
    before, comma, begun = typed.rpartition(",")
    known = values.get(name, ())
    return tuple(f"{sign}{name}:{before}{comma}{value}" for value in known if value.startswith(begun))


def complete(text: str, found: Sequence[str]) -> str:
    """The text with its last piece completed as far as all completions agree; a single completion ends in a blank."""
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
