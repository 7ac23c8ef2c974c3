"""The few shapes that all writes take: one insert, one compare-and-set, one event. SQL is put together from our names.

A write of the protocol names what it believes (state, owner, fence). Where that is no longer so it changes no row,
and the writer is told.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping

from console.domain.run import Run, RunId, State, check_transition
from console.store.database import Transaction
from console.store.errors import StaleRun
from console.store.rows import Columns, Value, run_of, to_sqlite_text

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


async def fetch_one(tx: Transaction, sql: str, parameters: Mapping[str, Value]) -> sqlite3.Row | None:
    """The first row, or None."""
    rows = await fetch_all(tx, sql, parameters)
    return rows[0] if rows else None


async def fetch_all(tx: Transaction, sql: str, parameters: Mapping[str, Value]) -> list[sqlite3.Row]:
    """All rows, of a write those it returns. Read to the end: an open cursor would block commits."""
    mended = {name: to_sqlite_text(value) for name, value in parameters.items()}
    return list(await tx.execute_fetchall(sql, mended))


async def insert_run(tx: Transaction, columns: Columns) -> Run:
    """The new row. Raises sqlite3.IntegrityError where the schema refuses it: another run has the key.

    It leaves the floor as StoreRefused.
    """
    names = ", ".join(columns)
    values = ", ".join(f":{name}" for name in columns)
    row = await fetch_one(tx, f"insert into runs ({names}) values ({values}) returning *", columns)
    if row is None:
        raise RuntimeError("an insert gave no row")
    await fetch_all(tx, WORDS_IN, {"id": row["id"]})
    return run_of(row)


async def load_run(tx: Transaction, run_id: RunId) -> Run | None:
    """The run as it stands."""
    row = await fetch_one(tx, SELECT_RUN, {"id": run_id})
    return run_of(row) if row else None


async def compare_and_set(
    tx: Transaction, run: Run, columns: Columns, *, to: State | None = None, where: str = "true"
) -> Run:
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
        await fetch_all(tx, WORDS_OUT, {"id": run.id})
    row = await fetch_one(tx, f"update runs set {assignments} where {believed} and {where} returning *", parameters)
    if row is None:
        raise StaleRun(f"run {run.id} is no longer {run.state} under {run.owner or 'nobody'} with fence {run.fence}")
    if new_words:
        await fetch_all(tx, WORDS_IN, {"id": run.id})
    return run_of(row)
