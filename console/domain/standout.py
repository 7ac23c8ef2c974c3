"""Which days stand out, and by whom: median and MAD, so that one wild day does not hide the next. Pure.

A day is compared with what was usual before it: the same weekday where there is enough of it, else the last days.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from statistics import median

SAME_WEEKDAYS = 8
"""Weeks that are looked back for the same weekday."""
ENOUGH_WEEKDAYS = 4
LAST_DAYS = 14
ENOUGH_DAYS = 5
"""With fewer days before it, no day stands out."""
MAD_TO_SIGMA = 1.4826
"""The MAD of a normal distribution, scaled to its standard deviation."""
SIGMAS = 5.0
LEAST_SHARE = 0.5
"""A rise of less than this share of what is usual is no news, however steady the days before were."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Usual:
    """What was usual before a day."""

    middle: float
    spread: float
    """Scaled MAD."""

    @property
    def bound(self) -> float:
        """Above it a day stands out."""
        return self.middle + max(SIGMAS * self.spread, LEAST_SHARE * self.middle)


@dataclass(frozen=True, slots=True, kw_only=True)
class StandOut:
    """One day that stands out, and the member (of a grouping: mostly a task) that made it so."""

    day: str
    value: int
    usual: int
    """The median it was compared with."""
    member: str
    member_value: int
    member_usual: int
    since: str
    """The first of the days in a row, up to this one, on which the member was above its own bound."""


Days = Mapping[str, Mapping[str, int]]
"""Value by member, by day `2026-11-23`; a missing day or member is 0."""


def usual_before(day: str, values: Mapping[str, int], first: str) -> Usual | None:
    """What was usual before `day`; None where too little came before. `first` is the first day of the record."""
    at = date.fromisoformat(day)
    weekdays = _values(values, first, (at - timedelta(weeks=week) for week in range(1, SAME_WEEKDAYS + 1)))
    if len(weekdays) >= ENOUGH_WEEKDAYS:
        return _usual(weekdays)
    days = _values(values, first, (at - timedelta(days=back) for back in range(1, LAST_DAYS + 1)))
    return _usual(days) if len(days) >= ENOUGH_DAYS else None


def standing_out(days: Days, *, least: int = 0) -> tuple[StandOut, ...]:
    """The days that stand out, in their order. `least`: a rise of less in total is never news."""
    if not days:
        return ()
    first, last = min(days), max(days)
    totals = {day: sum(members.values()) for day, members in days.items()}
    series = _by_member(days)
    found: list[StandOut] = []
    for day in _every_day(first, last):
        value = totals.get(day, 0)
        usual = usual_before(day, totals, first)
        if usual is None or value <= usual.bound or value - usual.middle < least:
            continue
        member = max(series, key=lambda name: _excess(day, series[name], first))
        found.append(_explained(day, value, usual, member, series[member], first))
    return tuple(found)


def _explained(day: str, value: int, usual: Usual, member: str, values: Mapping[str, int], first: str) -> StandOut:
    own = usual_before(day, values, first)
    since = day
    before = date.fromisoformat(day) - timedelta(days=1)
    while before.isoformat() >= first and _is_above(before.isoformat(), values, first):
        since = before.isoformat()
        before -= timedelta(days=1)
    return StandOut(
        day=day,
        value=value,
        usual=round(usual.middle),
        member=member,
        member_value=values.get(day, 0),
        member_usual=round(own.middle) if own else 0,
        since=since,
    )


def _is_above(day: str, values: Mapping[str, int], first: str) -> bool:
    usual = usual_before(day, values, first)
    return usual is not None and values.get(day, 0) > usual.bound


def _excess(day: str, values: Mapping[str, int], first: str) -> float:
    usual = usual_before(day, values, first)
    return values.get(day, 0) - (usual.middle if usual else 0)


def _usual(values: Sequence[int]) -> Usual:
    middle = median(values)
    return Usual(middle=middle, spread=MAD_TO_SIGMA * median(abs(value - middle) for value in values))


def _values(values: Mapping[str, int], first: str, days: Iterable[date]) -> list[int]:
    return [values.get(day.isoformat(), 0) for day in days if day.isoformat() >= first]


def _by_member(days: Days) -> dict[str, dict[str, int]]:
    series: dict[str, dict[str, int]] = {}
    for day, members in days.items():
        for member, value in members.items():
            series.setdefault(member, {})[day] = value
    return series


def _every_day(first: str, last: str) -> list[str]:
    begin, end = date.fromisoformat(first), date.fromisoformat(last)
    return [(begin + timedelta(days=number)).isoformat() for number in range((end - begin).days + 1)]


@dataclass(frozen=True, slots=True, kw_only=True)
class BurnDown:
    """Where the month is going at the present rate."""

    spent: int
    """Milli-units of the month so far, holds included."""
    cap: int
    per_day: int
    """Mean of the last full days."""
    reached_on: str | None
    """The day on which the cap is reached; None: not in this month."""


def burn_down(daily: Mapping[str, int], *, today: str, held: int, cap: int, over_days: int = 7) -> BurnDown:
    """`daily` are milli-units by day, `held` those of open runs; the rate is that of the `over_days` before today."""
    at = date.fromisoformat(today)
    spent = sum(value for day, value in daily.items() if day[:7] == today[:7]) + held
    before = [(at - timedelta(days=back)).isoformat() for back in range(1, over_days + 1)]
    per_day = sum(daily.get(day, 0) for day in before) // over_days
    reached: str | None = None
    if spent >= cap:
        reached = today
    elif per_day > 0:
        on = at + timedelta(days=-(-(cap - spent) // per_day))
        reached = on.isoformat() if on.isoformat()[:7] == today[:7] else None
    return BurnDown(spent=spent, cap=cap, per_day=per_day, reached_on=reached)
