"""The layout of a table: which columns fit into a width and how many cells each one gets.

The tables of the console and the tables that commands print share this code. It works with numbers only: how many
cells a text takes is measured by the caller, because the console measures as Textual does and the command line must
not load Textual.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

NameT = TypeVar("NameT", bound=str)

ALWAYS = 100
"""The priority of a column that is never left out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Column(Generic[NameT]):
    """What one column asks for; widths are in cells of a terminal."""

    name: NameT
    """The header text."""
    least: int
    most: int
    """The column grows up to this width when there is room."""
    priority: int = ALWAYS
    """Columns with the lowest priority are left out first."""
    turn: int = 0
    """Room goes to columns with a low turn first; columns of one turn share it."""
    weight: int = 1
    """The cells that the column gets at a time while columns of one turn share room."""
    whole: bool = False
    """True for a column that grows to `most` or not at all."""
    from_width: int = 0
    """The column is left out of tables that are narrower than this."""
    flush_right: bool = False
    """True for figures, which are aligned to the right."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlacedColumn(Generic[NameT]):
    """A column and the cells it got."""

    column: Column[NameT]
    cells: int


def layout_columns(
    columns: Sequence[Column[NameT]], total: int | None, *, gap: int = 1
) -> tuple[PlacedColumn[NameT], ...]:
    """The columns of a table that is `total` cells wide, with `gap` cells between two of them.

    A `total` of None is unlimited: every column gets its `most`. Columns are left out, lowest priority first, until
    the least widths of the others fit. Where columns of priority ALWAYS do not fit, they keep their least width, and
    the caller cuts the line.
    """
    if total is None:
        return tuple(PlacedColumn(column=column, cells=column.most) for column in columns)
    chosen = [column for column in columns if column.from_width <= total]
    while chosen and _needed(chosen, gap) > total:
        last = min(chosen, key=lambda column: column.priority)
        if last.priority >= ALWAYS:
            break
        chosen.remove(last)
    widths = [column.least for column in chosen]
    room = total - _needed(chosen, gap)
    for turn in sorted({column.turn for column in chosen}):
        room = _grow(chosen, widths, room, turn)
    return tuple(PlacedColumn(column=column, cells=cells) for column, cells in zip(chosen, widths, strict=True))


def _needed(columns: Sequence[Column[NameT]], gap: int) -> int:
    return sum(column.least for column in columns) + gap * max(0, len(columns) - 1)


def _grow(columns: Sequence[Column[NameT]], widths: list[int], room: int, turn: int) -> int:
    """Shares `room` cells among the columns of one turn by changing `widths`; the cells that are left over."""

    def grows(at: int) -> bool:
        missing = columns[at].most - widths[at]
        return columns[at].turn == turn and missing > 0 and (room >= missing or not columns[at].whole)

    while room > 0:
        growing = [at for at in range(len(columns)) if grows(at)]
        if not growing:
            break
        for at in growing:
            if room > 0 and grows(at):
                missing = columns[at].most - widths[at]
                given = missing if columns[at].whole else min(columns[at].weight, room, missing)
                widths[at] += given
                room -= given
    return room
