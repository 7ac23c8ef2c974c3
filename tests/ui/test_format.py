"""Numbers as an operator reads them."""

from __future__ import annotations

from zoneinfo import ZoneInfo

import pytest

from console.ui import format as form
from tests.ui.samples import NOW, moment

BERLIN = ZoneInfo("Europe/Berlin")


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
def test_a_countdown_counts_the_second_that_has_begun(milliseconds: int, text: str) -> None:
    assert form.countdown(milliseconds) == text


@pytest.mark.parametrize(("milliseconds", "text"), [(999, "0:00"), (61_999, "1:01"), (3_600_000, "1:00:00")])
def test_what_has_passed_counts_whole_seconds_only(milliseconds: int, text: str) -> None:
    assert form.elapsed(milliseconds) == text


@pytest.mark.parametrize(
    ("milliseconds", "text"),
    [(-1, "0 s"), (2_400, "2 s"), (119_000, "119 s"), (120_000, "2 min"), (7_200_000, "2 h"), (200_000_000, "2 d")],
)
def test_an_age_has_one_unit(milliseconds: int, text: str) -> None:
    assert form.age(milliseconds) == text


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
def test_a_limit_is_in_words(milliseconds: int, text: str) -> None:
    assert form.format_duration(milliseconds) == text


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
def test_units_are_short_and_never_look_fuller_than_they_are(milliunits: int, text: str) -> None:
    assert form.units(milliunits) == text


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
def test_money_is_unknown_where_it_is_and_never_zero_for_that(
    micro: int | None, currency: str | None, text: str
) -> None:
    assert form.money(micro, currency) == text


def test_a_percentage_is_full_only_where_it_is_reached() -> None:
    assert [form.percent(part, 1000) for part in (0, 5, 999, 1000, 1300)] == ["0 %", "0 %", "99 %", "100 %", "130 %"]
    assert form.percent(3, 0) == "100 %"


def test_counts_are_grouped() -> None:
    assert form.count(1_017_000) == "1 017 000"


def test_a_time_of_day_has_its_day_unless_that_is_today() -> None:
    assert form.when(NOW.wall_ms, NOW.wall_ms, BERLIN) == "04:20"
    assert form.when(moment(86_400).wall_ms, NOW.wall_ms, BERLIN) == "Tue 04:20"
    assert form.when(moment(-30 * 86_400).wall_ms, NOW.wall_ms, BERLIN) == "2026-10-24 05:20"
    assert form.clock(NOW.wall_ms, BERLIN) == "04:20:00"


def test_zones_have_a_name_or_an_offset_and_unknown_ones_are_utc() -> None:
    assert form.zone_name(NOW.wall_ms, BERLIN) == "CET"
    assert form.zone_name(NOW.wall_ms, ZoneInfo("Asia/Kathmandu")) == "+05:45"
    assert form.zone("Nowhere/Land") == ZoneInfo("UTC")
    assert form.zone("../etc/passwd") == ZoneInfo("UTC")
