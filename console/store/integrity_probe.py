"""Checks a whole database and prints what is wrong with it as JSON. Run by path, in a process of its own.

It imports the standard library only, because it runs isolated and must work whatever state it finds.

Checking a large database takes minutes. In WAL mode a reader holds up nobody. In DELETE mode no process can commit
while another one reads, so there the check reads a copy, which is made in steps with pauses for writers.
"""

from __future__ import annotations

import json
import sqlite3
import sys
import time
from collections.abc import Callable
from contextlib import closing

MAX_PROBLEMS = 20
"""Problems that are reported."""
STEP_PAGES = 256
"""Pages that are copied under one lock; it takes about a millisecond."""
PAUSE_S = 0.002
"""Pause for writers after each step."""
MAX_RESTARTS = 3
"""SQLite starts the copy anew when the database is written to; after so many restarts it is copied at once."""
AT_ONCE_BYTES = 256 * 2**20
"""A database that is larger is never copied under one lock."""
WRONG_SUMS = """
    select day, task from (
        select
            day,
            task,
            case when state = 'open' then amount else 0 end as held,
            coalesce(settled, 0) as spent,
            case when state = 'open' then 1 else 0 end as open_runs,
            case when state = 'settled' then 1 else 0 end as ended_runs
        from holds
        union all
        select day, task, -held, -spent, -open_runs, -ended_runs from day_sums
    ) as differences
    group by day, task
    having sum(held) <> 0 or sum(spent) <> 0 or sum(open_runs) <> 0 or sum(ended_runs) <> 0
    order by day, task
"""
"""The days and tasks of which the sums against the caps are not those of the holds."""
HAS_LEDGER = "select count(*) from sqlite_schema where type = 'table' and name in ('holds', 'day_sums')"


class CheckFailed(Exception):
    """The check could not be made; this says nothing about the database."""


def problems_of(uri: str, copy: str, *, longest_s: float) -> list[str]:
    """Return the problems of the database at `uri`, using the file `copy` if it has to be copied.

    Raises CheckFailed if it could not be copied within `longest_s` seconds.
    """
    try:
        with closing(sqlite3.connect(uri, uri=True, isolation_level=None, timeout=5.0)) as source:
            source.execute("pragma query_only = on")
            if source.execute("pragma journal_mode").fetchone()[0] == "wal":
                return _check(source)
            with closing(sqlite3.connect(copy, isolation_level=None)) as target:
                target.execute("pragma journal_mode = off")
                target.execute("pragma synchronous = off")
                copy_in_steps(source, target, longest_s=longest_s)
                return _check(target)
    except (sqlite3.Error, UnicodeDecodeError) as error:
        if getattr(error, "sqlite_errorcode", 0) & 0xFF in (sqlite3.SQLITE_FULL, sqlite3.SQLITE_BUSY):
            raise CheckFailed(str(error)) from error
        # A flipped byte may raise UnicodeDecodeError, which is not an error of SQLite.
        return [f"{type(error).__name__}: {error}"]


def copy_in_steps(
    source: sqlite3.Connection,
    target: sqlite3.Connection,
    *,
    longest_s: float,
    step_pages: int = STEP_PAGES,
    pause: Callable[[], None] = lambda: time.sleep(PAUSE_S),
) -> None:
    """Copy a database; `pause` is called without a lock after each step. Raises CheckFailed if it takes too long."""
    (pages,), (page_bytes,) = (source.execute(f"pragma {name}").fetchone() for name in ("page_count", "page_size"))
    ends_s, left_before, restarts = time.monotonic() + longest_s, pages + 1, 0

    def after_step(status: int, left: int, total: int) -> None:
        nonlocal left_before, restarts
        # The status of a step that found the database locked is not OK, and it copies nothing.
        restarts += status == sqlite3.SQLITE_OK and left >= left_before
        left_before = left
        if restarts > MAX_RESTARTS and total * page_bytes <= AT_ONCE_BYTES:
            raise _TooManyRestarts
        if time.monotonic() > ends_s:
            raise CheckFailed(f"the database was not copied within {longest_s:g} s: it is written to all the time")
        if left:
            pause()

    try:
        source.backup(target, pages=step_pages, progress=after_step, sleep=PAUSE_S)
    except _TooManyRestarts:
        source.backup(target)


class _TooManyRestarts(Exception):
    pass


def _check(connection: sqlite3.Connection) -> list[str]:
    connection.execute("pragma cell_size_check = on")
    found = [str(row[0]) for row in connection.execute(f"pragma integrity_check({MAX_PROBLEMS})") if row[0] != "ok"]
    orphans = connection.execute("pragma foreign_key_check").fetchall()
    found += [f"{row[0]} row {row[1]} refers to no row of {row[2]}" for row in orphans]
    if connection.execute(HAS_LEDGER).fetchone()[0] == 2:
        found += [
            f"what the runs of task {task} hold and spent on {day} is not what counts against the caps:"
            " `nightdesk doctor --reconcile` adds it up again"
            for day, task in connection.execute(WRONG_SUMS).fetchmany(MAX_PROBLEMS)
        ]
    return found[:MAX_PROBLEMS]


if __name__ == "__main__":
    try:
        report: object = problems_of(sys.argv[1], sys.argv[2], longest_s=float(sys.argv[3]))
    except CheckFailed as failure:
        report = str(failure)
    json.dump(report, sys.stdout)
