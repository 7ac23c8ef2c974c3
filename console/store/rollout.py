"""The rollout stage of each task: an append-only list of changes, and the evidence on which a promotion rests.

Only a person promotes a task. A person may demote it too, and the end of a run demotes it where the rules that were
stored with the claim of that run say so.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from console.domain.rollout import AUTOMATIC, Evidence, StageChange, effective_stage
from console.domain.run import KEY_FREEING_OUTCOMES, NON_RUN_OUTCOMES, Outcome, Run, RunId
from console.domain.task import Origin, Stage, canonical_json
from console.domain.timestamps import Timestamp
from console.store.errors import StaleRun
from console.store.events import note_record, write_event
from console.store.history import p95
from console.store.rows import damage_if_unreadable, fetch_all, fetch_one
from console.store.transaction import Columns, Database, Row, Statement, Transaction

EVIDENCE_RUNS = 500
"""Evidence is counted over at most this many of the newest runs."""

SELECT_STAGE = "select after from stage_changes where task = :task order by id desc limit 1"
SELECT_STAGES = "select task, after from stage_changes where id in (select max(id) from stage_changes group by task)"
SELECT_CHANGES = "select * from stage_changes where task = :task order by id"
INSERT_CHANGE = """
    insert into stage_changes (task, before, after, by, reason, forced, evidence, run_id, at_ms)
    values (:task, :before, :after, :by, :reason, :forced, :evidence, :run_id, :at_ms)
    returning *
"""
# `state <> 'ended'` is the condition of the index of open runs: with it the planner may use that index.
HAS_UNCONFIRMED = "select 1 from runs where state = 'unconfirmed' and state <> 'ended' and task = :task limit 1"
COUNT_UNCONFIRMED = "select count(*) as n from runs where task = :task and state = 'unconfirmed' and state <> 'ended'"
SELECT_DEMOTE_ON = "select demote_on from runs where id = :id"
SELECT_SINCE = """
    select max(at_ms) as since from (
        select max(at_ms) as at_ms from stage_changes where task = :task
        union all
        select max(e.at_ms) from events e join runs r on r.id = e.run_id
        where e.kind = 'unconfirmed' and r.task = :task
    ) as times
"""
SELECT_RUNS = """
    select
        outcome, origin, used, elapsed_ms, budget, max_ms,
        exists (select 1 from events e where e.run_id = runs.id and e.kind = 'approved') as approved,
        exists (select 1 from events e where e.run_id = runs.id and e.kind = 'observed') as observed
    from runs
    where task = :task and attempt > 0 and state = 'ended' and created_ms >= :since
    order by created_ms desc, seq desc
    limit :limit
"""

_NOT_LAUNCHED = {outcome.value for outcome in NON_RUN_OUTCOMES | KEY_FREEING_OUTCOMES}
_STOPPED_BY_GUARD = {Outcome.TIMEOUT.value, Outcome.BUDGET.value, Outcome.CANCELLED.value}


class Stages:
    """Reads the stage of a task and its changes, and changes it on a person's word. Every method raises StoreError."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def stage(self, task: str) -> Stage:
        """Return the task's stage; `manual` if it was never changed."""
        return await self._database.read(lambda tx: load_stage(tx, task))

    async def all(self) -> Mapping[str, Stage]:
        """Return the stage of each task that was ever changed."""

        async def unit(tx: Transaction) -> Mapping[str, Stage]:
            with damage_if_unreadable("the stages of the tasks"):
                return {row["task"]: Stage.of(row["after"]) for row in await fetch_all(tx, SELECT_STAGES, {})}

        return await self._database.read(unit)

    async def changes(self, task: str) -> tuple[StageChange, ...]:
        """Return every change of the task's stage, oldest first."""

        async def unit(tx: Transaction) -> tuple[StageChange, ...]:
            return tuple(stage_change_of(row) for row in await fetch_all(tx, SELECT_CHANGES, {"task": task}))

        return await self._database.read(unit)

    async def change(
        self,
        task: str,
        to: Stage,
        *,
        by: str,
        reason: str,
        forced: bool,
        evidence: Mapping[str, object],
        now: Timestamp,
        believed: Stage | None = None,
    ) -> StageChange:
        """Move the task to the stage `to`, which must be next to its stage; raises ValueError if it is not.

        Raises StaleRun if `believed` is given and is not the task's stage any more.
        """

        async def unit(tx: Transaction) -> StageChange:
            before = await load_stage(tx, task)
            if believed is not None and before is not believed:
                raise StaleRun(f"task {task} is at {before.label} by now, not at {believed.label}")
            if abs(to - before) != 1:
                raise ValueError(
                    f"task {task} is at {before.label}; a stage changes one step at a time, not to {to.label}"
                )
            return await _insert_change(tx, task, before, to, by, reason, now, forced=forced, evidence=evidence)

        return await self._database.transaction(unit)


