"""Database writes that end a run or record a person's ruling on it. Each works inside the caller's transaction.

The final state, the end of the hold, the log record and a demotion of the task are written together.
"""

from __future__ import annotations

from console.domain.run import NON_RUN_OUTCOMES, IllegalTransition, Outcome, Run, State
from console.domain.text import sanitize
from console.domain.timestamps import Timestamp
from console.store import log_records
from console.store.database import Transaction
from console.store.events import write_event
from console.store.ledger import release_hold, settle_hold
from console.store.rollout import demote_for
from console.store.rows import NOTE_LIMIT, Columns, RunResult, clamp_amount, usage_columns
from console.store.sends import attach_remote, end_unlaunched, require_state, set_verdict
from console.store.statements import compare_and_set


async def settle_run(tx: Transaction, run: Run, result: RunResult, now: Timestamp) -> Run:
    """End a run with `result`; see `RunRepository.settle`."""
    if result.outcome in NON_RUN_OUTCOMES:
        raise ValueError(f"no run ends {result.outcome}")
    require_state(run, State.CLAIMED, State.RUNNING, State.STOPPING)
    unsent = run.state is State.CLAIMED
    columns = _unsent_columns(result) if unsent else _usage_columns(run, result)
    ended = await compare_and_set(tx, run, {**columns, **_ending_columns(result, now)}, to=State.ENDED)
    if unsent:
        await release_hold(tx, run, now.wall_ms)
    else:
        await settle_hold(tx, ended, ended.used, now.wall_ms)
    record = log_records.ended(ended, now.wall_ms)
    await write_event(tx, result.outcome.value, now.wall_ms, run=ended, record=record, note=ended.note or None)
    if result.retry_at_ms is None:
        await demote_for(tx, ended, result.outcome.value, now)
    return ended


async def adopt_run(tx: Transaction, run: Run, *, remote_id: str, by: str, reason: str, now: Timestamp) -> Run:
    """Attach the remote run that a person or the launch journal found to a run without a remote id."""
    require_state(run, State.SENDING, State.UNCONFIRMED)
    await _write_ruling(tx, run, "adopt", by, reason, now, remote=remote_id)
    return await attach_remote(tx, run, remote_id, {}, now)


async def rule_not_launched(tx: Transaction, run: Run, *, by: str, reason: str, now: Timestamp) -> Run:
    """End an unconfirmed run as `not_sent` on a person's word: the hold is released and the key is free."""
    require_state(run, State.UNCONFIRMED)
    await set_verdict(tx, run, "ruled_not_launched", reason, now)
    await _write_ruling(tx, run, "not_launched", by, reason, now)
    return await end_unlaunched(tx, run, Outcome.NOT_SENT, f"ruled not launched by {by}: {reason}", now)


async def write_off_run(tx: Transaction, run: Run, *, by: str, reason: str, now: Timestamp) -> Run:
    """End a run whose real ending cannot be learned, charged with its hold or its known usage, whichever is larger."""
    require_state(run, State.UNCONFIRMED, State.STOPPING)
    if run.state is State.STOPPING and not (run.stop and run.stop.alarmed):
        raise IllegalTransition(f"run {run.id} is still stopping: it may be written off after the alarm")
    spent = max(run.used, run.limits.budget)
    note = sanitize(f"written off by {by}: {reason}", limit=NOTE_LIMIT)
    elapsed = now.since(run.sent) if run.sent else 0
    columns: Columns = {"outcome": Outcome.WRITTEN_OFF.value, "note": note, "ended_ms": now.wall_ms}
    figures: Columns = {"used": spent, "usage_known": 0, "elapsed_ms": elapsed}
    ended = await compare_and_set(tx, run, {**columns, **figures}, to=State.ENDED)
    await settle_hold(tx, ended, spent, now.wall_ms)
    await _write_ruling(tx, run, "write_off", by, reason, now)
    record = log_records.ended(ended, now.wall_ms)
    await write_event(tx, Outcome.WRITTEN_OFF.value, now.wall_ms, run=ended, record=record, note=note)
    await demote_for(tx, ended, Outcome.WRITTEN_OFF.value, now)
    return ended


async def _write_ruling(
    tx: Transaction, run: Run, ruling: str, by: str, reason: str, now: Timestamp, **facts: str
) -> None:
    record = log_records.note("settle", {"ruling": ruling, **facts, "by": by, "why": reason}, run, now.wall_ms)
    await write_event(tx, "ruling", now.wall_ms, run=run, record=record, ruling=ruling, by=by, why=reason, **facts)


def _ending_columns(result: RunResult, now: Timestamp) -> Columns:
    return {
        "outcome": result.outcome.value,
        "note": sanitize(result.note, limit=NOTE_LIMIT),
        "ended_ms": now.wall_ms,
        "retry_at_ms": result.retry_at_ms,
        "stalled": 0,
        "trouble": "",
    }


def _unsent_columns(result: RunResult) -> Columns:
    return {"used": 0, "usage_known": 1, "elapsed_ms": 0, "result": result.result}


def _usage_columns(run: Run, result: RunResult) -> Columns:
    """Columns of the final usage. When the provider never reported usage, the run is charged with its hold.

    The final `used` may be lower than the last live value: cached tokens are often reported last and weigh less.
    """
    known_before = run.used if run.usage_known else run.limits.budget
    return {
        **usage_columns(run.usage.highest(result.usage)),
        "used": clamp_amount(result.used) if result.usage_known else known_before,
        "usage_known": int(result.usage_known or run.usage_known),
        "cost_micro": None if result.cost_micro is None else clamp_amount(result.cost_micro),
        "currency": result.currency,
        "elapsed_ms": max(0, result.elapsed_ms),
        "result": result.result,
        "remote_status": result.remote_status if result.remote_status is not None else run.remote_status,
    }
