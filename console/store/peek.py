"""What is open, for a process that asks once and ends: no loop, no thread, and none of the store's other parts."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from console.domain.moment import Moment
from console.domain.run import Run
from console.store.connecting import BUSY_MS, location, settings_of
from console.store.errors import translated
from console.store.prepare import prepare
from console.store.run_row import run_of

# Without the hint the planner reads all runs in order, to save sorting the few that are open.
SELECT_OPEN = "select * from runs indexed by runs_open where state <> 'ended' order by seq"


def open_runs(folder: Path, *, now: Moment, busy_ms: int = BUSY_MS) -> tuple[Run, ...]:
    """All runs of the store in `folder` that are not ended, oldest first. First use makes it. Raises StoreError."""
    journal = prepare(folder, now=now, read_only=False, busy_ms=busy_ms)
    with translated():
        opened = sqlite3.connect(location(folder), uri=True, isolation_level=None, timeout=busy_ms / 1000)
        with closing(opened) as connection:
            connection.row_factory = sqlite3.Row
            for setting in (*settings_of(journal, busy_ms), "pragma query_only = on"):
                connection.execute(setting)
            return tuple(run_of(row) for row in connection.execute(SELECT_OPEN))
