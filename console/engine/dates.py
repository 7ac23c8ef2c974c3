"""Which date a launch is for: made from the instant that was due or from the day by hand, never from now at a retry."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from cronsim import CronSim

from console.domain.key import day_date, slot_date
from console.domain.task import Task


def zone_of(task: Task) -> ZoneInfo:
    """The zone in which the task's schedule and days are read."""
    return zone_named(task.time_zone)


def zone_named(name: str) -> ZoneInfo:
    """The zone of that IANA name. Raises ZoneInfoNotFoundError, which the config has ruled out."""
    return ZoneInfo(name)


def latest_instant(task: Task, now: datetime) -> datetime | None:
    """The latest instant of the schedule at or before `now` (aware), in UTC; None without a schedule."""
    if task.schedule is None:
        return None
    local = now.astimezone(zone_of(task))
    # The reversed iterator starts strictly before its start; a second later makes it "at or before".
    start = datetime.fromtimestamp(local.timestamp() + 1, local.tzinfo)
    return next(iter(CronSim(task.schedule, start, reverse=True))).astimezone(UTC)


def next_instants(task: Task, now: datetime, count: int) -> tuple[datetime, ...]:
    """The next `count` instants after `now` (aware), in UTC; empty without a schedule."""
    if task.schedule is None:
        return ()
    instants = CronSim(task.schedule, now.astimezone(zone_of(task)))
    return tuple(next(instants).astimezone(UTC) for _ in range(count))


def date_for(task: Task, now: datetime, *, scheduled: bool) -> str:
    """The date of a launch now: of the latest due instant where a schedule asks, of now where a person does."""
    due = latest_instant(task, now) if scheduled else None
    instant = due or now
    if task.window == "slot":
        return slot_date(instant)
    return day_date(instant, zone_of(task))
