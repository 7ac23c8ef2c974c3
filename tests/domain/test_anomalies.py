"""A planted change is found with the task that caused it; a quiet year has no anomaly."""

from __future__ import annotations

import random
from datetime import date, timedelta

import pytest

from console.domain.usage_stats import burn_down, find_anomalies

YEAR = 365
FIRST = date(2025, 11, 24)


def day(number: int) -> str:
    return (FIRST + timedelta(days=number)).isoformat()


def a_year(seed: int) -> dict[str, dict[str, int]]:
    """Return a year of three tasks with weekday patterns and noise of up to 15 %; one of them pauses at weekends."""
    source = random.Random(seed)
    days: dict[str, dict[str, int]] = {}
    for number in range(YEAR):
        weekend = (FIRST + timedelta(days=number)).weekday() >= 5
        base = {"report": 40_000, "triage": 0 if weekend else 90_000, "digest": 15_000}
        days[day(number)] = {name: round(value * source.uniform(0.85, 1.15)) for name, value in base.items()}
    return days


@pytest.mark.parametrize("seed", range(20))
def test_a_quiet_year_has_no_anomaly(seed: int) -> None:
    assert find_anomalies(a_year(seed), least=1_000) == ()


@pytest.mark.parametrize("seed", range(20))
def test_a_planted_spike_is_found_with_its_task(seed: int) -> None:
    days = a_year(seed)
    number = random.Random(seed).randrange(60, YEAR)
    days[day(number)]["digest"] += 200_000
    (found,) = find_anomalies(days, least=1_000)
    assert (found.day, found.member, found.since) == (day(number), "digest", day(number))
    assert found.member_value > 10 * found.member_baseline


def test_a_lasting_rise_is_reported_from_its_first_day() -> None:
    days = a_year(1)
    for number in range(200, 212):
        days[day(number)]["report"] *= 6
    found = find_anomalies(days, least=1_000)
    assert {one.member for one in found} == {"report"}
    assert {one.since for one in found} == {day(200)}
    assert day(200) in {one.day for one in found}


def test_a_small_rise_over_a_steady_level_is_no_anomaly() -> None:
    days = {day(number): {"a": 10_000} for number in range(40)}
    days[day(39)] = {"a": 14_000}
    assert find_anomalies(days) == ()
    days[day(39)] = {"a": 16_000}
    assert [one.day for one in find_anomalies(days)] == [day(39)]


def test_a_short_record_has_no_anomaly() -> None:
    days = {day(number): {"a": 1_000} for number in range(5)}
    days[day(4)] = {"a": 1_000_000}
    assert find_anomalies(days) == ()


def test_an_empty_record_has_no_anomaly() -> None:
    assert find_anomalies({}) == ()


def test_the_forecast_says_when_the_cap_is_reached() -> None:
    daily = {f"2026-11-{number:02d}": 1_000 for number in range(1, 23)}
    found = burn_down(daily, today="2026-11-23", held=500, cap=25_000)
    assert (found.spent, found.per_day, found.reached_on) == (22_500, 1_000, "2026-11-26")


def test_the_cap_is_reached_today_or_not_this_month() -> None:
    daily = {"2026-11-22": 700, "2026-10-31": 99_000}
    assert burn_down(daily, today="2026-11-23", held=0, cap=10_000).reached_on is None
    assert burn_down(daily, today="2026-11-23", held=9_300, cap=10_000).reached_on == "2026-11-23"
    assert burn_down({}, today="2026-11-23", held=0, cap=10_000).reached_on is None
