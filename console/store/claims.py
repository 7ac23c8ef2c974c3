"""What a claim asks and what it is answered, and the runs that come of it before they are rows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from console.domain.key import key_of
from console.domain.key_decision import KeyDecision, KeyDecisionKind, KeyRequest, decide_key
from console.domain.limits import Caps, CapUsage, Refusal, RefusalKind, admit
from console.domain.rollout import LaunchPath, RolloutRules, effective_stage, launch_path
from console.domain.run import Limits, Outcome, Run, RunId, State
from console.domain.task import Fingerprint, Origin, Stage, Task, canonical_json
from console.domain.text import sanitize
from console.domain.timestamps import Timestamp
from console.domain.usage import units_text
from console.store import log_records as records
from console.store.controls import paused_in
from console.store.database import Database, Transaction
from console.store.errors import StaleRun, StoreFull, StoreRefused
from console.store.events import write_event
from console.store.files import FREE_BYTES, free_bytes
from console.store.ledger import claim_day, release_hold, standings_in, take_hold, today
from console.store.rollout import has_unconfirmed, stage_in
from console.store.rows import NOTE_LIMIT, Columns, moment_columns, new_run_columns, run_of
from console.store.statements import compare_and_set, fetch_all, fetch_one, insert_run, load_run

FRESH_MS = 60_000
"""How long after the claim a run may still be sent, whatever its window."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimOrder:
    """One launch that somebody wants, with the rules that hold for it now."""

    run_id: RunId
    """Of the run, if it becomes one, or of the entry in the history."""
    task: Task
    target: str
    date: str
    origin: Origin
    by: str
    """`USER tty=yes` or `USER tty=no`."""
    owner: str | None
    """The process that will guard it; None: any may take it."""
    limits: Limits
    caps: Caps
    rollout: RolloutRules
    rerun: bool = False
    reason: str = ""
    """Why by hand again; a rerun without one is none."""
    automatic_retry: bool = False
    expires_ms: int | None = None
    """When its window ends: no proposal waits longer, and a take-over sends it no later."""

    @property
    def key(self) -> str:
        """The key of this task, target and date. Raises ValueError for a type with a colon."""
        return key_of(self.task.type, self.target, self.date)

    @property
    def asking(self) -> KeyRequest:
        """The order as far as its key is concerned."""
        return KeyRequest(
            fingerprint=Fingerprint.of(self.task),
            origin=self.origin,
            rerun=self.rerun and bool(self.reason.strip()),
            automatic_retry=self.automatic_retry,
        )


class ClaimKind(StrEnum):
    """The four answers."""

    CLAIMED = "claimed"
    PROPOSED = "proposed"
    SKIPPED = "skipped"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimAnswer:
    """What came of a claim."""

    kind: ClaimKind
    run: Run | None
    """The run, or the entry in the history; None where nothing was written."""
    holder: Run | None = None
    """The run that has the key, or had it."""
    refusal: Refusal | None = None
    differences: tuple[str, ...] = ()
    """From the holder's fingerprint to the one that was asked for."""
    cap_usages: tuple[CapUsage, ...] = ()
    """As they were before this launch; of a claim only where the caps were asked."""


def run_of_order(order: ClaimOrder, state: State, *, attempt: int, stage: Stage, day: str, now: Timestamp) -> Run:
    """The run that the order becomes: proposed or claimed."""
    claimed = state is State.CLAIMED
    return Run(
        id=order.run_id,
        key=order.key,
        task=order.task.name,
        type=order.task.type,
        target=order.target,
        date=order.date,
        attempt=attempt,
        stage=stage,
        origin=order.origin,
        requested_by=sanitize(order.by, limit=NOTE_LIMIT),
        state=state,
        note=sanitize(order.reason, limit=NOTE_LIMIT) if order.rerun else "",
        fingerprint=Fingerprint.of(order.task),
        limits=order.limits,
        day=day,
        created_ms=now.wall_ms,
        claimed=now if claimed else None,
        expires_ms=sendable_until(now, order.expires_ms) if claimed else _proposed_until(order, now),
        owner=order.owner if claimed else None,
    )


def entry_of_order(order: ClaimOrder, outcome: Outcome, note: str, *, stage: Stage, day: str, now: Timestamp) -> Run:
    """The entry in the history of a skip or a refusal: no attempt, no hold, no key taken."""
    return Run(
        id=order.run_id,
        key=order.key,
        task=order.task.name,
        type=order.task.type,
        target=order.target,
        date=order.date,
        attempt=0,
        stage=stage,
        origin=order.origin,
        requested_by=sanitize(order.by, limit=NOTE_LIMIT),
        state=State.ENDED,
        outcome=outcome,
        note=sanitize(note, limit=NOTE_LIMIT),
        fingerprint=Fingerprint.of(order.task),
        limits=order.limits,
        day=day,
        created_ms=now.wall_ms,
        ended_ms=now.wall_ms,
    )


