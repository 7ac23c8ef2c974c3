"""Writes around the one POST: what is on disk before it, and what each answer makes of the run.

The try is a row of its own, opened before a byte may leave. While its verdict may be an agent, the schema lets
nobody open another.
"""

from __future__ import annotations

from console.domain.moment import Moment
from console.domain.run import IllegalTransition, Outcome, Run, State
from console.domain.text import safe
from console.store import records
from console.store.database import Transaction
from console.store.ledger import release_hold
from console.store.orders import NOTE
from console.store.reading import Reading
from console.store.rows import Columns, moment_columns
from console.store.stages import demote_for
from console.store.statements import change, every, write_event

OPEN_SEND = """
    insert into sends (run_id, n, fence, verdict, at_ms)
    values (:id, (select coalesce(max(n), 0) + 1 from sends where run_id = :id), :fence, 'open', :at_ms)
"""
DECIDE_SEND = """
    update sends set verdict = :verdict, decided_ms = :at_ms, why = :why
    where run_id = :id and verdict in ('open', 'unknown')
"""
MADE_FOR_THE_RUN = frozenset({"own", "remote"})
"""Sandbox settings under which no other run can be in the same sandbox."""
MAY_SEND = "stop_reason is null and not exists (select 1 from controls where name = 'paused')"


class Sending(Reading):
    """The part of `Runs` from the claim to an id."""

    async def record_sandbox(self, run: Run, *, sandbox_id: str | None, own: bool, note: str, now: Moment) -> Run:
        """The sandbox that the launch will use is known, or (None) the launch makes its own. Claimed runs only."""

        async def unit(tx: Transaction) -> Run:
            needs(run, State.CLAIMED)
            changed = await change(tx, run, {"sandbox_id": sandbox_id, "sandbox_own": int(own)})
            await write_event(tx, "sandbox", now.wall_ms, run=run, sandbox=sandbox_id, note=note or None)
            return changed

        return await self._database.transaction(unit)

    async def mark_sending(self, run: Run, now: Moment) -> Run:
        """From here on the POST may have left. Elapsed and the deadline count from `now`.

        Raises StaleRun where the run is not this claim any more, has a stop, or launches are paused.
        """

        async def unit(tx: Transaction) -> Run:
            columns = {**moment_columns("sent", now), "deadline_ms": now.wall_ms + run.limits.max_ms}
            sending = await change(tx, run, columns, to=State.SENDING, where=MAY_SEND)
            await every(tx, OPEN_SEND, {"id": run.id, "fence": run.fence, "at_ms": now.wall_ms})
            await write_event(tx, "sending", now.wall_ms, run=run, deadline_ms=sending.deadline_ms)
            return sending

        return await self._database.transaction(unit)

    async def record_not_sent(self, run: Run, *, why: str, final: bool, now: Moment) -> Run:
        """Proven: nothing was launched. Back to claimed for another try; with `final` ended, the hold released."""

        async def unit(tx: Transaction) -> Run:
            needs(run, State.SENDING)
            await decide_send(tx, run, "not_sent", why, now)
            if final:
                return await end_unlaunched(tx, run, Outcome.NOT_SENT, why, now)
            claimed = await change(tx, run, {**moment_columns("sent", None), "deadline_ms": None}, to=State.CLAIMED)
            await write_event(tx, "not_sent", now.wall_ms, run=run, why=why)
            return claimed

        return await self._database.transaction(unit)

    async def record_rejected(self, run: Run, *, why: str, now: Moment) -> Run:
        """The provider refused the launch: ended, the hold released."""

        async def unit(tx: Transaction) -> Run:
            needs(run, State.SENDING)
            await decide_send(tx, run, "rejected", why, now)
            return await end_unlaunched(tx, run, Outcome.REJECTED, why, now)

        return await self._database.transaction(unit)

    async def record_unconfirmed(self, run: Run, *, why: str, now: Moment) -> Run:
        """It may be running and there is no id. Key and hold stay; the task may lose a rung."""

        async def unit(tx: Transaction) -> Run:
            unconfirmed = await change(tx, run, {"trouble": safe(why, limit=NOTE)}, to=State.UNCONFIRMED)
            await decide_send(tx, run, "unknown", why, now)
            record = records.unconfirmed(unconfirmed, now.wall_ms, why)
            await write_event(tx, "unconfirmed", now.wall_ms, run=run, record=record, why=why)
            await demote_for(tx, run, "unconfirmed", now)
            return unconfirmed

        return await self._database.transaction(unit)

    async def record_launched(
        self, run: Run, *, remote_id: str, status: str, sandbox_id: str | None, now: Moment
    ) -> Run:
        """An id came back: running, or already stopping where a stop was asked meanwhile."""

        async def unit(tx: Transaction) -> Run:
            needs(run, State.SENDING)
            columns: Columns = {"remote_status": status}
            if run.sandbox_id is None and sandbox_id is not None:
                made_for_it = run.fingerprint.sandbox in MADE_FOR_THE_RUN
                columns = {**columns, "sandbox_id": sandbox_id, "sandbox_own": int(made_for_it)}
            return await launch_known(tx, run, remote_id, columns, now)

        return await self._database.transaction(unit)


async def launch_known(tx: Transaction, run: Run, remote_id: str, columns: Columns, now: Moment) -> Run:
    """The run goes on under `remote_id`: running, and on to stopping where a stop is stored."""
    running = await change(tx, run, {**columns, "remote_id": remote_id, "trouble": ""}, to=State.RUNNING)
    await decide_send(tx, run, "launched", "", now)
    record = records.launched(running, now.wall_ms)
    await write_event(tx, "running", now.wall_ms, run=run, record=record, remote=remote_id)
    if running.stop is None:
        return running
    return await change(tx, running, {}, to=State.STOPPING)


async def end_unlaunched(tx: Transaction, run: Run, outcome: Outcome, why: str, now: Moment, **facts: str) -> Run:
    """Ended, nothing was launched: nothing used, the hold released."""
    elapsed = 0 if outcome is Outcome.NOT_SENT or run.sent is None else now.since(run.sent)
    columns: Columns = {"outcome": outcome.value, "note": safe(why, limit=NOTE), "ended_ms": now.wall_ms}
    ended = await change(tx, run, {**columns, "elapsed_ms": elapsed, "used": 0, "usage_known": 1}, to=State.ENDED)
    await release_hold(tx, run, now.wall_ms)
    record = records.ended(ended, now.wall_ms)
    await write_event(tx, outcome.value, now.wall_ms, run=run, record=record, why=why, **facts)
    await demote_for(tx, run, outcome.value, now)
    return ended


async def decide_send(tx: Transaction, run: Run, verdict: str, why: str, now: Moment) -> None:
    """The verdict on the try that is open or unknown."""
    parameters: Columns = {"id": run.id, "verdict": verdict, "at_ms": now.wall_ms, "why": why}
    await every(tx, DECIDE_SEND, parameters)


def needs(run: Run, *states: State) -> None:
    """Raises IllegalTransition unless the caller's run is in one of `states`."""
    if run.state not in states:
        raise IllegalTransition(f"run {run.id} is {run.state}, needed is {' or '.join(states)}")
