"""Looking runs up: one, the open ones, those of a key, and what happened to each."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence

from console.domain.key import is_key
from console.domain.run import NON_RUN_OUTCOMES, IllegalTransition, Outcome, Run, RunId, State, StopReason
from console.domain.text import sanitize
from console.domain.timestamps import Timestamp
from console.domain.usage import Usage
from console.store import log_records as records
from console.store.database import Database, Transaction
from console.store.errors import StaleRun
from console.store.events import EventRow, write_event
from console.store.fast_read import SELECT_OPEN
from console.store.ledger import release_hold, settle_hold
from console.store.rollout import demote_for
from console.store.rows import (
    NOTE_LIMIT,
    Columns,
    Progress,
    RunResult,
    StepRow,
    Value,
    clamp_amount,
    moment_columns,
    run_of,
    to_sqlite_text,
    usage_columns,
)
from console.store.statements import compare_and_set, fetch_all, fetch_one, load_run

MOST_FOUND = 20
"""A prefix that fits more runs than this is of no use to anybody."""

SELECT_BY_KEY = "select * from runs where key = :key and attempt > 0 order by seq"
SELECT_BY_PREFIX = "select * from runs where id >= :prefix and id < :prefix || '~' order by id limit :limit"
SELECT_EVENTS = "select id, at_ms, kind, detail from events where run_id = :id order by id"
SELECT_STEPS = "select n, kind, text, at_ms, units, done from steps where run_id = :id order by n"

_PREFIX = re.compile(r"[0-9a-hjkmnp-tv-z]{4,26}\Z", re.ASCII)


class Reading:
    """The part of `Runs` that changes nothing."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def get(self, run_id: RunId) -> Run | None:
        """The run of that id; None where there is none."""
        return await self._database.read(lambda tx: load_run(tx, run_id))

    async def open_runs(self) -> tuple[Run, ...]:
        """All that are not ended, oldest first."""
        return await self._runs(SELECT_OPEN, {})

    async def by_key(self, key: str) -> tuple[Run, ...]:
        """The runs of a key, oldest first; its skips and refusals left out."""
        return await self._runs(SELECT_BY_KEY, {"key": key})

    async def find(self, text: str) -> tuple[Run, ...]:
        """The run of an id, those of a prefix of one (4 characters or more, at most MOST_FOUND), or those of a key."""
        wanted = text.strip().lower()
        if is_key(wanted) and (found := await self.by_key(wanted)):
            return found
        if not _PREFIX.match(wanted):
            return ()
        return await self._runs(SELECT_BY_PREFIX, {"prefix": wanted, "limit": MOST_FOUND})

    async def timeline(self, run_id: RunId) -> tuple[EventRow, ...]:
        """What happened to the run, oldest first."""

        async def unit(tx: Transaction) -> tuple[EventRow, ...]:
            rows = await fetch_all(tx, SELECT_EVENTS, {"id": run_id})
            return tuple(
                EventRow(id=row["id"], at_ms=row["at_ms"], kind=row["kind"], detail=json.loads(row["detail"]))
                for row in rows
            )

        return await self._database.read(unit)

    async def steps(self, run_id: RunId) -> tuple[StepRow, ...]:
        """The steps that were seen, in their order."""

        async def unit(tx: Transaction) -> tuple[StepRow, ...]:
            rows = await fetch_all(tx, SELECT_STEPS, {"id": run_id})
            return tuple(
                StepRow(
                    index=row["n"],
                    kind=row["kind"],
                    text=row["text"],
                    at_ms=row["at_ms"],
                    units=row["units"],
                    done=bool(row["done"]),
                )
                for row in rows
            )

        return await self._database.read(unit)

    async def _runs(self, sql: str, parameters: dict[str, Value]) -> tuple[Run, ...]:
        async def unit(tx: Transaction) -> tuple[Run, ...]:
            return tuple(run_of(row) for row in await fetch_all(tx, sql, parameters))

        return await self._database.read(unit)


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

    async def record_sandbox(self, run: Run, *, sandbox_id: str | None, own: bool, note: str, now: Timestamp) -> Run:
        """The sandbox that the launch will use is known, or (None) the launch makes its own. Claimed runs only."""

        async def unit(tx: Transaction) -> Run:
            require_state(run, State.CLAIMED)
            changed = await compare_and_set(tx, run, {"sandbox_id": sandbox_id, "sandbox_own": int(own)})
            await write_event(tx, "sandbox", now.wall_ms, run=run, sandbox=sandbox_id, note=note or None)
            return changed

        return await self._database.transaction(unit)

    async def mark_sending(self, run: Run, now: Timestamp) -> Run:
        """From here on the POST may have left. Elapsed and the deadline count from `now`.

        Raises StaleRun where the run is not this claim any more, has a stop, or launches are paused.
        """

        async def unit(tx: Transaction) -> Run:
            columns = {**moment_columns("sent", now), "deadline_ms": now.wall_ms + run.limits.max_ms}
            sending = await compare_and_set(tx, run, columns, to=State.SENDING, where=MAY_SEND)
            await fetch_all(tx, OPEN_SEND, {"id": run.id, "fence": run.fence, "at_ms": now.wall_ms})
            await write_event(tx, "sending", now.wall_ms, run=run, deadline_ms=sending.deadline_ms)
            return sending

        return await self._database.transaction(unit)

    async def record_not_sent(self, run: Run, *, why: str, final: bool, now: Timestamp) -> Run:
        """Proven: nothing was launched. Back to claimed for another try; with `final` ended, the hold released."""

        async def unit(tx: Transaction) -> Run:
            require_state(run, State.SENDING)
            await decide_send(tx, run, "not_sent", why, now)
            if final:
                return await end_unlaunched(tx, run, Outcome.NOT_SENT, why, now)
            claimed = await compare_and_set(
                tx, run, {**moment_columns("sent", None), "deadline_ms": None}, to=State.CLAIMED
            )
            await write_event(tx, "not_sent", now.wall_ms, run=run, why=why)
            return claimed

        return await self._database.transaction(unit)

    async def record_rejected(self, run: Run, *, why: str, now: Timestamp) -> Run:
        """The provider refused the launch: ended, the hold released."""

        async def unit(tx: Transaction) -> Run:
            require_state(run, State.SENDING)
            await decide_send(tx, run, "rejected", why, now)
            return await end_unlaunched(tx, run, Outcome.REJECTED, why, now)

        return await self._database.transaction(unit)

    async def record_unconfirmed(self, run: Run, *, why: str, now: Timestamp) -> Run:
        """It may be running and there is no id. Key and hold stay; the task may lose a rung."""

        async def unit(tx: Transaction) -> Run:
            unconfirmed = await compare_and_set(
                tx, run, {"trouble": sanitize(why, limit=NOTE_LIMIT)}, to=State.UNCONFIRMED
            )
            await decide_send(tx, run, "unknown", why, now)
            record = records.unconfirmed(unconfirmed, now.wall_ms, why)
            await write_event(tx, "unconfirmed", now.wall_ms, run=run, record=record, why=why)
            await demote_for(tx, run, "unconfirmed", now)
            return unconfirmed

        return await self._database.transaction(unit)

    async def record_launched(
        self, run: Run, *, remote_id: str, status: str, sandbox_id: str | None, now: Timestamp
    ) -> Run:
        """An id came back: running, or already stopping where a stop was asked meanwhile."""

        async def unit(tx: Transaction) -> Run:
            require_state(run, State.SENDING)
            columns: Columns = {"remote_status": status}
            if run.sandbox_id is None and sandbox_id is not None:
                made_for_it = run.fingerprint.sandbox in MADE_FOR_THE_RUN
                columns = {**columns, "sandbox_id": sandbox_id, "sandbox_own": int(made_for_it)}
            return await launch_known(tx, run, remote_id, columns, now)

        return await self._database.transaction(unit)


