"""T8: every kind of call with every kind of wrong answer: one POST at most, and the verdict that the design demands."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest

from tests.faults.cell import run_cell
from tests.faults.matrix import Cell, cells

AT_A_TIME = 16


async def _all(planned: list[Cell], folder: Path) -> list[str]:
    """What was wrong in all of them."""
    turns = asyncio.Semaphore(AT_A_TIME)

    async def one(number: int, cell: Cell) -> list[str]:
        async with turns:
            return await run_cell(cell, folder / f"{number}")

    found = await asyncio.gather(*(one(number, cell) for number, cell in enumerate(planned)))
    return [line for lines in found for line in lines]


@pytest.mark.soak
async def test_every_cell_comes_to_its_verdict(tmp_path: Path) -> None:
    planned, began = list(cells()), time.monotonic()
    wrong = await _all(planned, tmp_path)
    print(f"{len(planned)} cells, {time.monotonic() - began:.0f} s")  # noqa: T201  # the figures of this run
    assert not wrong, "\n".join(wrong)
