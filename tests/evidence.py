"""What is left after a trial: the rows, the files and what the service really did, read by nobody who was in it."""

from __future__ import annotations

import json
import re
import sqlite3
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from console.domain.log_record import LogParseError, LogRecord, parse_line
from console.domain.run import Run
from console.journal.launch_journal import LaunchJournal
from console.store.pragmas import database_uri
from console.store.rows import run_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Hold:
    """One row of the books."""

    day: str
    amount: int
    state: str
    settled: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Happened:
    """One row of the events."""

    run_id: str | None
    kind: str
    detail: Mapping[str, object]
    ev: int | None
    record: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Agent:
    """One agent that really ran."""

    id: str
    run_id: str
    """Its label."""
    status: str
    may_spend: bool
    ran_in: str | None
    """Its sandbox."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """All of it."""

    runs: tuple[Run, ...]
    """Of the one key, oldest first; skips and refusals left out."""
    sends: Mapping[str, tuple[str, ...]]
    """By run id, the verdict on each try of its POST."""
    holds: Mapping[str, Hold]
    """By run id."""
    sums: Mapping[str, tuple[int, int, int, int]]
    """By day: held, spent, open runs, ended runs."""
    events: tuple[Happened, ...]
    lines: tuple[LogRecord, ...]
    """Whole lines of the log, doubles too."""
    torn: int
    journal: Mapping[str, str]
    """Remote id by run id."""
    agents: tuple[Agent, ...]
    posts: int
    most_live: int
    """Agents of the key at one time."""


class Service(Protocol):
    """The one who knows what really ran: a world, or the control calls of one elsewhere."""

    def stats(self) -> Mapping[str, object]:
        """All counts."""
        ...

    def runs(self) -> list[Mapping[str, object]]:
        """Every run that ever started."""
        ...


def gather(folder: Path, service: Service) -> Evidence:
    """Reads everything. The processes of the trial are dead by now."""
    with closing(sqlite3.connect(database_uri(folder), uri=True, isolation_level=None)) as database:
        database.row_factory = sqlite3.Row
        runs = tuple(map(run_of, database.execute("select * from runs where attempt > 0 order by seq")))
        sends: dict[str, tuple[str, ...]] = {}
        for row in database.execute("select run_id, verdict from sends order by run_id, n"):
            sends[row["run_id"]] = (*sends.get(row["run_id"], ()), row["verdict"])
        holds = {row["run_id"]: _hold_of(row) for row in database.execute("select * from holds")}
        sums = "select day, sum(held), sum(spent), sum(open_runs), sum(ended_runs) from day_sums group by day"
        booked = {row[0]: (row[1], row[2], row[3], row[4]) for row in database.execute(sums)}
        events = tuple(map(_event_of, database.execute("select * from events order by id")))
    lines, torn = _log(folder / "runs.log")
    stats = service.stats()
    return Evidence(
        runs=runs,
        sends=sends,
        holds=holds,
        sums=booked,
        events=events,
        lines=lines,
        torn=torn,
        journal={str(run_id): remote for run_id, remote in LaunchJournal(folder / "launch.journal").read().items()},
        agents=tuple(map(_agent_of, service.runs())),
        posts=_whole(stats["posts"]),
        most_live=max(_numbers(stats["most_live_by_key"]), default=0),
    )


def _hold_of(row: sqlite3.Row) -> Hold:
    return Hold(day=row["day"], amount=row["amount"], state=row["state"], settled=row["settled"])


def _event_of(row: sqlite3.Row) -> Happened:
    return Happened(
        run_id=row["run_id"], kind=row["kind"], detail=json.loads(row["detail"]), ev=row["ev"], record=row["record"]
    )


def _agent_of(told: Mapping[str, object]) -> Agent:
    labels = told["labels"]
    assert isinstance(labels, dict)
    ran_in = told["environment_id"]
    return Agent(
        id=str(told["id"]),
        run_id=str(labels.get("nightdesk-run")),
        status=str(told["status"]),
        may_spend=told["may_spend"] is True,
        ran_in=None if ran_in is None else str(ran_in),
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


def complaints(words: Path) -> str:
    """What the processes said of broken guards, or of what did not become quiet; empty where all went as it should."""
    text = words.read_text(errors="replace") if words.exists() else ""
    return text if re.search(r"broke|Traceback|Error", text) else ""
