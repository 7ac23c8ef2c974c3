"""The claiming transaction: pause, key, stage and caps are judged and the key and the hold taken in one piece.

Between the judgement and the taking nobody else can act. The index on the key has the last word all the same.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from console.domain.admission import Asking, KeyAnswer, KeyVerdict, judge_key
from console.domain.guardrails import Caps, Refusal, RefusalKind, Standing, admit
from console.domain.moment import Moment
from console.domain.rollout import Admission, admission, effective_stage
from console.domain.run import Outcome, Run, RunId, State
from console.domain.task import Stage, Task, canonical_json
from console.domain.usage import units_text
from console.store import records
from console.store.database import Database, Transaction
from console.store.decisions import Approval, approve_in, decline_in, expire_in, paused_refusal
from console.store.errors import StoreFull, StoreRefused
from console.store.files import FREE_BYTES, free_bytes
from console.store.ledger import claim_day, standings_in, take_hold, today
from console.store.orders import ClaimAnswer, ClaimKind, ClaimOrder, entry_of_order, run_of_order
from console.store.rows import new_run_columns
from console.store.run_row import run_of
from console.store.stages import has_unconfirmed, stage_in
from console.store.statements import every, insert_run, one, write_event

SELECT_KEY = "select * from runs where key = :key and attempt > 0 order by seq"
SUPERSEDE = "update runs set superseded_by = :by where id = :id and superseded_by is null returning id"

__all__ = ["ClaimAnswer", "ClaimKind", "ClaimOrder", "Launches"]

Judge = Callable[[Sequence[Run], Asking], KeyVerdict]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Judgement:
    """What a claim would be answered, before anything is written."""

    kind: ClaimKind
    stage: Stage
    key: KeyVerdict
    refusal: Refusal | None
    standings: tuple[Standing, ...]

    def answer(self, run: Run | None) -> ClaimAnswer:
        """To the caller."""
        return ClaimAnswer(
            kind=self.kind,
            run=run,
            holder=self.key.holder,
            refusal=self.refusal,
            differences=self.key.differences,
            standings=self.standings,
        )


class Launches:
    """Takes keys. Nothing else in the house inserts a run."""

    def __init__(
        self,
        database: Database,
        *,
        judge: Judge = judge_key,
        room: Callable[[], int] | None = None,
    ) -> None:
        self._database = database
        self._judge = judge
        self._room = room or (lambda: free_bytes(database.folder))
        """Free bytes on the disk of the store."""

    async def claim(self, order: ClaimOrder, now: Moment) -> ClaimAnswer:
        """Takes key and hold, or proposes, or says why not; whichever it is, it is on disk with its log record.

        Raises StoreError: then nothing was taken. StoreFull where less than 50 MiB are free.
        """
        self._check_room()
        try:
            return await self._database.transaction(lambda tx: self._claim(tx, order, now))
        except StoreRefused:
            return await self._database.transaction(lambda tx: self._outrun(tx, order, now))

    async def look(self, order: ClaimOrder, now: Moment) -> ClaimAnswer:
        """What `claim` would answer now, with the standings in any case. Writes nothing; `run` is None."""

        async def unit(tx: Transaction) -> ClaimAnswer:
            judgement = await self._judged(tx, order, now)
            standings = judgement.standings or await standings_in(tx, order.caps, now, order.task)
            return replace(judgement, standings=standings).answer(None)

        return await self._database.read(unit)

    async def approve(
        self, run_id: RunId, *, by: str, owner: str | None, task: Task, caps: Caps, expires_ms: int, now: Moment
    ) -> ClaimAnswer:
        """The proposal becomes a claim; pause and caps are judged now. A refusal leaves the proposal as it is.

        `owner` None: any engine may take it. `expires_ms`: until when it may be sent. Raises StaleRun where it is no
        proposal any more, StoreError.
        """
        self._check_room()
        decision = Approval(run_id=run_id, by=by, owner=owner, task=task, caps=caps, expires_ms=expires_ms)
        return await self._database.transaction(lambda tx: approve_in(tx, decision, now))

    async def decline(self, run_id: RunId, *, by: str, reason: str, now: Moment) -> Run:
        """The proposal ends without a launch. Raises StaleRun where it is none any more, StoreError."""
        return await self._database.transaction(lambda tx: decline_in(tx, run_id, by, reason, now))

    async def expire(self, run_id: RunId, now: Moment) -> Run | None:
        """Ends a proposal whose time is over, or a claim that was not sent in its window; None where it is neither."""
        return await self._database.transaction(lambda tx: expire_in(tx, run_id, now))

    async def miss(self, order: ClaimOrder, now: Moment) -> Run:
        """An instant that passed while nobody scheduled: an entry in the history, reason missed."""
        return await self._database.transaction(
            lambda tx: self._write_entry(tx, order, Outcome.SKIPPED, "missed", "nobody scheduled at its time", now)
        )

    async def refuse(self, order: ClaimOrder, refusal: Refusal, now: Moment) -> Run:
        """A launch that the engine itself refuses (clock, read-only): an entry in the history."""
        return await self._database.transaction(
            lambda tx: self._write_entry(tx, order, Outcome.REFUSED, refusal.kind.value, refusal.sentence, now)
        )

    def _check_room(self) -> None:
        if (free := self._room()) < FREE_BYTES:
            raise StoreFull(
                f"{free // 1024} KiB are free on the disk of the state store, a launch needs {FREE_BYTES // 1024} KiB"
            )

    async def _claim(self, tx: Transaction, order: ClaimOrder, now: Moment) -> ClaimAnswer:
        judgement = await self._judged(tx, order, now)
        match judgement.kind:
            case ClaimKind.CLAIMED:
                run = await self._take(tx, order, judgement, now)
            case ClaimKind.PROPOSED:
                run = await self._propose(tx, order, judgement, now)
            case ClaimKind.SKIPPED:
                done = judgement.key.answer is KeyAnswer.DONE
                run = await self._write_entry(
                    tx, order, Outcome.SKIPPED, "done" if done else "running", _skip_sentence(judgement.key), now
                )
            case ClaimKind.REFUSED:
                refusal = judgement.refusal
                kind, sentence = (refusal.kind.value, refusal.sentence) if refusal else ("-", "")
                run = await self._write_entry(tx, order, Outcome.REFUSED, kind, sentence, now)
        return judgement.answer(run)

    async def _judged(self, tx: Transaction, order: ClaimOrder, now: Moment) -> _Judgement:
        """Pause, key, stage, caps: the first that says no is the answer, and none behind it is asked.

        Whoever comes second to a key holds up the others no longer than that takes.
        """
        runs = [run_of(row) for row in await every(tx, SELECT_KEY, {"key": order.key})]
        key = self._judge(runs, order.asking)
        unconfirmed = await has_unconfirmed(tx, order.task.name)
        stage = effective_stage(await stage_in(tx, order.task.name), unconfirmed=unconfirmed)
        standings: tuple[Standing, ...] = ()
        refusal = await paused_refusal(tx) or key.refusal
        kind = ClaimKind.CLAIMED
        if refusal is None and key.answer in (KeyAnswer.DONE, KeyAnswer.RUNNING):
            kind = ClaimKind.SKIPPED
        elif refusal is None:
            path = admission(order.origin, stage)
            proposes = path is Admission.PROPOSE and not order.automatic_retry
            if path is Admission.REFUSE or (path is Admission.PROPOSE and not proposes):
                refusal = _stage_refusal(order, stage)
            elif proposes:
                kind = ClaimKind.PROPOSED
            else:
                standings = await standings_in(tx, order.caps, now, order.task)
                refusal = admit(standings, order.limits.budget)
        if refusal is not None:
            kind = ClaimKind.REFUSED
        return _Judgement(kind=kind, stage=stage, key=key, refusal=refusal, standings=standings)

    async def _take(self, tx: Transaction, order: ClaimOrder, judgement: _Judgement, now: Moment) -> Run:
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

    async def _propose(self, tx: Transaction, order: ClaimOrder, judgement: _Judgement, now: Moment) -> Run:
        day = await today(tx, order.caps, now)
        draft = run_of_order(
            order, State.PROPOSED, attempt=judgement.key.attempt, stage=judgement.stage, day=day, now=now
        )
        run = await self._insert(tx, order, draft, judgement.key)
        await write_event(tx, "proposed", now.wall_ms, run=run, by=run.requested_by, expires_ms=run.expires_ms)
        return run

    async def _insert(self, tx: Transaction, order: ClaimOrder, draft: Run, key: KeyVerdict) -> Run:
        if key.supersedes is not None:
            await one(tx, SUPERSEDE, {"id": key.supersedes, "by": draft.id})
        rules = canonical_json(list(order.rollout.demote_on))
        return await insert_run(tx, {**new_run_columns(draft), "demote_on": rules})

    async def _write_entry(
        self, tx: Transaction, order: ClaimOrder, outcome: Outcome, reason: str, sentence: str, now: Moment
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

    async def _outrun(self, tx: Transaction, order: ClaimOrder, now: Moment) -> ClaimAnswer:
        """The index refused the key: somebody has it, whatever was judged before."""
        runs = [run_of(row) for row in await every(tx, SELECT_KEY, {"key": order.key})]
        holder = next((run for run in reversed(runs) if run.state is not State.ENDED), runs[-1] if runs else None)
        run = await self._write_entry(tx, order, Outcome.SKIPPED, "running", "another launch was quicker", now)
        return ClaimAnswer(kind=ClaimKind.SKIPPED, run=run, holder=holder)


def _stage_refusal(order: ClaimOrder, stage: Stage) -> Refusal:
    what = "an automatic retry" if order.automatic_retry else "a scheduled launch"
    needed = Stage.UNATTENDED if order.automatic_retry else Stage.SEMI
    sentence = f"task {order.task.name} is at stage {stage.word}; {what} needs {needed.word}"
    return Refusal(kind=RefusalKind.STAGE, sentence=sentence)


def _skip_sentence(key: KeyVerdict) -> str:
    holder = key.holder
    if holder is None:
        return ""
    return f"run {holder.id} of this key {'ended ok' if holder.outcome is Outcome.OK else f'is {holder.state}'}"
