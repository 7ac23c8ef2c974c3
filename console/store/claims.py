"""Claims: a launch takes its key and its hold in one transaction, or is skipped, proposed or refused.

Kill switch, key, stage and caps are decided and stored under the write lock, so no other launch comes in between. The
unique index on the key refuses a second taker even if the decision was wrong.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from console.domain.caps import Caps, CapUsage, Refusal, RefusalKind, admit
from console.domain.fact_text import author_text
from console.domain.key import KeyDecision, KeyDecisionKind, KeyRequest, decide_key
from console.domain.launch import LaunchDecision, LaunchKind, LaunchRequest, LaunchResult, LaunchTerms
from console.domain.policy import Policy
from console.domain.rollout import LaunchPath, launch_path
from console.domain.run import Outcome, Run, RunId, State
from console.domain.task import Fingerprint, Origin, Stage, Task, canonical_json
from console.domain.text import sanitize
from console.domain.timestamps import Timestamp
from console.domain.usage import units_text
from console.store.controls import SELECT_META, SELECT_PAUSE, pause_of
from console.store.errors import KeyTaken, StaleRun, StoreDamaged, StoreFull
from console.store.events import ended_record, event_statement, not_run_record, refused_proposal_record, write_event
from console.store.files import FREE_BYTES, free_bytes
from console.store.identity import ACCEPTED_LOSS, accepted_loss_of, require_original
from console.store.ledger import (
    SELECT_LAST_DAY,
    hold_statement,
    keep_day_statement,
    load_cap_usages,
    release_hold,
    today_of,
)
from console.store.policy import keep_first_policy, policy_statements, refusal_of_rows
from console.store.rollout import effective_stage_of, effective_stage_statements
from console.store.rows import (
    NOTE_LIMIT,
    compare_and_set,
    fetch_batch,
    index_statement,
    insert_statement,
    load_run,
    new_run_columns,
    run_of,
    timestamp_columns,
)
from console.store.transaction import Columns, Database, Row, Statement, Transaction

FRESH_MS = 60_000
"""A claimed run may be sent for at least this long, even if its window ends earlier."""

SELECT_KEY = "select * from runs where key = :key and attempt > 0 order by seq"
# The same without the indexes on keys: the newest rows are scanned, older ones are found by the full-text index.
SCAN_KEY = """
    select seq from runs not indexed
    where seq > (select coalesce(max(seq), 0) from runs) - :newest and key = :key and attempt > 0
    union
    select seq from runs where seq in (select rowid from runs_text where runs_text match :words)
    and +key = :key and attempt > 0
