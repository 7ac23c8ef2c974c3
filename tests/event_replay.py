"""Rebuilds the state of every run and the sums of every day from the events alone, as if all other tables were lost."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from console.domain.run import KEY_FREEING_OUTCOMES, NEXT, NON_RUN_OUTCOMES, Outcome, State
from console.domain.usage import parse_decimal
from tests.evidence import EventRow

STATES = {
    "proposed": State.PROPOSED,
    "claimed": State.CLAIMED,
    "approved": State.CLAIMED,
    "sending": State.SENDING,
    "unconfirmed": State.UNCONFIRMED,
    "running": State.RUNNING,
}
"""The state that an event of each kind puts its run into."""
OUTCOMES = frozenset(Outcome)


@dataclass(slots=True)
class ReplayedRun:
    """One run according to the events so far."""

    state: State | None = None
    outcome: Outcome | None = None
    fence: int = 1
    stop: bool = False
    sent: bool = False
    hold: tuple[str, int] | None = None
    """Day and milli-units while the hold is open."""


@dataclass(slots=True)
class Replay:
    """Every run and every day after the events so far."""

    runs: dict[str, ReplayedRun] = field(default_factory=dict)
    days: dict[str, list[int]] = field(default_factory=dict)
    """By day: held, spent, open runs, ended runs."""
    wrong_steps: list[str] = field(default_factory=list)
    """State changes that the state table does not have."""

    @classmethod
    def of(cls, events: Iterable[EventRow]) -> Replay:
        """All events, in their order."""
        replay = cls()
        for event in events:
            if event.run_id is not None:
                replay.apply(event.run_id, event)
        return replay

    @property
    def sums(self) -> dict[str, tuple[int, int, int, int]]:
        """By day: held, spent, open runs, ended runs."""
        return {day: (held, spent, live, ended) for day, (held, spent, live, ended) in self.days.items()}

    @property
    def real_runs(self) -> dict[str, ReplayedRun]:
        """Every run that took its key: skips and refusals left out."""
        return {run_id: run for run_id, run in self.runs.items() if run.outcome not in NON_RUN_OUTCOMES}

    def apply(self, run_id: str, event: EventRow) -> None:
        """One more event."""
        run = self.runs.setdefault(run_id, ReplayedRun())
        before = run.state
        self._apply(run, event)
        if before is not None and run.state is not before and run.state not in reachable(before):
            self.wrong_steps.append(f"run {run_id} went from {before} to {run.state} by {event.kind}")

    def _apply(self, run: ReplayedRun, event: EventRow) -> None:
        kind = event.kind
        record = json.loads(event.record) if event.record else None
        if kind in ("claimed", "approved"):
            self._open_hold(run, event.detail)
        if kind == "stop":
            run.stop = True
        elif kind in ("taken_over", "given_back"):
            run.fence += 1
        elif kind == "not_sent" and record is None:
            run.sent, run.state = False, State.CLAIMED
        elif kind in STATES:
            run.state = STATES[kind]
            run.sent = run.sent or kind == "sending"
        elif kind in NON_RUN_OUTCOMES and run.state is not None:
            # A refused approval leaves the proposal as it is; a refused launch is an entry of its own.
            return
        elif kind in OUTCOMES and record is not None and record["status"] == kind:
            self._end(run, Outcome(kind), record)
        if run.stop and run.state is State.RUNNING:
            run.state = State.STOPPING

    def _open_hold(self, run: ReplayedRun, detail: Mapping[str, Any]) -> None:
        run.hold = (detail["day"], parse_decimal(detail["hold"], 3))
        self._add(run.hold[0], held=run.hold[1], open_runs=1)

    def _end(self, run: ReplayedRun, outcome: Outcome, record: Mapping[str, Any]) -> None:
        run.state, run.outcome = State.ENDED, outcome
        if run.hold is None:
            return
        day, amount = run.hold
        run.hold = None
        spends = run.sent and outcome not in KEY_FREEING_OUTCOMES
        self._add(day, held=-amount, open_runs=-1, spent=record["units"] if spends else 0, ended_runs=int(spends))

    def _add(self, day: str, *, held: int = 0, spent: int = 0, open_runs: int = 0, ended_runs: int = 0) -> None:
        sums = self.days.setdefault(day, [0, 0, 0, 0])
        for at, amount in enumerate((held, spent, open_runs, ended_runs)):
            sums[at] += amount


def reachable(state: State) -> frozenset[State]:
    """The states that one transaction may lead to: one edge of the state table, or the two edges through `running`
    that a launch takes where a stop was stored before its id came."""
    return NEXT[state] | (frozenset({State.STOPPING}) if State.RUNNING in NEXT[state] else frozenset())
