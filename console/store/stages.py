"""How far each task is trusted: an append-only list of rungs, up by an audited act, down also by itself."""

from __future__ import annotations

import json
from collections.abc import Mapping

from console.domain.moment import Moment
from console.domain.run import Run
from console.domain.task import Stage, canonical_json
from console.store.database import Database, Transaction
from console.store.errors import StaleRun
from console.store.records import note
from console.store.rows import Columns, StageChange, stage_change_of
from console.store.statements import every, one, write_event

AUTOMATIC = "nightdesk"
"""Who demotes a task without being asked."""

SELECT_STAGE = "select after from stage_changes where task = :task order by id desc limit 1"
SELECT_ALL = """
    select * from stage_changes
    where id in (select max(id) from stage_changes group by task)
    order by task
"""
SELECT_CHANGES = "select * from stage_changes where task = :task order by id"
INSERT_CHANGE = """
    insert into stage_changes (task, before, after, by, reason, forced, evidence, run_id, at_ms)
    values (:task, :before, :after, :by, :reason, :forced, :evidence, :run_id, :at_ms)
    returning *
"""
SELECT_DEMOTE_ON = "select demote_on from runs where id = :id"
HAS_UNCONFIRMED = "select 1 from runs where state = 'unconfirmed' and state <> 'ended' and task = :task limit 1"


class Stages:
    """Reads of the rungs, and the one way to climb or leave one by hand."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def stage(self, task: str) -> Stage:
        """The task's stage; `manual` where it was never changed."""
        return await self._database.read(lambda tx: stage_in(tx, task))

    async def all(self) -> Mapping[str, StageChange]:
        """The newest change of each task that ever had one; `after` is its stage."""

        async def unit(tx: Transaction) -> Mapping[str, StageChange]:
            return {row["task"]: stage_change_of(row) for row in await every(tx, SELECT_ALL, {})}

        return await self._database.read(unit)

    async def changes(self, task: str) -> tuple[StageChange, ...]:
        """Every change of the task, oldest first."""

        async def unit(tx: Transaction) -> tuple[StageChange, ...]:
            return tuple(stage_change_of(row) for row in await every(tx, SELECT_CHANGES, {"task": task}))

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
        now: Moment,
        believed: Stage | None = None,
    ) -> StageChange:
        """Moves the task to `to`, one rung. Raises ValueError for no rung or more than one.

        With `believed`, raises StaleRun where the stage is not what the operator saw.
        """

        async def unit(tx: Transaction) -> StageChange:
            before = await stage_in(tx, task)
            if believed is not None and before is not believed:
                raise StaleRun(f"task {task} is at {before.word} by now, not at {believed.word}")
            if abs(to - before) != 1:
                raise ValueError(f"task {task} is at {before.word}; one rung at a time, {to.word} is not next to it")
            return await _append(tx, task, before, to, by, reason, now, forced=forced, evidence=evidence)

        return await self._database.transaction(unit)


async def stage_in(tx: Transaction, task: str) -> Stage:
    """The stage as the open transaction sees it."""
    row = await one(tx, SELECT_STAGE, {"task": task})
    return Stage.of(row["after"]) if row else Stage.MANUAL


async def has_unconfirmed(tx: Transaction, task: str) -> bool:
    """True while a run of the task is unconfirmed: the task then counts one rung lower."""
    return await one(tx, HAS_UNCONFIRMED, {"task": task}) is not None


async def demote_for(tx: Transaction, run: Run, what: str, now: Moment) -> None:
    """One rung down, not below manual, where the rules of the claim demote for `what`."""
    row = await one(tx, SELECT_DEMOTE_ON, {"id": run.id})
    before = await stage_in(tx, run.task)
    if row is None or what not in json.loads(row["demote_on"]) or before is Stage.MANUAL:
        return
    reason = f"run {run.id} of key {run.key}: {what}"
    await _append(tx, run.task, before, Stage(before - 1), AUTOMATIC, reason, now, run=run)


async def _append(
    tx: Transaction,
    task: str,
    before: Stage,
    after: Stage,
    by: str,
    reason: str,
    now: Moment,
    *,
    forced: bool = False,
    evidence: Mapping[str, object] | None = None,
    run: Run | None = None,
) -> StageChange:
    parameters: Columns = {"task": task, "before": before.word, "after": after.word, "by": by}
    audit: Columns = {"reason": reason, "forced": int(forced), "evidence": canonical_json(dict(evidence or {}))}
    whence: Columns = {"run_id": run.id if run else None, "at_ms": now.wall_ms}
    row = await one(tx, INSERT_CHANGE, {**parameters, **audit, **whence})
    if row is None:
        raise RuntimeError("an insert gave no row")
    fields = {"before": before.word, "after": after.word, "by": by, "forced": "yes" if forced else "no", "why": reason}
    whose = {} if run else {"task": task}
    record = note("stage", {**whose, **fields}, run, now.wall_ms)
    await write_event(tx, "stage", now.wall_ms, run=run, record=record, before=before.word, after=after.word, by=by)
    return stage_change_of(row)
