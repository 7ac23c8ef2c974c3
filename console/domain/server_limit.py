"""The limit that the service itself puts on a run: a backstop behind the limits that this program enforces.

It is fixed when the run is claimed and stored with it. A service without a limit of its own has none, and this program
alone stops the run; every place that promises limits says so.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from console.domain.usage import Price, Units, Usage, money_text, round_up

CENT = 10_000
"""Micro-money in one hundredth of a currency."""
NO_SERVER_LIMIT = "no limit at the service: only this program stops it"
"""What is shown for a run whose service has no limit of its own."""


class ServerLimitKind(StrEnum):
    """What a service can limit."""

    TOKENS = "tokens"
    MONEY = "money"
    NONE = "none"


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenLimit:
    """The service ends the run after so many uncached tokens."""

    tokens: int

    def is_reached(self, usage: Usage) -> bool:
        """True if `usage` reaches the limit as the service counts it."""
        return usage.uncached >= self.tokens


@dataclass(frozen=True, slots=True, kw_only=True)
class MoneyLimit:
    """The service ends the run when its list cost reaches so much money."""

    cents: int
    """Hundredths of `currency`, at least 1."""
    currency: str

    def is_reached(self, usage: Usage) -> bool:
        """True if the money that the service reports reaches the limit."""
        return usage.told_micro is not None and usage.told_micro >= self.cents * CENT


ServerLimit = TokenLimit | MoneyLimit


def server_limit_of(
    kind: ServerLimitKind, *, budget: int, units: Units, price: Price | None, max_ms: int
) -> ServerLimit | None:
    """Return the limit to send for a run of `budget` milli-units and at most `max_ms` milliseconds.

    Money is the worst case of the budget in whole cents, rounded up. Raises ValueError if money is to be limited and
    there is no price.
    """
    match kind:
        case ServerLimitKind.TOKENS:
            return TokenLimit(tokens=units.tokens_of(budget))
        case ServerLimitKind.MONEY:
            if price is None:
                raise ValueError("a limit in money needs a price for the model")
            worst = price.worst_case(budget, units, max_ms=max_ms)
            return MoneyLimit(cents=max(1, round_up(worst, CENT)), currency=price.currency)
        case ServerLimitKind.NONE:
            return None


def limit_text(limit: ServerLimit | None) -> str:
    """Return the stored form: `tokens:2000000`, `usd:250c` or `none`."""
    match limit:
        case TokenLimit(tokens=tokens):
            return f"tokens:{tokens}"
        case MoneyLimit(cents=cents, currency=currency):
            return f"{currency.lower()}:{cents}c"
        case None:
            return "none"


def parse_limit(text: str) -> ServerLimit | None:
    """Return what `limit_text` wrote. Raises ValueError for any other text."""
    if text == "none":
        return None
    word, _, amount = text.partition(":")
    digits = amount.removesuffix("c")
    if not (digits.isascii() and digits.isdigit() and int(digits) > 0):
        raise ValueError(f"not a server limit: {text!r}")
    if word == ServerLimitKind.TOKENS and digits == amount:
        return TokenLimit(tokens=int(digits))
    if len(word) == 3 and word.isascii() and word.isalpha() and word.islower() and digits != amount:
        return MoneyLimit(cents=int(digits), currency=word.upper())
    raise ValueError(f"not a server limit: {text!r}")


def describe_limit(limit: ServerLimit | None) -> str:
    """Say what the service limits: `2000000 uncached tokens`, `2.50 USD`, or that it limits nothing."""
    match limit:
        case TokenLimit(tokens=tokens):
            return f"{tokens} uncached tokens"
        case MoneyLimit(cents=cents, currency=currency):
            return f"{money_text(cents * CENT)} {currency}"
        case None:
            return NO_SERVER_LIMIT