"""
SCANNED = 2_000
"""Rows that are scanned for a key before it is claimed: as many as take a few milliseconds."""
SUPERSEDE = "update runs set superseded_by = :by where id = :id and superseded_by is null returning id"

KeyDecider = Callable[[Sequence[Run], KeyRequest], KeyDecision]


class ClaimRepository:
    """Inserts runs, and ends those that are never sent. No other class inserts a run."""

    def __init__(
        self,
        database: Database,
        *,
        key_decider: KeyDecider = decide_key,
        room: Callable[[], int] | None = None,
    ) -> None:
        """`key_decider` and `room` (free bytes on the disk of the store) are replaced in tests."""
        self._database = database
        self._decide_key = key_decider
        self._room = room or (lambda: free_bytes(database.folder))

    async def claim(self, request: LaunchRequest, terms: LaunchTerms, now: Timestamp) -> LaunchResult:
        """Take key and hold, or propose, skip or refuse the launch; the result and its log record are stored.

        Raises StoreError: then nothing was taken. StoreFull if less than FREE_BYTES are free on the disk, StoreCopied
        in a copied state folder, StoreRefused if the schema refuses the run for any other reason than its key.
        """
        self._check_room()
        try:
            return await self._database.transaction(lambda tx: self._claim(tx, request, terms, now))
        except KeyTaken:
            return await self._database.transaction(lambda tx: self._skip_outrun(tx, request, terms, now))

    async def preview(self, request: LaunchRequest, terms: LaunchTerms, now: Timestamp) -> LaunchDecision:
        """Return what `claim` would do now, always with the usage of all caps. Nothing is written."""

        async def unit(tx: Transaction) -> LaunchDecision:
            await require_original(tx, self._database)
            decision, _ = await self._decide(tx, request, terms, now)
            cap_usages = decision.cap_usages or await load_cap_usages(tx, terms.caps, decision.day, terms.task)
            return replace(decision, cap_usages=cap_usages)

        return await self._database.read(unit)

    async def approve(
        self,
        run_id: RunId,
        *,
        by: str,
        owner: str | None,
        task: Task,
        caps: Caps,
        expires_ms: int,
        now: Timestamp,
        service: str | None = None,
        why: str = "",
        policy: Policy | None = None,
    ) -> LaunchResult:
        """Turn a proposal into a claim if the kill switch and the caps allow it now; a refusal leaves the proposal.

        `task` is the task as configured now: its daily caps apply. `owner` None: any process may take the run over.
        `expires_ms`: until when it may be sent. `policy` is as in `LaunchTerms`.

        Raises StaleRun if the run is not a proposal, StoreError.
        """
        self._check_room()

        async def unit(tx: Transaction) -> LaunchResult:
            await require_original(tx, self._database, record=True)
            run = await _load_proposal(tx, run_id)
            if _is_expired(run, now):
                expired = await _end_unsent(tx, run, Outcome.EXPIRED, "no decision in time", now)
                late = Refusal(kind=RefusalKind.KEY_HELD, sentence=f"proposal {run.id} expired before it was approved")
                return LaunchResult(kind=LaunchKind.REFUSED, run=expired, refusal=late)
            paused, last_day, *fleet = await fetch_batch(
                tx, Statement(SELECT_PAUSE), Statement(SELECT_LAST_DAY), *policy_statements(self._database, policy)
            )
            day = today_of(last_day, caps, now)
            refusal = (
                self._pause_refusal(paused)
                or refusal_of_rows(fleet, policy, scheduled=run.origin is Origin.SCHEDULE)
                or admit(await load_cap_usages(tx, caps, day, task), run.limits.budget)
            )
            if refusal is not None:
                record = refused_proposal_record(run, now.wall_ms, refusal.kind.value)
                await write_event(tx, "refused", now.wall_ms, run=run, record=record, by=by, why=refusal.sentence)
                return LaunchResult(kind=LaunchKind.REFUSED, run=run, refusal=refusal)
            claimed = await _claim_proposal(
                tx, run, by=by, why=why, owner=owner, service=service, day=day, expires_ms=expires_ms, now=now
            )
            await keep_first_policy(tx, fleet, policy, by=by, at_ms=now.wall_ms)
            return LaunchResult(kind=LaunchKind.LAUNCHED, run=claimed)

        return await self._database.transaction(unit)

    async def decline(self, run_id: RunId, *, by: str, reason: str, now: Timestamp) -> Run:
        """End a proposal without a launch. Raises StaleRun if the run is not a proposal, StoreError."""

        async def unit(tx: Transaction) -> Run:
            run = await _load_proposal(tx, run_id)
            note = f"declined by {author_text(by)}" + (f": {reason}" if reason else "")
            return await _end_unsent(tx, run, Outcome.DECLINED, note, now, by=by, why=reason)

        return await self._database.transaction(unit)

    async def expire(self, run_id: RunId, now: Timestamp) -> Run | None:
        """End a proposal or an unsent claim whose `expires_ms` has passed; return None if it is neither."""

        async def unit(tx: Transaction) -> Run | None:
            run = await load_run(tx, run_id)
            if run is None or not _is_expired(run, now):
                return None
            if run.state is State.PROPOSED:
                return await _end_unsent(tx, run, Outcome.EXPIRED, "no decision in time", now)
            if run.state is State.CLAIMED:
                note = "its window passed before anything was sent"
                expired = await _end_unsent(tx, run, Outcome.EXPIRED, note, now)
                await release_hold(tx, expired, now.wall_ms)
                return expired
            return None

        return await self._database.transaction(unit)

    async def record_missed(self, request: LaunchRequest, terms: LaunchTerms, now: Timestamp) -> Run:
        """Store a history entry, reason `missed`, for a scheduled time at which no scheduler was running."""

        async def unit(tx: Transaction) -> Run:
            entry = await _skipped_now(tx, terms, "missed", "nobody scheduled at its time", now)
            return await _insert_entry(tx, request, terms, entry, now)

        return await self._database.transaction(unit)

    def _check_room(self) -> None:
        if (free := self._room()) < FREE_BYTES:
            raise StoreFull(
                f"{free // 1024} KiB are free on the disk of the state store, a launch needs {FREE_BYTES // 1024} KiB"
            )

    async def _claim(self, tx: Transaction, request: LaunchRequest, terms: LaunchTerms, now: Timestamp) -> LaunchResult:
        await require_original(tx, self._database, record=True)
        decision, fleet = await self._decide(tx, request, terms, now)
        if decision.kind in (LaunchKind.LAUNCHED, LaunchKind.PROPOSED):
            await keep_first_policy(tx, fleet, terms.policy, by=request.by, at_ms=now.wall_ms)
        match decision.kind:
            case LaunchKind.LAUNCHED:
                run = await _insert_claim(tx, request, terms, decision, now)
            case LaunchKind.PROPOSED:
                run = await _insert_proposal(tx, request, terms, decision, now)
            case LaunchKind.SKIPPED | LaunchKind.REFUSED:
                run = await _insert_entry(tx, request, terms, _entry_of(decision), now)
        return LaunchResult(
            kind=decision.kind,
            run=run,
            holder=decision.key.holder,
            refusal=decision.refusal,
            differences=decision.key.differences,
        )

    async def _decide(
        self, tx: Transaction, request: LaunchRequest, terms: LaunchTerms, now: Timestamp
    ) -> tuple[LaunchDecision, list[list[Row]]]:
        """Check kill switch, policy, key, stage and caps in this order; the first refusal or skip decides.

        Returned too is what the `policy_statements` of the launch found.

        Raises StoreDamaged if a run of the key cannot be read, or if the index on keys does not list all runs of it.
        A launch whose key is taken returns before the caps are read, and so holds the write lock only briefly.
        """
        of_key, scanned, changes, unconfirmed, paused, loss, last_day, *fleet = await fetch_batch(
            tx,
            *_key_statements(terms.key),
            *effective_stage_statements(terms.task.name),
            Statement(SELECT_PAUSE),
            Statement(SELECT_META, {"name": ACCEPTED_LOSS}),
            Statement(SELECT_LAST_DAY),
            *policy_statements(self._database, terms.policy),
        )
        key = self._decide_key(_key_runs_of(of_key, scanned, terms.key), request.key_request(terms.task))
        stage = effective_stage_of(changes, unconfirmed, terms.task.name)
        day = today_of(last_day, terms.caps, now)
        cap_usages: tuple[CapUsage, ...] = ()
        refusal = (
            self._pause_refusal(paused)
            or terms.refusal
            or refusal_of_rows(fleet, terms.policy, scheduled=request.scheduled)
            or key.refusal
            or _lost_key_refusal(loss, request, terms, key)
        )
        kind = LaunchKind.LAUNCHED
        if refusal is None and key.answer in (KeyDecisionKind.DONE, KeyDecisionKind.RUNNING):
            kind = LaunchKind.SKIPPED
        elif refusal is None:
            path = launch_path(request.origin, stage)
            if path is LaunchPath.REFUSE or (path is LaunchPath.PROPOSE and request.automatic_retry):
                refusal = _stage_refusal(request, terms.task, stage)
            elif path is LaunchPath.PROPOSE:
                kind = LaunchKind.PROPOSED
            else:
                cap_usages = await load_cap_usages(tx, terms.caps, day, terms.task)
                refusal = admit(cap_usages, terms.limits.budget)
        if refusal is not None:
            kind = LaunchKind.REFUSED
        decision = LaunchDecision(kind=kind, stage=stage, key=key, refusal=refusal, day=day, cap_usages=cap_usages)
        return decision, fleet

    def _pause_refusal(self, rows: Sequence[Row]) -> Refusal | None:
        pause = pause_of(rows, self._database.folder)
        if pause is None:
            return None
        by = sanitize(author_text(pause.by), limit=80)
        return Refusal(
            kind=RefusalKind.PAUSED,
            sentence=f"launches are paused by {by}; run `nightdesk resume` to allow them (console: press X)",
        )

    async def _skip_outrun(
        self, tx: Transaction, request: LaunchRequest, terms: LaunchTerms, now: Timestamp
    ) -> LaunchResult:
        """Store the skip of a launch whose key the index found taken, although the decision was to claim it."""
        of_key, scanned = await fetch_batch(tx, *_key_statements(terms.key))
        runs = _key_runs_of(of_key, scanned, terms.key)
        holder = next((run for run in reversed(runs) if run.state is not State.ENDED), runs[-1] if runs else None)
        entry = await _skipped_now(tx, terms, "running", "another launch was quicker", now)
        run = await _insert_entry(tx, request, terms, entry, now)
        return LaunchResult(kind=LaunchKind.SKIPPED, run=run, holder=holder)


async def _insert_claim(
    tx: Transaction, request: LaunchRequest, terms: LaunchTerms, decision: LaunchDecision, now: Timestamp
) -> Run:
    draft = _draft(
        request, terms, State.CLAIMED, attempt=decision.key.attempt, stage=decision.stage, day=decision.day, now=now
    )
    row = await _insert_attempt(tx, terms, draft, decision.key, keep_day_statement(decision.day))
    run = run_of(row)
    event = event_statement(
        "claimed",
        now.wall_ms,
        run=run,
        by=run.requested_by,
        owner=run.owner,
        day=run.day,
        hold=units_text(run.limits.budget),
        why=request.reason if request.rerun else None,
        differences="; ".join(decision.key.differences) or None,
    )
    await fetch_batch(tx, index_statement(row), hold_statement(run, now.wall_ms), event)
    return run


async def _insert_proposal(
    tx: Transaction, request: LaunchRequest, terms: LaunchTerms, decision: LaunchDecision, now: Timestamp
) -> Run:
    draft = _draft(
        request, terms, State.PROPOSED, attempt=decision.key.attempt, stage=decision.stage, day=decision.day, now=now
    )
    row = await _insert_attempt(tx, terms, draft, decision.key)
    run = run_of(row)
    event = event_statement("proposed", now.wall_ms, run=run, by=run.requested_by, expires_ms=run.expires_ms)
    await fetch_batch(tx, index_statement(row), event)
    return run


async def _insert_attempt(tx: Transaction, terms: LaunchTerms, draft: Run, key: KeyDecision, *before: Statement) -> Row:
    """Insert a run that takes its key; the run that ended ok before it is marked as superseded."""
    rules = canonical_json(list(terms.rollout.demote_on))
    if key.supersedes is not None:
        before += (Statement(SUPERSEDE, {"id": key.supersedes, "by": draft.id}),)
    *_, (row,) = await fetch_batch(tx, *before, insert_statement({**new_run_columns(draft), "demote_on": rules}))
    return row


@dataclass(frozen=True, slots=True, kw_only=True)
class _Entry:
    """The history entry of a launch that was skipped or refused."""

    outcome: Outcome
    reason: str
    """For the log."""
    note: str
    stage: Stage
    """Effective stage of the task."""
    day: str
    """The day on which the launch would have counted."""


def _entry_of(decision: LaunchDecision) -> _Entry:
    stage, day = decision.stage, decision.day
    if decision.kind is LaunchKind.SKIPPED:
        reason = "done" if decision.key.answer is KeyDecisionKind.DONE else "running"
        note = _skip_note(decision.key.holder)
        return _Entry(outcome=Outcome.SKIPPED, reason=reason, note=note, stage=stage, day=day)
    refusal = decision.refusal
    reason, note = (refusal.kind.value, refusal.sentence) if refusal else ("-", "")
    return _Entry(outcome=Outcome.REFUSED, reason=reason, note=note, stage=stage, day=day)


async def _skipped_now(tx: Transaction, terms: LaunchTerms, reason: str, note: str, now: Timestamp) -> _Entry:
    """Return the entry of a skip that no decision came before."""
    changes, unconfirmed, last_day = await fetch_batch(
        tx, *effective_stage_statements(terms.task.name), Statement(SELECT_LAST_DAY)
    )
    stage = effective_stage_of(changes, unconfirmed, terms.task.name)
    day = today_of(last_day, terms.caps, now)
    return _Entry(outcome=Outcome.SKIPPED, reason=reason, note=note, stage=stage, day=day)


async def _insert_entry(
    tx: Transaction, request: LaunchRequest, terms: LaunchTerms, entry: _Entry, now: Timestamp
) -> Run:
    """Insert the history entry of a skip or a refusal: attempt 0, no hold, no key taken."""
    draft = _draft(request, terms, State.ENDED, attempt=0, stage=entry.stage, day=entry.day, now=now)
    note = sanitize(entry.note, limit=NOTE_LIMIT)
    draft = replace(draft, outcome=entry.outcome, note=note, ended_ms=now.wall_ms)
    ((row,),) = await fetch_batch(tx, insert_statement(new_run_columns(draft)))
    run = run_of(row)
    record = not_run_record(run, now.wall_ms, entry.reason)
    event = event_statement(entry.outcome.value, now.wall_ms, run=run, record=record, reason=entry.reason)
    await fetch_batch(tx, index_statement(row), event)
    return run


async def _claim_proposal(
    tx: Transaction,
    run: Run,
    *,
    by: str,
    why: str,
    owner: str | None,
    service: str | None,
    day: str,
    expires_ms: int,
    now: Timestamp,
) -> Run:
    columns: Columns = {
        "day": day,
        "owner": owner,
        "service": service,
        "expires_ms": max(expires_ms, now.wall_ms + FRESH_MS),
        **timestamp_columns("claimed", now),
    }
    claimed = await compare_and_set(tx, run, columns, to=State.CLAIMED)
    hold = units_text(claimed.limits.budget)
    owned = {"owner": owner, "day": claimed.day, "hold": hold, "why": why or None}
    event = event_statement("approved", now.wall_ms, run=claimed, record=None, by=by, **owned)
    await fetch_batch(tx, keep_day_statement(day), hold_statement(claimed, now.wall_ms), event)
    return claimed


async def _end_unsent(
    tx: Transaction, run: Run, outcome: Outcome, note: str, now: Timestamp, *, by: str | None = None, why: str = ""
) -> Run:
    """End a run that was never sent. `by` and `why` are of the person who did so; None for a window that passed."""
    columns: Columns = {"outcome": outcome.value, "note": sanitize(note, limit=NOTE_LIMIT), "ended_ms": now.wall_ms}
    ended = await compare_and_set(tx, run, {**columns, "usage_known": 1}, to=State.ENDED)
    record = ended_record(ended, now.wall_ms, by=by)
    await write_event(tx, outcome.value, now.wall_ms, run=ended, record=record, note=ended.note, by=by, why=why or None)
    return ended


def _key_statements(key: str) -> tuple[Statement, Statement]:
    """What `_key_runs_of` needs: the runs of a key by the index on keys, and their `seq` without it."""
    scan = Statement(SCAN_KEY, {"key": key, "words": f'key : "{key}"', "newest": SCANNED})
    return Statement(SELECT_KEY, {"key": key}), scan


def _key_runs_of(rows: Sequence[Row], scanned: Sequence[Row], key: str) -> list[Run]:
    """Return the runs of a key, oldest first.

    A damaged index could hide a run, and its key would be launched again. So the rows are also looked up without it.
    """
    if {row["seq"] for row in rows} != {row["seq"] for row in scanned}:
        raise StoreDamaged(f"the state store is damaged: its index does not list the runs of key {key}")
    return [run_of(row) for row in rows]


async def _load_proposal(tx: Transaction, run_id: RunId) -> Run:
    run = await load_run(tx, run_id)
    if run is None or run.state is not State.PROPOSED:
        raise StaleRun(f"run {run_id} is {run.state if run else 'unknown'}: only a proposal can be decided")
    return run


def _lost_key_refusal(
    loss: Sequence[Row], request: LaunchRequest, terms: LaunchTerms, decision: KeyDecision
) -> Refusal | None:
    """Refuse a key that a run had taken which a restored database has forgotten, unless a person asks for a rerun."""
    if decision.answer is not KeyDecisionKind.FREE or request.rerun:
        return None
    lost = accepted_loss_of(loss).keys.get(terms.key)
    if lost is None:
        return None
    run_id, _, status = sanitize(lost, limit=80).partition(" ")
    sentence = (
        f"run {run_id} of this key, which the restored database has lost, was {status} in runs.log; "
        f'to run it again: nightdesk run {terms.task.name} --rerun --reason "…"'
    )
    return Refusal(kind=RefusalKind.KEY_HELD, sentence=sentence)


def _is_expired(run: Run, now: Timestamp) -> bool:
    return run.expires_ms is not None and now.wall_ms >= run.expires_ms


def _stage_refusal(request: LaunchRequest, task: Task, stage: Stage) -> Refusal:
    what = "an automatic retry" if request.automatic_retry else "a scheduled launch"
    needed = Stage.UNATTENDED if request.automatic_retry else Stage.SEMI
    sentence = f"task {task.name} is at stage {stage.label}; {what} needs {needed.label}"
    return Refusal(kind=RefusalKind.STAGE, sentence=sentence)


def _skip_note(holder: Run | None) -> str:
    if holder is None:
        return ""
    return f"run {holder.id} of this key {'ended ok' if holder.outcome is Outcome.OK else f'is {holder.state}'}"


def _draft(
    request: LaunchRequest,
    terms: LaunchTerms,
    state: State,
    *,
    attempt: int,
    stage: Stage,
    day: str,
    now: Timestamp,
) -> Run:
    """Build the run that a launch becomes, before it is a row."""
    is_claim = state is State.CLAIMED
    return Run(
        id=terms.run_id,
        key=terms.key,
        task=terms.task.name,
        type=terms.task.type,
        target=terms.task.target,
        date=terms.date,
        attempt=attempt,
        stage=stage,
        origin=request.origin,
        requested_by=sanitize(request.by, limit=NOTE_LIMIT),
        state=state,
        note=sanitize(request.reason, limit=NOTE_LIMIT) if request.rerun else "",
        fingerprint=Fingerprint.of(terms.task),
        limits=terms.limits,
        day=day,
        created_ms=now.wall_ms,
        claimed=now if is_claim else None,
        expires_ms=_expires_ms(terms, state, now),
        owner=terms.owner if is_claim else None,
        service=terms.service,
    )


def _expires_ms(terms: LaunchTerms, state: State, now: Timestamp) -> int | None:
    """Until when a claim may be sent, or a proposal waits for its approval. None for a history entry."""
    if state is State.CLAIMED:
        return max(now.wall_ms + FRESH_MS, terms.expires_ms or 0)
    if state is not State.PROPOSED:
        return None
    waits = now.wall_ms + terms.rollout.approval_ms
    return waits if terms.expires_ms is None else min(waits, terms.expires_ms)