async def launch_known(tx: Transaction, run: Run, remote_id: str, columns: Columns, now: Timestamp) -> Run:
    """The run goes on under `remote_id`: running, and on to stopping where a stop is stored."""
    running = await compare_and_set(tx, run, {**columns, "remote_id": remote_id, "trouble": ""}, to=State.RUNNING)
    await decide_send(tx, run, "launched", "", now)
    record = records.launched(running, now.wall_ms)
    await write_event(tx, "running", now.wall_ms, run=run, record=record, remote=remote_id)
    if running.stop is None:
        return running
    return await compare_and_set(tx, running, {}, to=State.STOPPING)


async def end_unlaunched(tx: Transaction, run: Run, outcome: Outcome, why: str, now: Timestamp, **facts: str) -> Run:
    """Ended, nothing was launched: nothing used, the hold released."""
    elapsed = 0 if outcome is Outcome.NOT_SENT or run.sent is None else now.since(run.sent)
    columns: Columns = {"outcome": outcome.value, "note": sanitize(why, limit=NOTE_LIMIT), "ended_ms": now.wall_ms}
    ended = await compare_and_set(
        tx, run, {**columns, "elapsed_ms": elapsed, "used": 0, "usage_known": 1}, to=State.ENDED
    )
    await release_hold(tx, run, now.wall_ms)
    record = records.ended(ended, now.wall_ms)
    await write_event(tx, outcome.value, now.wall_ms, run=run, record=record, why=why, **facts)
    await demote_for(tx, run, outcome.value, now)
    return ended


