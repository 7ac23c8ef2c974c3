"""The writes that move a run from its claim to its end. Each function works inside the caller's transaction.

The new state, the end of the hold, the log record and a demotion of the task are written together.

Every attempt to send the POST is a row of `sends`. It is inserted with the verdict `open` before the first byte may
leave, and gets its final verdict from the answer. A unique index allows one row per run whose verdict does not prove
that nothing was launched, so a second POST for such a run is impossible.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field

from console.domain.fact_text import author_text
from console.domain.run import NON_RUN_OUTCOMES, RULED_NOT_LAUNCHED, IllegalTransition, Outcome, Run, State, StepRecord
from console.domain.text import sanitize
from console.domain.timestamps import Timestamp
from console.domain.usage import Usage
from console.store.errors import StaleRun
from console.store.events import ended_record, launched_record, note_record, unconfirmed_record, write_event
from console.store.identity import require_original
from console.store.ledger import release_hold, settle_hold
from console.store.pause_file import requested_pause
from console.store.progress import Progress, progress_columns, write_steps
from console.store.rollout import demote_for
from console.store.rows import (
    NOTE_LIMIT,
    as_believed,
    clamp_amount,
    compare_and_set,
    fetch_all,
    timestamp_columns,
    update_many_statement,
    usage_columns,
)
from console.store.transaction import Columns, Database, Transaction

INSERT_SEND = """
    insert into sends (run_id, n, fence, verdict, at_ms)
    values (:id, (select coalesce(max(n), 0) + 1 from sends where run_id = :id), :fence, 'open', :at_ms)
"""
UPDATE_VERDICT = """
    update sends set verdict = :verdict, decided_ms = :at_ms, why = :why
    where run_id = :id and verdict in ('open', 'unknown')
"""
UPDATE_WINDOWS = update_many_statement(("expires_ms",))
MAY_SEND = "stop_reason is null and not exists (select 1 from controls where name = 'paused')"
PRIVATE_SANDBOXES = frozenset({"own", "remote"})
"""Values of a task's `sandbox` for which the provider creates a sandbox that no other run uses."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunResult:
    """How a run ended, as far as the engine knows."""

    outcome: Outcome
    note: str = ""
    result: str = ""
    """The agent's own text."""
    usage: Usage = field(default_factory=Usage)
    used: int = 0
    """Milli-units."""
    usage_known: bool = False
    """False: the run is charged with its hold."""
    cost_micro: int | None = None
    currency: str | None = None
    elapsed_ms: int = 0
    retry_at_ms: int | None = None
    """When the key is tried again automatically, UTC ms."""
    remote_status: str | None = None
    progress: Progress | None = None
    """What was seen last of a run that was live; None where nothing was."""
    steps: Sequence[StepRecord] = ()
    """Steps that are not stored yet, or not as they are."""

    @classmethod
    def of_nothing_sent(cls, outcome: Outcome, note: str) -> RunResult:
        """Return the result of a run of which no byte was sent: nothing used, the hold is released."""
        return cls(outcome=outcome, note=note, usage_known=True)


def require_state(run: Run, *states: State) -> None:
    """Raise IllegalTransition unless `run` is in one of `states`."""
    if run.state not in states:
        raise IllegalTransition(f"run {run.id} is {run.state}, needed is {' or '.join(states)}")


async def begin_send(tx: Transaction, database: Database, run: Run, now: Timestamp) -> Run:
    """Move a claimed run to `sending` and insert its open send; see `RunRepository.mark_sending`.

    The window is stored as it is in `run`: another try may come within it.
    """
    if requested_pause(database.folder) is not None:
        raise StaleRun(f"run {run.id}: launches are paused")
    await require_original(tx, database)
    columns: Columns = {
        **timestamp_columns("sent", now),
        "deadline_ms": now.wall_ms + run.limits.max_ms,
        "expires_ms": run.expires_ms,
    }
    sending = await compare_and_set(tx, run, columns, to=State.SENDING, where=MAY_SEND)
    await fetch_all(tx, INSERT_SEND, {"id": run.id, "fence": run.fence, "at_ms": now.wall_ms})
    await write_event(tx, "sending", now.wall_ms, run=run, deadline_ms=sending.deadline_ms)
    return sending


