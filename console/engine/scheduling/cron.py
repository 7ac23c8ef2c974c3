"""Which date a launch is for: made from the instant that was due or from the day by hand, never from now at a retry."""

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
"""No zone sets its clocks back by more. Looking back begins this much later, so that no hour is taken for its twin."""


def zone_of(task: Task) -> ZoneInfo:
    """The zone in which the task's schedule and days are read."""
    return zone_named(task.time_zone)


def zone_named(name: str) -> ZoneInfo:
    """The zone of that IANA name. Raises ZoneInfoNotFoundError, which the config has ruled out."""
    return ZoneInfo(name)


def latest_time(task: Task, now: datetime) -> datetime | None:
    """The latest instant of the schedule at or before `now` (aware), in UTC; None without a schedule."""
    if task.schedule is None:
        return None
    start = now.astimezone(UTC) + LONGEST_FOLD
    found = next(
        each
        for instant in CronSim(task.schedule, start.astimezone(zone_of(task)), reverse=True)
        if (each := instant.astimezone(UTC)) <= now
    )
    # Backwards the library loses what it loses forwards, and there it is made good.
    since = takewhile(lambda instant: instant <= now, times_after(task, found - LONGEST_FOLD))
    return max(since, default=found)


def times_after(task: Task, after: datetime) -> Iterator[datetime]:
    """Every instant of the schedule after `after` (aware), in UTC and rising; none without a schedule.

    Of fixed hours the library knows the wall clock only: asked in the second turn of a repeated hour it tells what
    was due in the first, and of two times that a change leaves out it makes the same instant twice.
    """
    if task.schedule is None:
        return
    latest = after.astimezone(UTC)
    for instant in _told(task.schedule, zone_of(task), latest):
        if instant > latest:
            latest = instant
            yield instant


def _told(schedule: str, zone: ZoneInfo, after: datetime) -> Iterator[datetime]:
    """What the library tells, in UTC, since within one zone the two turns of a repeated hour compare as equal.

    It goes by whole hours and loses its way where the clocks change by half of one: there each minute is asked for.
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
    """The first instant after a change by no whole hour between two instants; None where there is none."""
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
    """The next `count` instants after `now` (aware), in UTC; empty without a schedule."""
    return tuple(islice(times_after(task, now), count))


def date_for(task: Task, now: datetime, *, scheduled: bool) -> str:
    """The date of a launch now: of the latest due instant where a schedule asks, of now where a person does."""
    due = latest_time(task, now) if scheduled else None
    instant = due or now
    if task.window == "slot":
        return slot_date(instant)
    return day_date(instant, zone_of(task))
