"""Reads of runs, and every change of a run after its claim."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from console.domain.key import is_key
from console.domain.run import Outcome, Run, RunId, State, StepRecord, StopReason, StopRequest
from console.domain.text import sanitize
from console.domain.timestamps import Clock, Timestamp
from console.store import transitions
from console.store.errors import StaleRun
from console.store.events import EventRow, event_of, note_record, write_event
from console.store.fast_read import SELECT_OPEN
from console.store.listing import RepeatedListing
from console.store.postgres.leases import LEASE_IS_OVER
from console.store.progress import ProgressOutcome, ProgressUpdate, begins_stall, write_progress
from console.store.rows import (
    NOTE_LIMIT,
    RunListing,
    compare_and_set,
    fetch_all,
    fetch_one,
    load_run,
    lock_run,
    run_of,
    step_of,
)
from console.store.transaction import Columns, Database, Transaction, Value
from console.store.transitions import RunResult

MAX_FOUND = 20
"""Most runs that `find` returns for a prefix of a run id."""
UNCHANGED_BY_STOP = frozenset({State.CLAIMED, State.SENDING, State.UNCONFIRMED})
"""States that stay when a stop is stored, because they say whether something may have been launched."""

SELECT_BY_KEY = "select * from runs where key = :key and attempt > 0 order by seq"
SELECT_BY_PREFIX = "select * from runs where id >= :prefix and id < :prefix || '~' order by id limit :limit"
SELECT_EVENTS = "select id, at_ms, kind, detail from events where run_id = :id order by id"
SELECT_STEPS = "select n, kind, text, at_ms, units, done from steps where run_id = :id order by n"
SELECT_OBSERVED = "select 1 from events where run_id = :run_id and kind = 'observed' limit 1"

_ID_PREFIX = re.compile(r"[0-9a-hjkmnp-tv-z]{4,26}\Z", re.ASCII)


class RunRepository:
    """Reads runs, and writes what happens to a run after its claim.

    Each write is one transaction: it updates the row of `run` only if its state, owner and fence are still those of
    the `run` that was passed, and adds the ledger, timeline and log rows that belong to the change. It raises StaleRun
    if the row has changed, IllegalTransition if `run` is in a state the write does not apply to, and StoreError if
    the store does not work; in all three cases nothing was written.

    In one piece because every write of a run goes through the same check of state, owner and fence.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._open = RepeatedListing(database, SELECT_OPEN)

    # Reads

    async def get(self, run_id: RunId) -> Run | None:
        """Return the run with that id, or None."""
        return await self._database.read(lambda tx: load_run(tx, run_id))

    async def open_runs(self) -> tuple[Run, ...]:
        """Return all runs that have not ended and can be read, oldest first."""
        return (await self.list_open()).runs

    async def list_open(self) -> RunListing:
        """Return all runs that have not ended, oldest first, and apart from them the rows that cannot be read."""
        return await self._open.read()

    async def by_key(self, key: str) -> tuple[Run, ...]:
        """Return the runs of a key, oldest first, without its skipped and refused launches."""
        return await self._select(SELECT_BY_KEY, {"key": key})

    async def find(self, text: str) -> tuple[Run, ...]:
        """Return the runs that `text` names: a key, a run id, or a prefix of a run id of at least 4 characters.

        A prefix returns at most MAX_FOUND runs.
        """
        wanted = text.strip().lower()
        if is_key(wanted) and (found := await self.by_key(wanted)):
            return found
        if not _ID_PREFIX.match(wanted):
            return ()
        return await self._select(SELECT_BY_PREFIX, {"prefix": wanted, "limit": MAX_FOUND})

    async def timeline(self, run_id: RunId) -> tuple[EventRow, ...]:
        """Return the events of the run, oldest first."""

        async def unit(tx: Transaction) -> tuple[EventRow, ...]:
            return tuple(map(event_of, await fetch_all(tx, SELECT_EVENTS, {"id": run_id})))

        return await self._database.read(unit)

    async def steps(self, run_id: RunId) -> tuple[StepRecord, ...]:
        """Return the stored steps of the run in the agent's order."""

        async def unit(tx: Transaction) -> tuple[StepRecord, ...]:
            return tuple(map(step_of, await fetch_all(tx, SELECT_STEPS, {"id": run_id})))

        return await self._database.read(unit)

    # The launch

    async def record_sandbox(self, run: Run, *, sandbox_id: str | None, own: bool, note: str, now: Timestamp) -> Run:
        """Store the sandbox a claimed run will use; None means that the provider creates one with the launch."""

        async def unit(tx: Transaction) -> Run:
            transitions.require_state(run, State.CLAIMED)
            changed = await compare_and_set(tx, run, {"sandbox_id": sandbox_id, "sandbox_own": int(own)})
            await write_event(tx, "sandbox", now.wall_ms, run=run, sandbox=sandbox_id, note=note or None)
            return changed

        return await self._database.transaction(unit, gated=False)

    async def extend_windows(self, runs: Sequence[Run]) -> None:
        """Store the windows of claimed runs, which are longer by the time for which the launches were queued.

        Runs whose rows have changed meanwhile are left alone.
        """
        await self._database.transaction(lambda tx: transitions.extend_windows(tx, runs), gated=False)

    async def mark_sending(self, run: Run, now: Timestamp, *, clock: Clock | None = None) -> Run:
        """Store that the POST may leave from now on. The run's time limit counts from `now`.

        With `clock` it counts from the beginning of the transaction, for which other hosts may keep this one waiting.
        Also raises StaleRun if the run has a stop or launches are paused, and StoreCopied in a copied state folder:
        the original may be sending this very run.
        """

        async def unit(tx: Transaction) -> Run:
            began = now if clock is None else clock.now()
            return await transitions.begin_send(tx, self._database, run, began)

        return await self._database.transaction(unit)

    async def record_not_sent(self, run: Run, *, why: str, final: bool, now: Timestamp) -> Run:
        """Store that the POST provably launched nothing: back to `claimed`, or ended if this was the final try."""

        async def unit(tx: Transaction) -> Run:
            if final:
                return await transitions.end_refused(tx, run, Outcome.NOT_SENT, why, now)
            return await transitions.return_to_claimed(tx, run, why, now)

        return await self._database.transaction(unit)

    async def record_rejected(self, run: Run, *, why: str, now: Timestamp) -> Run:
        """End a run whose launch the provider refused; its hold is released."""
        return await self._database.transaction(lambda tx: transitions.end_refused(tx, run, Outcome.REJECTED, why, now))

    async def record_unconfirmed(self, run: Run, *, why: str, now: Timestamp) -> Run:
        """Store that the POST may have launched an agent whose id is not known. Key and hold stay taken."""
        return await self._database.transaction(lambda tx: transitions.mark_unconfirmed(tx, run, why, now))

    async def record_launched(
        self, run: Run, *, remote_id: str, status: str, sandbox_id: str | None, now: Timestamp
    ) -> Run:
        """Store the provider's id: the run is `running`, or `stopping` if a stop was stored meanwhile."""
        return await self._database.transaction(
            lambda tx: transitions.mark_launched(
                tx, run, remote_id=remote_id, status=status, sandbox_id=sandbox_id, now=now
            )
        )

    # While it runs

    async def record_progress_of_many(
        self, updates: Sequence[ProgressUpdate], now: Timestamp, *, busy_ms: int | None = None
    ) -> tuple[ProgressOutcome, ...]:
        """Store usage, status and new steps of many live runs, each run once, in one transaction.

        Cumulative amounts never decrease; the start of a stall is logged. Return an outcome per update, in their order:
        the changed run, or the error for it. A run that could not be changed does not affect the others. `busy_ms` is
        as in `Database.transaction`.
        """
        if not updates:
            return ()

        async def unit(tx: Transaction) -> tuple[ProgressOutcome, ...]:
            return await write_progress(tx, updates, now)

        # A line of the log is numbered.
        return await self._database.transaction(unit, gated=any(map(begins_stall, updates)), busy_ms=busy_ms)

    async def take_over(self, run: Run, *, owner: str, now: Timestamp, if_lease_is_over: bool = False) -> Run | None:
        """Make `owner` the run's owner under the next fence; return None if the row has changed since `run`.

        Every write of the previous owner raises StaleRun from then on. With `if_lease_is_over`, which only a store of
        several hosts knows, None is also returned while the lease of the previous owner lasts.
        """
        where = LEASE_IS_OVER if if_lease_is_over else "true"

        async def unit(tx: Transaction) -> Run:
            taken = await compare_and_set(tx, run, {"owner": owner, "fence": run.fence + 1}, where=where)
            await write_event(tx, "taken_over", now.wall_ms, run=run, owner=owner, before=run.owner, fence=taken.fence)
            return taken

        try:
            return await self._database.transaction(unit, gated=False)
        except StaleRun:
            return None

    async def release(self, run: Run, *, why: str, now: Timestamp) -> Run:
        """Give the run up, under the next fence, so that any process may take it over. Raises StaleRun."""
        return await self._database.transaction(lambda tx: _give_back(tx, run, why, now), gated=False)

    async def record_observed(self, runs: Sequence[Run], *, by: str, now: Timestamp) -> None:
        """Record, once per run, that a console was open while the run was under way; rollout evidence counts it."""

        async def unit(tx: Transaction) -> None:
            for run in runs:
                if await fetch_one(tx, SELECT_OBSERVED, {"run_id": run.id}) is None:
                    await write_event(tx, "observed", now.wall_ms, run=run, by=by)

        await self._database.transaction(unit)

    async def note(self, *, event: str, fields: Mapping[str, str], run: Run | None, now: Timestamp) -> None:
        """Write a log line for something that is neither a launch nor an end. Raises ValueError for a field name."""
        record = note_record(event, fields, run, now.wall_ms)

        async def unit(tx: Transaction) -> None:
            await write_event(tx, event, now.wall_ms, run=run, record=record, **dict(fields))

        await self._database.transaction(unit)

    # Stops: open to every process, so these writes reload the row and do not compare the owner or fence of `run`

    async def request_stop(
        self,
        run_id: RunId,
        *,
        reason: StopReason,
        by: str,
        now: Timestamp,
        sent: Timestamp | None = None,
        busy_ms: int | None = None,
    ) -> Run:
        """Store a stop request. The first one stays; an ended run and a proposal are returned unchanged.

        So is, with `sent`, a run whose launch was sent at another time: the request was for an earlier try.

        It overtakes other writes of this process; `busy_ms` is as in `Database.transaction`. Raises StaleRun if there
        is no such run.
        """
        request = StopRequest(reason=reason, by=by, at_ms=now.wall_ms)
        return await self._database.transaction(
            lambda tx: _request_stop(tx, run_id, request, sent), gated=False, busy_ms=busy_ms, urgent=True
        )

    async def record_stop_try(self, run: Run, *, answer: str, trouble: str, now: Timestamp) -> Run:
        """Store one cancel call: the provider's answer, or why it failed. An ended run is returned unchanged."""

        async def unit(tx: Transaction) -> Run:
            stored = await _require_run(tx, run.id)
            if stored.stop is None or stored.state is State.ENDED:
                return stored
            said = sanitize(answer, limit=NOTE_LIMIT)
            columns: Columns = {
                "stop_tries": stored.stop.tries + 1,
                "stop_answer": said,
                "trouble": sanitize(trouble, limit=NOTE_LIMIT),
            }
            tried = await compare_and_set(tx, stored, columns)
            await write_event(tx, "cancel", now.wall_ms, run=run, answer=said or None, trouble=trouble or None)
            return tried

        return await self._database.transaction(unit, gated=False, urgent=True)

    async def record_alarm(self, run: Run, now: Timestamp) -> Run:
        """Log that a stop has not taken effect. After the first alarm the run may be written off."""

        async def unit(tx: Transaction) -> Run:
            stored = await _require_run(tx, run.id)
            if stored.stop is None or stored.state is State.ENDED:
                return stored
            alarmed = await compare_and_set(tx, stored, {"stop_alarmed": 1})
            waited = max(0, now.wall_ms - stored.stop.at_ms) // 1000
            fields = {"reason": stored.stop.reason.value, "tries": str(stored.stop.tries), "waited": f"{waited}s"}
            record = note_record("alarm", fields, alarmed, now.wall_ms)
            await write_event(tx, "alarm", now.wall_ms, run=run, record=record, **fields)
            return alarmed

        return await self._database.transaction(unit)

    async def record_sandbox_deleted(self, run: Run, *, answer: str, gone: bool, now: Timestamp) -> Run:
        """Store one request to delete the run's own sandbox; `gone` says whether it is deleted. The id is kept."""

        async def unit(tx: Transaction) -> Run:
            stored = await _require_run(tx, run.id)
            await write_event(tx, "sandbox_deleted", now.wall_ms, run=run, answer=answer, gone=int(gone))
            if not gone or stored.state is State.ENDED or stored.sandbox_deleted_ms is not None:
                return stored
            return await compare_and_set(tx, stored, {"sandbox_deleted_ms": now.wall_ms})

        return await self._database.transaction(unit, gated=False)

    # The end

    async def settle(self, run: Run, result: RunResult, now: Timestamp) -> Run:
        """End a run with its usage and what was seen last, or, if it is still claimed, with its hold released.

        A run whose usage was never reported is charged with its hold. The task is demoted as the rules of its claim
        say, unless a retry is scheduled. Raises ValueError for an outcome that is not one of a run.
        """
        return await self._database.transaction(lambda tx: transitions.settle_run(tx, run, result, now))

    async def adopt(self, run: Run, *, remote_id: str, by: str, reason: str, now: Timestamp) -> Run:
        """Attach a remote run to a run that is `sending` or `unconfirmed`; it is then monitored, or stopped."""
        return await self._database.transaction(
            lambda tx: transitions.adopt_run(tx, run, remote_id=remote_id, by=by, reason=reason, now=now)
        )

    async def rule_not_launched(self, run: Run, *, by: str, reason: str, now: Timestamp) -> Run:
        """End an unconfirmed run as `not_sent` on the operator's word: hold released, key free."""
        return await self._database.transaction(
            lambda tx: transitions.rule_not_launched(tx, run, by=by, reason=reason, now=now)
        )

    async def write_off(self, run: Run, *, by: str, reason: str, now: Timestamp) -> Run:
        """End a run whose real ending cannot be learned, charged with its hold or more. Its key stays taken.

        Possible for unconfirmed runs, and for stopping runs after their first alarm; raises IllegalTransition for
        others.
        """
        return await self._database.transaction(
            lambda tx: transitions.write_off_run(tx, run, by=by, reason=reason, now=now)
        )

    async def _select(self, sql: str, parameters: dict[str, Value]) -> tuple[Run, ...]:
        async def unit(tx: Transaction) -> tuple[Run, ...]:
            return tuple(run_of(row) for row in await fetch_all(tx, sql, parameters))

        return await self._database.read(unit)


