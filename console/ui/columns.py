"""Which columns of the live table a width can bear. What decides about a run stays; what the panel repeats goes."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache


class Name(StrEnum):
    """The columns from left to right."""

    STATE = "state"
    TASK = "task"
    TARGET = "target"
    KEY = "key"
    STAGE = "stage"
    ATTEMPT = "try"
    CUTOFF = "cut-off"
    ELAPSED = "elapsed"
    BUDGET = " budget"
    STEP = "last step"


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """What a column asks for, in cells."""

    name: Name
    least: int
    most: int
    """It grows up to this when room is left."""
    stays: int
    """The column with the lowest figure leaves first; columns that share the highest never leave."""
    share: int = 1
    """Weight when room is given out."""
    at_once: bool = False
    """It grows to its most or not at all: half a key is no better than its first digits."""
    flush_right: bool = False


NEVER = 100

COLUMNS = (
    Column(name=Name.STATE, least=13, most=13, stays=NEVER),
    Column(name=Name.TASK, least=16, most=32, stays=NEVER, share=3),
    Column(name=Name.TARGET, least=12, most=30, stays=40, share=2),
    Column(name=Name.KEY, least=8, most=16, stays=50, share=8, at_once=True),
    Column(name=Name.STAGE, least=10, most=10, stays=20),
    Column(name=Name.ATTEMPT, least=3, most=3, stays=25, flush_right=True),
    Column(name=Name.CUTOFF, least=9, most=9, stays=NEVER, flush_right=True),
    Column(name=Name.ELAPSED, least=8, most=8, stays=30, flush_right=True),
    Column(name=Name.BUDGET, least=18, most=28, stays=NEVER, share=1),
    Column(name=Name.STEP, least=16, most=200, stays=60, share=3),
)
"""At 80 cells state, task, cut-off, budget and last step are left; at 120 all but the stage."""

GUTTER = 2
"""Cells before the first column: the cursor and the mark."""
ROOMY = 132
"""From this width on two blanks stand between columns, below it one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Placed:
    """A column with the width it got."""

    column: Column
    cells: int


def gap(total: int) -> int:
    """Cells between two columns of a table `total` cells wide."""
    return 2 if total >= ROOMY else 1


@lru_cache(maxsize=8)
def place(total: int, columns: tuple[Column, ...] = COLUMNS) -> tuple[Placed, ...]:
    """The columns that fit into `total` cells, with their widths; the least important left out.

    Where not even those that stay fit, they keep their least width and the widget cuts the line.
    """
    chosen = list(columns)
    while _least(chosen, total) > total and (leaver := min(chosen, key=lambda column: column.stays)).stays < NEVER:
        chosen.remove(leaver)
    widths = {column.name: column.least for column in chosen}
    _grow(chosen, widths, total - _least(chosen, total))
    return tuple(Placed(column=column, cells=widths[column.name]) for column in chosen)


def _least(columns: list[Column], total: int) -> int:
    return GUTTER + sum(column.least for column in columns) + gap(total) * (len(columns) - 1)


def _grow(columns: list[Column], widths: dict[Name, int], room: int) -> None:
    """Gives `room` cells out, one by one in turn, `share` cells to a column per turn."""
    while room > 0:
        hungry = [column for column in columns if _wants(column, widths[column.name], room)]
        if not hungry:
            return
        for column in hungry:
            if not _wants(column, widths[column.name], room):
                continue
            given = min(column.share, room, column.most - widths[column.name])
            widths[column.name] += given
            room -= given


def _wants(column: Column, cells: int, room: int) -> bool:
    missing = column.most - cells
    return missing > 0 and (not column.at_once or room >= missing)
