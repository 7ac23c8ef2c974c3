"""Totals do not depend on the order of adding, and an unknown cost is never zero."""

from __future__ import annotations

from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from console.domain.usage_stats import Bucket, Group, Measure, UsageTotals, sum_totals, totals_by_day

COUNTS = st.integers(0, 10**15)
FIGURES = st.builds(
    UsageTotals,
    runs=COUNTS,
    unlaunched=COUNTS,
    units=COUNTS,
    ms=COUNTS,
    cost=st.dictionaries(st.sampled_from(["EUR", "JPY", "USD"]), COUNTS).map(lambda cost: tuple(sorted(cost.items()))),
    unpriced=COUNTS,
)
BUCKETS = st.lists(
    st.builds(
        Bucket,
        day=st.sampled_from(["2026-11-22", "2026-11-23"]),
        task=st.sampled_from("abc"),
        stage=st.sampled_from(["manual", "semi"]),
        outcome=st.sampled_from(["ok", "failed"]),
        totals=FIGURES,
    ),
    max_size=6,
)


@given(st.lists(FIGURES, max_size=4))
def test_the_order_of_adding_does_not_matter(figures: list[UsageTotals]) -> None:
    assert len({sum(order, UsageTotals()) for order in permutations(figures)}) == 1


@given(FIGURES, FIGURES)
def test_sums_are_sums_field_by_field(one: UsageTotals, other: UsageTotals) -> None:
    both = one + other
    assert (both.runs, both.unlaunched) == (one.runs + other.runs, one.unlaunched + other.unlaunched)
    assert (both.units, both.ms) == (one.units + other.units, one.ms + other.ms)
    for currency in ("EUR", "JPY", "USD"):
        assert dict(both.cost).get(currency, 0) == dict(one.cost).get(currency, 0) + dict(other.cost).get(currency, 0)


@given(BUCKETS, st.sampled_from(Group))
def test_grouping_loses_and_doubles_nothing(buckets: list[Bucket], group: Group) -> None:
    days = totals_by_day(buckets, group)
    assert list(days) == sorted(days)
    rolled = [figures for members in days.values() for figures in members.values()]
    assert sum(rolled, UsageTotals()) == sum_totals(buckets)
    assert {member for members in days.values() for member in members} == {bucket.member(group) for bucket in buckets}


def test_the_members_of_each_group() -> None:
    bucket = Bucket(day="2026-11-23", task="report", stage="semi", outcome="ok", totals=UsageTotals())
    members = {group.value: bucket.member(group) for group in Group}
    assert members == {"day": "2026-11-23", "task": "report", "stage": "semi", "outcome": "ok", "provider": "default"}


def test_what_each_measure_counts() -> None:
    figures = UsageTotals(runs=2, unlaunched=3, units=38_200, ms=4000, cost=(("USD", 910_000),))
    measured = {measure.value: figures.measured(measure, "USD") for measure in Measure}
    assert measured == {"units": 38_200, "cost": 910_000, "runs": 2, "seconds": 4000}


@pytest.mark.parametrize(
    ("figures", "shown"),
    [
        (UsageTotals(), 0),
        (UsageTotals(unpriced=1), None),
        (UsageTotals(cost=(("USD", 5),), unpriced=1), 5),
        (UsageTotals(cost=(("EUR", 5),)), 0),
        (UsageTotals(cost=(("EUR", 5),), unpriced=1), None),
    ],
)
def test_an_unknown_cost_is_not_zero(figures: UsageTotals, shown: int | None) -> None:
    assert figures.cost_in("USD") == shown
    assert figures.measured(Measure.COST, "USD") == shown
