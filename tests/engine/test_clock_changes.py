"""Scheduled times around daylight-saving changes, compared with croniter and with the rule applied to every minute.

A schedule with a fixed hour runs once on the day of a change: a time that the change skips runs at the change, a time
that it repeats runs at its first occurrence. A schedule with a wildcard hour runs in every real hour.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC, date, datetime, time, timedelta
from functools import cache
from itertools import pairwise, takewhile
from zoneinfo import ZoneInfo

import pytest
from croniter import croniter

from console.domain.task import Task
from console.engine.rollout import upcoming_times
from console.engine.scheduling.cron import latest_time, next_times, times_after
from tests.engine.building import a_task

BERLIN, NEW_YORK, LORD_HOWE, SANTIAGO = "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "America/Santiago"
ZONES = (BERLIN, NEW_YORK, LORD_HOWE, SANTIAGO)
"""Both hemispheres, shifts of an hour and of half an hour, changes at midnight, at two and at three."""
FIRST, LAST = datetime(2026, 1, 1, tzinfo=UTC), datetime(2029, 1, 1, tzinfo=UTC)
NEAR = timedelta(hours=3)
SCHEDULES = ("0 3 * * *", "30 2 * * *", "15 1 * * 1-5", "30 0 1,15 * *", "20 */6 * * *", "45 * * * 0")


def task(schedule: str, zone: str) -> Task:
    return a_task(schedule=schedule, time_zone=zone, window="slot")


def ours(schedule: str, zone: str, first: datetime = FIRST, last: datetime = LAST) -> list[datetime]:
    return list(takewhile(lambda instant: instant < last, times_after(task(schedule, zone), first)))


def minutes(first: datetime, last: datetime) -> Iterator[datetime]:
    return (first + timedelta(minutes=number) for number in range(int((last - first).total_seconds() // 60)))


@cache
def changes(zone: str) -> list[datetime]:
    """Return the minutes at which the UTC offset of `zone` changes."""
    where, found = ZoneInfo(zone), []
    hours = (FIRST + timedelta(hours=number) for number in range(int((LAST - FIRST).total_seconds() // 3600)))
    for hour, following in pairwise(hours):
        if hour.astimezone(where).utcoffset() != following.astimezone(where).utcoffset():
            before = hour.astimezone(where).utcoffset()
            found.append(next(m for m in minutes(hour, LAST) if m.astimezone(where).utcoffset() != before))
    return found


def is_near(instant: datetime, others: Iterable[datetime]) -> bool:
    return any(abs(instant - other) <= NEAR for other in others)


@pytest.mark.parametrize(
    "zone", [BERLIN, LORD_HOWE, *(pytest.param(zone, marks=pytest.mark.proofs) for zone in (NEW_YORK, SANTIAGO))]
)
def test_three_years_agree_with_croniter_except_around_a_change(zone: str) -> None:
    changed = changes(zone)
    assert len(changed) == 6
    for schedule in SCHEDULES:
        theirs = croniter(schedule, FIRST.astimezone(ZoneInfo(zone)), ret_type=datetime)
        expected = {at.astimezone(UTC) for at in takewhile(lambda at: at < LAST, theirs)}
        found = ours(schedule, zone)
        assert found == sorted(set(found)), "times are unique and in ascending order"
        assert not [at for at in expected ^ set(found) if not is_near(at, changed)], schedule


@pytest.mark.parametrize("zone", ZONES)
@pytest.mark.parametrize("at", [time(0, 30), time(1, 15), time(2, 0), time(2, 30), time(3, 0)])
def test_a_schedule_with_a_fixed_hour_runs_once_a_day_for_three_years(zone: str, at: time) -> None:
    where = ZoneInfo(zone)
    expected = [only_run(FIRST.astimezone(where).date() + timedelta(days=day), at, where) for day in range(3 * 365 + 3)]
    assert ours(f"{at.minute} {at.hour} * * *", zone) == [each for each in expected if FIRST < each < LAST]


def only_run(day: date, at: time, where: ZoneInfo) -> datetime:
    """Return the first occurrence of this wall time, or the first minute after the change that skips it."""
    wall = datetime.combine(day, at, tzinfo=where)
    instant = wall.astimezone(UTC)
    if instant.astimezone(where).replace(tzinfo=None) == wall.replace(tzinfo=None):
        return instant
    offset = (instant - timedelta(hours=6)).astimezone(where).utcoffset()
    six_hours = minutes(instant - timedelta(hours=6), instant + timedelta(hours=6))
    return next(minute for minute in six_hours if minute.astimezone(where).utcoffset() != offset)


@pytest.mark.parametrize("zone", ZONES)
@pytest.mark.parametrize("minute", [0, 20, 30])
def test_a_schedule_with_a_wildcard_hour_runs_in_every_real_hour(zone: str, minute: int) -> None:
    for change in changes(zone):
        window = (change - timedelta(hours=6, minutes=1), change + timedelta(hours=6))
        where = ZoneInfo(zone)
        expected = [at for at in minutes(*window) if at.astimezone(where).minute == minute and at > window[0]]
        assert ours(f"{minute} * * * *", zone, *window) == expected
        gaps = {later - earlier for earlier, later in pairwise(expected)}
        assert gaps == {timedelta(hours=1)} or zone == LORD_HOWE


def test_nothing_is_due_again_in_a_repeated_hour() -> None:
    nightly = task("30 2 * * *", BERLIN)
    ran = datetime(2026, 10, 25, 0, 30, tzinfo=UTC)
    again = datetime(2026, 10, 25, 1, 15, tzinfo=UTC)
    assert latest_time(nightly, again) == ran
    assert next_times(nightly, again, 1) == (datetime(2026, 10, 26, 1, 30, tzinfo=UTC),)


def test_two_times_that_a_change_skips_are_launched_once() -> None:
    before = datetime(2026, 3, 29, 0, 0, tzinfo=UTC)
    found = next_times(task("10,40 2 * * *", BERLIN), before, 2)
    assert found == (datetime(2026, 3, 29, 1, 0, tzinfo=UTC), datetime(2026, 3, 30, 0, 10, tzinfo=UTC))


@pytest.mark.parametrize("zone", ZONES)
@pytest.mark.parametrize("schedule", ["0 3 * * *", "30 * * * *", "*/20 1-3 * * *"])
def test_the_latest_time_is_the_last_one_that_is_not_in_the_future(zone: str, schedule: str) -> None:
    for change in changes(zone):
        found = ours(schedule, zone, change - timedelta(days=3), change + timedelta(hours=7))
        for now in minutes(change - timedelta(hours=3), change + timedelta(hours=3)):
            if now.minute % 5 == 0:
                assert latest_time(task(schedule, zone), now) == max(at for at in found if at <= now), now


def test_upcoming_times_mark_the_run_that_a_change_shifts() -> None:
    now = datetime(2026, 10, 22, 12, 0, tzinfo=UTC)
    coming = upcoming_times(task("0 3 * * *", BERLIN), now)
    assert [instant.shifts for instant in coming] == [False, False, True, False, False]