class RolloutEvidence:
    """The evidence for the promotion of a task, counted over its stored runs."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def of(self, task: str) -> Evidence:
        """Return the evidence since the task's last stage change or unconfirmed run. Raises StoreError."""

        async def unit(tx: Transaction) -> Evidence:
            since = await fetch_one(tx, SELECT_SINCE, {"task": task})
            since_ms = since["since"] if since else None
            rows = await fetch_all(tx, SELECT_RUNS, {"task": task, "since": since_ms or 0, "limit": EVIDENCE_RUNS})
            unconfirmed = await fetch_one(tx, COUNT_UNCONFIRMED, {"task": task})
            with damage_if_unreadable(f"the history of task {task}"):
                return _count_evidence(rows, since_ms, unconfirmed["n"] if unconfirmed else 0)

        return await self._database.read(unit)


async def load_stage(tx: Transaction, task: str) -> Stage:
    """Return the task's stage as the transaction sees it."""
    return _stage_of(await fetch_all(tx, SELECT_STAGE, {"task": task}), task)


def effective_stage_statements(task: str) -> tuple[Statement, Statement]:
    """What `effective_stage_of` needs: the last change of the task's stage, and an unconfirmed run of the task."""
    return Statement(SELECT_STAGE, {"task": task}), Statement(HAS_UNCONFIRMED, {"task": task})


def effective_stage_of(changes: Sequence[Row], unconfirmed: Sequence[Row], task: str) -> Stage:
    """Return the task's stage, which is one lower while one of its runs is unconfirmed. Raises StoreDamaged."""
    return effective_stage(_stage_of(changes, task), unconfirmed=bool(unconfirmed))


def _stage_of(changes: Sequence[Row], task: str) -> Stage:
    """Return the stage after the change, if there is one. Raises StoreDamaged."""
    with damage_if_unreadable(f"the stage of task {task}"):
        return Stage.of(changes[0]["after"]) if changes else Stage.MANUAL


async def demote_for(tx: Transaction, run: Run, what: str, now: Timestamp) -> None:
    """Demote the task of `run` by one stage if the rules stored with its claim name `what`, an outcome or an event."""
    row = await fetch_one(tx, SELECT_DEMOTE_ON, {"id": run.id})
    before = await load_stage(tx, run.task)
    with damage_if_unreadable(f"run {run.id}"):
        if row is None or what not in json.loads(row["demote_on"]) or before is Stage.MANUAL:
            return
    reason = f"run {run.id} of key {run.key}: {what}"
    await _insert_change(tx, run.task, before, Stage(before - 1), AUTOMATIC, reason, now, run=run)


def stage_change_of(row: Row) -> StageChange:
    """Return the stage change of a row. Raises StoreDamaged."""
    with damage_if_unreadable("a change of a task's stage"):
        return StageChange(
            at_ms=row["at_ms"],
            before=Stage.of(row["before"]),
            after=Stage.of(row["after"]),
            by=row["by"],
            reason=row["reason"],
            forced=bool(row["forced"]),
            evidence=json.loads(row["evidence"]),
            run_id=RunId(row["run_id"]) if row["run_id"] else None,
        )


async def _insert_change(
    tx: Transaction,
    task: str,
    before: Stage,
    after: Stage,
    by: str,
    reason: str,
    now: Timestamp,
    *,
    forced: bool = False,
    evidence: Mapping[str, object] | None = None,
    run: Run | None = None,
) -> StageChange:
    change: Columns = {"task": task, "before": before.label, "after": after.label, "by": by}
    audit: Columns = {"reason": reason, "forced": int(forced), "evidence": canonical_json(dict(evidence or {}))}
    origin: Columns = {"run_id": run.id if run else None, "at_ms": now.wall_ms}
    row = await fetch_one(tx, INSERT_CHANGE, {**change, **audit, **origin})
    if row is None:
        raise RuntimeError("an insert gave no row")
    stages = {"before": before.label, "after": after.label, "by": by}
    about = {} if run else {"task": task}
    fields = {**about, **stages, "forced": "yes" if forced else "no", "why": reason}
    record = note_record("stage", fields, run, now.wall_ms)
    await write_event(tx, "stage", now.wall_ms, run=run, record=record, **stages)
    return stage_change_of(row)


def _count_evidence(rows: list[Row], since_ms: int | None, unconfirmed: int) -> Evidence:
    ran = [row for row in rows if row["outcome"] not in _NOT_LAUNCHED]
    clean = [row for row in ran if row["outcome"] == Outcome.OK.value]
    return Evidence(
        since_ms=since_ms,
        ran=len(ran),
        manual_ok=sum(row["origin"] == Origin.MANUAL.value for row in clean),
        approved_ok=sum(row["approved"] for row in clean),
        observed=sum(row["observed"] for row in ran),
        guards_held=sum(row["outcome"] in _STOPPED_BY_GUARD for row in ran),
        unconfirmed=unconfirmed,
        p95_units=p95([row["used"] for row in ran]) if ran else None,
        p95_ms=p95([row["elapsed_ms"] for row in ran]) if ran else None,
        budget=ran[0]["budget"] if ran else None,
        max_ms=ran[0]["max_ms"] if ran else None,
    )
