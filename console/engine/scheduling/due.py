"""What is due: a pure function of a task, of how far its schedule has come, and of the time.

Never a flood of launches, never a silent gap. The work does not grow with the length of the gap: of a long one the
newest times are found from the present backwards, and the rest is counted from the number in one week.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import takewhile

from console.domain.task import MissedPolicy, Task
from console.engine.scheduling.cron import times_after

ON_TIME_MS = 90_000
"""A time that is found within this was not missed: a tick may be late, a restart short."""
MOST_MISSED = 200
"""Times handled one by one in a gap; of more, the newest are, and a note tells how many there were."""
COUNTED = 5_000
"""Missed times are counted one by one up to about this many; more are counted by the week."""
WEEK = timedelta(days=7)


@dataclass(frozen=True, slots=True, kw_only=True)
class Due:
    """What to do about one schedule now, oldest time first."""

    launch: tuple[datetime, ...] = ()
    """To be launched, in this order, one after the other."""
    missed: tuple[datetime, ...] = ()
    """To be logged as missed."""
    untold: int = 0
    """Missed times beyond MOST_MISSED."""


def schedule_name(task: Task) -> str:
    """The name of one schedule of one task: an edited schedule has another, so that editing never fires it."""
    text = f"{task.schedule}\n{task.time_zone}\n{task.window}"
    return f"{task.name}:{hashlib.sha256(text.encode()).hexdigest()[:16]}"


def times_between(task: Task, after: datetime, until: datetime) -> Iterator[datetime]:
    """The scheduled times in (`after`, `until`], both aware, in UTC; empty without a schedule."""
    return takewhile(lambda instant: instant <= until, times_after(task, after))


def due(task: Task, reached_ms: int, now: datetime) -> Due:
    """What became due since `reached_ms` (UTC milliseconds), by the task's policy for missed times."""
    after = datetime.fromtimestamp(reached_ms / 1000, UTC)
    newest = _newest(task, after, now)
    untold = _count(task, after, newest[0]) if newest else 0
    on_time = [at for at in newest if (now - at).total_seconds() * 1000 <= ON_TIME_MS]
    late = newest[: len(newest) - len(on_time)]
    match task.missed:
        case MissedPolicy.SKIP:
            return Due(launch=tuple(on_time), missed=tuple(late), untold=untold)
        case MissedPolicy.LATEST:
            kept = newest[-1:]
            return Due(launch=tuple(kept), missed=tuple(newest[: len(newest) - len(kept)]), untold=untold)
        case MissedPolicy.ALL:
            return Due(launch=tuple(newest), untold=untold)


def _newest(task: Task, after: datetime, now: datetime) -> list[datetime]:
    """The newest MOST_MISSED times in (`after`, `now`], oldest first."""
    span = timedelta(hours=1)
    while True:
        start = max(after, now - span)
        found = list(times_between(task, start, now))
        if len(found) >= MOST_MISSED or start == after:
            return found[-MOST_MISSED:]
        span *= 2


def _count(task: Task, after: datetime, before: datetime) -> int:
    """How many times there are in (`after`, `before`); of more than COUNTED, by the number in the last week."""
    last_week = max(after, before - WEEK)
    in_week = sum(1 for _ in times_between(task, last_week, before)) - 1
    if last_week == after:
        return in_week
    weeks = (last_week - after) / WEEK
    if in_week * weeks > COUNTED:
        return in_week + round(in_week * weeks)
    return in_week + sum(1 for _ in times_between(task, after, last_week))
