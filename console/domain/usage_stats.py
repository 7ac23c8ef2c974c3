"""What the runs of a day used, by task, stage and outcome. Sums of integers: any order of adding gives the same.

A day is the caps-zone day of the hold, as it stands in the log line; never the day on which a run ended.
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

UNLAUNCHED_OUTCOMES = NON_RUN_OUTCOMES | KEY_FREEING_OUTCOMES
"""Outcomes of entries for which no agent ever ran."""


class Measure(StrEnum):
    """What a chart counts."""

    UNITS = "units"
    COST = "cost"
    RUNS = "runs"
    SECONDS = "seconds"


class Group(StrEnum):
    """What a chart is stacked by."""

    TASK = "task"
    DAY = "day"
    OUTCOME = "outcome"
    STAGE = "stage"


@dataclass(frozen=True, slots=True, kw_only=True)
class UsageTotals:
    """Sums over ended runs."""

    runs: int = 0
    """Runs in which an agent was launched."""
    unlaunched: int = 0
    """Entries without an agent: skipped, refused, declined, expired, rejected, not sent."""
    units: int = 0
    """Milli-units."""
    ms: int = 0
    """Real milliseconds from launch to end."""
    cost: tuple[tuple[str, int], ...] = ()
    """Micro-money by currency, in the order of the currencies' names."""
    unpriced: int = 0
    """Runs that used something at a price nobody knows: while this is not 0, `cost` is not the whole cost."""

    def __add__(self, other: UsageTotals) -> UsageTotals:
        """Both together."""
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
        """Micro-money in `currency`; None where nothing is known, which is not the same as 0."""
        known = dict(self.cost)
        return known.get(currency, 0) if currency in known or not self.unpriced else None

    def measured(self, measure: Measure, currency: str = "") -> int | None:
        """Milli-units, micro-money of `currency` (None: unknown), runs or milliseconds."""
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
    """The figures of one task on one day, at one stage, with one outcome."""

    day: str
    """`2026-11-23`."""
    task: str
    stage: str
    outcome: str
    figures: UsageTotals

    def member(self, group: Group) -> str:
        """The bar of a stack that this belongs to."""
        match group:
            case Group.TASK:
                return self.task
            case Group.DAY:
                return self.day
            case Group.OUTCOME:
                return self.outcome
            case Group.STAGE:
                return self.stage
            case _:
                assert_never(group)


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenHold:
    """Units that are held for a run whose end is not in the log yet."""

    run: str
    task: str
    stage: str
    day: str
    units: int
    """Milli-units."""
    since_ms: int
    """UTC wall milliseconds of the log line."""
    confirmed: bool
    """False: it is not known whether it runs."""


def totals_by_day(buckets: Iterable[Bucket], group: Group) -> Mapping[str, Mapping[str, UsageTotals]]:
    """By day, then by the members of `group`; only what there is, days in their order."""
    days: dict[str, dict[str, UsageTotals]] = defaultdict(dict)
    for bucket in sorted(buckets, key=lambda one: one.day):
        members, member = days[bucket.day], bucket.member(group)
        members[member] = members.get(member, UsageTotals()) + bucket.figures
    return dict(days)


def sum_totals(buckets: Iterable[Bucket]) -> UsageTotals:
    """All of them together."""
    return sum((bucket.figures for bucket in buckets), UsageTotals())


SAME_WEEKDAYS = 8
"""Weeks that are looked back for the same weekday."""
ENOUGH_WEEKDAYS = 4
LAST_DAYS = 14
ENOUGH_DAYS = 5
"""With fewer days before it, no day stands out."""
MAD_TO_SIGMA = 1.4826
"""The MAD of a normal distribution, scaled to its standard deviation."""
SIGMAS = 5.0
LEAST_SHARE = 0.5
"""A rise of less than this share of what is usual is no news, however steady the days before were."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Baseline:
    """What was usual before a day."""

    middle: float
    spread: float
    """Scaled MAD."""

    @property
    def bound(self) -> float:
        """Above it a day stands out."""
        return self.middle + max(SIGMAS * self.spread, LEAST_SHARE * self.middle)


@dataclass(frozen=True, slots=True, kw_only=True)
class Anomaly:
    """One day that stands out, and the member (of a grouping: mostly a task) that made it so."""

    day: str
    value: int
    baseline: int
    """The median it was compared with."""
    member: str
    member_value: int
    member_baseline: int
    since: str
    """The first of the days in a row, up to this one, on which the member was above its own bound."""


Days = Mapping[str, Mapping[str, int]]
"""Value by member, by day `2026-11-23`; a missing day or member is 0."""


def baseline_before(day: str, values: Mapping[str, int], first: str) -> Baseline | None:
    """What was usual before `day`; None where too little came before. `first` is the first day of the record."""
    at = date.fromisoformat(day)
    weekdays = _values(values, first, (at - timedelta(weeks=week) for week in range(1, SAME_WEEKDAYS + 1)))
    if len(weekdays) >= ENOUGH_WEEKDAYS:
        return _baseline_of(weekdays)
    days = _values(values, first, (at - timedelta(days=back) for back in range(1, LAST_DAYS + 1)))
    return _baseline_of(days) if len(days) >= ENOUGH_DAYS else None


def find_anomalies(days: Days, *, least: int = 0) -> tuple[Anomaly, ...]:
    """The days that stand out, in their order. `least`: a rise of less in total is never news."""
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
    """Where the month is going at the present rate."""

    spent: int
    """Milli-units of the month so far, holds included."""
    cap: int
    per_day: int
    """Mean of the last full days."""
    reached_on: str | None
    """The day on which the cap is reached; None: not in this month."""


def burn_down(daily: Mapping[str, int], *, today: str, held: int, cap: int, over_days: int = 7) -> BurnDown:
    """`daily` are milli-units by day, `held` those of open runs; the rate is that of the `over_days` before today."""
    at = date.fromisoformat(today)
    spent = sum(value for day, value in daily.items() if day[:7] == today[:7]) + held
    before = [(at - timedelta(days=back)).isoformat() for back in range(1, over_days + 1)]
    per_day = sum(daily.get(day, 0) for day in before) // over_days
    reached: str | None = None
    if spent >= cap:
        reached = today
    elif per_day > 0:
        on = at + timedelta(days=-(-(cap - spent) // per_day))
        reached = on.isoformat() if on.isoformat()[:7] == today[:7] else None
    return BurnDown(spent=spent, cap=cap, per_day=per_day, reached_on=reached)
