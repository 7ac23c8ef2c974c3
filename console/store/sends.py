"""Database writes around the POST that launches a run. Each function works inside the caller's transaction.

Every attempt to send the POST is a row of `sends`. It is inserted with the verdict `open` before the first byte may
leave, and gets its final verdict from the answer. A unique index allows one row per run whose verdict does not prove
that nothing was launched, so a second POST for such a run is impossible.
"""

from __future__ import annotations

from console.domain.run import IllegalTransition, Outcome, Run, State
from console.domain.text import sanitize
from console.domain.timestamps import Timestamp
from console.store import log_records
from console.store.database import Transaction
from console.store.events import write_event
from console.store.ledger import release_hold
from console.store.rollout import demote_for
from console.store.rows import NOTE_LIMIT, Columns, timestamp_columns
from console.store.statements import compare_and_set, fetch_all

INSERT_SEND = """
    insert into sends (run_id, n, fence, verdict, at_ms)
    values (:id, (select coalesce(max(n), 0) + 1 from sends where run_id = :id), :fence, 'open', :at_ms)
"""
UPDATE_VERDICT = """
    update sends set verdict = :verdict, decided_ms = :at_ms, why = :why
    where run_id = :id and verdict in ('open', 'unknown')
"""
MAY_SEND = "stop_reason is null and not exists (select 1 from controls where name = 'paused')"
PRIVATE_SANDBOXES = frozenset({"own", "remote"})
"""Values of a task's `sandbox` for which the provider creates a sandbox that no other run uses."""


def require_state(run: Run, *states: State) -> None:
    """Raise IllegalTransition unless `run` is in one of `states`."""
    if run.state not in states:
        raise IllegalTransition(f"run {run.id} is {run.state}, needed is {' or '.join(states)}")


async def begin_send(tx: Transaction, run: Run, now: Timestamp) -> Run:
    """Move a claimed run to `sending` and insert its open send. The time limit counts from `now`."""
    columns = {**timestamp_columns("sent", now), "deadline_ms": now.wall_ms + run.limits.max_ms}
    sending = await compare_and_set(tx, run, columns, to=State.SENDING, where=MAY_SEND)
    await fetch_all(tx, INSERT_SEND, {"id": run.id, "fence": run.fence, "at_ms": now.wall_ms})
    await write_event(tx, "sending", now.wall_ms, run=run, deadline_ms=sending.deadline_ms)
    return sending


async def return_to_claimed(tx: Transaction, run: Run, why: str, now: Timestamp) -> Run:
    """Move a run whose POST provably did not leave from `sending` back to `claimed`, ready for another try."""
    require_state(run, State.SENDING)
    await set_verdict(tx, run, "not_sent", why, now)
    claimed = await compare_and_set(tx, run, {**timestamp_columns("sent", None), "deadline_ms": None}, to=State.CLAIMED)
    await write_event(tx, "not_sent", now.wall_ms, run=run, why=why)
    return claimed


async def mark_unconfirmed(tx: Transaction, run: Run, why: str, now: Timestamp) -> Run:
    """Move a run whose POST got no usable answer to `unconfirmed`; apply the task's demotion rule."""
    unconfirmed = await compare_and_set(tx, run, {"trouble": sanitize(why, limit=NOTE_LIMIT)}, to=State.UNCONFIRMED)
    await set_verdict(tx, run, "unknown", why, now)
    record = log_records.unconfirmed(unconfirmed, now.wall_ms, why)
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
    record = log_records.launched(running, now.wall_ms)
    await write_event(tx, "running", now.wall_ms, run=run, record=record, remote=remote_id)
    if running.stop is None:
        return running
    return await compare_and_set(tx, running, {}, to=State.STOPPING)


async def end_unlaunched(tx: Transaction, run: Run, outcome: Outcome, why: str, now: Timestamp, **facts: str) -> Run:
    """End a run for which nothing was launched: usage 0, hold released. `facts` are added to the timeline event."""
    elapsed = 0 if outcome is Outcome.NOT_SENT or run.sent is None else now.since(run.sent)
    columns: Columns = {"outcome": outcome.value, "note": sanitize(why, limit=NOTE_LIMIT), "ended_ms": now.wall_ms}
    figures: Columns = {"elapsed_ms": elapsed, "used": 0, "usage_known": 1}
    ended = await compare_and_set(tx, run, {**columns, **figures}, to=State.ENDED)
    await release_hold(tx, run, now.wall_ms)
    record = log_records.ended(ended, now.wall_ms)
    await write_event(tx, outcome.value, now.wall_ms, run=run, record=record, why=why, **facts)
    await demote_for(tx, run, outcome.value, now)
    return ended


async def set_verdict(tx: Transaction, run: Run, verdict: str, why: str, now: Timestamp) -> None:
    """Store the verdict on the run's open or unknown send."""
    parameters: Columns = {"id": run.id, "verdict": verdict, "at_ms": now.wall_ms, "why": why}
    await fetch_all(tx, UPDATE_VERDICT, parameters)
