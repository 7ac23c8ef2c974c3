"""What was used, from the log alone: bars of each day, who grew, which days stand out and what changed on them.

The store is asked for one thing only: what of a task was edited on a day that stands out.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import date, timedelta
from pathlib import Path

from console.domain.key import day_date
from console.domain.month_projection import LOOK_BACK_DAYS, MonthProjection, project_month
from console.domain.run import Run
from console.domain.usage import units_text
from console.domain.usage_stats import (
    Anomaly,
    Bucket,
    BurnDown,
    Group,
    Measure,
    UsageTotals,
    burn_down,
    find_anomalies,
    sum_totals,
    totals_by_day,
)
from console.engine.context import EngineContext
from console.engine.scheduling.cron import zone_named
from console.journal.aggregate import UsageLog

LEAST_RISE = 1_000
"""Milli-units: a day that rose by less is not reported."""
LOOK_BACK = 70
"""Days before the period that define what was usual."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UsageQuery:
    """The period, measure and grouping of a usage report."""

    days: int = 30
    """Calendar days in the zone of the caps, today included."""
    measure: Measure = Measure.UNITS
    group: Group = Group.TASK


@dataclass(frozen=True, slots=True, kw_only=True)
class MemberTotal:
    """One member of the grouping over the whole period."""

    member: str
    value: int
    """In the measure: milli-units, micro-money, runs or milliseconds. Of a cost, what is known of it."""
    share: float
    """Of the period's total, 0 to 1."""
    before: int
    """The same in the period of equal length before."""
    runs: int
    unpriced: int = 0
    """Of `runs`: those whose cost is not known. Unless this is 0, a cost is at least `value`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Flag:
    """A day with unusual usage, and what may explain it."""

    day: Anomaly
    changes: tuple[str, ...] = ()
    """What of the task was edited between its last run before `since` and its first run then; may be empty."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UsageReport:
    """Everything a chart and its table show."""

    query: UsageQuery
    days: tuple[str, ...]
    """Every calendar day of the period, oldest first."""
    bars: Mapping[str, Mapping[str, int]]
    """Value by member, by day; days without figures are missing."""
    members: tuple[MemberTotal, ...]
    """Largest first."""
    figures: UsageTotals
    """Of the whole period."""
    currency: str | None
    """Of the cost measure; None where no cost is known."""
    cap: int | None
    """The daily cap in the measure; None where it has none or is unlimited."""
    held: int
    """Milli-units that runs without an end hold today."""
    compares: bool = True
    """True where the log covers the whole period before, so that a change against it means something."""
    projection: MonthProjection | None = None
    """What this month will have used at its end, in the measure; None for a cost of which nothing is known."""
    month_unpriced: int = 0
    """Runs of this month whose cost is not known."""
    flags: tuple[Flag, ...] = ()
    month: BurnDown | None = None
    """None where the monthly cap is unlimited."""
    month_days: tuple[int, ...] = ()
    """In the measure: the value of each day of this month, from the first to today."""
    foreign: int = 0
    """Lines of the log that are torn or foreign."""
    gaps: int = 0
    """Runs of log lines that are missing."""
    buckets: tuple[Bucket, ...] = field(default=(), repr=False)
    """Of the period, for exports."""


