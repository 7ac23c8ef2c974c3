"""Writes that end a run or rule on one: the state, the hold, the log record and a demotion in one transaction."""

from __future__ import annotations

from console.domain.moment import Moment
from console.domain.run import NEVER_A_RUN, IllegalTransition, Outcome, Run, State
from console.domain.text import safe
from console.store import records
from console.store.database import Transaction
from console.store.ledger import release_hold, settle_hold
from console.store.orders import NOTE
from console.store.rows import Columns, Ending, at_most, usage_columns
from console.store.sending import decide_send, end_unlaunched, launch_known, needs
from console.store.stages import demote_for
from console.store.statements import change, write_event
from console.store.stops import Stopping


class Settlement(Stopping):
    """The part of `Runs` that closes the books."""

    async def settle(self, run: Run, ending: Ending, now: Moment) -> Run:
        """Ends a run: with what it used, or, still claimed, with its hold released. Where usage was never told the
        books close at the hold. A rung is lost as the claim's rules say, unless a retry follows.

        Raises IllegalTransition for other states, ValueError for an outcome that no run has, StaleRun.
        """
        if ending.outcome in NEVER_A_RUN:
            raise ValueError(f"no run ends {ending.outcome}")

        async def unit(tx: Transaction) -> Run:
            needs(run, State.CLAIMED, State.RUNNING, State.STOPPING)
            unsent = run.state is State.CLAIMED
            columns = _nothing_used(ending) if unsent else _used(run, ending)
            ended = await change(tx, run, {**columns, **_closing(ending, now)}, to=State.ENDED)
            if unsent:
                await release_hold(tx, run, now.wall_ms)
            else:
                await settle_hold(tx, ended, ended.used, now.wall_ms)
            record = records.ended(ended, now.wall_ms)
            await write_event(tx, ending.outcome.value, now.wall_ms, run=ended, record=record, note=ended.note or None)
            if ending.retry_at_ms is None:
                await demote_for(tx, ended, ending.outcome.value, now)
            return ended

        return await self._database.transaction(unit)

    async def adopt(self, run: Run, *, remote_id: str, by: str, reason: str, now: Moment) -> Run:
        """The run is known after all under `remote_id`: it is followed, or stopped where a stop is stored."""

        async def unit(tx: Transaction) -> Run:
            needs(run, State.SENDING, State.UNCONFIRMED)
            await _note_ruling(tx, run, "adopt", by, reason, now, remote=remote_id)
            return await launch_known(tx, run, remote_id, {}, now)

        return await self._database.transaction(unit)

    async def rule_not_launched(self, run: Run, *, by: str, reason: str, now: Moment) -> Run:
        """The operator rules that no agent runs: ended(not_sent), the hold released, the key free."""

        async def unit(tx: Transaction) -> Run:
            needs(run, State.UNCONFIRMED)
            await decide_send(tx, run, "ruled_not_launched", reason, now)
            await _note_ruling(tx, run, "not_launched", by, reason, now)
            return await end_unlaunched(tx, run, Outcome.NOT_SENT, f"ruled not launched by {by}: {reason}", now)

        return await self._database.transaction(unit)

    async def write_off(self, run: Run, *, by: str, reason: str, now: Moment) -> Run:
        """The books close at the hold, or at what is known to be used where that is more. The key stays blocked.

        For unconfirmed runs, and for a stop that had its alarm; raises IllegalTransition for others.
        """

        async def unit(tx: Transaction) -> Run:
            needs(run, State.UNCONFIRMED, State.STOPPING)
            if run.state is State.STOPPING and not (run.stop and run.stop.alarmed):
                raise IllegalTransition(f"run {run.id} is still stopping: it may be written off after the alarm")
            spent = max(run.used, run.limits.budget)
            note = safe(f"written off by {by}: {reason}", limit=NOTE)
            elapsed = now.since(run.sent) if run.sent else 0
            columns: Columns = {"outcome": Outcome.WRITTEN_OFF.value, "note": note, "ended_ms": now.wall_ms}
            figures: Columns = {"used": spent, "usage_known": 0, "elapsed_ms": elapsed}
            ended = await change(tx, run, {**columns, **figures}, to=State.ENDED)
            await settle_hold(tx, ended, spent, now.wall_ms)
            await _note_ruling(tx, run, "write_off", by, reason, now)
            record = records.ended(ended, now.wall_ms)
            await write_event(tx, Outcome.WRITTEN_OFF.value, now.wall_ms, run=ended, record=record, note=note)
            await demote_for(tx, ended, Outcome.WRITTEN_OFF.value, now)
            return ended

        return await self._database.transaction(unit)


async def _note_ruling(tx: Transaction, run: Run, ruling: str, by: str, reason: str, now: Moment, **facts: str) -> None:
    record = records.note("settle", {"ruling": ruling, **facts, "by": by, "why": reason}, run, now.wall_ms)
    await write_event(tx, "ruling", now.wall_ms, run=run, record=record, ruling=ruling, by=by, why=reason, **facts)


def _closing(ending: Ending, now: Moment) -> Columns:
    return {
        "outcome": ending.outcome.value,
        "note": safe(ending.note, limit=NOTE),
        "ended_ms": now.wall_ms,
        "retry_at_ms": ending.retry_at_ms,
        "stalled": 0,
        "trouble": "",
    }


def _nothing_used(ending: Ending) -> Columns:
    return {"used": 0, "usage_known": 1, "elapsed_ms": 0, "result": ending.result}


def _used(run: Run, ending: Ending) -> Columns:
    """Figures of an ending; where none was ever told, the hold is what counts.

    `used` may be less than a live figure was: cached tokens are often told last, and they weigh less.
    """
    before = run.used if run.usage_known else run.limits.budget
    return {
        **usage_columns(run.usage.highest(ending.usage)),
        "used": at_most(ending.used) if ending.usage_known else before,
        "usage_known": int(ending.usage_known or run.usage_known),
        "cost_micro": None if ending.cost_micro is None else at_most(ending.cost_micro),
        "currency": ending.currency,
        "elapsed_ms": max(0, ending.elapsed_ms),
        "result": ending.result,
        "remote_status": ending.remote_status if ending.remote_status is not None else run.remote_status,
    }
