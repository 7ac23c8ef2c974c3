"""The runs that ended in a period, read page by page: for summaries and metrics.

Kept apart because it stands on the history alone.
"""

from __future__ import annotations

from typing import Protocol

from console.domain.run import NON_RUN_OUTCOMES, Run
from console.engine.models import Cursor, HistoryFilter, Page

PAGE = 500
MOST_RUNS = 20_000
"""Runs that are read; of more, the newest."""


class HistoryReader(Protocol):
    """The part of `Queries` that is read here."""

    async def history(self, wanted: HistoryFilter, *, limit: int = 50, after: Cursor | None = None) -> Page:
        """One page of the history."""
        ...


async def ended_since(queries: HistoryReader, since_ms: int) -> tuple[Run, ...]:
    """The runs created since then that ended, newest first, skips and refusals left out. Raises StoreError."""
    found: list[Run] = []
    wanted, after = HistoryFilter(since_ms=since_ms, open_too=False), None
    while len(found) < MOST_RUNS:
        page = await queries.history(wanted, limit=PAGE, after=after)
        found += [run for run in page.runs if run.outcome is not None and run.outcome not in NON_RUN_OUTCOMES]
        after = page.after
        if after is None:
            break
    return tuple(found)
