"""What a state folder and a service hold after a test, read without the code under test.

`read_store` reads the database, `gather` adds the files of the state folder and what really ran at the service.
`tests.invariants` judges the result.
"""

from __future__ import annotations

import json
import re
import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from console.domain.log_record import LogParseError, LogRecord, parse_line
from console.domain.run import Run
from console.journal.launch_journal import LaunchJournal
from console.store.pragmas import database_uri
from console.store.rows import run_of
from console.store.transaction import Row


@dataclass(frozen=True, slots=True, kw_only=True)
class HoldRow:
    """One row of the table `holds`. Amounts are milli-units."""

    day: str
    amount: int
    state: str
    settled: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class EventRow:
    """One row of the table `events`."""

    run_id: str | None
    kind: str
    detail: Mapping[str, object]
    ev: int | None
    record: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreEvidence:
    """What the database holds."""

    runs: tuple[Run, ...]
    """Oldest first; skips and refusals (attempt 0) left out."""
    tries: Mapping[str, tuple[str, ...]]
    """By run id, the verdict on each try of its POST."""
    holds: Mapping[str, HoldRow]
    """By run id."""
    sums: Mapping[str, tuple[int, int, int, int]]
    """By day: held, spent, open runs, ended runs."""
    events: tuple[EventRow, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentEvidence:
    """One agent that really ran."""

    id: str
    run_id: str
    """The run id in its labels."""
    status: str
    may_spend: bool
    sandbox_id: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """The database, the files of the state folder and the service."""

    store: StoreEvidence
    lines: tuple[LogRecord, ...]
    """Whole lines of runs.log, repeated ones too."""
    torn_lines: int
    journal: Mapping[str, str]
    """Remote id by run id, from launch.journal."""
    agents: tuple[AgentEvidence, ...]
    posts: int
    """Create POSTs that arrived whole, without those that repeat one with its idempotency key."""
    most_working: int
    """The highest number of agents of one key that worked at one time."""


class Service(Protocol):
    """Tells what really ran: a simulator in this process, or the control calls of one elsewhere."""

    def stats(self) -> Mapping[str, object]:
        """All counts."""
        ...

    def runs(self) -> list[Mapping[str, object]]:
        """Every agent that was ever started."""
        ...


@contextmanager
def open_database(folder: Path) -> Iterator[sqlite3.Connection]:
    """A connection to the store of a state folder, rows by name."""
    database = sqlite3.connect(database_uri(folder), uri=True, isolation_level=None)
    database.row_factory = sqlite3.Row
    try:
        yield database
    finally:
        database.close()


def read_store(database: sqlite3.Connection) -> StoreEvidence:
    """`store_evidence` of a database in a file or in memory. Works with any row factory."""
    return store_evidence(lambda sql: _rows(database, sql))


def store_evidence(rows: Callable[[str], Sequence[Row]]) -> StoreEvidence:
    """Every table that the invariants speak of. `rows` gives those of a query, by name."""
    tries: dict[str, tuple[str, ...]] = {}
    for row in rows("select run_id, verdict from sends order by run_id, n"):
        tries[row["run_id"]] = (*tries.get(row["run_id"], ()), row["verdict"])
    columns = ("held", "spent", "open_runs", "ended_runs")
    added = ", ".join(f"cast(sum({name}) as bigint) as {name}" for name in columns)
    return StoreEvidence(
        runs=tuple(map(run_of, rows("select * from runs where attempt > 0 order by seq"))),
        tries=tries,
        holds={row["run_id"]: _hold_of(row) for row in rows("select * from holds")},
        sums={
            row["day"]: (row["held"], row["spent"], row["open_runs"], row["ended_runs"])
            for row in rows(f"select day, {added} from day_sums group by day")
        },
        events=tuple(map(_event_of, rows("select * from events order by id"))),
    )


def gather(folder: Path, service: Service) -> Evidence:
    """Reads everything. The processes of the test have ended by now."""
    with open_database(folder) as database:
        store = read_store(database)
    lines, torn = _log(folder / "runs.log")
    stats = service.stats()
    return Evidence(
        store=store,
        lines=lines,
        torn_lines=torn,
        journal={str(run_id): remote for run_id, remote in LaunchJournal(folder / "launch.journal").read().items()},
        agents=tuple(map(_agent_of, service.runs())),
        posts=_whole(stats["posts"]) - _whole(stats.get("repeated_posts", 0)),
        most_working=max(_numbers(stats["most_live_by_key"]), default=0),
    )


def _rows(database: sqlite3.Connection, sql: str) -> list[sqlite3.Row]:
    cursor = database.cursor()
    cursor.row_factory = sqlite3.Row
    return cursor.execute(sql).fetchall()


def _hold_of(row: Row) -> HoldRow:
    return HoldRow(day=row["day"], amount=row["amount"], state=row["state"], settled=row["settled"])


def _event_of(row: Row) -> EventRow:
    return EventRow(
        run_id=row["run_id"], kind=row["kind"], detail=json.loads(row["detail"]), ev=row["ev"], record=row["record"]
    )


def _agent_of(shown: Mapping[str, object]) -> AgentEvidence:
    labels = shown["labels"]
    assert isinstance(labels, dict)
    sandbox_id = shown["environment_id"]
    return AgentEvidence(
        id=str(shown["id"]),
        run_id=str(labels.get("nightdesk-run")),
        status=str(shown["status"]),
        may_spend=shown["may_spend"] is True,
        sandbox_id=None if sandbox_id is None else str(sandbox_id),
    )


def _log(path: Path) -> tuple[tuple[LogRecord, ...], int]:
    whole, torn = [], 0
    for line in path.read_bytes().split(b"\n") if path.exists() else ():
        try:
            whole.append(parse_line(line))
        except LogParseError:
            torn += bool(line)
    return tuple(whole), torn


def _whole(value: object) -> int:
    assert isinstance(value, int)
    return value


def _numbers(value: object) -> list[int]:
    assert isinstance(value, dict)
    return [_whole(number) for number in value.values()]


def error_output(stderr: Path) -> str:
    """What processes wrote to the file `stderr`, where it speaks of an error; empty where it does not."""
    text = stderr.read_text(errors="replace") if stderr.exists() else ""
    return text if re.search(r"broke|Traceback|Error", text) else ""
