"""Figures as people read them: short, in the right unit, and rounded conservatively."""

from __future__ import annotations

from zoneinfo import ZoneInfo

import pytest

from console.domain import formatting

BERLIN = ZoneInfo("Europe/Berlin")
NOW_MS = 1_795_404_000_000
"""2026-11-23T03:20Z"""
DAY_MS = 86_400_000


@pytest.mark.parametrize(
    ("milliseconds", "text"),
    [
        (598_000, "9:58"),
        (597_001, "9:58"),
        (3_727_000, "1:02:07"),
        (3_600_000, "1:00:00"),
        (3_599_999, "1:00:00"),
        (59_000, "0:59"),
        (1, "0:01"),
        (0, "0:00"),
        (-5_000, "0:00"),
        (2_592_000_000, "720:00:00"),
    ],
)
def test_a_countdown_includes_the_second_that_has_begun(milliseconds: int, text: str) -> None:
    assert formatting.format_countdown(milliseconds) == text


@pytest.mark.parametrize(("milliseconds", "text"), [(999, "0:00"), (61_999, "1:01"), (3_600_000, "1:00:00")])
def test_elapsed_time_counts_whole_seconds_only(milliseconds: int, text: str) -> None:
    assert formatting.format_elapsed(milliseconds) == text


@pytest.mark.parametrize(
    ("milliseconds", "text"),
    [(-1, "0 s"), (2_400, "2 s"), (119_000, "119 s"), (120_000, "2 min"), (7_200_000, "2 h"), (200_000_000, "2 d")],
)
def test_an_age_has_one_unit(milliseconds: int, text: str) -> None:
    assert formatting.format_age(milliseconds) == text


@pytest.mark.parametrize(
    ("milliseconds", "text"),
    [
        (900_000, "15 min"),
        (90_000, "90 s"),
        (1_500, "1.5 s"),
        (9_000_000, "2 h 30 min"),
        (259_200_000, "3 d"),
        (150_000, "150 s"),
        (601_000, "10 min"),
    ],
)
def test_a_duration_is_written_with_units(milliseconds: int, text: str) -> None:
    assert formatting.format_duration(milliseconds) == text


@pytest.mark.parametrize(
    ("milliunits", "text"),
    [
        (0, "0"),
        (38_249, "38.2"),
        (80_000, "80"),
        (79_999, "79.9"),
        (812_400, "812"),
        (8_112_999, "8112"),
        (81_190_000, "81.1k"),
        (2_500_000_000, "2.5M"),
        (10**15, "1T"),
        (9, "0"),
    ],
)
def test_units_are_short_and_rounded_down(milliunits: int, text: str) -> None:
    assert formatting.format_units(milliunits) == text


@pytest.mark.parametrize(
    ("micro", "currency", "text"),
    [
        (910_000, "USD", "0.91 USD"),
        (4_200, "USD", "0.0042 USD"),
        (1_234_567_890, "EUR", "1 234.56 EUR"),
        (0, "USD", "0.00 USD"),
        (None, "USD", "unknown"),
        (5_000_000, None, "5.00"),
    ],
)
def test_unknown_money_is_unknown_and_not_zero(micro: int | None, currency: str | None, text: str) -> None:
    assert formatting.format_money(micro, currency) == text


def test_only_a_full_share_is_100_percent() -> None:
    assert [formatting.format_percent(part, 1000) for part in (0, 5, 999, 1000, 1300)] == [
        "0 %",
        "0 %",
        "99 %",
        "100 %",
        "130 %",
    ]
    assert formatting.format_percent(3, 0) == "100 %"


def test_counts_are_grouped() -> None:
    assert formatting.format_count(1_017_000) == "1 017 000"


def test_a_time_has_its_day_unless_that_is_today() -> None:
    assert formatting.format_when(NOW_MS, NOW_MS, BERLIN) == "04:20"
    assert formatting.format_when(NOW_MS + DAY_MS, NOW_MS, BERLIN) == "Tue 04:20"
    assert formatting.format_when(NOW_MS - 30 * DAY_MS, NOW_MS, BERLIN) == "2026-10-24 05:20"
    assert formatting.format_clock(NOW_MS, BERLIN) == "04:20:00"


def test_zones_have_a_name_or_an_offset_and_an_unknown_zone_is_utc() -> None:
    assert formatting.zone_name(NOW_MS, BERLIN) == "CET"
    assert formatting.zone_name(NOW_MS, ZoneInfo("Asia/Kathmandu")) == "+05:45"
    assert formatting.zone_or_utc("Nowhere/Land") == ZoneInfo("UTC")
    assert formatting.zone_or_utc("../etc/passwd") == ZoneInfo("UTC")


@pytest.mark.parametrize("wall_ms", [-1, -(10**15), 253_402_300_800_000, 10**18])
def test_a_time_that_the_calendar_does_not_have_is_shown_as_the_nearest_one(wall_ms: int) -> None:
    assert formatting.at(wall_ms, BERLIN).year in (1970, 9999)
