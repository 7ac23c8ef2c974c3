"""The table of guards that were tried: what `drill` and `rehearse` print.

Kept apart because two commands print it and neither loads the other's checks.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from console.cli.invocation import Invocation
from console.cli.render.table import Cell, Column, Tone, render_table


class Tried(Protocol):
    """A guard that was tried."""

    @property
    def guard(self) -> str:
        """Which one."""

    @property
    def seen(self) -> str:
        """What it did."""

    @property
    def passed(self) -> bool:
        """Whether it did what it is for."""


def print_findings(
    invocation: Invocation, where: str, how: str, findings: Iterable[tuple[str, str, Tried]]
) -> tuple[int, int]:
    """Print one row per finding and return how many passed, of how many.

    `where` and `how` are the titles of the first and the third column; each finding comes with its two texts for them.
    """
    columns = [Column(title=title) for title in (where, "guard", how, "seen", "result")]
    rows, passed = [], 0
    for place, means, finding in findings:
        result = Cell("pass", Tone.GOOD) if finding.passed else Cell("FAIL", Tone.BAD)
        rows.append((Cell(place), Cell(finding.guard), Cell(means, Tone.FAINT), Cell(finding.seen), result))
        passed += finding.passed
    invocation.out(*render_table(columns, rows, invocation.style, None))
    return passed, len(rows)
