"""Duplicates and gaps are exact for any order of numbers, and memory stays bounded."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from console.journal.log_reader import IntervalSet

NUMBERS = st.integers(0, 60)


def holes_of(numbers: set[int]) -> set[int]:
    return set(range(min(numbers, default=0), max(numbers, default=0))) - numbers


@given(st.lists(st.tuples(NUMBERS, st.integers(1, 12))))
def test_intervals_behave_like_a_set_of_numbers(spans: list[tuple[int, int]]) -> None:
    seen, model = IntervalSet(), set[int]()
    for first, count in spans:
        span = set(range(first, first + count))
        assert seen.add_span(first, count) == (not span & model)
        if not span & model:
            model |= span
        assert seen.lowest == min(model)
        assert {number for first, last in seen.gaps() for number in range(first, last + 1)} == holes_of(model)


@given(st.lists(NUMBERS))
def test_a_number_is_new_once(numbers: list[int]) -> None:
    seen, model = IntervalSet(), set[int]()
    for number in numbers:
        assert seen.add(number) == (number not in model)
        model.add(number)


def test_a_whole_log_is_one_interval_and_gaps_have_both_ends() -> None:
    seen = IntervalSet()
    assert seen.lowest is None
    assert seen.gaps() == ()
    assert all(seen.add(number) for number in (7, 8, 9, 12, 20))
    assert seen.gaps() == ((10, 11), (13, 19))
    assert seen.lowest == 7


def test_memory_is_bounded_by_closing_the_oldest_gap() -> None:
    seen = IntervalSet(max_spans=3)
    assert all(seen.add(number) for number in (1, 3, 5, 7))
    assert seen.gaps() == ((4, 4), (6, 6))
    assert not seen.add(2)
    assert seen.add(4)
    assert seen.gaps() == ((6, 6),)
