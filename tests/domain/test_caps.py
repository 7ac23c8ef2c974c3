"""A cap admits up to its limit and no further, and the budget stops a run where its rule says."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from console.domain.caps import UNIT_CAPS, Cap, CapUsage, RefusalKind, admit, is_over_budget, refusal_message

AMOUNTS = st.integers(0, 10**15)
STANDINGS = st.builds(
    CapUsage,
    cap=st.sampled_from(Cap),
    limit=st.none() | AMOUNTS,
    held=AMOUNTS,
    spent=AMOUNTS,
    frees_at_ms=st.none() | AMOUNTS,
)


def cap_usage(cap: Cap, limit: int | None, held: int = 0, spent: int = 0) -> CapUsage:
    return CapUsage(cap=cap, limit=limit, held=held, spent=spent, frees_at_ms=None)


@given(st.lists(STANDINGS, max_size=6).map(tuple), AMOUNTS)
def test_a_launch_is_admitted_exactly_if_every_cap_has_room(cap_usages: tuple[CapUsage, ...], amount: int) -> None:
    def has_room(one: CapUsage) -> bool:
        need = amount if one.cap in UNIT_CAPS else 1
        return one.limit is None or one.held + one.spent + need <= one.limit

    refusal = admit(cap_usages, amount)
    full = [one for one in cap_usages if not has_room(one)]
    assert (refusal is None) == (not full)
    if refusal is not None:
        assert refusal.kind is RefusalKind.CAP
        need, limit = amount if full[0].cap in UNIT_CAPS else 1, full[0].limit or 0
        never = need > limit
        frees = None if never else full[0].frees_at_ms
        assert refusal.cap_usage == replace(full[0], frees_at_ms=frees)
        assert refusal.sentence.startswith("never fits: " if never else full[0].cap)
        assert "\n" not in refusal.sentence


@pytest.mark.parametrize("cap", list(Cap))
def test_the_last_place_is_admitted_and_no_further_one(cap: Cap) -> None:
    need = 50_000 if cap in UNIT_CAPS else 1
    assert admit((cap_usage(cap, 100_000, held=60_000, spent=40_000 - need),), 50_000) is None
    assert admit((cap_usage(cap, 100_000, held=60_000, spent=40_001 - need),), 50_000) is not None


def test_an_unlimited_cap_is_never_full_and_a_cap_of_zero_always() -> None:
    assert admit((cap_usage(Cap.DAILY_UNITS, None, held=10**18),), 10**15) is None
    assert admit((cap_usage(Cap.DAILY_RUNS, 0),), 0) is not None
    assert admit((), 10**15) is None


@given(STANDINGS)
def test_the_rest_is_never_negative_and_overshoot_counts_in_full(one: CapUsage) -> None:
    if one.limit is None:
        assert one.left is None
        return
    assert one.left == max(0, one.limit - one.held - one.spent)
    if one.held + one.spent > one.limit:
        assert not one.admits(0)


def test_the_message_says_how_full_the_cap_is_and_what_was_needed() -> None:
    midnight = 1_795_474_800_000
    full = cap_usage(Cap.DAILY_UNITS, 2_000_000, held=1_990_000, spent=5_000)
    units = replace(full, frees_at_ms=midnight, time_zone="Europe/Berlin")
    assert refusal_message(units, 50_000) == (
        "daily_units is reached: 1990.0 held + 5.0 spent of 2000.0, 5.0 left, 50.0 needed; "
        "frees at 2026-11-24 00:00 CET"
    )
    runs = cap_usage(Cap.CONCURRENT_RUNS, 8, held=8)
    assert (
        refusal_message(runs, 1)
        == "concurrent_runs is reached: 8 held + 0 spent of 8, 0 left, 1 needed; frees when a run ends"
    )


@given(AMOUNTS, AMOUNTS, AMOUNTS)
def test_the_budget_cuts_off_once_it_is_reached(used: int, largest_step: int, budget: int) -> None:
    reached = is_over_budget(used=used, largest_step=largest_step, budget=budget, before=False)
    before = is_over_budget(used=used, largest_step=largest_step, budget=budget, before=True)
    assert reached == (used >= budget)
    assert before == (used >= budget or used + largest_step > budget)
    assert before or not reached


@pytest.mark.parametrize(
    ("used", "largest", "before", "cut"),
    [(49, 1, False, False), (50, 1, False, True), (49, 1, True, False), (49, 2, True, True), (0, 0, True, False)],
)
def test_the_budget_at_its_boundary(used: int, largest: int, before: bool, cut: bool) -> None:
    assert is_over_budget(used=used, largest_step=largest, budget=50, before=before) is cut


@pytest.mark.parametrize(
    ("usage", "amount", "sentence"),
    [
        (
            cap_usage(Cap.DAILY_UNITS, 2_000_000),
            5_000_000,
            "never fits: this task's budget (5000.0) is larger than daily_units (2000.0)",
        ),
        (cap_usage(Cap.CONCURRENT_RUNS, 0), 1, "never fits: concurrent_runs is 0"),
    ],
)
def test_what_is_larger_than_a_whole_cap_is_never_promised_a_time(usage: CapUsage, amount: int, sentence: str) -> None:
    refusal = admit((replace(usage, frees_at_ms=1_795_404_000_000),), amount)
    assert refusal is not None
    assert refusal.sentence == sentence
    assert refusal.cap_usage is not None
    assert refusal.cap_usage.frees_at_ms is None
