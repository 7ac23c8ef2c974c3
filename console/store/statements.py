"""The few shapes that all writes take: one insert, one compare-and-set, one event. SQL is put together from our names.

A write of the protocol names what it believes (state, owner, fence). Where that is no longer so it changes no row,
and the writer is told.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping

from console.domain.record import LogRecord
from console.domain.run import Run, RunId, State, check_transition
from console.store.database import Transaction
from console.store.errors import StaleRun
from console.store.records import details, to_json
from console.store.rows import Columns, Value, storable
from console.store.run_row import run_of

SELECT_RUN = "select * from runs where id = :id"
WORDS_IN = """
    insert into runs_text (rowid, task, target, key, note, result)
    select seq, task, target, key, note, result from runs where id = :id
"""
WORDS_OUT = """
    insert into runs_text (runs_text, rowid, task, target, key, note, result)
    select 'delete', seq, task, target, key, note, result from runs where id = :id
"""
WORDS = frozenset({"note", "result"})
"""Columns that a search reads and a change may touch."""
INSERT_EVENT = """
    insert into events (run_id, at_ms, kind, detail, ev, record)
    values (
        :run_id, :at_ms, :kind, :detail,
        case when :record is null then null else (select coalesce(max(ev), 0) + 1 from events) end, :record
    )
"""


async def one(tx: Transaction, sql: str, parameters: Mapping[str, Value]) -> sqlite3.Row | None:
    """The first row, or None."""
    rows = await every(tx, sql, parameters)
    return rows[0] if rows else None


async def every(tx: Transaction, sql: str, parameters: Mapping[str, Value]) -> list[sqlite3.Row]:
    """All rows, of a write those it returns. Read to the end: an open cursor would block commits."""
    mended = {name: storable(value) for name, value in parameters.items()}
    return list(await tx.execute_fetchall(sql, mended))


async def insert_run(tx: Transaction, columns: Columns) -> Run:
    """The new row. Raises sqlite3.IntegrityError where the schema refuses it: another run has the key.

    It leaves the floor as StoreRefused.
    """
    names = ", ".join(columns)
    values = ", ".join(f":{name}" for name in columns)
    row = await one(tx, f"insert into runs ({names}) values ({values}) returning *", columns)
    if row is None:
        raise RuntimeError("an insert gave no row")
    await every(tx, WORDS_IN, {"id": row["id"]})
    return run_of(row)


async def current(tx: Transaction, run_id: RunId) -> Run | None:
    """The run as it stands."""
    row = await one(tx, SELECT_RUN, {"id": run_id})
    return run_of(row) if row else None


async def change(tx: Transaction, run: Run, columns: Columns, *, to: State | None = None, where: str = "true") -> Run:
    """The run after the change, where its state, owner and fence are still as in `run`, and `where` holds.

    Raises IllegalTransition where the state table has no edge to `to`, StaleRun where no row was changed.
    """
    if to is not None:
        check_transition(run.state, to)
        columns = {**columns, "state": to.value}
    assignments = ", ".join(f"{name} = :{name}" for name in columns)
    believed = "id = :_id and state = :_state and owner is :_owner and fence = :_fence"
    parameters = {**columns, "_id": run.id, "_state": run.state.value, "_owner": run.owner, "_fence": run.fence}
    new_words = not WORDS.isdisjoint(columns)
    if new_words:
        await every(tx, WORDS_OUT, {"id": run.id})
    row = await one(tx, f"update runs set {assignments} where {believed} and {where} returning *", parameters)
    if row is None:
        raise StaleRun(f"run {run.id} is no longer {run.state} under {run.owner or 'nobody'} with fence {run.fence}")
    if new_words:
        await every(tx, WORDS_IN, {"id": run.id})
    return run_of(row)


async def write_event(
    tx: Transaction,
    kind: str,
    at_ms: int,
    *,
    run: Run | None = None,
    record: LogRecord | None = None,
    **facts: str | int | None,
) -> None:
    """One row of the timeline, and with `record` one line of the log under the next number."""
    text = {name: storable(fact) for name, fact in facts.items()}
    await every(
        tx,
        INSERT_EVENT,
        {
            "run_id": run.id if run else None,
            "at_ms": at_ms,
            "kind": kind,
            "detail": details(**text),
            "record": to_json(record) if record else None,
        },
    )
