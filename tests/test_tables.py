"""Which columns fit into a width, and how many cells each one gets."""

from __future__ import annotations

import pytest

from console.tables import Column, layout_columns

COLUMNS = (
    Column(name="id", least=4, most=4),
    Column(name="task", least=6, most=20, weight=2),
    Column(name="key", least=4, most=16, whole=True),
    Column(name="note", least=8, most=50, priority=1, turn=1),
)


def widths(total: int | None, gap: int = 1) -> dict[str, int]:
    return {placed.column.name: placed.cells for placed in layout_columns(COLUMNS, total, gap=gap)}


def test_without_a_limit_every_column_gets_its_most() -> None:
    assert widths(None) == {"id": 4, "task": 20, "key": 16, "note": 50}


def test_the_column_of_the_lowest_priority_is_left_out_first() -> None:
    assert widths(25) == {"id": 4, "task": 6, "key": 4, "note": 8}
    assert "note" not in widths(24)


def test_columns_that_always_stay_keep_their_least_width_where_nothing_fits() -> None:
    assert widths(3) == {"id": 4, "task": 6, "key": 4}


def test_a_whole_column_grows_to_its_most_or_not_at_all() -> None:
    assert {widths(total)["key"] for total in range(16, 120)} == {4, 16}


def test_a_column_of_a_later_turn_grows_when_the_earlier_ones_are_full() -> None:
    for total in range(25, 120):
        assert widths(total)["note"] == 8 or widths(total)["task"] == 20


@pytest.mark.parametrize("gap", [1, 2])
def test_room_is_used_up_and_never_exceeded(gap: int) -> None:
    for total in range(30, 120):
        found = widths(total, gap)
        used = sum(found.values()) + gap * (len(found) - 1)
        assert used == min(total, 90 + 3 * gap) or (used < total and found["key"] == 4)


def test_a_column_can_be_kept_for_wide_tables() -> None:
    columns = (Column(name="a", least=3, most=3), Column(name="b", least=3, most=3, from_width=40))
    assert len(layout_columns(columns, 39)) == 1
    assert len(layout_columns(columns, 40)) == 2
