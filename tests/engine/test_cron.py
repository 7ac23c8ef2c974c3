"""The date of a key is derived from the scheduled time that was due, and does not depend on when it is computed."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from console.engine.scheduling.cron import date_for, latest_time, next_times
from tests.engine.building import a_task


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def test_a_time_is_due_from_its_first_second() -> None:
    task = a_task(schedule="0 3 * * *", time_zone="UTC")
    assert latest_time(task, at("2026-11-23T03:00:00")) == at("2026-11-23T03:00:00")
    assert latest_time(task, at("2026-11-23T02:59:59")) == at("2026-11-22T03:00:00")


def test_a_late_retry_keeps_the_date_of_its_scheduled_time() -> None:
    task = a_task(schedule="30 23 * * *", time_zone="Asia/Tokyo")
    due = at("2026-11-23T14:30:00")
    dates = {date_for(task, due + timedelta(minutes=late), scheduled=True) for late in (0, 1, 29, 31, 600, 1439)}
    assert dates == {"2026-11-23"}


def test_a_manual_launch_is_dated_in_the_time_zone_of_the_task() -> None:
    task = a_task(time_zone="Asia/Tokyo")
    assert date_for(task, at("2026-11-22T15:00:00"), scheduled=False) == "2026-11-23"


def test_a_scheduled_launch_of_a_task_without_a_schedule_is_for_today() -> None:
    task = a_task(time_zone="America/New_York")
    assert date_for(task, at("2026-11-23T03:00:00"), scheduled=True) == "2026-11-22"


def test_a_slot_is_the_scheduled_minute_in_utc() -> None:
    task = a_task(schedule="0 */2 * * *", time_zone="Europe/Berlin", window="slot")
    assert date_for(task, at("2026-11-23T02:17:00"), scheduled=True) == "20261123T0100Z"
    assert date_for(task, at("2026-11-23T02:17:00"), scheduled=False) == "20261123T0217Z"


@pytest.mark.parametrize("zone", ["Europe/Berlin", "America/New_York", "Australia/Lord_Howe"])
def test_the_next_times_follow_the_time_zone(zone: str) -> None:
    task = a_task(schedule="0 3 * * *", time_zone=zone)
    times = next_times(task, at("2026-03-01T00:00:00"), 60)
    assert len(times) == 60
    assert all(a < b for a, b in itertools.pairwise(times))
    assert all(time.tzinfo == UTC for time in times)
    local = {time.astimezone(ZoneInfo(zone)).strftime("%H:%M") for time in times}
    assert "03:00" in local


def test_a_task_without_a_schedule_has_no_next_times() -> None:
    assert next_times(a_task(), at("2026-11-23T00:00:00"), 5) == ()
