"""The most that the schedule of one task can use and cost in a day, and what the caps leave for it.

It is shown before a promotion: from then on nobody is asked at each launch.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from console.domain.formatting import counted, format_money, format_units
from console.domain.key import day_date
from console.domain.run import Outcome
from console.domain.task import Task
from console.engine.scheduling.cron import next_times, zone_named, zone_of
from console.engine.scheduling.due import times_between
from console.engine.settings import EngineSettings

LOOK_AHEAD = timedelta(days=8)
"""From the next scheduled time on: every weekday is in it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DailyDemand:
    """What one task can take in a day by its schedule. Amounts are milli-units."""

    runs: int
    """Launches, retries included."""
    units: int
    """Held if each run has its whole budget."""
    cost_micro: int | None
    """Micro-money if all of it were used; None where the price is unknown."""
    currency: str | None
    cap: int | None
    """The cap `daily_units` over all tasks; None means unlimited."""
    others: int
    """What the schedules of the other tasks at semi or unattended can hold in a day."""

    @property
    def left(self) -> int | None:
        """What the cap leaves for this task when all others hold the most they can; None means unlimited."""
        return None if self.cap is None else max(0, self.cap - self.others)

    @property
    def fits(self) -> bool:
        """True where the cap never has to refuse a launch of this task."""
        return self.left is None or self.units <= self.left

    def lines(self) -> tuple[str, str]:
        """Return it as two sentences: the most that can be used and cost, and what the daily cap leaves."""
        money = "cost unknown: its model has no price" if self.cost_micro is None else ""
        money = money or f"{format_money(self.cost_micro, self.currency)}"
        most = f"By its schedule at most {counted(self.runs, 'run')} a day: {format_units(self.units)} units, {money}."
        if self.cap is None or self.left is None:
            return most, "daily_units is unlimited."
        others = f"other schedules can hold {format_units(self.others)} of it" if self.others else "no other schedule"
        left = f"daily_units is {format_units(self.cap)}; {others}: {format_units(self.left)} left."
        return most, left if self.fits else f"{left} Its last launches of a full day will be refused."


def daily_demand(task: Task, others: Iterable[Task], settings: EngineSettings, now: datetime) -> DailyDemand | None:
    """Return the demand of `task`; None without a schedule. `others` are the tasks that already run by schedule.

    Takes up to 0.1 s for a schedule of every minute.
    """
    if task.schedule is None:
        return None
    runs, units = _most(task, settings, now)
    price = settings.prices.get(task.model)
    worst = price.worst_case(task.guardrails.budget, settings.units, max_ms=task.guardrails.max_ms) if price else None
    return DailyDemand(
        runs=runs,
        units=units,
        cost_micro=None if worst is None else worst * runs,
        currency=price.currency if price else None,
        cap=settings.caps.daily_units,
        others=sum(_most(other, settings, now)[1] for other in others if other.schedule is not None),
    )


def _most(task: Task, settings: EngineSettings, now: datetime) -> tuple[int, int]:
    """The most launches of a task in one day of the caps, and the milli-units that they hold."""
    rails, caps = task.guardrails, settings.caps
    first = next_times(task, now, 1)
    if not first:
        return 0, 0
    zone, own = zone_named(caps.time_zone), zone_of(task)
    days: Counter[str] = Counter()
    seen: set[str] = set()
    for at in times_between(task, first[0] - timedelta(seconds=1), first[0] + LOOK_AHEAD):
        # One key per day: only the first time of a day is launched.
        if task.window == "day" and (day := day_date(at, own)) in seen:
            continue
        if task.window == "day":
            seen.add(day)
        days[day_date(at, zone)] += 1
    tries = rails.max_attempts if Outcome.FAILED.value in rails.retry_on else 1
    runs = max(days.values(), default=0) * max(1, tries)
    runs = min(limit for limit in (runs, rails.daily_runs, caps.daily_runs) if limit is not None)
    units = runs * rails.budget
    return runs, units if rails.daily_units is None else min(units, rails.daily_units)
