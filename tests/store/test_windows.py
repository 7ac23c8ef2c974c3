"""Days and months of a zone, through every change of its clocks, and never back."""

from __future__ import annotations

from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from console.domain.moment import Moment
from console.store.windows import day_ends_ms, day_of, month_ends_ms, month_of

ZONES = (
    "UTC",
    "Europe/Berlin",
    "America/New_York",
    "Asia/Kolkata",
    "Australia/Lord_Howe",  # half an hour of summer time
    "America/Santiago",  # changes at midnight, which then does not exist
    "Asia/Beirut",  # changes at midnight too
    "Pacific/Apia",  # left out a whole day in 2011
    "Africa/Cairo",
)


def _moment(wall_ms: int) -> Moment:
    return Moment(wall_ms=wall_ms, boot_ms=0, boot_id="b")


@given(st.sampled_from(ZONES), st.integers(min_value=946_684_800_000, max_value=2_140_000_000_000))
def test_a_day_ends_where_the_next_one_begins(zone_name: str, wall_ms: int) -> None:
    zone, now = ZoneInfo(zone_name), _moment(wall_ms)
    day = day_of(now, zone, None)
    ends = day_ends_ms(day, zone)
    assert ends > now.wall_ms
    assert day_of(_moment(ends - 1), zone, None) == day
    assert day_of(_moment(ends), zone, None) > day
    month = month_ends_ms(day, zone)
    assert month >= ends
    assert month_of(day_of(_moment(month - 1), zone, None)) == month_of(day)
    assert month_of(day_of(_moment(month), zone, None)) > month_of(day)


@pytest.mark.parametrize(
    ("zone", "day", "ends"),
    [
        ("Europe/Berlin", "2026-03-29", "2026-03-29T22:00"),
        ("Europe/Berlin", "2026-10-25", "2026-10-25T23:00"),
        ("America/Santiago", "2026-09-05", "2026-09-06T04:00"),
        ("Pacific/Apia", "2011-12-29", "2011-12-30T10:00"),
        ("UTC", "2026-12-31", "2027-01-01T00:00"),
    ],
)
def test_the_days_on_which_clocks_change(zone: str, day: str, ends: str) -> None:
    instant = datetime.fromisoformat(ends).replace(tzinfo=UTC)
    assert day_ends_ms(day, ZoneInfo(zone)) == int(instant.timestamp() * 1000)


@given(st.dates(min_value=date(2000, 1, 1), max_value=date(2100, 1, 1)))
def test_a_clock_set_back_opens_no_second_day(last: date) -> None:
    now = _moment(int(datetime(2026, 11, 23, tzinfo=UTC).timestamp() * 1000))
    assert day_of(now, ZoneInfo("UTC"), last.isoformat()) == max(last.isoformat(), "2026-11-23")


@pytest.mark.parametrize(("day", "ends"), [("2026-02-28", "2026-03-01"), ("2026-12-31", "2027-01-01")])
def test_a_month_ends_with_its_last_day(day: str, ends: str) -> None:
    instant = datetime.fromisoformat(ends).replace(tzinfo=UTC)
    assert month_ends_ms(day, ZoneInfo("UTC")) == int(instant.timestamp() * 1000)
