"""The times of a cron schedule, in the zone of its task, and the date of a launch.

A date comes from the scheduled time that is due, or from the day of a launch by hand; a retry keeps the date it has.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import islice, takewhile
from zoneinfo import ZoneInfo

from cronsim import CronSim

from console.domain.key import day_date, slot_date
from console.domain.task import Task

SECOND = timedelta(seconds=1)
LONGEST_FOLD = timedelta(hours=3)
"""No zone sets its clocks back by more. A search backwards starts this much later: no repeated hour is missed."""


def zone_of(task: Task) -> ZoneInfo:
    """The zone in which the task's schedule and days are read."""
    return ZoneInfo(task.time_zone)


def zone_named(name: str) -> ZoneInfo:
    """The zone of that IANA name. Raises ZoneInfoNotFoundError, which the config has ruled out."""
    return ZoneInfo(name)


def latest_time(task: Task, now: datetime) -> datetime | None:
    """The latest scheduled time at or before `now` (aware), in UTC; None without a schedule."""
    if task.schedule is None:
        return None
    start = now.astimezone(UTC) + LONGEST_FOLD
    found = next(
        each
        for instant in CronSim(task.schedule, start.astimezone(zone_of(task)), reverse=True)
        if (each := instant.astimezone(UTC)) <= now
    )
    # Backwards the library misses the times that `times_after` adds; so the last hours are read forwards again.
    since = takewhile(lambda instant: instant <= now, times_after(task, found - LONGEST_FOLD))
    return max(since, default=found)


def times_after(task: Task, after: datetime) -> Iterator[datetime]:
    """The scheduled times after `after` (aware), in UTC and ascending; none without a schedule.

    cronsim knows fixed hours by the wall clock only: asked within the second pass of a repeated hour it returns times
    of the first pass, and it maps two wall-clock times that a change skips to the same time. Both are dropped here.
    """
    if task.schedule is None:
        return
    latest = after.astimezone(UTC)
    for time in _from_library(task.schedule, zone_of(task), latest):
        if time > latest:
            latest = time
            yield time


def _from_library(schedule: str, zone: ZoneInfo, after: datetime) -> Iterator[datetime]:
    """The times that cronsim returns, in UTC: within one zone the two passes of a repeated hour compare as equal.

    cronsim steps by whole hours and goes wrong where the clocks change by half an hour (Lord Howe Island); there each
    minute of the next hour is asked for.
    """
    while True:
        coming = CronSim(schedule, after.astimezone(zone))
        instant = next(coming).astimezone(UTC)
        while (change := _broken_change(zone, after, instant)) is None:
            yield instant
            after, instant = instant, next(coming).astimezone(UTC)
        for minute in (change + timedelta(minutes=number) for number in range(60)):
            if next(CronSim(schedule, (minute - SECOND).astimezone(zone))).astimezone(UTC) == minute:
                yield minute
        after = change + timedelta(minutes=60) - SECOND


def _broken_change(zone: ZoneInfo, before: datetime, after: datetime) -> datetime | None:
    """The first second after a clock change by other than whole hours between two times; None where there is none."""
    offset = before.astimezone(zone).utcoffset() or timedelta()
    if not (offset - (after.astimezone(zone).utcoffset() or timedelta())) % timedelta(hours=1):
        return None
    while after - before > SECOND:
        middle = before + (after - before) / 2
        if middle.astimezone(zone).utcoffset() == offset:
            before = middle
        else:
            after = middle
    return after.replace(microsecond=0)


def next_times(task: Task, now: datetime, count: int) -> tuple[datetime, ...]:
    """The next `count` scheduled times after `now` (aware), in UTC; empty without a schedule."""
    return tuple(islice(times_after(task, now), count))


def date_for(task: Task, now: datetime, *, scheduled: bool) -> str:
    """The date of a launch now: of the latest scheduled time for a scheduled launch, of today for one by hand."""
    due = latest_time(task, now) if scheduled else None
    instant = due or now
    if task.window == "slot":
        return slot_date(instant)
    return day_date(instant, zone_of(task))