async def _give_back(tx: Transaction, run: Run, why: str, now: Timestamp) -> Run:
    free = await compare_and_set(tx, run, {"owner": None, "fence": run.fence + 1})
    await write_event(tx, "given_back", now.wall_ms, run=run, before=run.owner, fence=free.fence, why=why)
    return free


async def _require_run(tx: Transaction, run_id: RunId) -> Run:
    """Return the run as it is now, and stays until the transaction has ended. Raises StaleRun if there is none."""
    run = await lock_run(tx, run_id)
    if run is None:
        raise StaleRun(f"there is no run {run_id}")
    return run


async def _request_stop(tx: Transaction, run_id: RunId, request: StopRequest, sent: Timestamp | None) -> Run:
    run = await _require_run(tx, run_id)
    is_later_try = sent is not None and run.sent != sent
    if is_later_try or run.stop is not None or run.state in (State.ENDED, State.PROPOSED):
        return run
    columns = {"stop_reason": request.reason.value, "stop_by": request.by, "stop_at_ms": request.at_ms}
    to = None if run.state in UNCHANGED_BY_STOP else State.STOPPING
    stopping = await compare_and_set(tx, run, columns, to=to)
    await write_event(tx, "stop", request.at_ms, run=run, reason=request.reason.value, by=request.by)
    return stopping