async def extend_windows(tx: Transaction, runs: Sequence[Run]) -> None:
    """Store `expires_ms` of claimed runs as it is in `runs`; a run whose row has changed otherwise is left alone."""
    updates = [{"expires_ms": run.expires_ms, **as_believed(run)} for run in runs if run.state is State.CLAIMED]
    await fetch_all(tx, UPDATE_WINDOWS, {"updates": json.dumps(updates)})


async def return_to_claimed(tx: Transaction, run: Run, why: str, now: Timestamp) -> Run:
    """Move a run whose POST provably did not leave from `sending` back to `claimed`, ready for another try."""
    require_state(run, State.SENDING)
    await set_verdict(tx, run, "not_sent", why, now)
    claimed = await compare_and_set(tx, run, {**timestamp_columns("sent", None), "deadline_ms": None}, to=State.CLAIMED)
    await write_event(tx, "not_sent", now.wall_ms, run=run, why=why)
    return claimed


async def end_refused(tx: Transaction, run: Run, outcome: Outcome, why: str, now: Timestamp) -> Run:
    """End a run whose POST provably launched nothing, as `not_sent` or `rejected`: the verdict has the same name."""
    require_state(run, State.SENDING)
    await set_verdict(tx, run, outcome.value, why, now)
    return await end_unlaunched(tx, run, outcome, why, now)


async def mark_unconfirmed(tx: Transaction, run: Run, why: str, now: Timestamp) -> Run:
    """Move a run whose POST got no usable answer to `unconfirmed`; apply the task's demotion rule."""
    unconfirmed = await compare_and_set(tx, run, {"trouble": sanitize(why, limit=NOTE_LIMIT)}, to=State.UNCONFIRMED)
    await set_verdict(tx, run, "unknown", why, now)
    record = unconfirmed_record(unconfirmed, now.wall_ms, why)
    await write_event(tx, "unconfirmed", now.wall_ms, run=run, record=record, why=why)
    await demote_for(tx, run, "unconfirmed", now)
    return unconfirmed


async def mark_launched(
    tx: Transaction, run: Run, *, remote_id: str, status: str, sandbox_id: str | None, now: Timestamp
) -> Run:
    """Record the provider's answer to the POST and go on as `attach_remote` does."""
    require_state(run, State.SENDING)
    columns: Columns = {"remote_status": status}
    if run.sandbox_id is None and sandbox_id is not None:
        is_private = run.fingerprint.sandbox in PRIVATE_SANDBOXES
        columns = {**columns, "sandbox_id": sandbox_id, "sandbox_own": int(is_private)}
    return await attach_remote(tx, run, remote_id, columns, now)


async def attach_remote(tx: Transaction, run: Run, remote_id: str, columns: Columns, now: Timestamp) -> Run:
    """Move the run to `running` under `remote_id`, and on to `stopping` when a stop is already stored."""
    running = await compare_and_set(tx, run, {**columns, "remote_id": remote_id, "trouble": ""}, to=State.RUNNING)
    await set_verdict(tx, run, "launched", "", now)
    record = launched_record(running, now.wall_ms)
    await write_event(tx, "running", now.wall_ms, run=run, record=record, remote=remote_id)
    if running.stop is None:
        return running
    return await compare_and_set(tx, running, {}, to=State.STOPPING)


async def end_unlaunched(
    tx: Transaction, run: Run, outcome: Outcome, why: str, now: Timestamp, *, by: str | None = None, **facts: str
) -> Run:
    """End a run for which nothing was launched: usage 0, hold released. `facts` are added to the timeline event.

    `by` is the person who ruled so; None where the service or a proof did.
    """
    elapsed = 0 if outcome is Outcome.NOT_SENT or run.sent is None else now.since(run.sent)
    columns: Columns = {"outcome": outcome.value, "note": sanitize(why, limit=NOTE_LIMIT), "ended_ms": now.wall_ms}
    figures: Columns = {"elapsed_ms": elapsed, "used": 0, "usage_known": 1}
    ended = await compare_and_set(tx, run, {**columns, **figures}, to=State.ENDED)
    await release_hold(tx, run, now.wall_ms)
    record = ended_record(ended, now.wall_ms, by=by)
    await write_event(tx, outcome.value, now.wall_ms, run=run, record=record, why=why, **facts)
    await demote_for(tx, run, outcome.value, now)
    return ended


