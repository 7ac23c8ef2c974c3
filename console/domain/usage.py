"""Tokens to units to money, in integers. The provider's figures are cumulative: take the maximum, never a sum.

A unit is `(total - cached + cached_weight x cached) / tokens_per_unit`. Units are kept as thousandths
(milli-units): 10^12 units in weighted milli-tokens would not fit into a 63-bit integer.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields

MILLI = 1000


def _up(numerator: int, denominator: int) -> int:
    return -(-numerator // denominator)


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """Cumulative token figures of one run, as the provider counts them.

    `input` includes `cached` (ANYPLEX in the wire notes). A zero may also mean "not told yet".
    """

    total: int = 0
    input: int = 0
    output: int = 0
    thought: int = 0
    cached: int = 0
    tool_use: int = 0

    def highest(self, other: Usage) -> Usage:
        """Field by field the larger figure: cumulative counts never shrink."""
        return Usage(**{f.name: max(getattr(self, f.name), getattr(other, f.name)) for f in fields(self)})

    @property
    def uncached(self) -> int:
        """Tokens that the provider's own limit counts."""
        return max(0, self.total - self.cached)


@dataclass(frozen=True, slots=True, kw_only=True)
class Units:
    """How tokens become budget units."""

    tokens_per_unit: int = 10_000
    cached_weight_milli: int = 100
    """Weight of a cached token in thousandths: 100 is 0.1."""

    def weighted_millitokens(self, usage: Usage) -> int:
        """Tokens x 1000 with cached ones weighted."""
        cached = min(usage.cached, usage.total)
        return (usage.total - cached) * MILLI + cached * self.cached_weight_milli

    def of(self, usage: Usage) -> int:
        """Milli-units used, rounded up."""
        return _up(self.weighted_millitokens(usage), self.tokens_per_unit)

    def belt_tokens(self, budget_milliunits: int) -> int:
        """The token limit sent to the server: `ceil(budget_units x tokens_per_unit)`, at least 1."""
        return max(1, _up(budget_milliunits * self.tokens_per_unit, MILLI))


@dataclass(frozen=True, slots=True, kw_only=True)
class Price:
    """Money per million tokens, in micro-units of `currency`."""

    input_micro: int
    cached_micro: int
    output_micro: int
    currency: str

    def cost(self, usage: Usage) -> int | None:
        """Micro-money for `usage`; None where the split into input and output was never told.

        What is not input (output, thoughts, tool use) is priced as output.
        """
        if usage.total == 0:
            return 0
        if usage.input == 0:
            return None
        cached = min(usage.cached, usage.input)
        rest = max(0, usage.total - usage.input)
        scaled = (usage.input - cached) * self.input_micro + cached * self.cached_micro + rest * self.output_micro
        return _up(scaled, 1_000_000)

    def worst_case(self, budget_milliunits: int, units: Units) -> int:
        """Micro-money if the whole budget went into the dearest kind of token.

        Cached tokens are light in units but are billed; where they cost more per unit they are the worst.
        """
        tokens = units.belt_tokens(budget_milliunits)
        worst = tokens * max(self.input_micro, self.output_micro, self.cached_micro)
        if units.cached_weight_milli > 0:
            worst = max(worst, _up(tokens * MILLI * self.cached_micro, units.cached_weight_milli))
        return _up(worst, 1_000_000)


PriceList = Mapping[str, Price]
"""Prices by model name; a missing model means: cost unknown, never 0."""


def decimal(value: int, places: int, *, least: int = 1) -> str:
    """An integer of 10^-places as a plain decimal with at least `least` digits behind the point: `38.2`."""
    sign, value = ("-", -value) if value < 0 else ("", value)
    whole, part = divmod(value, 10**places)
    digits = f"{part:0{places}d}"
    kept = max(least, len(digits.rstrip("0")))
    return f"{sign}{whole}.{digits[:kept]}"


def parse_decimal(text: str, places: int) -> int:
    """The integer of 10^-places that `decimal` wrote. Raises ValueError for any other form."""
    sign, body = (-1, text[1:]) if text.startswith("-") else (1, text)
    whole, dot, part = body.partition(".")
    if not (whole.isascii() and whole.isdigit()) or (dot and not (part.isascii() and part.isdigit())):
        raise ValueError(f"not a plain decimal: {text!r}")
    if len(part) > places:
        raise ValueError(f"more than {places} digits behind the point: {text!r}")
    scale: int = 10**places
    return sign * (int(whole) * scale + int(part.ljust(places, "0") or "0"))


def units_text(milliunits: int) -> str:
    """`38.2`: units with as many digits as they need, at least one."""
    return decimal(milliunits, 3)


def money_text(micro: int) -> str:
    """`0.91`: money with as many digits as it needs, at least two."""
    return decimal(micro, 6, least=2)