class UsageReporter:
    """Sums the log incrementally: a report reads only the bytes that are new since the last one."""

    def __init__(self, context: EngineContext, path: Path) -> None:
        self._context = context
        self._log = UsageLog(path)
        self._turn = asyncio.Lock()

    async def report(self, query: UsageQuery) -> UsageReport:
        """The report of the period that ends today.

        Raises JournalError for a log that cannot be read, StoreError, ValueError.
        """
        if query.days < 1:
            raise ValueError(f"a chart has at least one day, not {query.days}")
        await self._catch_up()
        today = self.today
        days = _days_to(today, query.days)
        buckets = self._log.totals.buckets(days[0], today)
        before = self._log.totals.buckets(_earlier(days[0], query.days), _earlier(days[0], 1))
        currency = largest_currency(buckets)
        bars = _bars(buckets, query, currency)
        return UsageReport(
            query=query,
            days=days,
            bars=bars,
            members=_members(buckets, before, query, currency),
            figures=sum_totals(buckets),
            currency=currency,
            cap=self._cap(query.measure),
            held=sum(hold.units for hold in self._log.totals.holds() if hold.day == today),
            compares=next(iter(self._log.totals.days()), today) <= _earlier(days[0], query.days),
            projection=self._projection(query.measure, today, currency),
            month_unpriced=sum_totals(self._log.totals.buckets(f"{today[:7]}-01", today)).unpriced,
            flags=await self._flags(query, days[0], today, currency),
            month=self._month(today),
            month_days=self._month_days(query.measure, today, currency),
            foreign=self._log.foreign,
            gaps=len(self._log.gaps),
            buckets=buckets,
        )

    @property
    def today(self) -> str:
        """The present day in the zone of the caps."""
        return day_date(self._context.clock.now().utc(), zone_named(self._context.settings.caps.time_zone))

    async def buckets(self, first: date, last: date) -> tuple[Bucket, ...]:
        """The totals of each day from `first` to `last`. Raises JournalError."""
        await self._catch_up()
        return self._log.totals.buckets(first.isoformat(), last.isoformat())

    async def first_day(self) -> str:
        """The first day of which the log knows something; today where there is none. Raises JournalError."""
        await self._catch_up()
        return next(iter(self._log.totals.days()), self.today)

    async def project(self, measure: Measure, currency: str | None) -> MonthProjection | None:
        """What this month will have used at its end; None for a cost without a currency. Raises JournalError."""
        await self._catch_up()
        return self._projection(measure, self.today, currency)

    def close(self) -> None:
        """Close the log."""
        self._log.close()

    async def _catch_up(self) -> None:
        async with self._turn:
            for _ in self._log.catch_up():
                await asyncio.sleep(0)

    def _cap(self, measure: Measure) -> int | None:
        caps = self._context.settings.caps
        return {Measure.UNITS: caps.daily_units, Measure.RUNS: caps.daily_runs}.get(measure)

    def _month(self, today: str) -> BurnDown | None:
        cap = self._context.settings.caps.monthly_units
        if cap is None:
            return None
        buckets = self._log.totals.buckets(_earlier(today, 40), today)
        daily = {
            day: sum(f.units for f in members.values()) for day, members in totals_by_day(buckets, Group.TASK).items()
        }
        held = sum(hold.units for hold in self._log.totals.holds() if hold.day[:7] == today[:7])
        return burn_down(daily, today=today, held=held, cap=cap)

    def _month_days(self, measure: Measure, today: str, currency: str | None) -> tuple[int, ...]:
        days = _days_to(today, int(today[8:]))
        return tuple(sum_totals(self._log.totals.day(day)).measured(measure, currency or "") or 0 for day in days)

    def _projection(self, measure: Measure, today: str, currency: str | None) -> MonthProjection | None:
        if measure is Measure.COST and currency is None:
            return None
        first = _earlier(today, max(LOOK_BACK_DAYS, int(today[8:])))
        days = {day for day in self._log.totals.days() if first <= day <= today}
        daily = {day: sum_totals(self._log.totals.day(day)).measured(measure, currency or "") or 0 for day in days}
        return project_month(daily, today=today)

    async def _flags(self, query: UsageQuery, first: str, today: str, currency: str | None) -> tuple[Flag, ...]:
        """Find unusual days, always by task: a task is what a person can change."""
        by_task = UsageQuery(days=query.days, measure=query.measure, group=Group.TASK)
        bars = _bars(self._log.totals.buckets(_earlier(first, LOOK_BACK), today), by_task, currency)
        least = LEAST_RISE if query.measure is Measure.UNITS else 0
        found = [day for day in find_anomalies(bars, least=least) if day.day >= first]
        return tuple([Flag(day=day, changes=await self._changes(day)) for day in found])

    async def _changes(self, day: Anomaly) -> tuple[str, ...]:
        before, after = await self._context.store.history.around(day.member, day.since)
        return differences(before, after) if before and after else ()


def differences(before: Run, after: Run) -> tuple[str, ...]:
    """What was edited between two runs of one task: `model: a -> b`, limits and stage too."""
    mine, theirs = asdict(before.limits), asdict(after.limits)
    limits = [
        f"{name}: {_amount(name, mine[name])} -> {_amount(name, theirs[name])}"
        for name in mine
        if mine[name] != theirs[name] and name != "server_limit"
    ]
    stage = [] if before.stage is after.stage else [f"stage: {before.stage.label} -> {after.stage.label}"]
    return (*before.fingerprint.differences(after.fingerprint), *limits, *stage)


def _amount(name: str, value: object) -> str:
    if name == "budget" and isinstance(value, int):
        return f"{units_text(value)} units"
    if name in ("max_ms", "stall_ms") and isinstance(value, int):
        return f"{value / 1000:g} s"
    return str(value)


def _days_to(today: str, count: int) -> tuple[str, ...]:
    return tuple(_earlier(today, back) for back in range(count - 1, -1, -1))


def _earlier(day: str, days: int) -> str:
    return (date.fromisoformat(day) - timedelta(days=days)).isoformat()


def largest_currency(buckets: tuple[Bucket, ...]) -> str | None:
    """The currency with the largest cost; costs in several currencies are never added up."""
    known = dict(sum_totals(buckets).cost)
    return max(known, key=lambda name: (known[name], name)) if known else None


def _bars(buckets: tuple[Bucket, ...], query: UsageQuery, currency: str | None) -> dict[str, dict[str, int]]:
    return {
        day: {
            member: value
            for member, figures in members.items()
            if (value := figures.measured(query.measure, currency or "")) is not None
        }
        for day, members in totals_by_day(buckets, query.group).items()
    }


def _members(
    buckets: tuple[Bucket, ...], before: tuple[Bucket, ...], query: UsageQuery, currency: str | None
) -> tuple[MemberTotal, ...]:
    now, then = totals_by_member(buckets, query.group), totals_by_member(before, query.group)
    values = {member: figures.measured(query.measure, currency or "") or 0 for member, figures in now.items()}
    whole = sum(values.values())
    return tuple(
        MemberTotal(
            member=member,
            value=value,
            share=value / whole if whole else 0.0,
            before=then.get(member, UsageTotals()).measured(query.measure, currency or "") or 0,
            runs=now[member].runs,
            unpriced=now[member].unpriced,
        )
        for member, value in sorted(values.items(), key=lambda item: (-item[1], item[0]))
    )


def totals_by_member(buckets: tuple[Bucket, ...], group: Group) -> dict[str, UsageTotals]:
    """The totals of each member of a group."""
    found: dict[str, UsageTotals] = {}
    for bucket in buckets:
        member = bucket.member(group)
        found[member] = found.get(member, UsageTotals()) + bucket.totals
    return found
