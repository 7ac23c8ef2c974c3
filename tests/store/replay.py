"""The books made anew from nothing but the events, one after the other, as somebody would who had lost the rest."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from console.domain.run import Outcome
from console.domain.usage import parse_decimal
from console.store.store import Store

SELECT_EVENTS = "select run_id, kind, detail, record from events order by id"
SELECT_BOOKS = """
    select day, sum(held) as held, sum(spent) as spent, sum(open_runs) as open_runs, sum(ended_runs) as ended_runs
    from day_sums group by day
"""
SELECT_STATES = "select id, state, outcome from runs where attempt > 0"
STATES = {
    "proposed": "proposed",
    "claimed": "claimed",
    "approved": "claimed",
    "sending": "sending",
    "unconfirmed": "unconfirmed",
    "running": "running",
}
UNSENT = frozenset({Outcome.NOT_SENT.value, Outcome.REJECTED.value, Outcome.DECLINED.value, Outcome.EXPIRED.value})
ENDINGS = frozenset(outcome.value for outcome in Outcome)
NEVER = ("skipped", "refused")
Sums = tuple[int, int, int, int]
"""Held, spent, open runs, ended runs."""


@dataclass(slots=True)
class ReplayedRun:
    """What the events so far tell of one run."""

    state: str = ""
    outcome: str | None = None
    stop: bool = False
    sent: bool = False
    hold: tuple[str, int] | None = None
    """Day and milli-units, while it is open."""


@dataclass(slots=True)
class Replay:
    """The fold."""

    runs: dict[str, ReplayedRun] = field(default_factory=dict)
    sums: dict[str, list[int]] = field(default_factory=dict)

    def take(self, run_id: str, kind: str, detail: Mapping[str, Any], record: Mapping[str, Any] | None) -> None:
        """One event of one run."""
        run = self.runs.setdefault(run_id, ReplayedRun())
        if kind in ("claimed", "approved"):
            run.hold = (detail["day"], parse_decimal(detail["hold"], 3))
            self._add(run.hold[0], held=run.hold[1], open_runs=1)
        if kind == "stop":
            run.stop = True
            run.state = "stopping" if run.state == "running" else run.state
        elif kind == "sending":
            run.sent, run.state = True, "sending"
        elif kind == "not_sent" and record is None:
            run.sent, run.state = False, "claimed"
        elif kind == "running":
            run.state = "stopping" if run.stop else "running"
        elif kind in ENDINGS and record is not None and record["status"] == kind and kind != "unconfirmed":
            self._end(run, kind, record)
        elif kind in STATES:
            run.state = STATES[kind]

    def _end(self, run: ReplayedRun, outcome: str, record: Mapping[str, Any]) -> None:
        run.state, run.outcome = "ended", outcome
        if run.hold is None:
            return
        day, amount = run.hold
        run.hold = None
        spends = run.sent and outcome not in UNSENT
        self._add(day, held=-amount, open_runs=-1, spent=record["units"] if spends else 0, ended_runs=int(spends))

    def _add(self, day: str, *, held: int = 0, spent: int = 0, open_runs: int = 0, ended_runs: int = 0) -> None:
        sums = self.sums.setdefault(day, [0, 0, 0, 0])
        for at, amount in enumerate((held, spent, open_runs, ended_runs)):
            sums[at] += amount


async def _rows(store: Store, sql: str) -> Iterable[Any]:
    return await store.database.read(lambda tx: tx.execute_fetchall(sql))


async def replayed(store: Store) -> tuple[dict[str, Sums], dict[str, tuple[str, str | None]]]:
    """Sums by day and (state, outcome) by run, from the events alone."""
    fold = Replay()
    for row in await _rows(store, SELECT_EVENTS):
        if row["run_id"] is not None:
            record = json.loads(row["record"]) if row["record"] else None
            fold.take(row["run_id"], row["kind"], json.loads(row["detail"]), record)
    sums = {day: (held, spent, live, ended) for day, (held, spent, live, ended) in fold.sums.items()}
    states = {run_id: (told.state, told.outcome) for run_id, told in fold.runs.items() if told.outcome not in NEVER}
    return sums, states


async def as_kept(store: Store) -> tuple[dict[str, Sums], dict[str, tuple[str, str | None]]]:
    """The same from the books and the rows."""
    books = await _rows(store, SELECT_BOOKS)
    states = await _rows(store, SELECT_STATES)
    return (
        {row["day"]: (row["held"], row["spent"], row["open_runs"], row["ended_runs"]) for row in books},
        {row["id"]: (row["state"], row["outcome"]) for row in states},
    )
