"""The projection of a month: its mean, its range, and what it says while little is known."""

from __future__ import annotations

import random
from calendar import monthrange

from console.domain.month_projection import project_month


def test_equal_days_give_their_sum_and_a_range_without_width() -> None:
    daily = {f"2026-10-{day:02d}": 100 for day in range(20, 32)} | {f"2026-11-{day:02d}": 100 for day in range(1, 11)}
    found = project_month(daily, today="2026-11-10")
    assert (found.so_far, found.expected, found.low, found.high) == (1_000, 3_000, 3_000, 3_000)
    assert (found.per_day, found.last_day) == (100, "2026-11-30")


def test_a_day_that_has_begun_counts_as_a_mean_one_or_as_more() -> None:
    daily = {f"2026-11-{day:02d}": 100 for day in range(1, 11)}
    assert project_month({**daily, "2026-11-11": 20}, today="2026-11-11").expected == 3_000
    assert project_month({**daily, "2026-11-11": 500}, today="2026-11-11").expected == 3_400


def test_days_without_use_between_others_count() -> None:
    daily = {"2026-11-01": 200, "2026-11-11": 0}
    assert project_month(daily, today="2026-11-11").per_day == 20


def test_with_few_days_there_is_no_range_and_without_any_the_rate_is_that_of_today() -> None:
    first = project_month({"2026-11-23": 50}, today="2026-11-23")
    assert (first.expected, first.low, first.high) == (400, None, None)
    assert project_month({}, today="2026-02-28").expected == 0
    six = {f"2026-11-{day:02d}": day for day in range(17, 24)}
    assert project_month(six, today="2026-11-23").low is None
    assert project_month({**six, "2026-11-16": 1}, today="2026-11-23").low is not None


def test_the_range_holds_four_of_five_months_and_is_never_below_what_is_used() -> None:
    source = random.Random(20261123)
    inside = months = 0
    for _ in range(500):
        days = {
            f"2026-{month:02d}-{day:02d}": source.randrange(1_000)
            for month in (10, 11)
            for day in range(1, monthrange(2026, month)[1] + 1)
        }
        end = sum(value for day, value in days.items() if day.startswith("2026-11"))
        found = project_month({day: value for day, value in days.items() if day < "2026-11-16"}, today="2026-11-15")
        assert found.low is not None
        assert found.high is not None
        assert found.low >= found.so_far
        months += 1
        inside += found.low <= end <= found.high
    assert 0.72 <= inside / months <= 0.88
