"""Usage per day, task, stage, outcome and provider: totals, anomalous days, a forecast for the month. Pure functions.

The day of a run is the day to whose caps it counts, as its log lines state it, and not the day on which it ended.
Totals are sums of integers, so the order of adding does not matter. Anomalies are found with median and MAD (median
absolute deviation), so that one extreme day does not hide the next.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from enum import StrEnum
from statistics import median
from typing import assert_never

from console.domain.run import KEY_FREEING_OUTCOMES, NON_RUN_OUTCOMES
from console.domain.task import DEFAULT_PROVIDER

UNLAUNCHED_OUTCOMES = NON_RUN_OUTCOMES | KEY_FREEING_OUTCOMES
"""Outcomes of entries for which no agent was launched."""


class Measure(StrEnum):
    """The quantity that a chart shows."""

    UNITS = "units"
    COST = "cost"
    RUNS = "runs"
    SECONDS = "seconds"


class Group(StrEnum):
    """The property by which a chart is stacked."""

    TASK = "task"
    DAY = "day"
    OUTCOME = "outcome"
    STAGE = "stage"
    PROVIDER = "provider"


@dataclass(frozen=True, slots=True, kw_only=True)
class UsageTotals:
    """Sums over ended runs."""

    runs: int = 0
    """Runs that launched an agent."""
    unlaunched: int = 0
    """Entries without a launched agent: skipped, refused, declined, expired, rejected, not sent."""
    units: int = 0
    """Milli-units."""
    ms: int = 0
    """Real milliseconds from launch to end."""
    cost: tuple[tuple[str, int], ...] = ()
    """Micro-money by currency, sorted by currency."""
    unpriced: int = 0
    """Runs with usage but without a known price. Unless this is 0, `cost` is incomplete."""

    def __add__(self, other: UsageTotals) -> UsageTotals:
        """Return the sum of both."""
        money: dict[str, int] = defaultdict(int)
        for currency, micro in (*self.cost, *other.cost):
            money[currency] += micro
        return UsageTotals(
            runs=self.runs + other.runs,
            unlaunched=self.unlaunched + other.unlaunched,
            units=self.units + other.units,
            ms=self.ms + other.ms,
            cost=tuple(sorted(money.items())),
            unpriced=self.unpriced + other.unpriced,
        )

    def cost_in(self, currency: str) -> int | None:
        """Return micro-money in `currency`; None if the cost is unknown, which is not the same as 0."""
        known = dict(self.cost)
        return known.get(currency, 0) if currency in known or not self.unpriced else None

    def measured(self, measure: Measure, currency: str = "") -> int | None:
        """Return milli-units, micro-money in `currency` (None if unknown), the number of runs, or milliseconds."""
        match measure:
            case Measure.UNITS:
                return self.units
            case Measure.COST:
                return self.cost_in(currency)
            case Measure.RUNS:
                return self.runs
            case Measure.SECONDS:
                return self.ms
            case _:
                assert_never(measure)


@dataclass(frozen=True, slots=True, kw_only=True)
class Bucket:
    """The totals of one task on one day, at one stage and one provider, with one outcome."""

    day: str
    """`2026-11-23`."""
    task: str
    stage: str
    outcome: str
    totals: UsageTotals
    provider: str = DEFAULT_PROVIDER

    def member(self, group: Group) -> str:
        """Return the member of `group` to which the bucket belongs."""
        match group:
            case Group.TASK:
                return self.task
            case Group.DAY:
                return self.day
            case Group.OUTCOME:
                return self.outcome
            case Group.STAGE:
                return self.stage
            case Group.PROVIDER:
                return self.provider
            case _:
                assert_never(group)


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenHold:
    """Units held for a run whose end is not in the log yet."""

    run: str
    task: str
    stage: str
    day: str
    units: int
    """Milli-units."""
    since_ms: int
    """Time of the log line in UTC milliseconds."""
    confirmed: bool
    """False if it is unknown whether the agent runs."""


def totals_by_day(buckets: Iterable[Bucket], group: Group) -> Mapping[str, Mapping[str, UsageTotals]]:
    """Sum `buckets` by day, then by member of `group`. Days are in order; days and members without data are absent."""
    days: dict[str, dict[str, UsageTotals]] = defaultdict(dict)
    for bucket in sorted(buckets, key=lambda one: one.day):
        members, member = days[bucket.day], bucket.member(group)
        members[member] = members.get(member, UsageTotals()) + bucket.totals
    return dict(days)


def sum_totals(buckets: Iterable[Bucket]) -> UsageTotals:
    """Return the sum over all `buckets`."""
    return sum((bucket.totals for bucket in buckets), UsageTotals())


SAME_WEEKDAYS = 8
"""How many earlier days of the same weekday make up a baseline."""
ENOUGH_WEEKDAYS = 4
"""With fewer of them, the last days of any weekday are used instead."""
LAST_DAYS = 14
ENOUGH_DAYS = 5
"""With fewer days than this there is no baseline, and so no anomaly."""
MAD_TO_SIGMA = 1.4826
"""Factor from the MAD of a normal distribution to its standard deviation."""
SIGMAS = 5.0
"""How many scaled MADs above the median a value must be."""
LEAST_SHARE = 0.5
"""A value must exceed the median by at least this share of it, however steady the days before were."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Baseline:
    """The usual level before a day."""

    middle: float
    spread: float
    """MAD scaled to a standard deviation."""

    @property
    def bound(self) -> float:
        """A value above this is an anomaly."""
        return self.middle + max(SIGMAS * self.spread, LEAST_SHARE * self.middle)


