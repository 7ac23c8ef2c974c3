"""Token counts, budget units and money, all as integers.

The provider's token counts are cumulative, so figures of one run are combined by maximum, never by sum. A unit is
`(total - cached + cached_weight x cached) / tokens_per_unit`. Units are stored as thousandths (milli-units): 10^12
units in weighted milli-tokens would not fit into a 63-bit integer.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

MILLI = 1000
MAX_DIGITS = 40
"""Characters of a decimal that is parsed; no amount has as many."""

DEFAULT_CACHE_WRITE_PERCENT = 125
"""Price of a token written to the cache, in percent of the input price, where the config names none."""
HOUR_MS = 3_600_000


def round_up(numerator: int, denominator: int) -> int:
    """Divide two integers, rounding up."""
    return -(-numerator // denominator)


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """Cumulative figures of one run: token counts, and what else a service reports and bills.

    `input` is all input: fresh, `cached` and `cache_write`; adapters normalise what a service reports. A zero may also
    mean "not reported yet".
    """

    total: int = 0
    input: int = 0
    output: int = 0
    """Without `thought`."""
    thought: int = 0
    cached: int = 0
    """Input tokens read from the cache."""
    tool_use: int = 0
    """Tokens of tool results that were added to the input; not within `input`."""
    cache_write: int = 0
    """Input tokens written to the cache."""
    searches: int = 0
    """Searches that are billed by number."""
    active_ms: int = 0
    """Running time that is billed, in milliseconds."""
    told_micro: int | None = None
    """Micro-money that the service itself reports; None where it reports none."""

    def highest(self, other: Usage) -> Usage:
        """Return the larger figure of each field: cumulative figures never shrink."""
        if other == self:
            return self
        figures = {f.name: max(getattr(self, f.name) or 0, getattr(other, f.name) or 0) for f in fields(self)}
        if self.told_micro is None and other.told_micro is None:
            del figures["told_micro"]
        return Usage(**figures)

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
        return round_up(self.weighted_millitokens(usage), self.tokens_per_unit)

    def tokens_of(self, budget_milliunits: int) -> int:
        """Return the uncached tokens of a budget: `ceil(budget_units x tokens_per_unit)`, at least 1."""
        return max(1, round_up(budget_milliunits * self.tokens_per_unit, MILLI))


@dataclass(frozen=True, slots=True, kw_only=True)
class Price:
    """Prices in millionths of `currency` (micro-money): of a million tokens, of one search, of one hour."""

    input_micro: int
    cached_micro: int
    output_micro: int
    currency: str
    cache_write_micro: int | None = None
    """None: 1.25 x `input_micro`."""
    search_micro: int = 0
    hour_micro: int = 0
    """Of one hour of running time."""

    @property
    def written_micro(self) -> int:
        """The price of a million tokens written to the cache."""
        if self.cache_write_micro is not None:
            return self.cache_write_micro
        return round_up(self.input_micro * DEFAULT_CACHE_WRITE_PERCENT, 100)

    def cost(self, usage: Usage) -> int | None:
        """Return micro-money for `usage`; None if the provider never reported how much of it is input.

        Money that the service itself reports is preferred. Tool results are input; everything that is not input
        (output, thoughts) is priced as output.
        """
        if usage.told_micro is not None:
            return usage.told_micro
        beside_tokens = usage.searches * self.search_micro + round_up(usage.active_ms * self.hour_micro, HOUR_MS)
        if usage.total == 0:
            return beside_tokens
        if usage.input == 0:
            return None
        cached = min(usage.cached, usage.input)
        written = min(usage.cache_write, usage.input - cached)
        fresh = usage.input - cached - written + usage.tool_use
        rest = max(0, usage.total - usage.input - usage.tool_use)
        scaled = (
            fresh * self.input_micro
            + cached * self.cached_micro
            + written * self.written_micro
            + rest * self.output_micro
        )
        return round_up(scaled, 1_000_000) + beside_tokens

    def worst_case(self, budget_milliunits: int, units: Units, *, max_ms: int = 0) -> int:
        """Return micro-money if the whole budget were spent on the most expensive kind of token, over `max_ms`.

        Cached tokens count little in units but are billed, so they may be the most expensive kind per unit. Searches
        are not included, because nothing limits their number.
        """
        tokens = units.tokens_of(budget_milliunits)
        worst = tokens * max(self.input_micro, self.output_micro, self.cached_micro, self.written_micro)
        if units.cached_weight_milli > 0:
            worst = max(worst, round_up(tokens * MILLI * self.cached_micro, units.cached_weight_milli))
        return round_up(worst, 1_000_000) + round_up(max_ms * self.hour_micro, HOUR_MS)


def decimal(value: int, places: int, *, least: int = 1) -> str:
    """Format an integer count of 10^-`places` as a decimal with at least `least` fractional digits: `38.2`."""
    sign, value = ("-", -value) if value < 0 else ("", value)
    whole, part = divmod(value, 10**places)
    digits = f"{part:0{places}d}"
    kept = max(least, len(digits.rstrip("0")))
    return f"{sign}{whole}.{digits[:kept]}"


def parse_decimal(text: str, places: int) -> int:
    """Parse what `decimal` wrote back to an integer count of 10^-`places`. Raises ValueError for any other form."""
    if len(text) > MAX_DIGITS:
        raise ValueError(f"longer than {MAX_DIGITS} digits: {text[:MAX_DIGITS]!r}…")
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