async def decide_send(tx: Transaction, run: Run, verdict: str, why: str, now: Timestamp) -> None:
    """The verdict on the try that is open or unknown."""
    parameters: Columns = {"id": run.id, "verdict": verdict, "at_ms": now.wall_ms, "why": why}
    await fetch_all(tx, DECIDE_SEND, parameters)


def require_state(run: Run, *states: State) -> None:
    """Raises IllegalTransition unless the caller's run is in one of `states`."""
    if run.state not in states:
        raise IllegalTransition(f"run {run.id} is {run.state}, needed is {' or '.join(states)}")


UPSERT_STEP = """
    insert into steps (run_id, n, kind, text, at_ms, units, done)
    values (:run_id, :n, :kind, :text, :at_ms, :units, :done)
    on conflict (run_id, n) do update set
        kind = excluded.kind,
        text = excluded.text,
        units = max(units, excluded.units),
        done = max(done, excluded.done)
"""

OBSERVED = "select 1 from events where run_id = :run_id and kind = 'observed' limit 1"


class Following(Sending):
    """The part of `Runs` while the provider works."""

    async def record_progress(self, run: Run, progress: Progress, now: Timestamp) -> Run:
        """Figures of a live run; the state stays. Cumulative ones never shrink. A stall that begins is noted."""

        async def unit(tx: Transaction) -> Run:
            require_state(run, State.RUNNING, State.STOPPING)
            changed = await compare_and_set(tx, run, _progress_columns(run, progress))
            if progress.stalled and not run.stalled:
                quiet = now.wall_ms - (progress.last_step_ms or (run.sent.wall_ms if run.sent else now.wall_ms))
                record = records.note("stall", {"quiet": f"{max(0, quiet) // 1000}s"}, run, now.wall_ms)
                await write_event(tx, "stall", now.wall_ms, run=run, record=record)
            return changed

        return await self._database.transaction(unit)

    async def save_steps(self, run_id: RunId, steps: Sequence[StepRow], now: Timestamp) -> None:
        """Steps by their index, new ones and known ones again. A step's first sight and its end stay."""
        if not steps:
            return

        async def unit(tx: Transaction) -> None:
            await tx.executemany(UPSERT_STEP, [_step_columns(run_id, step) for step in steps])

        await self._database.transaction(unit)

    async def take_over(self, run: Run, *, owner: str, now: Timestamp) -> Run | None:
        """The run under `owner` and the next fence; None where its row is not as in `run` any more.

        Whoever held it before can write nothing from here on.
        """

        async def unit(tx: Transaction) -> Run:
            taken = await compare_and_set(tx, run, {"owner": owner, "fence": run.fence + 1})
            await write_event(tx, "taken_over", now.wall_ms, run=run, owner=owner, before=run.owner, fence=taken.fence)
            return taken

        try:
            return await self._database.transaction(unit)
        except StaleRun:
            return None

    async def record_observed(self, runs: Sequence[Run], *, by: str, now: Timestamp) -> None:
        """A console was open while these runs were under way; evidence for their rollout. Once per run."""

        async def unit(tx: Transaction) -> None:
            for run in runs:
                if await fetch_one(tx, OBSERVED, {"run_id": run.id}) is None:
                    await write_event(tx, "observed", now.wall_ms, run=run, by=by)

        await self._database.transaction(unit)

    async def note(self, *, event: str, fields: Mapping[str, str], run: Run | None, now: Timestamp) -> None:
        """A line of the log for something that is no launch and no ending. Raises ValueError for a bad field name."""
        record = records.note(event, fields, run, now.wall_ms)

        async def unit(tx: Transaction) -> None:
            await write_event(tx, event, now.wall_ms, run=run, record=record, **dict(fields))

        await self._database.transaction(unit)


