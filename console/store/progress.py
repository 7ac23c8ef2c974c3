"""Writes the progress of live runs, for many runs at a time. Each function works inside the caller's transaction.

A process stores the progress of all its runs in one transaction, because each transaction waits for the disk.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field

from console.domain.run import IllegalTransition, Run, RunId, State, StepRecord
from console.domain.timestamps import Timestamp
from console.domain.usage import Usage
from console.store.errors import StaleRun, StoreDamaged
from console.store.events import note_record, write_event
from console.store.rows import (
    USAGE_COLUMNS,
    as_believed,
    clamp_amount,
    fetch_all,
    run_of,
    stale_run,
    to_storable,
    update_many_statement,
    usage_columns,
)
from console.store.transaction import Columns, Row, Transaction

CHUNK = 50
"""Runs that one statement updates; reading them back keeps the event loop busy for about 3 ms."""
COLUMNS = (
    *USAGE_COLUMNS,
    *("used", "usage_known", "largest_step", "remote_status", "trouble", "stalled", "polled_ms", "last_step"),
    *("last_step_ms", "steps", "cost_micro", "currency"),
)
"""The columns of a run that its progress sets."""
UPDATE_RUNS = update_many_statement(COLUMNS)
UPSERT_STEP = """
    insert into steps (run_id, n, kind, text, at_ms, units, done)
    values (:run_id, :n, :kind, :text, :at_ms, :units, :done)
    on conflict (run_id, n) do update set
        kind = excluded.kind,
        text = excluded.text,
        units = case when steps.units > excluded.units then steps.units else excluded.units end,
        done = case when steps.done > excluded.done then steps.done else excluded.done end
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """What a poll or the stream reported of a live run."""

    usage: Usage = field(default_factory=Usage)
    used: int = 0
    """Milli-units."""
    usage_known: bool = False
    largest_step: int = 0
    """Milli-units of the largest step so far."""
    remote_status: str | None = None
    trouble: str = ""
    stalled: bool = False
    polled_ms: int | None = None
    """Time of the last successful poll, UTC ms."""
    last_step: str = ""
    last_step_ms: int | None = None
    steps: int = 0
    cost_micro: int | None = None
    currency: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ProgressUpdate:
    """The progress of one run."""

    run: Run
    """As its writer believes it to be."""
    progress: Progress
    steps: Sequence[StepRecord] = ()
    """Steps that are new or have changed."""


ProgressOutcome = Run | StaleRun | IllegalTransition | StoreDamaged
"""The changed run, or why nothing was written for it."""


async def write_progress(
    tx: Transaction, updates: Sequence[ProgressUpdate], now: Timestamp
) -> tuple[ProgressOutcome, ...]:
    """Write the updates and return their outcomes in the same order; see `RunRepository.record_progress_of_many`."""
    outcomes: list[ProgressOutcome] = []
    for first in range(0, len(updates), CHUNK):
        chunk = updates[first : first + CHUNK]
        live = [
            {**progress_columns(update.run, update.progress), **as_believed(update.run)}
            for update in chunk
            if update.run.state in (State.RUNNING, State.STOPPING)
        ]
        rows = {row["id"]: row for row in await fetch_all(tx, UPDATE_RUNS, {"updates": json.dumps(live)})}
        outcomes += [_outcome(update.run, rows.get(update.run.id)) for update in chunk]
    for update, outcome in zip(updates, outcomes, strict=True):
        if isinstance(outcome, Run):
            if update.steps:
                await write_steps(tx, outcome.id, update.steps)
            if begins_stall(update):
                await _write_stall(tx, update, now)
    return tuple(outcomes)


def begins_stall(update: ProgressUpdate) -> bool:
    """True where the agent has fallen silent since the update before, which is a line of the log."""
    return update.progress.stalled and not update.run.stalled


async def write_steps(tx: Transaction, run_id: RunId, steps: Sequence[StepRecord]) -> None:
    """Insert or update steps by index. The time of the first sight, the largest units and `done` are kept."""
    await tx.many(UPSERT_STEP, [_step_columns(run_id, step) for step in steps])


def _outcome(run: Run, row: Row | None) -> ProgressOutcome:
    if run.state not in (State.RUNNING, State.STOPPING):
        return IllegalTransition(f"run {run.id} is {run.state}, needed is running or stopping")
    try:
        return stale_run(run) if row is None else run_of(row)
    except StoreDamaged as error:
        return error


async def _write_stall(tx: Transaction, update: ProgressUpdate, now: Timestamp) -> None:
    run = update.run
    since = update.progress.last_step_ms or (run.sent.wall_ms if run.sent else now.wall_ms)
    fields = {"quiet": f"{max(0, now.wall_ms - since) // 1000}s"}
    record = note_record("stall", fields, run, now.wall_ms)
    await write_event(tx, "stall", now.wall_ms, run=run, record=record)


def progress_columns(run: Run, progress: Progress) -> Columns:
    """Return the new values of COLUMNS. Cumulative amounts never decrease."""
    return {
        **usage_columns(run.usage.highest(progress.usage)),
        "used": max(run.used, clamp_amount(progress.used)),
        "usage_known": int(progress.usage_known or run.usage_known),
        "largest_step": max(run.largest_step, clamp_amount(progress.largest_step)),
        "remote_status": to_storable(progress.remote_status),
        "trouble": to_storable(progress.trouble),
        "stalled": int(progress.stalled),
        "polled_ms": progress.polled_ms,
        "last_step": to_storable(progress.last_step),
        "last_step_ms": progress.last_step_ms,
        "steps": max(run.steps, clamp_amount(progress.steps)),
        "cost_micro": None if progress.cost_micro is None else clamp_amount(progress.cost_micro),
        "currency": to_storable(progress.currency),
    }


def _step_columns(run_id: RunId, step: StepRecord) -> Columns:
    return {
        "run_id": run_id,
        "n": step.index,
        "kind": to_storable(step.kind),
        "text": to_storable(step.text),
        "at_ms": step.at_ms,
        "units": clamp_amount(step.units),
        "done": int(step.done),
    }
