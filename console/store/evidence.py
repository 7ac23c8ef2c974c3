"""What the runs themselves show of a task: counted when asked, never kept in a counter that could drift."""

from __future__ import annotations

import sqlite3

from console.domain.rollout import Evidence
from console.domain.run import NEVER_A_RUN, RERUN_FREELY, Outcome
from console.domain.task import Origin
from console.store.database import Database, Transaction
from console.store.history import p95
from console.store.statements import every, one

NEWEST = 500
"""Runs looked at; more do not tell more."""
SELECT_SINCE = """
    select max(at_ms) as since from (
        select max(at_ms) as at_ms from stage_changes where task = :task
        union all
        select max(e.at_ms) from events e join runs r on r.id = e.run_id
        where e.kind = 'unconfirmed' and r.task = :task
    )
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
COUNT_UNCONFIRMED = "select count(*) as n from runs where task = :task and state = 'unconfirmed' and state <> 'ended'"
NO_AGENT = {outcome.value for outcome in NEVER_A_RUN | RERUN_FREELY}
GUARDED = {Outcome.TIMEOUT.value, Outcome.BUDGET.value, Outcome.CANCELLED.value}


class EvidenceBook:
    """Reads only."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def of(self, task: str) -> Evidence:
        """The evidence of `task` since its last step or its last unconfirmed run. Raises StoreError."""

        async def unit(tx: Transaction) -> Evidence:
            since = await one(tx, SELECT_SINCE, {"task": task})
            since_ms = since["since"] if since else None
            rows = await every(tx, SELECT_RUNS, {"task": task, "since": since_ms or 0, "limit": NEWEST})
            unconfirmed = await one(tx, COUNT_UNCONFIRMED, {"task": task})
            return _evidence(rows, since_ms, unconfirmed["n"] if unconfirmed else 0)

        return await self._database.read(unit)


def _evidence(rows: list[sqlite3.Row], since_ms: int | None, unconfirmed: int) -> Evidence:
    ran = [row for row in rows if row["outcome"] not in NO_AGENT]
    clean = [row for row in ran if row["outcome"] == Outcome.OK.value]
    return Evidence(
        since_ms=since_ms,
        ran=len(ran),
        manual_ok=sum(row["origin"] == Origin.MANUAL.value for row in clean),
        approved_ok=sum(row["approved"] for row in clean),
        observed=sum(row["observed"] for row in ran),
        guards_held=sum(row["outcome"] in GUARDED for row in ran),
        unconfirmed=unconfirmed,
        p95_units=p95([row["used"] for row in ran]) if ran else None,
        p95_ms=p95([row["elapsed_ms"] for row in ran]) if ran else None,
        budget=ran[0]["budget"] if ran else None,
        max_ms=ran[0]["max_ms"] if ran else None,
    )