def figure_columns(run: Run, usage: Usage, used: int) -> Columns:
    """Usage as it will stand: the provider's figures are cumulative, so the larger one is the newer one."""
    return {**usage_columns(run.usage.highest(usage)), "used": max(run.used, clamp_amount(used))}


def _progress_columns(run: Run, progress: Progress) -> Columns:
    return {
        **figure_columns(run, progress.usage, progress.used),
        "usage_known": int(progress.usage_known or run.usage_known),
        "largest_step": max(run.largest_step, clamp_amount(progress.largest_step)),
        "remote_status": progress.remote_status,
        "trouble": progress.trouble,
        "stalled": int(progress.stalled),
        "polled_ms": progress.polled_ms,
        "last_step": progress.last_step,
        "last_step_ms": progress.last_step_ms,
        "steps": max(run.steps, clamp_amount(progress.steps)),
        "cost_micro": None if progress.cost_micro is None else clamp_amount(progress.cost_micro),
        "currency": progress.currency,
    }


def _step_columns(run_id: RunId, step: StepRow) -> Columns:
    return {
        "run_id": run_id,
        "n": step.index,
        "kind": to_sqlite_text(step.kind),
        "text": to_sqlite_text(step.text),
        "at_ms": step.at_ms,
        "units": clamp_amount(step.units),
        "done": int(step.done),
    }


KEEPS_ITS_STATE = frozenset({State.CLAIMED, State.SENDING, State.UNCONFIRMED})
"""Where a stop is stored but the state goes on telling what may have been launched."""


class Stopping(Following):
    """The part of `Runs` from the wish to the proof."""

    async def request_stop(self, run_id: RunId, *, reason: StopReason, by: str, now: Timestamp) -> Run:
        """The stop is stored. An earlier one stays; ended runs and proposals come back as they are.

        Raises StaleRun where there is no such run.
        """

        async def unit(tx: Transaction) -> Run:
            run = await _present(tx, run_id)
            if run.stop is not None or run.state in (State.ENDED, State.PROPOSED):
                return run
            columns = {"stop_reason": reason.value, "stop_by": by, "stop_at_ms": now.wall_ms}
            to = None if run.state in KEEPS_ITS_STATE else State.STOPPING
            asked = await compare_and_set(tx, run, columns, to=to)
            await write_event(tx, "stop", now.wall_ms, run=run, reason=reason.value, by=by)
            return asked

        return await self._database.transaction(unit)

    async def record_stop_try(self, run: Run, *, answer: str, trouble: str, now: Timestamp) -> Run:
        """One cancel was sent: what the provider said, or why it did not work. An ended run comes back as it is."""

        async def unit(tx: Transaction) -> Run:
            stored = await _present(tx, run.id)
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

        return await self._database.transaction(unit)

    async def record_alarm(self, run: Run, now: Timestamp) -> Run:
        """A stop is still not proven: noted in the log, each time. From the first one on it may be written off."""

        async def unit(tx: Transaction) -> Run:
            stored = await _present(tx, run.id)
            if stored.stop is None or stored.state is State.ENDED:
                return stored
            alarmed = await compare_and_set(tx, stored, {"stop_alarmed": 1})
            waited = max(0, now.wall_ms - stored.stop.at_ms) // 1000
            fields = {"reason": stored.stop.reason.value, "tries": str(stored.stop.tries), "waited": f"{waited}s"}
            await write_event(
                tx, "alarm", now.wall_ms, run=run, record=records.note("alarm", fields, alarmed, now.wall_ms), **fields
            )
            return alarmed

        return await self._database.transaction(unit)

    async def record_sandbox_deleted(self, run: Run, *, answer: str, gone: bool, now: Timestamp) -> Run:
        """Its own sandbox was asked away. `gone`: it is; the id stays, as evidence."""

        async def unit(tx: Transaction) -> Run:
            stored = await _present(tx, run.id)
            await write_event(tx, "sandbox_deleted", now.wall_ms, run=run, answer=answer, gone=int(gone))
            if not gone or stored.state is State.ENDED or stored.sandbox_deleted_ms is not None:
                return stored
            return await compare_and_set(tx, stored, {"sandbox_deleted_ms": now.wall_ms})

        return await self._database.transaction(unit)


async def _present(tx: Transaction, run_id: RunId) -> Run:
    run = await load_run(tx, run_id)
    if run is None:
        raise StaleRun(f"there is no run {run_id}")
    return run


