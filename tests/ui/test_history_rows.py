"""Rows with the other attempts of a key below its newest: each row is what it shows."""

from __future__ import annotations

import pytest

from console.domain.run import RunId, State
from console.engine.models import Cursor, KeyState, KeyStatus, Page
from console.ui.history.pages import PAGE, Entry, PageCache, Rows
from tests.ui import samples

FREE = KeyStatus(state=KeyState.FREE, attempts=3)


def pages(count: int, first: int = 1) -> PageCache:
    made = PageCache()
    runs = tuple(samples.run(first + number, State.ENDED) for number in range(count))
    after = Cursor(place=0, seq=PAGE) if count == PAGE else None
    made.put(0, Page(runs=runs, after=after), {run.key: FREE for run in runs})
    return made


def entry(number: int) -> Entry:
    return Entry(run=samples.run(number, State.ENDED), key_status=FREE)


def ids(rows: Rows) -> list[RunId]:
    return [found.run.id for row in range(len(rows)) if (found := rows.entry(row)) is not None]


@pytest.mark.parametrize("at", [0, 2, 4])
def test_every_row_is_found_at_its_index(at: int) -> None:
    made, below = pages(5), (entry(90), entry(91))
    head = made.entry(at)
    assert head is not None
    rows = Rows(made, head.run.id, below)
    plain = ids(Rows(made))
    assert ids(rows) == [*plain[: at + 1], below[0].run.id, below[1].run.id, *plain[at + 1 :]]
    assert [rows.index(run_id) for run_id in ids(rows)] == list(range(7))
    assert [rows.is_below(row) for row in range(7)] == [at < row <= at + 2 for row in range(7)]
    assert [rows.place(row) for row in range(7)] == [*range(at + 1), at, at, *range(at + 1, 5)]


def test_nothing_is_below_a_newest_attempt_that_is_not_in_memory() -> None:
    rows = Rows(pages(3), samples.run(77).id, (entry(90),))
    assert len(rows) == 3
    assert rows.index(entry(90).run.id) is None
    assert not any(map(rows.is_below, range(5)))


def test_without_anything_unfolded_rows_are_the_pages() -> None:
    made = pages(PAGE)
    rows = Rows(made)
    assert len(rows) == PAGE
    assert rows.entry(PAGE) is None
    assert [rows.place(row) for row in (0, 7, PAGE + 3)] == [0, 7, PAGE + 3]
