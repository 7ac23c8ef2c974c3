"""Token counts, budget units and money, all as integers.

The provider's token counts are cumulative, so figures of one run are combined by maximum, never by sum. A unit is
`(total - cached + cached_weight x cached) / tokens_per_unit`. Units are stored as thousandths (milli-units): 10^12
units in weighted milli-tokens would not fit into a 63-bit integer.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

MILLI = 1000


def _up(numerator: int, denominator: int) -> int:
    return -(-numerator // denominator)


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """Cumulative token counts of one run, as the provider reports them.

    `input` includes `cached` (source tag ANYPLEX in the wire notes). A zero may also mean "not reported yet".
    """

    total: int = 0
    input: int = 0
    output: int = 0
    thought: int = 0
    cached: int = 0
    tool_use: int = 0

    def highest(self, other: Usage) -> Usage:
        """Return the larger count of each field: cumulative counts never shrink."""
        return Usage(**{f.name: max(getattr(self, f.name), getattr(other, f.name)) for f in fields(self)})

    @property
    def uncached(self) -> int:
        """The tokens that count towards the provider's own limit."""
        return max(0, self.total - self.cached)


@dataclass(frozen=True, slots=True, kw_only=True)
class Units:
    """Conversion from tokens to budget units."""

    tokens_per_unit: int = 10_000
    cached_weight_milli: int = 100
    """Weight of a cached token in thousandths: 100 means 0.1."""

    def weighted_millitokens(self, usage: Usage) -> int:
        """Return tokens x 1000, with cached tokens weighted."""
        cached = min(usage.cached, usage.total)
        return (usage.total - cached) * MILLI + cached * self.cached_weight_milli

    def of(self, usage: Usage) -> int:
        """Return the milli-units for `usage`, rounded up."""
        return _up(self.weighted_millitokens(usage), self.tokens_per_unit)

    def server_limit(self, budget_milliunits: int) -> int:
        """Return the token limit to send to the provider: `ceil(budget_units x tokens_per_unit)`, at least 1."""
        return max(1, _up(budget_milliunits * self.tokens_per_unit, MILLI))


@dataclass(frozen=True, slots=True, kw_only=True)
class Price:
    """Prices per million tokens, in millionths of `currency` (micro-money)."""

    input_micro: int
    cached_micro: int
    output_micro: int
    currency: str

    def cost(self, usage: Usage) -> int | None:
        """Return micro-money for `usage`; None if the provider never reported how much of it is input.

        Everything that is not input (output, thoughts, tool use) is priced as output.
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
        """Return micro-money if the whole budget were spent on the most expensive kind of token.

        Cached tokens count little in units but are billed, so they may be the most expensive kind per unit.
        """
        tokens = units.server_limit(budget_milliunits)
        worst = tokens * max(self.input_micro, self.output_micro, self.cached_micro)
        if units.cached_weight_milli > 0:
            worst = max(worst, _up(tokens * MILLI * self.cached_micro, units.cached_weight_milli))
        return _up(worst, 1_000_000)


def decimal(value: int, places: int, *, least: int = 1) -> str:
    """Format an integer count of 10^-`places` as a decimal with at least `least` fractional digits: `38.2`."""
    sign, value = ("-", -value) if value < 0 else ("", value)
    whole, part = divmod(value, 10**places)
    digits = f"{part:0{places}d}"
    kept = max(least, len(digits.rstrip("0")))
    return f"{sign}{whole}.{digits[:kept]}"


def parse_decimal(text: str, places: int) -> int:
    """Parse what `decimal` wrote back to an integer count of 10^-`places`. Raises ValueError for any other form."""
    sign, body = (-1, text[1:]) if text.startswith("-") else (1, text)
    whole, dot, part = body.partition(".")
    if not (whole.isascii() and whole.isdigit()) or (dot and not (part.isascii() and part.isdigit())):
        raise ValueError(f"not a plain decimal: {text!r}")
    if len(part) > places:
        raise ValueError(f"more than {places} digits after the decimal point: {text!r}")
    scale: int = 10**places
    return sign * (int(whole) * scale + int(part.ljust(places, "0") or "0"))


def units_text(milliunits: int) -> str:
    """Format milli-units exactly, with at least one fractional digit: `38.2`."""
    return decimal(milliunits, 3)


def money_text(micro: int) -> str:
    """Format micro-money exactly, with at least two fractional digits: `0.91`."""
    return decimal(micro, 6, least=2)
