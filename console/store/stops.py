"""Writes of a stop: the intent before the first cancel, each try, the alarm. A request: nothing here ends a run.

Any process may ask and try, so none of these look at the fence; the first reason wins, and stays.
"""

from __future__ import annotations

from console.domain.moment import Moment
from console.domain.run import Reason, Run, RunId, State
from console.domain.text import safe
from console.store import records
from console.store.database import Transaction
from console.store.errors import StaleRun
from console.store.following import Following
from console.store.orders import NOTE
from console.store.rows import Columns
from console.store.statements import change, current, write_event

KEEPS_ITS_STATE = frozenset({State.CLAIMED, State.SENDING, State.UNCONFIRMED})
"""Where a stop is stored but the state goes on telling what may have been launched."""


class Stopping(Following):
    """The part of `Runs` from the wish to the proof."""

    async def request_stop(self, run_id: RunId, *, reason: Reason, by: str, now: Moment) -> Run:
        """The stop is stored. An earlier one stays; ended runs and proposals come back as they are.

        Raises StaleRun where there is no such run.
        """

        async def unit(tx: Transaction) -> Run:
            run = await _present(tx, run_id)
            if run.stop is not None or run.state in (State.ENDED, State.PROPOSED):
                return run
            columns = {"stop_reason": reason.value, "stop_by": by, "stop_at_ms": now.wall_ms}
            to = None if run.state in KEEPS_ITS_STATE else State.STOPPING
            asked = await change(tx, run, columns, to=to)
            await write_event(tx, "stop", now.wall_ms, run=run, reason=reason.value, by=by)
            return asked

        return await self._database.transaction(unit)

    async def record_stop_try(self, run: Run, *, answer: str, trouble: str, now: Moment) -> Run:
        """One cancel was sent: what the provider said, or why it did not work. An ended run comes back as it is."""

        async def unit(tx: Transaction) -> Run:
            stored = await _present(tx, run.id)
            if stored.stop is None or stored.state is State.ENDED:
                return stored
            said = safe(answer, limit=NOTE)
            columns: Columns = {
                "stop_tries": stored.stop.tries + 1,
                "stop_answer": said,
                "trouble": safe(trouble, limit=NOTE),
            }
            tried = await change(tx, stored, columns)
            await write_event(tx, "cancel", now.wall_ms, run=run, answer=said or None, trouble=trouble or None)
            return tried

        return await self._database.transaction(unit)

    async def record_alarm(self, run: Run, now: Moment) -> Run:
        """A stop is still not proven: noted in the log, each time. From the first one on it may be written off."""

        async def unit(tx: Transaction) -> Run:
            stored = await _present(tx, run.id)
            if stored.stop is None or stored.state is State.ENDED:
                return stored
            alarmed = await change(tx, stored, {"stop_alarmed": 1})
            waited = max(0, now.wall_ms - stored.stop.at_ms) // 1000
            fields = {"reason": stored.stop.reason.value, "tries": str(stored.stop.tries), "waited": f"{waited}s"}
            await write_event(
                tx, "alarm", now.wall_ms, run=run, record=records.note("alarm", fields, alarmed, now.wall_ms), **fields
            )
            return alarmed

        return await self._database.transaction(unit)

    async def record_sandbox_deleted(self, run: Run, *, answer: str, gone: bool, now: Moment) -> Run:
        """Its own sandbox was asked away. `gone`: it is; the id stays, as evidence."""

        async def unit(tx: Transaction) -> Run:
            stored = await _present(tx, run.id)
            await write_event(tx, "sandbox_deleted", now.wall_ms, run=run, answer=answer, gone=int(gone))
            if not gone or stored.state is State.ENDED or stored.sandbox_deleted_ms is not None:
                return stored
            return await change(tx, stored, {"sandbox_deleted_ms": now.wall_ms})

        return await self._database.transaction(unit)


async def _present(tx: Transaction, run_id: RunId) -> Run:
    run = await current(tx, run_id)
    if run is None:
        raise StaleRun(f"there is no run {run_id}")
    return run
