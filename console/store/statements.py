"""The statements that the repositories share: fetch rows, insert a run, update a run by compare-and-set.

Column names in the SQL come from this program only; values are always bound as parameters.
"""

from __future__ import annotations

import sqlite3
import traceback
from collections.abc import Callable, Mapping, Sequence

from console.domain.run import Run, RunId, State, check_transition
from console.store.database import Transaction
from console.store.errors import StaleRun, StoreDamaged, translate_sqlite_errors
from console.store.rows import (
    Columns,
    Row,
    RunListing,
    UnreadableRun,
    Value,
    run_of,
    text_of,
    to_index_text,
    to_sqlite_text,
)

SELECT_RUN = "select * from runs where id = :id"
SELECT_BY_SEQ = "select * from runs where seq = :seq"
SELECT_TEXT = "select seq, task, target, key, note, result from runs where id = :id"
INDEX_TEXT = """
    insert into runs_text (rowid, task, target, key, note, result)
    values (:seq, :task, :target, :key, :note, :result)
"""
UNINDEX_TEXT = """
    insert into runs_text (runs_text, rowid, task, target, key, note, result)
    values ('delete', :seq, :task, :target, :key, :note, :result)
"""
TEXT_COLUMNS = ("task", "target", "key", "note", "result")
"""Columns of the full-text index."""
CHANGING_TEXT = frozenset({"note", "result"})
"""Those of them that an update may change."""


async def fetch_all(tx: Transaction, sql: str, parameters: Mapping[str, Value]) -> list[sqlite3.Row]:
    """Return all rows of a query, or those a write returns; a cursor that is not read to its end blocks commits."""
    bound = {name: to_sqlite_text(value) for name, value in parameters.items()}
    try:
        return list(await tx.execute_fetchall(sql, bound))
    except (sqlite3.Error, UnicodeDecodeError) as error:
        # The frames hold the cursor of the failed statement, and it keeps its lock on the database while it exists.
        traceback.clear_frames(error.__traceback__)
        raise


async def fetch_one(tx: Transaction, sql: str, parameters: Mapping[str, Value]) -> sqlite3.Row | None:
    """Return the first row, or None."""
    rows = await fetch_all(tx, sql, parameters)
    return rows[0] if rows else None


async def load_run(tx: Transaction, run_id: RunId) -> Run | None:
    """Return the run as the transaction sees it, or None."""
    row = await fetch_one(tx, SELECT_RUN, {"id": run_id})
    return run_of(row) if row else None


async def list_runs(
    tx: Transaction, sql: str, parameters: Mapping[str, Value], make: Callable[[Row], Run] = run_of
) -> RunListing:
    """Return the runs of a query that begins with `select runs.*`, and apart from them the rows that cannot be read.

    `make` converts a row, and raises StoreDamaged for one that cannot be read.
    """
    try:
        with translate_sqlite_errors():
            rows = await fetch_all(tx, sql, parameters)
    except StoreDamaged:
        rows = await fetch_all(tx, sql.replace("runs.*", "runs.seq", 1), parameters)
    return await readable_runs(tx, rows, make)


async def readable_runs(
    tx: Transaction, rows: Sequence[sqlite3.Row], make: Callable[[Row], Run] = run_of
) -> RunListing:
    """Return the runs of rows that hold all columns, or else `seq` at least."""
    has_all_columns = bool(rows) and "id" in tuple(rows[0].keys())
    runs: list[Run] = []
    unreadable: list[UnreadableRun] = []
    for row in rows:
        try:
            if has_all_columns:
                runs.append(make(row))
            else:
                with translate_sqlite_errors():
                    runs += map(run_of, await fetch_all(tx, SELECT_BY_SEQ, {"seq": row["seq"]}))
        except StoreDamaged as error:
            unreadable.append(UnreadableRun(seq=row["seq"], why=str(error)))
    return RunListing(runs=tuple(runs), unreadable=tuple(unreadable))


async def insert_run(tx: Transaction, columns: Columns) -> Run:
    """Insert a run, add it to the full-text index and return it.

    Raises sqlite3.IntegrityError if the schema refuses the row, as when its key is taken; the database raises that
    to its caller as StoreRefused.
    """
    names = ", ".join(columns)
    values = ", ".join(f":{name}" for name in columns)
    row = await fetch_one(tx, f"insert into runs ({names}) values ({values}) returning *", columns)
    if row is None:
        raise RuntimeError("an insert gave no row")
    await fetch_all(tx, INDEX_TEXT, _index_columns(row))
    return run_of(row)


async def compare_and_set(
    tx: Transaction, run: Run, columns: Columns, *, to: State | None = None, where: str = "true"
) -> Run:
    """Update the row of `run` if its state, owner and fence are as in `run` and `where` holds; return the new run.

    Raises IllegalTransition if there is no transition from the run's state to `to`, StaleRun if no row was changed.
    """
    if to is not None:
        check_transition(run.state, to)
        columns = {**columns, "state": to.value}
    assignments = ", ".join(f"{name} = :{name}" for name in columns)
    believed = "id = :_id and state = :_state and owner is :_owner and fence = :_fence"
    parameters = {**columns, "_id": run.id, "_state": run.state.value, "_owner": run.owner, "_fence": run.fence}
    changes_text = not CHANGING_TEXT.isdisjoint(columns)
    if changes_text:
        for before in await fetch_all(tx, SELECT_TEXT, {"id": run.id}):
            await fetch_all(tx, UNINDEX_TEXT, _index_columns(before))
    row = await fetch_one(tx, f"update runs set {assignments} where {believed} and {where} returning *", parameters)
    if row is None:
        raise stale_run(run)
    if changes_text:
        await fetch_all(tx, INDEX_TEXT, _index_columns(row))
    return run_of(row)


def _index_columns(row: Row) -> Columns:
    return {"seq": row["seq"], **{name: to_index_text(text_of(row, name)) for name in TEXT_COLUMNS}}


def update_many_statement(columns: Sequence[str]) -> str:
    """The statement that sets `columns` of many runs to the values in the JSON array `:updates`.

    Each entry names its run by `_id` and is written only where `_state`, `_owner` and `_fence` still hold.
    """
    return f"""
        update runs set {", ".join(f"{name} = new.value ->> '{name}'" for name in columns)}
        from json_each(:updates) as new
        where runs.id = new.value ->> '_id' and runs.state = new.value ->> '_state'
        and runs.owner is new.value ->> '_owner' and runs.fence = new.value ->> '_fence'
        returning *
    """


def stale_run(run: Run) -> StaleRun:
    """Return the error for a write that found the row of `run` changed."""
    return StaleRun(f"run {run.id} is no longer {run.state} under {run.owner or 'nobody'} with fence {run.fence}")
