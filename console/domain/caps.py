"""Caps over launches, and the budget of one run. Pure functions; a refusal says what would make room."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from zoneinfo import ZoneInfo

from console.domain.formatting import at
from console.domain.usage import units_text


class Cap(StrEnum):
    """The caps that every launch is checked against, in the order of checking."""

    TASK_DAILY_RUNS = "task_daily_runs"
    TASK_DAILY_UNITS = "task_daily_units"
    DAILY_RUNS = "daily_runs"
    DAILY_UNITS = "daily_units"
    MONTHLY_UNITS = "monthly_units"
    CONCURRENT_RUNS = "concurrent_runs"


MOST_UNITS, MOST_RUNS = 10**15, 100_000
"""The largest cap, and the largest raise of one: milli-units for UNIT_CAPS, otherwise launches."""

UNIT_CAPS = frozenset({Cap.TASK_DAILY_UNITS, Cap.DAILY_UNITS, Cap.MONTHLY_UNITS})
"""Caps counted in milli-units; the others count launches."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Caps:
    """The caps over all tasks together. None means unlimited, which the config file must state explicitly."""

    daily_units: int | None
    """Milli-units."""
    monthly_units: int | None
    """Milli-units."""
    daily_runs: int | None
    concurrent_runs: int | None
    time_zone: str
    """IANA name of the zone in which days and months begin."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CapUsage:
    """How much of one cap is in use. Amounts are milli-units for UNIT_CAPS, otherwise numbers of launches."""

    cap: Cap
    limit: int | None
    """The cap including raises for the current period; None means unlimited."""
    held: int
    """Held for open runs: their budgets, or their number."""
    spent: int
    """Booked by ended runs."""
    frees_at_ms: int | None
    """When the period ends, in UTC milliseconds; None for a cap that frees as soon as a run ends."""
    time_zone: str = "UTC"
    """IANA name of the zone of the period."""

    @property
    def left(self) -> int | None:
        """What is left, never below 0; None means unlimited."""
        return None if self.limit is None else max(0, self.limit - self.held - self.spent)

    def admits(self, amount: int) -> bool:
        """True if `amount` more stays within the limit."""
        return self.limit is None or self.held + self.spent + amount <= self.limit


class RefusalKind(StrEnum):
    """Why a launch was refused. Each kind ends a command with exit code 6."""

    PAUSED = "paused"
    CAP = "cap"
    STAGE = "stage"
    KEY_HELD = "key_held"
    FINGERPRINT = "fingerprint"
    CLOCK = "clock"
    """The clock of this host differs from that of the fleet."""
    POLICY = "policy"
    """The config of this host judges launches otherwise than the fleet."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """A refused launch: an expected result, not an error."""

    kind: RefusalKind
    sentence: str
    """One line: what refused the launch, how full it is, what would free it. Contains no agent output."""
    cap_usage: CapUsage | None = None
    """The full cap, for `RefusalKind.CAP`."""


def admit(cap_usages: tuple[CapUsage, ...], amount: int) -> Refusal | None:
    """Return the refusal of the first cap without room for one launch of `amount` milli-units, else None."""
    for cap_usage in cap_usages:
        need = amount if cap_usage.cap in UNIT_CAPS else 1
        if not cap_usage.admits(need):
            if cap_usage.limit is not None and need > cap_usage.limit:
                # No end of a period and no end of a run makes room for it.
                cap_usage = replace(cap_usage, frees_at_ms=None)
            return Refusal(kind=RefusalKind.CAP, sentence=refusal_message(cap_usage, need), cap_usage=cap_usage)
    return None


def check_raise(cap: Cap, amount: int) -> None:
    """Raise ValueError unless `amount` (milli-units or launches) may be added to `cap`, with what is accepted."""
    is_units = cap in UNIT_CAPS
    if not 1 <= amount <= (MOST_UNITS if is_units else MOST_RUNS):
        shown = units_text(amount) if is_units else str(amount)
        bounds = "0.001 to 10^12 units" if is_units else f"1 to {MOST_RUNS} launches"
        raise ValueError(f"a cap is raised by {bounds}, not by {shown[:40]}")


def refusal_message(cap_usage: CapUsage, need: int) -> str:
    """Say why a cap has no room for `need` more.

    `daily_units is reached: 1990.0 held + 5.0 spent of 2000.0, 5.0 left, 50.0 needed; frees at <time with zone>`.
    The time is the end of the period; held amounts may be freed earlier, when their runs end. What is larger than the
    whole cap never fits: `never fits: this task's budget (5000.0) is larger than daily_units (2000.0)`.
    """

    def amount(value: int) -> str:
        return units_text(value) if cap_usage.cap in UNIT_CAPS else str(value)

    limit, left = cap_usage.limit or 0, cap_usage.left or 0
    if need > limit and not limit:
        return f"never fits: {cap_usage.cap} is 0"
    if need > limit:
        return f"never fits: this task's budget ({amount(need)}) is larger than {cap_usage.cap} ({amount(limit)})"
    return (
        f"{cap_usage.cap} is reached: {amount(cap_usage.held)} held + {amount(cap_usage.spent)} spent of "
        f"{amount(limit)}, {amount(left)} left, {amount(need)} needed; frees {_frees(cap_usage)}"
    )


def _frees(cap_usage: CapUsage) -> str:
    if cap_usage.frees_at_ms is None:
        return "when a run ends"
    return f"at {at(cap_usage.frees_at_ms, ZoneInfo(cap_usage.time_zone)):%Y-%m-%d %H:%M %Z}"


def is_over_budget(*, used: int, largest_step: int, budget: int, before: bool) -> bool:
    """True if the budget stops the run: `used` reaches it or, with `before`, one more largest step would pass it."""
    return used >= budget or (before and used + largest_step > budget)