class Settlement(Stopping):
    """The part of `Runs` that closes the books."""

    async def settle(self, run: Run, ending: RunResult, now: Timestamp) -> Run:
        """Ends a run: with what it used, or, still claimed, with its hold released. Where usage was never told the
        books close at the hold. A rung is lost as the claim's rules say, unless a retry follows.

        Raises IllegalTransition for other states, ValueError for an outcome that no run has, StaleRun.
        """
        if ending.outcome in NON_RUN_OUTCOMES:
            raise ValueError(f"no run ends {ending.outcome}")

        async def unit(tx: Transaction) -> Run:
            require_state(run, State.CLAIMED, State.RUNNING, State.STOPPING)
            unsent = run.state is State.CLAIMED
            columns = _nothing_used(ending) if unsent else _used(run, ending)
            ended = await compare_and_set(tx, run, {**columns, **_closing(ending, now)}, to=State.ENDED)
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

    async def adopt(self, run: Run, *, remote_id: str, by: str, reason: str, now: Timestamp) -> Run:
        """The run is known after all under `remote_id`: it is followed, or stopped where a stop is stored."""

        async def unit(tx: Transaction) -> Run:
            require_state(run, State.SENDING, State.UNCONFIRMED)
            await _note_ruling(tx, run, "adopt", by, reason, now, remote=remote_id)
            return await launch_known(tx, run, remote_id, {}, now)

        return await self._database.transaction(unit)

    async def rule_not_launched(self, run: Run, *, by: str, reason: str, now: Timestamp) -> Run:
        """The operator rules that no agent runs: ended(not_sent), the hold released, the key free."""

        async def unit(tx: Transaction) -> Run:
            require_state(run, State.UNCONFIRMED)
            await decide_send(tx, run, "ruled_not_launched", reason, now)
            await _note_ruling(tx, run, "not_launched", by, reason, now)
            return await end_unlaunched(tx, run, Outcome.NOT_SENT, f"ruled not launched by {by}: {reason}", now)

        return await self._database.transaction(unit)

    async def write_off(self, run: Run, *, by: str, reason: str, now: Timestamp) -> Run:
        """The books close at the hold, or at what is known to be used where that is more. The key stays blocked.

        For unconfirmed runs, and for a stop that had its alarm; raises IllegalTransition for others.
        """

        async def unit(tx: Transaction) -> Run:
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
            await _note_ruling(tx, run, "write_off", by, reason, now)
            record = records.ended(ended, now.wall_ms)
            await write_event(tx, Outcome.WRITTEN_OFF.value, now.wall_ms, run=ended, record=record, note=note)
            await demote_for(tx, ended, Outcome.WRITTEN_OFF.value, now)
            return ended

        return await self._database.transaction(unit)


async def _note_ruling(
    tx: Transaction, run: Run, ruling: str, by: str, reason: str, now: Timestamp, **facts: str
) -> None:
    record = records.note("settle", {"ruling": ruling, **facts, "by": by, "why": reason}, run, now.wall_ms)
    await write_event(tx, "ruling", now.wall_ms, run=run, record=record, ruling=ruling, by=by, why=reason, **facts)


def _closing(ending: RunResult, now: Timestamp) -> Columns:
    return {
        "outcome": ending.outcome.value,
        "note": sanitize(ending.note, limit=NOTE_LIMIT),
        "ended_ms": now.wall_ms,
        "retry_at_ms": ending.retry_at_ms,
        "stalled": 0,
        "trouble": "",
    }


def _nothing_used(ending: RunResult) -> Columns:
    return {"used": 0, "usage_known": 1, "elapsed_ms": 0, "result": ending.result}


def _used(run: Run, ending: RunResult) -> Columns:
    """Figures of an ending; where none was ever told, the hold is what counts.

    `used` may be less than a live figure was: cached tokens are often told last, and they weigh less.
    """
    before = run.used if run.usage_known else run.limits.budget
    return {
        **usage_columns(run.usage.highest(ending.usage)),
        "used": clamp_amount(ending.used) if ending.usage_known else before,
        "usage_known": int(ending.usage_known or run.usage_known),
        "cost_micro": None if ending.cost_micro is None else clamp_amount(ending.cost_micro),
        "currency": ending.currency,
        "elapsed_ms": max(0, ending.elapsed_ms),
        "result": ending.result,
        "remote_status": ending.remote_status if ending.remote_status is not None else run.remote_status,
    }


class RunRepository(Settlement):
    """Each write is compare-and-set on what the caller believes, and one transaction: state, books, timeline, log."""
