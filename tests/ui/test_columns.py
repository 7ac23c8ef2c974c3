"""Which columns of the live table are shown at which width."""

from __future__ import annotations

from console.tables import ALWAYS
from console.ui.runs.cells import COLUMNS, GUTTER, ColumnName, gap, placed_columns


def names(total: int) -> list[ColumnName]:
    return [placed.column.name for placed in placed_columns(total)]


def used(total: int) -> int:
    placed = placed_columns(total)
    return GUTTER + sum(each.cells for each in placed) + gap(total) * (len(placed) - 1)


def test_the_designed_widths() -> None:
    assert names(80) == [ColumnName.STATE, ColumnName.TASK, ColumnName.CUTOFF, ColumnName.BUDGET, ColumnName.STEP]
    assert ColumnName.STAGE not in names(120)
    assert len(names(120)) == len(COLUMNS) - 1
    assert names(200) == list(ColumnName)


def test_at_any_width_the_columns_fit_and_the_vital_ones_stay() -> None:
    vital = [column.name for column in COLUMNS if column.priority == ALWAYS]
    for total in range(61, 400):
        assert used(total) <= total
        assert [name for name in names(total) if name in vital] == vital


def test_more_room_never_takes_a_column_away() -> None:
    for total in range(61, 300):
        if gap(total) == gap(total + 1):
            assert set(names(total)) <= set(names(total + 1))


def test_a_key_is_shown_by_its_head_or_whole() -> None:
    widths = {
        placed.cells
        for total in range(61, 300)
        for placed in placed_columns(total)
        if placed.column.name is ColumnName.KEY
    }
    assert widths == {8, 16}


def test_no_width_breaks_it() -> None:
    for total in range(0, 61):
        assert [name for name in names(total)][:2] == [ColumnName.STATE, ColumnName.TASK]
