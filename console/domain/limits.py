"""May this launch go ahead? A pure function over what is held, spent and live; a refusal says what would free it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from zoneinfo import ZoneInfo

from console.domain.usage import units_text


class Cap(StrEnum):
    """The limits that a launch is held against, in the order in which they are judged."""

    TASK_DAILY_RUNS = "task_daily_runs"
    TASK_DAILY_UNITS = "task_daily_units"
    DAILY_RUNS = "daily_runs"
    DAILY_UNITS = "daily_units"
    MONTHLY_UNITS = "monthly_units"
    CONCURRENT_RUNS = "concurrent_runs"


UNIT_CAPS = frozenset({Cap.TASK_DAILY_UNITS, Cap.DAILY_UNITS, Cap.MONTHLY_UNITS})
"""Caps counted in milli-units; the others count launches."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Caps:
    """The caps over all tasks. None is unlimited, which the config must write out."""

    daily_units: int | None
    """Milli-units."""
    monthly_units: int | None
    """Milli-units."""
    daily_runs: int | None
    concurrent_runs: int | None
    time_zone: str
    """Where the day begins."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CapUsage:
    """How full one cap is."""

    cap: Cap
    limit: int | None
    """With raises for this window added; None is unlimited."""
    held: int
    """In open holds: milli-units, or launches that still run."""
    spent: int
    """Settled: milli-units, or launches that ended."""
    frees_at_ms: int | None
    """When the window ends; None where a place frees as soon as a run ends."""
    time_zone: str = "UTC"
    """Of the window, an IANA name."""

    @property
    def left(self) -> int | None:
        """Never below 0; None is unlimited."""
        return None if self.limit is None else max(0, self.limit - self.held - self.spent)

    def admits(self, amount: int) -> bool:
        """True where `amount` more stays within the limit."""
        return self.limit is None or self.held + self.spent + amount <= self.limit


class RefusalKind(StrEnum):
    """Why nothing was launched. All of them exit 6 on the command line."""

    PAUSED = "paused"
    CAP = "cap"
    STAGE = "stage"
    KEY_HELD = "key_held"
    FINGERPRINT = "fingerprint"
    CLOCK = "clock"
    READ_ONLY = "read_only"


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """A launch that was refused: an expected answer, not an error."""

    kind: RefusalKind
    sentence: str
    """One line: what refused, how full it is, what would free it. Holds no agent-made text."""
    cap_usage: CapUsage | None = None
    """For caps."""


def admit(cap_usages: tuple[CapUsage, ...], amount: int) -> Refusal | None:
    """The refusal of the first cap that has no room for one launch of `amount` milli-units; None to go ahead."""
    for cap_usage in cap_usages:
        need = amount if cap_usage.cap in UNIT_CAPS else 1
        if not cap_usage.admits(need):
            return Refusal(kind=RefusalKind.CAP, sentence=refusal_message(cap_usage, need), cap_usage=cap_usage)
    return None


def refusal_message(cap_usage: CapUsage, need: int) -> str:
    """`daily_units is reached: 1990.0 held + 5.0 spent of 2000.0, 5.0 left, 50.0 needed; frees at <time with zone>`.

    The time is the end of the window; what is held may free sooner, as its runs end.
    """

    def amount(value: int) -> str:
        return units_text(value) if cap_usage.cap in UNIT_CAPS else str(value)

    limit, left = cap_usage.limit or 0, cap_usage.left or 0
    return (
        f"{cap_usage.cap} is reached: {amount(cap_usage.held)} held + {amount(cap_usage.spent)} spent of "
        f"{amount(limit)}, {amount(left)} left, {amount(need)} needed; frees {_frees(cap_usage)}"
    )


def _frees(cap_usage: CapUsage) -> str:
    if cap_usage.frees_at_ms is None:
        return "when a run ends"
    at = datetime.fromtimestamp(cap_usage.frees_at_ms / 1000, ZoneInfo(cap_usage.time_zone))
    return f"at {at:%Y-%m-%d %H:%M %Z}"


def is_over_budget(*, used: int, largest_step: int, budget: int, before: bool) -> bool:
    """True where the budget stops the run: used reaches it, or with `before`, one more largest step would pass it."""
    return used >= budget or (before and used + largest_step > budget)
