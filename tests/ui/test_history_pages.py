"""Pages of the history: each entry is found in its row however one scrolls, and memory stays bounded."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from console.domain.run import RunId, State
from console.engine.models import Cursor, KeyState, KeyStatus, Page
from console.ui.history.pages import KEPT, PAGE, PageCache, Viewport
from tests.ui import samples

FREE = KeyStatus(state=KeyState.FREE, attempts=1)
SAMPLE = samples.run(1, State.ENDED)


def page(total: int, after: Cursor | None) -> Page:
    """A page of a history with `total` entries, in which the place is the number of the next one."""
    first = after.seq if after is not None else 0
    runs = tuple(replace(SAMPLE, id=RunId(f"{number:026d}")) for number in range(first, min(total, first + PAGE)))
    last = Cursor(place=0, seq=first + PAGE) if first + PAGE < total else None
    return Page(runs=runs, after=last)


def look_at(pages: PageCache, total: int, first: int, last: int) -> int:
    """Reads the pages that the viewport needs; returns how many."""
    read = 0
    while (number := pages.missing(Viewport(first, last))) is not None:
        pages.put(number, page(total, pages.start(number)), {SAMPLE.key: FREE})
        read += 1
    return read


@pytest.mark.parametrize("total", [0, 1, PAGE - 1, PAGE, PAGE + 1, 3 * PAGE])
def test_the_end_is_found(total: int) -> None:
    pages = PageCache()
    for _ in range(10):
        look_at(pages, total, max(0, len(pages) - 30), len(pages))
    assert (pages.complete, len(pages)) == (True, total)


@settings(max_examples=30, deadline=None)
@given(jumps=st.lists(st.integers(min_value=-4000, max_value=4000), max_size=30))
def test_wherever_one_scrolls_the_entry_is_the_right_one_and_memory_is_bounded(jumps: list[int]) -> None:
    pages, total, at = PageCache(), 5_000, 0
    look_at(pages, total, 0, 30)
    for jump in jumps:
        at = max(0, min(at + jump, len(pages) - 1))
        look_at(pages, total, at, at + 30)
        entry = pages.entry(at)
        assert entry is not None
        assert entry.run.id == RunId(f"{at:026d}")
        assert pages.index(entry.run.id) == at
        assert pages.in_memory <= KEPT * PAGE


def test_what_is_in_memory_is_not_read_again() -> None:
    pages = PageCache()
    assert look_at(pages, 1_000, 0, 30) == 1
    assert look_at(pages, 1_000, 10, 40) == 0
    assert look_at(pages, 1_000, 40, 70) == 1, "the next page comes before it is needed"