def sendable_until(now: Timestamp, window_ends_ms: int | None) -> int:
    """Until when a run claimed now may still be sent: a minute, or to the end of its window."""
    return max(now.wall_ms + FRESH_MS, window_ends_ms or 0)


def _proposed_until(order: ClaimOrder, now: Timestamp) -> int:
    waits = now.wall_ms + order.rollout.approval_ms
    return waits if order.expires_ms is None else min(waits, order.expires_ms)


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


async def approve_in(tx: Transaction, approval: Approval, now: Timestamp) -> ClaimAnswer:
    """See `Launches.approve`."""
    run = await _proposal(tx, approval.run_id)
    if _is_over(run, now):
        expired = await _end_unsent(tx, run, Outcome.EXPIRED, "nobody decided in time", now)
        late = Refusal(kind=RefusalKind.KEY_HELD, sentence=f"proposal {run.id} expired before it was approved")
        return ClaimAnswer(kind=ClaimKind.REFUSED, run=expired, refusal=late)
    cap_usages = await standings_in(tx, approval.caps, now, approval.task)
    refusal = await paused_refusal(tx) or admit(cap_usages, run.limits.budget)
    if refusal is not None:
        record = records.refused_proposal(run, now.wall_ms, refusal.kind.value)
        await write_event(tx, "refused", now.wall_ms, run=run, record=record, by=approval.by, why=refusal.sentence)
        return ClaimAnswer(kind=ClaimKind.REFUSED, run=run, refusal=refusal, cap_usages=cap_usages)
    columns: Columns = {
        "day": await claim_day(tx, approval.caps, now),
        "owner": approval.owner,
        "expires_ms": max(approval.expires_ms, now.wall_ms + FRESH_MS),
        **moment_columns("claimed", now),
    }
    claimed = await compare_and_set(tx, run, columns, to=State.CLAIMED)
    await take_hold(tx, claimed, now.wall_ms)
    hold = units_text(claimed.limits.budget)
    at_ms, by, owner = now.wall_ms, approval.by, approval.owner
    await write_event(tx, "approved", at_ms, run=claimed, by=by, owner=owner, day=claimed.day, hold=hold)
    return ClaimAnswer(kind=ClaimKind.CLAIMED, run=claimed, cap_usages=cap_usages)


async def decline_in(tx: Transaction, run_id: RunId, by: str, reason: str, now: Timestamp) -> Run:
    """See `Launches.decline`."""
    run = await _proposal(tx, run_id)
    note = f"declined by {by}" + (f": {reason}" if reason else "")
    return await _end_unsent(tx, run, Outcome.DECLINED, note, now)


async def expire_in(tx: Transaction, run_id: RunId, now: Timestamp) -> Run | None:
    """See `Launches.expire`."""
    run = await load_run(tx, run_id)
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
    by = sanitize(pause.by, limit=80)
    return Refusal(kind=RefusalKind.PAUSED, sentence=f"launches are paused by {by}; `nightdesk resume` frees them")


def _is_over(run: Run, now: Timestamp) -> bool:
    return run.expires_ms is not None and now.wall_ms >= run.expires_ms


async def _proposal(tx: Transaction, run_id: RunId) -> Run:
    run = await load_run(tx, run_id)
    if run is None or run.state is not State.PROPOSED:
        raise StaleRun(f"run {run_id} is {run.state if run else 'unknown'}: only a proposal can be decided")
    return run


async def _end_unsent(tx: Transaction, run: Run, outcome: Outcome, note: str, now: Timestamp) -> Run:
    columns: Columns = {"outcome": outcome.value, "note": sanitize(note, limit=NOTE_LIMIT), "ended_ms": now.wall_ms}
    ended = await compare_and_set(tx, run, {**columns, "usage_known": 1}, to=State.ENDED)
    record = records.ended(ended, now.wall_ms)
    await write_event(tx, outcome.value, now.wall_ms, run=ended, record=record, note=ended.note)
    return ended


SELECT_KEY = "select * from runs where key = :key and attempt > 0 order by seq"
SUPERSEDE = "update runs set superseded_by = :by where id = :id and superseded_by is null returning id"


Judge = Callable[[Sequence[Run], KeyRequest], KeyDecision]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Judgement:
    """What a claim would be answered, before anything is written."""

    kind: ClaimKind
    stage: Stage
    key: KeyDecision
    refusal: Refusal | None
    cap_usages: tuple[CapUsage, ...]

    def answer(self, run: Run | None) -> ClaimAnswer:
        """To the caller."""
        return ClaimAnswer(
            kind=self.kind,
            run=run,
            holder=self.key.holder,
            refusal=self.refusal,
            differences=self.key.differences,
            cap_usages=self.cap_usages,
        )