async def set_verdict(tx: Transaction, run: Run, verdict: str, why: str, now: Timestamp) -> None:
    """Store the verdict on the run's open or unknown send."""
    parameters: Columns = {"id": run.id, "verdict": verdict, "at_ms": now.wall_ms, "why": why}
    await fetch_all(tx, UPDATE_VERDICT, parameters)


async def settle_run(tx: Transaction, run: Run, result: RunResult, now: Timestamp) -> Run:
    """End a run with `result`; see `RunRepository.settle`."""
    if result.outcome in NON_RUN_OUTCOMES:
        raise ValueError(f"no run ends {result.outcome}")
    require_state(run, State.CLAIMED, State.RUNNING, State.STOPPING)
    unsent = run.state is State.CLAIMED
    columns = _unsent_columns(result) if unsent else _usage_columns(run, result)
    ended = await compare_and_set(tx, run, {**columns, **_ending_columns(result, now)}, to=State.ENDED)
    if result.steps:
        await write_steps(tx, run.id, result.steps)
    if unsent:
        await release_hold(tx, run, now.wall_ms)
    else:
        await settle_hold(tx, ended, ended.used, now.wall_ms)
    record = ended_record(ended, now.wall_ms)
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
    return await end_unlaunched(
        tx, run, Outcome.NOT_SENT, f"{RULED_NOT_LAUNCHED} {author_text(by)}: {reason}", now, by=by
    )


async def write_off_run(tx: Transaction, run: Run, *, by: str, reason: str, now: Timestamp) -> Run:
    """End a run whose real ending cannot be learned, charged with its hold or its known usage, whichever is larger."""
    require_state(run, State.UNCONFIRMED, State.STOPPING)
    if run.state is State.STOPPING and not (run.stop and run.stop.alarmed):
        raise IllegalTransition(f"run {run.id} is still stopping: it may be written off after the alarm")
    spent = max(run.used, run.limits.budget)
    note = sanitize(f"written off by {author_text(by)}: {reason}", limit=NOTE_LIMIT)
    elapsed = now.since(run.sent) if run.sent else 0
    columns: Columns = {"outcome": Outcome.WRITTEN_OFF.value, "note": note, "ended_ms": now.wall_ms}
    figures: Columns = {"used": spent, "usage_known": 0, "elapsed_ms": elapsed}
    ended = await compare_and_set(tx, run, {**columns, **figures}, to=State.ENDED)
    await settle_hold(tx, ended, spent, now.wall_ms)
    await _write_ruling(tx, run, "write_off", by, reason, now)
    record = ended_record(ended, now.wall_ms, by=by)
    await write_event(tx, Outcome.WRITTEN_OFF.value, now.wall_ms, run=ended, record=record, note=note)
    await demote_for(tx, ended, Outcome.WRITTEN_OFF.value, now)
    return ended


async def _write_ruling(
    tx: Transaction, run: Run, ruling: str, by: str, reason: str, now: Timestamp, **facts: str
) -> None:
    record = note_record("settle", {"ruling": ruling, **facts, "by": by, "why": reason}, run, now.wall_ms)
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
    """Columns of what was seen last and of the final usage.

    If that is not known, the run is charged with its hold, or with its live value if more. The final
    `used` may be lower than the last live value: cached tokens are often reported last and weigh less.
    """
    seen = result.progress or Progress()
    return {
        **(progress_columns(run, result.progress) if result.progress is not None else {}),
        **usage_columns(run.usage.highest(seen.usage).highest(result.usage)),
        "used": clamp_amount(result.used if result.usage_known else max(run.used, seen.used, run.limits.budget)),
        "usage_known": int(result.usage_known),
        "cost_micro": None if result.cost_micro is None else clamp_amount(result.cost_micro),
        "currency": result.currency,
        "elapsed_ms": max(0, result.elapsed_ms),
        "result": result.result,
        "remote_status": result.remote_status if result.remote_status is not None else run.remote_status,
    }
