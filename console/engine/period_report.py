"""A period on one page: runs by outcome and what they cost, against the period before; the month; what the guards did.

Runs and costs are summed from the log, by the day of the caps to which a run is booked. What the guards did comes from
the store, by the day on which a launch was asked for.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from console.domain.month_projection import MonthProjection
from console.domain.run import Outcome
from console.domain.usage_stats import Bucket, Group, Measure, UsageTotals, sum_totals
from console.engine.context import EngineContext
from console.engine.usage import UsageReporter, largest_currency, totals_by_member
from console.store.guard_records import GuardActions, Stopped

TOP = 5
"""Tasks that are named."""
KEY_REASONS = frozenset({"done", "running"})
"""Skips that would have been second launches of a key."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """The totals of one name in the period, and in the one before."""

    name: str
    now: UsageTotals
    before: UsageTotals


@dataclass(frozen=True, slots=True, kw_only=True)
class GuardReport:
    """What the guards did. Amounts are milli-units and, where the prices of the period are known, micro-money."""

    budget: Stopped
    """Runs that were stopped by their budgets."""
    time_limit: Stopped
    """Runs that were stopped by their time limits."""
    cancelled: Stopped
    """Runs that were stopped by people."""
    doubles: int
    """Launches that were skipped because their key was done or under way."""
    doubles_units: int
    """What they would have used, if each had used what runs of its task usually do."""
    over_caps: int
    """Launches that a cap refused."""
    over_caps_units: int
    """The budgets that they would have held."""
    refused: Mapping[str, int]
    """Launches that were refused otherwise, by kind: `stage`, `paused`, …"""
    missed: int
    """Scheduled times at which nobody scheduled."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PeriodReport:
    """The page."""

    days: int
    first: str
    last: str
    """The last full day; the period ends with it."""
    time_zone: str
    total: Compared
    compares: bool
    """True where the log covers the whole period before."""
    outcomes: tuple[Compared, ...]
    """By outcome, most runs first; without skips and refusals, which `guards` has."""
    tasks: tuple[Compared, ...]
    """The TOP tasks, by cost where all of it is known, else by units."""
    currency: str | None
    """Of all costs; None where none is known."""
    today: UsageTotals
    """What was used today so far, which is not part of the period."""
    month_units: MonthProjection | None
    month_cost: MonthProjection | None
    month_unpriced: int
    """Runs of this month whose cost is not known."""
    guards: GuardReport

    @property
    def cost_per_unit(self) -> float | None:
        """Micro-money of one milli-unit in the period; None where the cost of a run is not known."""
        used, cost = self.total.now, self.total.now.cost_in(self.currency or "")
        return cost / used.units if cost and used.units and not used.unpriced else None


async def period_report(context: EngineContext, usage: UsageReporter, days: int) -> PeriodReport:
    """Return the report of the last `days` full days. Raises JournalError, StoreError, ValueError."""
    if days < 1:
        raise ValueError(f"a period has at least one day, not {days}")
    caps = context.settings.caps
    today = date.fromisoformat(usage.today)
    first, last = today - timedelta(days=days), today - timedelta(days=1)
    now = await usage.buckets(first, last)
    before = await usage.buckets(first - timedelta(days=days), first - timedelta(days=1))
    currency = largest_currency(now + before)
    zone = ZoneInfo(caps.time_zone)
    done = await context.store.guard_records.between(_begin_ms(first, zone), _begin_ms(today, zone))
    month = sum_totals(await usage.buckets(today.replace(day=1), today))
    return PeriodReport(
        days=days,
        first=first.isoformat(),
        last=last.isoformat(),
        time_zone=caps.time_zone,
        total=Compared(name="total", now=sum_totals(now), before=sum_totals(before)),
        compares=await usage.first_day() <= (first - timedelta(days=days)).isoformat(),
        outcomes=tuple(
            sorted(
                (each for each in _compared(now, before, Group.OUTCOME) if each.now.runs or each.before.runs),
                key=lambda each: (-each.now.runs, each.name),
            )
        ),
        tasks=_top(_compared(now, before, Group.TASK), currency),
        currency=currency,
        today=sum_totals(await usage.buckets(today, today)),
        month_units=await usage.project(Measure.UNITS, currency),
        month_cost=await usage.project(Measure.COST, currency),
        month_unpriced=month.unpriced,
        guards=await _guards(context, done),
    )


def _compared(now: tuple[Bucket, ...], before: tuple[Bucket, ...], group: Group) -> list[Compared]:
    these, those = totals_by_member(now, group), totals_by_member(before, group)
    nothing = UsageTotals()
    return [
        Compared(name=name, now=these.get(name, nothing), before=those.get(name, nothing))
        for name in sorted({*these, *those})
    ]


def _top(tasks: Iterable[Compared], currency: str | None) -> tuple[Compared, ...]:
    ran = [task for task in tasks if task.now.runs]
    by_cost = currency is not None and not any(task.now.unpriced for task in ran)

    def size(task: Compared) -> int:
        return (task.now.cost_in(currency or "") or 0) if by_cost else task.now.units

    return tuple(sorted(ran, key=lambda task: (-size(task), task.name))[:TOP])


async def _guards(context: EngineContext, done: GuardActions) -> GuardReport:
    nothing = Stopped()
    skips = [each for each in done.not_launched if each.outcome is Outcome.SKIPPED]
    refusals = [each for each in done.not_launched if each.outcome is Outcome.REFUSED]
    doubles: dict[str, int] = {}
    for each in skips:
        if each.reason in KEY_REASONS:
            doubles[each.task] = doubles.get(each.task, 0) + each.launches
    usual = 0
    for task, launches in doubles.items():
        typical = await context.store.history.typical(task)
        usual += launches * typical.median_units if typical else 0
    refused: dict[str, int] = {}
    for each in refusals:
        if each.reason != "cap":
            refused[each.reason] = refused.get(each.reason, 0) + each.launches
    return GuardReport(
        budget=done.stopped.get(Outcome.BUDGET, nothing),
        time_limit=done.stopped.get(Outcome.TIMEOUT, nothing),
        cancelled=done.stopped.get(Outcome.CANCELLED, nothing),
        doubles=sum(doubles.values()),
        doubles_units=usual,
        over_caps=sum(each.launches for each in refusals if each.reason == "cap"),
        over_caps_units=sum(each.budgets for each in refusals if each.reason == "cap"),
        refused=dict(sorted(refused.items())),
        missed=sum(each.launches for each in skips if each.reason == "missed"),
    )


def _begin_ms(day: date, zone: ZoneInfo) -> int:
    return int(datetime.combine(day, time(), tzinfo=zone).timestamp() * 1000)