class ClaimRepository:
    """Takes keys. Nothing else in the house inserts a run."""

    def __init__(
        self,
        database: Database,
        *,
        judge: Judge = decide_key,
        room: Callable[[], int] | None = None,
    ) -> None:
        self._database = database
        self._judge = judge
        self._room = room or (lambda: free_bytes(database.folder))
        """Free bytes on the disk of the store."""

    async def claim(self, order: ClaimOrder, now: Timestamp) -> ClaimAnswer:
        """Takes key and hold, or proposes, or says why not; whichever it is, it is on disk with its log record.

        Raises StoreError: then nothing was taken. StoreFull where less than 50 MiB are free.
        """
        self._check_room()
        try:
            return await self._database.transaction(lambda tx: self._claim(tx, order, now))
        except StoreRefused:
            return await self._database.transaction(lambda tx: self._outrun(tx, order, now))

    async def look(self, order: ClaimOrder, now: Timestamp) -> ClaimAnswer:
        """What `claim` would answer now, with the standings in any case. Writes nothing; `run` is None."""

        async def unit(tx: Transaction) -> ClaimAnswer:
            judgement = await self._judged(tx, order, now)
            cap_usages = judgement.cap_usages or await standings_in(tx, order.caps, now, order.task)
            return replace(judgement, cap_usages=cap_usages).answer(None)

        return await self._database.read(unit)

    async def approve(
        self, run_id: RunId, *, by: str, owner: str | None, task: Task, caps: Caps, expires_ms: int, now: Timestamp
    ) -> ClaimAnswer:
        """The proposal becomes a claim; pause and caps are judged now. A refusal leaves the proposal as it is.

        `owner` None: any engine may take it. `expires_ms`: until when it may be sent. Raises StaleRun where it is no
        proposal any more, StoreError.
        """
        self._check_room()
        decision = Approval(run_id=run_id, by=by, owner=owner, task=task, caps=caps, expires_ms=expires_ms)
        return await self._database.transaction(lambda tx: approve_in(tx, decision, now))

    async def decline(self, run_id: RunId, *, by: str, reason: str, now: Timestamp) -> Run:
        """The proposal ends without a launch. Raises StaleRun where it is none any more, StoreError."""
        return await self._database.transaction(lambda tx: decline_in(tx, run_id, by, reason, now))

    async def expire(self, run_id: RunId, now: Timestamp) -> Run | None:
        """Ends a proposal whose time is over, or a claim that was not sent in its window; None where it is neither."""
        return await self._database.transaction(lambda tx: expire_in(tx, run_id, now))

    async def miss(self, order: ClaimOrder, now: Timestamp) -> Run:
        """An instant that passed while nobody scheduled: an entry in the history, reason missed."""
        return await self._database.transaction(
            lambda tx: self._write_entry(tx, order, Outcome.SKIPPED, "missed", "nobody scheduled at its time", now)
        )

    async def refuse(self, order: ClaimOrder, refusal: Refusal, now: Timestamp) -> Run:
        """A launch that the engine itself refuses (clock, read-only): an entry in the history."""
        return await self._database.transaction(
            lambda tx: self._write_entry(tx, order, Outcome.REFUSED, refusal.kind.value, refusal.sentence, now)
        )

    def _check_room(self) -> None:
        if (free := self._room()) < FREE_BYTES:
            raise StoreFull(
                f"{free // 1024} KiB are free on the disk of the state store, a launch needs {FREE_BYTES // 1024} KiB"
            )

    async def _claim(self, tx: Transaction, order: ClaimOrder, now: Timestamp) -> ClaimAnswer:
        judgement = await self._judged(tx, order, now)
        match judgement.kind:
            case ClaimKind.CLAIMED:
                run = await self._take(tx, order, judgement, now)
            case ClaimKind.PROPOSED:
                run = await self._propose(tx, order, judgement, now)
            case ClaimKind.SKIPPED:
                done = judgement.key.answer is KeyDecisionKind.DONE
                run = await self._write_entry(
                    tx, order, Outcome.SKIPPED, "done" if done else "running", _skip_sentence(judgement.key), now
                )
            case ClaimKind.REFUSED:
                refusal = judgement.refusal
                kind, sentence = (refusal.kind.value, refusal.sentence) if refusal else ("-", "")
                run = await self._write_entry(tx, order, Outcome.REFUSED, kind, sentence, now)
        return judgement.answer(run)

    async def _judged(self, tx: Transaction, order: ClaimOrder, now: Timestamp) -> _Judgement:
        """Pause, key, stage, caps: the first that says no is the answer, and none behind it is asked.

        Whoever comes second to a key holds up the others no longer than that takes.
        """
        runs = [run_of(row) for row in await fetch_all(tx, SELECT_KEY, {"key": order.key})]
        key = self._judge(runs, order.asking)
        unconfirmed = await has_unconfirmed(tx, order.task.name)
        stage = effective_stage(await stage_in(tx, order.task.name), unconfirmed=unconfirmed)
        cap_usages: tuple[CapUsage, ...] = ()
        refusal = await paused_refusal(tx) or key.refusal
        kind = ClaimKind.CLAIMED
        if refusal is None and key.answer in (KeyDecisionKind.DONE, KeyDecisionKind.RUNNING):
            kind = ClaimKind.SKIPPED
        elif refusal is None:
            path = launch_path(order.origin, stage)
            proposes = path is LaunchPath.PROPOSE and not order.automatic_retry
            if path is LaunchPath.REFUSE or (path is LaunchPath.PROPOSE and not proposes):
                refusal = _stage_refusal(order, stage)
            elif proposes:
                kind = ClaimKind.PROPOSED
            else:
                cap_usages = await standings_in(tx, order.caps, now, order.task)
                refusal = admit(cap_usages, order.limits.budget)
        if refusal is not None:
            kind = ClaimKind.REFUSED
        return _Judgement(kind=kind, stage=stage, key=key, refusal=refusal, cap_usages=cap_usages)

    async def _take(self, tx: Transaction, order: ClaimOrder, judgement: _Judgement, now: Timestamp) -> Run:
        day = await claim_day(tx, order.caps, now)
        draft = run_of_order(
            order, State.CLAIMED, attempt=judgement.key.attempt, stage=judgement.stage, day=day, now=now
        )
        run = await self._insert(tx, order, draft, judgement.key)
        await take_hold(tx, run, now.wall_ms)
        await write_event(
            tx,
            "claimed",
            now.wall_ms,
            run=run,
            by=run.requested_by,
            owner=run.owner,
            day=run.day,
            hold=units_text(run.limits.budget),
            why=order.reason if order.rerun else None,
            differences="; ".join(judgement.key.differences) or None,
        )
        return run

    async def _propose(self, tx: Transaction, order: ClaimOrder, judgement: _Judgement, now: Timestamp) -> Run:
        day = await today(tx, order.caps, now)
        draft = run_of_order(
            order, State.PROPOSED, attempt=judgement.key.attempt, stage=judgement.stage, day=day, now=now
        )
        run = await self._insert(tx, order, draft, judgement.key)
        await write_event(tx, "proposed", now.wall_ms, run=run, by=run.requested_by, expires_ms=run.expires_ms)
        return run

    async def _insert(self, tx: Transaction, order: ClaimOrder, draft: Run, key: KeyDecision) -> Run:
        if key.supersedes is not None:
            await fetch_one(tx, SUPERSEDE, {"id": key.supersedes, "by": draft.id})
        rules = canonical_json(list(order.rollout.demote_on))
        return await insert_run(tx, {**new_run_columns(draft), "demote_on": rules})

    async def _write_entry(
        self, tx: Transaction, order: ClaimOrder, outcome: Outcome, reason: str, sentence: str, now: Timestamp
    ) -> Run:
        stage = effective_stage(
            await stage_in(tx, order.task.name), unconfirmed=await has_unconfirmed(tx, order.task.name)
        )
        day = await today(tx, order.caps, now)
        entry = entry_of_order(order, outcome, sentence, stage=stage, day=day, now=now)
        run = await insert_run(tx, new_run_columns(entry))
        record = records.not_run(run, now.wall_ms, reason)
        await write_event(tx, outcome.value, now.wall_ms, run=run, record=record, reason=reason)
        return run

    async def _outrun(self, tx: Transaction, order: ClaimOrder, now: Timestamp) -> ClaimAnswer:
        """The index refused the key: somebody has it, whatever was judged before."""
        runs = [run_of(row) for row in await fetch_all(tx, SELECT_KEY, {"key": order.key})]
        holder = next((run for run in reversed(runs) if run.state is not State.ENDED), runs[-1] if runs else None)
        run = await self._write_entry(tx, order, Outcome.SKIPPED, "running", "another launch was quicker", now)
        return ClaimAnswer(kind=ClaimKind.SKIPPED, run=run, holder=holder)


def _stage_refusal(order: ClaimOrder, stage: Stage) -> Refusal:
    what = "an automatic retry" if order.automatic_retry else "a scheduled launch"
    needed = Stage.UNATTENDED if order.automatic_retry else Stage.SEMI
    sentence = f"task {order.task.name} is at stage {stage.label}; {what} needs {needed.label}"
    return Refusal(kind=RefusalKind.STAGE, sentence=sentence)


def _skip_sentence(key: KeyDecision) -> str:
    holder = key.holder
    if holder is None:
        return ""
    return f"run {holder.id} of this key {'ended ok' if holder.outcome is Outcome.OK else f'is {holder.state}'}"
