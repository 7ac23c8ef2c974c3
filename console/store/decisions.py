"""What becomes of a run before anything is sent: a proposal approved, declined or expired, a claim out of time."""

from __future__ import annotations

from dataclasses import dataclass

from console.domain.guardrails import Caps, Refusal, RefusalKind, admit
from console.domain.moment import Moment
from console.domain.run import Outcome, Run, RunId, State
from console.domain.task import Task
from console.domain.text import safe
from console.domain.usage import units_text
from console.store import records
from console.store.controls import paused_in
from console.store.database import Transaction
from console.store.errors import StaleRun
from console.store.ledger import claim_day, release_hold, standings_in, take_hold
from console.store.orders import FRESH_MS, NOTE, ClaimAnswer, ClaimKind
from console.store.rows import Columns, moment_columns
from console.store.statements import change, current, write_event


@dataclass(frozen=True, slots=True, kw_only=True)
class Approval:
    """A person's yes to a proposal."""

    run_id: RunId
    by: str
    owner: str | None
    task: Task
    """As it is now: its daily caps are judged."""
    caps: Caps
    expires_ms: int
    """Until when it may be sent."""


async def approve_in(tx: Transaction, approval: Approval, now: Moment) -> ClaimAnswer:
    """See `Launches.approve`."""
    run = await _proposal(tx, approval.run_id)
    if _is_over(run, now):
        expired = await _end_unsent(tx, run, Outcome.EXPIRED, "nobody decided in time", now)
        late = Refusal(kind=RefusalKind.KEY_HELD, sentence=f"proposal {run.id} expired before it was approved")
        return ClaimAnswer(kind=ClaimKind.REFUSED, run=expired, refusal=late)
    standings = await standings_in(tx, approval.caps, now, approval.task)
    refusal = await paused_refusal(tx) or admit(standings, run.limits.budget)
    if refusal is not None:
        record = records.refused_proposal(run, now.wall_ms, refusal.kind.value)
        await write_event(tx, "refused", now.wall_ms, run=run, record=record, by=approval.by, why=refusal.sentence)
        return ClaimAnswer(kind=ClaimKind.REFUSED, run=run, refusal=refusal, standings=standings)
    columns: Columns = {
        "day": await claim_day(tx, approval.caps, now),
        "owner": approval.owner,
        "expires_ms": max(approval.expires_ms, now.wall_ms + FRESH_MS),
        **moment_columns("claimed", now),
    }
    claimed = await change(tx, run, columns, to=State.CLAIMED)
    await take_hold(tx, claimed, now.wall_ms)
    hold = units_text(claimed.limits.budget)
    at_ms, by, owner = now.wall_ms, approval.by, approval.owner
    await write_event(tx, "approved", at_ms, run=claimed, by=by, owner=owner, day=claimed.day, hold=hold)
    return ClaimAnswer(kind=ClaimKind.CLAIMED, run=claimed, standings=standings)


async def decline_in(tx: Transaction, run_id: RunId, by: str, reason: str, now: Moment) -> Run:
    """See `Launches.decline`."""
    run = await _proposal(tx, run_id)
    note = f"declined by {by}" + (f": {reason}" if reason else "")
    return await _end_unsent(tx, run, Outcome.DECLINED, note, now)


async def expire_in(tx: Transaction, run_id: RunId, now: Moment) -> Run | None:
    """See `Launches.expire`."""
    run = await current(tx, run_id)
    if run is None or not _is_over(run, now):
        return None
    if run.state is State.PROPOSED:
        return await _end_unsent(tx, run, Outcome.EXPIRED, "nobody decided in time", now)
    if run.state is State.CLAIMED:
        expired = await _end_unsent(tx, run, Outcome.EXPIRED, "its window passed before anything was sent", now)
        await release_hold(tx, expired, now.wall_ms)
        return expired
    return None


async def paused_refusal(tx: Transaction) -> Refusal | None:
    """The refusal while the kill switch is on."""
    pause = await paused_in(tx)
    if pause is None:
        return None
    by = safe(pause.by, limit=80)
    return Refusal(kind=RefusalKind.PAUSED, sentence=f"launches are paused by {by}; `nightdesk resume` frees them")


def _is_over(run: Run, now: Moment) -> bool:
    return run.expires_ms is not None and now.wall_ms >= run.expires_ms


async def _proposal(tx: Transaction, run_id: RunId) -> Run:
    run = await current(tx, run_id)
    if run is None or run.state is not State.PROPOSED:
        raise StaleRun(f"run {run_id} is {run.state if run else 'unknown'}: only a proposal can be decided")
    return run


async def _end_unsent(tx: Transaction, run: Run, outcome: Outcome, note: str, now: Moment) -> Run:
    columns: Columns = {"outcome": outcome.value, "note": safe(note, limit=NOTE), "ended_ms": now.wall_ms}
    ended = await change(tx, run, {**columns, "usage_known": 1}, to=State.ENDED)
    record = records.ended(ended, now.wall_ms)
    await write_event(tx, outcome.value, now.wall_ms, run=ended, record=record, note=ended.note)
    return ended
