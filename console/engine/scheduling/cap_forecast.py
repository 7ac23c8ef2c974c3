"""Whether the caps will have room for the launches to come, in the order of their times.

Each launch is judged twice: as if every run before it used its whole budget for its whole time limit, and as if each
used what runs of its task usually do. Runs that are open now count with their holds. Pure code: no I/O.
"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from zoneinfo import ZoneInfo

from console.domain.caps import UNIT_CAPS, Cap, Caps, CapUsage, Refusal, admit
from console.domain.key import day_date
from console.domain.task import Task
from console.store.ledger import TASK_CAPS, day_ends_ms, month_ends_ms, month_of


class Room(StrEnum):
    """Whether a launch to come will fit."""

    FITS = "fits"
    """Also if every run before it uses its whole budget."""
    LIKELY = "likely"
    """If the runs before it use what they usually do."""
    FULL = "full"
    """Not even then: it will be refused unless a cap is raised."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Demand:
    """What one launch takes."""

    task: Task
    at_ms: int
    units: int
    """Milli-units that it usually uses; its hold where nothing is known."""
    ms: int
    """How long it usually runs, in milliseconds; its time limit where nothing is known."""


Window = tuple[Cap, str | None, str]
"""A cap, the task it belongs to, and its period: a day, a month, or empty."""


@dataclass(slots=True)
class _Track:
    """One assumption about how much the launches use."""

    taken: Counter[Window] = field(default_factory=Counter)
    ends_ms: list[int] = field(default_factory=list)
    """When the runs end that are open at the time reached, as a heap."""

    def take(self, windows: Iterable[Window], *, units: int, ends_ms: int) -> None:
        for window in windows:
            self.taken[window] += units if window[0] in UNIT_CAPS else 1
        heapq.heappush(self.ends_ms, ends_ms)

    def slots(self, at_ms: int) -> int:
        while self.ends_ms and self.ends_ms[0] <= at_ms:
            heapq.heappop(self.ends_ms)
        return len(self.ends_ms)


class CapForecast:
    """The caps while launches are added in the order of their times."""

    def __init__(
        self,
        caps: Caps,
        *,
        today: str,
        usages: Sequence[CapUsage],
        of_tasks: Mapping[str, Sequence[CapUsage]],
        open_until_ms: Sequence[int | None],
    ) -> None:
        """`usages` are those of now over all tasks, `of_tasks` those of tasks with caps of their own, by name.

        `open_until_ms` are the ends of the runs that take a slot now; None for one whose end is not known.
        """
        self._caps = caps
        self._zone = ZoneInfo(caps.time_zone)
        self._now: dict[Window, CapUsage] = {}
        self._ends_ms: dict[str, tuple[int, int]] = {}
        """By day: when it ends, and when its month does."""
        for name, found in ((None, usages), *of_tasks.items()):
            for usage in found:
                self._now[self._window(usage.cap, name, today)] = usage
        self._forever = sum(end is None for end in open_until_ms)
        ends = sorted(end for end in open_until_ms if end is not None)
        self._worst, self._usual = _Track(ends_ms=list(ends)), _Track(ends_ms=list(ends))

    def add(self, demand: Demand) -> tuple[Room, Refusal | None]:
        """Judge one launch, which is no earlier than the one before; one that fits takes its room from then on.

        The refusal is that of the worst case; None for a launch that fits.
        """
        rails, at_ms = demand.task.guardrails, demand.at_ms
        day = day_date(datetime.fromtimestamp(at_ms / 1000, UTC), self._zone)
        refusal = admit(self._usages(demand.task, day, at_ms, self._worst), rails.budget)
        room = Room.FITS
        if refusal is not None:
            usual = admit(self._usages(demand.task, day, at_ms, self._usual), rails.budget)
            if usual is not None:
                return Room.FULL, usual
            room = Room.LIKELY
        windows = [self._window(cap, demand.task.name, day) for cap in Cap if cap is not Cap.CONCURRENT_RUNS]
        self._worst.take(windows, units=rails.budget, ends_ms=at_ms + rails.max_ms)
        self._usual.take(windows, units=demand.units, ends_ms=at_ms + demand.ms)
        return room, refusal

    def _usages(self, task: Task, day: str, at_ms: int, track: _Track) -> tuple[CapUsage, ...]:
        limits = {
            Cap.TASK_DAILY_RUNS: task.guardrails.daily_runs,
            Cap.TASK_DAILY_UNITS: task.guardrails.daily_units,
            Cap.DAILY_RUNS: self._caps.daily_runs,
            Cap.DAILY_UNITS: self._caps.daily_units,
            Cap.MONTHLY_UNITS: self._caps.monthly_units,
            Cap.CONCURRENT_RUNS: self._caps.concurrent_runs,
        }
        if day not in self._ends_ms:
            self._ends_ms[day] = day_ends_ms(day, self._zone), month_ends_ms(day, self._zone)
        day_ends, month_ends = self._ends_ms[day]
        frees = {Cap.MONTHLY_UNITS: month_ends, Cap.CONCURRENT_RUNS: None}
        usages = []
        for cap in Cap:
            window = self._window(cap, task.name, day)
            # Raises hold for the present period only, and stand in the usage of now.
            now = self._now.get(window)
            held, spent = track.taken[window] + (now.held if now else 0), now.spent if now else 0
            if cap is Cap.CONCURRENT_RUNS:
                held, spent = track.slots(at_ms) + self._forever, 0
            usages.append(
                CapUsage(
                    cap=cap,
                    limit=now.limit if now else limits[cap],
                    held=held,
                    spent=spent,
                    frees_at_ms=frees.get(cap, day_ends),
                    time_zone=self._caps.time_zone,
                )
            )
        return tuple(usages)

    @staticmethod
    def _window(cap: Cap, task: str | None, day: str) -> Window:
        period = "" if cap is Cap.CONCURRENT_RUNS else month_of(day) if cap is Cap.MONTHLY_UNITS else day
        return cap, task if cap in TASK_CAPS else None, period