@dataclass(frozen=True, slots=True, kw_only=True)
class Anomaly:
    """A day above its baseline, and the member of the grouping (usually a task) that contributed most to the excess."""

    day: str
    value: int
    baseline: int
    """The median with which `value` was compared."""
    member: str
    member_value: int
    member_baseline: int
    since: str
    """First day of the unbroken series, up to this day, on which the member was above its own baseline."""


Days = Mapping[str, Mapping[str, int]]
"""Values by day (`2026-11-23`) and member; a missing day or member counts as 0."""


def baseline_before(day: str, values: Mapping[str, int], first: str) -> Baseline | None:
    """Return the baseline for `day`; None if the record, which begins on day `first`, is too short.

    The same weekday is used if there is enough of it, otherwise the last days.
    """
    at = date.fromisoformat(day)
    weekdays = _values(values, first, (at - timedelta(weeks=week) for week in range(1, SAME_WEEKDAYS + 1)))
    if len(weekdays) >= ENOUGH_WEEKDAYS:
        return _baseline_of(weekdays)
    days = _values(values, first, (at - timedelta(days=back) for back in range(1, LAST_DAYS + 1)))
    return _baseline_of(days) if len(days) >= ENOUGH_DAYS else None


def find_anomalies(days: Days, *, least: int = 0) -> tuple[Anomaly, ...]:
    """Return the anomalous days in order. A total that exceeds its baseline by less than `least` is not reported."""
    if not days:
        return ()
    first, last = min(days), max(days)
    totals = {day: sum(members.values()) for day, members in days.items()}
    series = _by_member(days)
    found: list[Anomaly] = []
    for day in _every_day(first, last):
        value = totals.get(day, 0)
        baseline = baseline_before(day, totals, first)
        if baseline is None or value <= baseline.bound or value - baseline.middle < least:
            continue
        member = max(series, key=lambda name: _excess(day, series[name], first))
        found.append(_explained(day, value, baseline, member, series[member], first))
    return tuple(found)


def _explained(day: str, value: int, baseline: Baseline, member: str, values: Mapping[str, int], first: str) -> Anomaly:
    own = baseline_before(day, values, first)
    since = day
    before = date.fromisoformat(day) - timedelta(days=1)
    while before.isoformat() >= first and _is_above(before.isoformat(), values, first):
        since = before.isoformat()
        before -= timedelta(days=1)
    return Anomaly(
        day=day,
        value=value,
        baseline=round(baseline.middle),
        member=member,
        member_value=values.get(day, 0),
        member_baseline=round(own.middle) if own else 0,
        since=since,
    )


def _is_above(day: str, values: Mapping[str, int], first: str) -> bool:
    baseline = baseline_before(day, values, first)
    return baseline is not None and values.get(day, 0) > baseline.bound


def _excess(day: str, values: Mapping[str, int], first: str) -> float:
    baseline = baseline_before(day, values, first)
    return values.get(day, 0) - (baseline.middle if baseline else 0)


def _baseline_of(values: Sequence[int]) -> Baseline:
    middle = median(values)
    return Baseline(middle=middle, spread=MAD_TO_SIGMA * median(abs(value - middle) for value in values))


def _values(values: Mapping[str, int], first: str, days: Iterable[date]) -> list[int]:
    return [values.get(day.isoformat(), 0) for day in days if day.isoformat() >= first]


def _by_member(days: Days) -> dict[str, dict[str, int]]:
    series: dict[str, dict[str, int]] = {}
    for day, members in days.items():
        for member, value in members.items():
            series.setdefault(member, {})[day] = value
    return series


def _every_day(first: str, last: str) -> list[str]:
    begin, end = date.fromisoformat(first), date.fromisoformat(last)
    return [(begin + timedelta(days=number)).isoformat() for number in range((end - begin).days + 1)]


@dataclass(frozen=True, slots=True, kw_only=True)
class BurnDown:
    """Forecast of the current month at the recent rate."""

    spent: int
    """Milli-units of the month so far, holds included."""
    cap: int
    """Milli-units per month."""
    per_day: int
    """Mean milli-units per day over the last full days of which something is known, else those of today."""
    reached_on: str | None
    """The day on which the cap will be reached; None if not in this month."""


def burn_down(daily: Mapping[str, int], *, today: str, held: int, cap: int, over_days: int = 7) -> BurnDown:
    """Forecast when `cap` will be reached, at the mean rate of the `over_days` days before `today`.

    `daily` are milli-units by day, `held` the milli-units held for open runs. Days before the first of `daily` are not
    counted; on the first day the rate is what was used today.
    """
    at = date.fromisoformat(today)
    spent = sum(value for day, value in daily.items() if day[:7] == today[:7]) + held
    first = min(daily, default=today)
    before = [(at - timedelta(days=back)).isoformat() for back in range(1, over_days + 1)]
    known = [daily.get(day, 0) for day in before if day >= first] or [daily.get(today, 0)]
    per_day = sum(known) // len(known)
    reached: str | None = None
    if spent >= cap:
        reached = today
    elif per_day > 0:
        on = at + timedelta(days=-(-(cap - spent) // per_day))
        reached = on.isoformat() if on.isoformat()[:7] == today[:7] else None
    return BurnDown(spent=spent, cap=cap, per_day=per_day, reached_on=reached)
