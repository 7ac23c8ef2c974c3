"""What is due: pure over a task, how far its schedule has come, and the time. Never a flood, never a silent gap."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import takewhile

from console.domain.task import MissedPolicy, Task
from console.engine.scheduling.cron import times_after

ON_TIME_MS = 90_000
"""An instant that is found within this was not missed: a tick may be late, a restart short."""
MOST_MISSED = 200
"""Instants looked at in one gap; of more, only the newest count and a note tells how many there were."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Due:
    """What to do about one schedule now, oldest instant first."""

    launch: tuple[datetime, ...] = ()
    """To be launched, in this order, one after the other."""
    missed: tuple[datetime, ...] = ()
    """To be logged as missed."""
    untold: int = 0
    """Missed instants beyond MOST_MISSED."""


def schedule_name(task: Task) -> str:
    """One name for one schedule of one task: an edited schedule is a new one, so that editing never fires it."""
    text = f"{task.schedule}\n{task.time_zone}\n{task.window}"
    return f"{task.name}:{hashlib.sha256(text.encode()).hexdigest()[:16]}"


def times_between(task: Task, after: datetime, until: datetime) -> Iterator[datetime]:
    """The instants in (`after`, `until`], both aware, in UTC; empty without a schedule."""
    return takewhile(lambda instant: instant <= until, times_after(task, after))


def due(task: Task, reached_ms: int, now: datetime) -> Due:
    """What became due since `reached_ms`, by the task's policy for missed instants."""
    after = datetime.fromtimestamp(reached_ms / 1000, UTC)
    newest: list[datetime] = []
    untold = 0
    for instant in times_between(task, after, now):
        newest.append(instant)
        if len(newest) > MOST_MISSED:
            del newest[0]
            untold += 1
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
