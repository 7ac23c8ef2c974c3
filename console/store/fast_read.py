"""What is open, for a process that asks once and ends: no loop, no thread, and none of the store's other parts."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from console.domain.run import Run
from console.domain.timestamps import Timestamp
from console.store.bootstrap import prepare_store
from console.store.errors import translate_sqlite_errors
from console.store.pragmas import BUSY_MS, connection_pragmas, database_uri
from console.store.rows import run_of

# Without the hint the planner reads all runs in order, to save sorting the few that are open.
SELECT_OPEN = "select * from runs indexed by runs_open where state <> 'ended' order by seq"


def open_runs(folder: Path, *, now: Timestamp, busy_ms: int = BUSY_MS) -> tuple[Run, ...]:
    """All runs of the store in `folder` that are not ended, oldest first. First use makes it. Raises StoreError."""
    journal = prepare_store(folder, now=now, read_only=False, busy_ms=busy_ms)
    with translate_sqlite_errors():
        opened = sqlite3.connect(database_uri(folder), uri=True, isolation_level=None, timeout=busy_ms / 1000)
        with closing(opened) as connection:
            connection.row_factory = sqlite3.Row
            for setting in (*connection_pragmas(journal, busy_ms), "pragma query_only = on"):
                connection.execute(setting)
            return tuple(run_of(row) for row in connection.execute(SELECT_OPEN))
