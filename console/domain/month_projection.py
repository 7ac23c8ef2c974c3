"""What a month will have used at its end, with a range, from what its days used so far. Pure functions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from statistics import mean, pstdev

LOOK_BACK_DAYS = 28
"""The rate is the mean of at most this many full days: four of each weekday."""
ENOUGH_DAYS = 7
"""With fewer full days there is no range."""
SIGMAS = 1.28
"""Four of five values of a normal distribution lie within this many standard deviations."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MonthProjection:
    """The end of the current month, in the unit of the values: milli-units, micro-money, runs or milliseconds."""

    so_far: int
    expected: int
    """At its end, if the days to come are like the last full ones on average."""
    low: int | None
    """Four of five months end between `low` and `high` if their days vary as the last ones did; None if too few full
    days are known."""
    high: int | None
    per_day: int
    last_day: str
    """The last day of the month, `2026-11-30`."""


def project_month(daily: Mapping[str, int], *, today: str) -> MonthProjection:
    """Project the month of `today` from the values of days; a day that is missing between two others counts as 0.

    Today counts with what it used so far or, if that is more, with a mean day.
    """
    at = date.fromisoformat(today)
    last_day = (at.replace(day=1) + timedelta(days=32)).replace(day=1) - timedelta(days=1)
    first = min(daily, default=today)
    before = [(at - timedelta(days=back)).isoformat() for back in range(1, LOOK_BACK_DAYS + 1)]
    known = [daily.get(day, 0) for day in before if day >= first]
    used_today = daily.get(today, 0)
    rate = mean(known) if known else float(used_today)
    so_far = sum(value for day, value in daily.items() if day[:7] == today[:7] and day <= today)
    days_left = (last_day - at).days
    expected = so_far + max(0.0, rate - used_today) + days_left * rate
    low = high = None
    if len(known) >= ENOUGH_DAYS:
        # Of independent days: the variance of the rest is that of its days, and that of the mean over the known ones.
        rest = days_left + 1
        spread = SIGMAS * pstdev(known) * (rest + rest**2 / len(known)) ** 0.5
        low, high = max(so_far, round(expected - spread)), round(expected + spread)
    return MonthProjection(
        so_far=so_far,
        expected=round(expected),
        low=low,
        high=high,
        per_day=round(rate),
        last_day=last_day.isoformat(),
    )
