"""The rows of the database: fetch them, convert them from and to values of the program, insert and update runs.

Text and numbers from a provider may be something a database cannot hold: lone surrogates, U+0000, integers beyond 64
bits. They are adapted here, so that no answer of a provider can keep a run from being stored or settled. Column names
in the SQL come from this program only; values are always bound as parameters.
"""

from __future__ import annotations

import json
import re
import sqlite3
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from console.domain.run import Limits, Outcome, Run, RunId, State, StepRecord, StopReason, StopRequest, check_transition
from console.domain.server_limit import ServerLimit, TokenLimit, limit_text, parse_limit
from console.domain.task import CutOff, Fingerprint, Origin, Stage, canonical_json
from console.domain.text import sanitize, to_index_text
from console.domain.timestamps import Timestamp
from console.domain.usage import Usage
from console.store.errors import StaleRun, StoreDamaged, translate_sqlite_errors
from console.store.transaction import Columns, Row, Statement, Transaction, Value

MAX_AMOUNT = 10**15
"""The largest amount that is stored: 10^12 units. Sums of thousands of them stay within 64 bits."""
NOTE_LIMIT = 400
"""Longest note, in characters."""
_MAX_LIMIT = 2**62
"""The largest stored value of a run's limits; a larger one limits nothing."""
_UNSTORABLE = re.compile("[\0\ud800-\udfff]")

PLAIN_COLUMNS = (
    *("key", "task", "type", "target", "date", "attempt", "note", "day", "created_ms", "deadline_ms", "expires_ms"),
    *("ended_ms", "elapsed_ms", "sandbox_id", "sandbox_deleted_ms", "remote_id", "remote_status", "used"),
    *("largest_step", "cost_micro", "currency", "steps", "last_step", "last_step_ms", "polled_ms", "trouble"),
    *("result", "retry_at_ms", "owner", "fence", "requested_by", "service"),
)
"""Columns that are fields of Run as they are."""
LIMIT_COLUMNS = {
    "max_ms": "max_ms",
    "budget": "budget",
    "tokens_per_unit": "tokens_per_unit",
    "cached_weight_milli": "cached_weight_milli",
    "stall_ms": "stall_ms",
}
"""Columns with their fields of `Limits`."""
USAGE_COLUMNS = {
    **{f"tokens_{name}": name for name in ("total", "input", "output", "thought", "cached", "tool_use", "cache_write")},
    **{name: name for name in ("searches", "active_ms", "told_micro")},
}
"""Columns with their fields of `Usage`."""

_TEXT, _OPTIONAL_TEXT = frozenset({str}), frozenset({str, type(None)})
_INTEGER, _OPTIONAL_INTEGER = frozenset({int}), frozenset({int, type(None)})
_COLUMN_TYPES = {
    **dict.fromkeys(("id", "key", "task", "type", "target", "date", "stage", "origin", "requested_by", "state"), _TEXT),
    **dict.fromkeys(("note", "stop_answer", "fingerprint", "cut_off", "day", "last_step", "trouble", "result"), _TEXT),
    **dict.fromkeys(("outcome", "stop_reason", "stop_by", "claimed_boot_id", "sent_boot_id"), _OPTIONAL_TEXT),
    **dict.fromkeys(("sandbox_id", "remote_id", "remote_status", "currency", "superseded_by"), _OPTIONAL_TEXT),
    **dict.fromkeys(("owner", "service"), _OPTIONAL_TEXT),
    **dict.fromkeys(("attempt", "stop_tries", "stop_alarmed", *LIMIT_COLUMNS, "created_ms", "elapsed_ms"), _INTEGER),
    **dict.fromkeys(("sandbox_own", *USAGE_COLUMNS, "used", "usage_known", "belt_tokens"), _INTEGER),
    **dict.fromkeys(("told_micro",), _OPTIONAL_INTEGER),
    **dict.fromkeys(("server_limit",), _OPTIONAL_TEXT),
    **dict.fromkeys(("largest_step", "steps", "stalled", "fence"), _INTEGER),
    **dict.fromkeys(("stop_at_ms", "claimed_ms", "claimed_boot_ms", "sent_ms", "sent_boot_ms"), _OPTIONAL_INTEGER),
    **dict.fromkeys(("deadline_ms", "expires_ms", "ended_ms", "sandbox_deleted_ms", "cost_micro"), _OPTIONAL_INTEGER),
    **dict.fromkeys(("last_step_ms", "polled_ms", "retry_at_ms"), _OPTIONAL_INTEGER),
}
"""What SQLite's strict tables let this program write; a flipped byte can make it anything else."""
_TIME_COLUMNS = ("created_ms", "claimed_ms", "sent_ms", "ended_ms", "stop_at_ms", "last_step_ms", "polled_ms")
_MAX_TIME_MS = 253_402_300_799_999
"""The end of the year 9999, UTC ms: later times cannot be shown."""

SELECT_RUN = "select * from runs where id = :id"
# The comment tells it from the statement that only reads: a database with several writers locks the row.
LOCK_RUN = "select * from runs where id = :id /* and lock the row */"
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


@dataclass(frozen=True, slots=True, kw_only=True)
class UnreadableRun:
    """A row of `runs` that cannot be read."""

    seq: int
    """Its row number."""
    why: str
    """One line; names the run if its id can be read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunListing:
    """Runs, and apart from them the rows that cannot be read."""

    runs: tuple[Run, ...]
    unreadable: tuple[UnreadableRun, ...] = ()


@contextmanager
def damage_if_unreadable(what: str) -> Iterator[None]:
    """Raise StoreDamaged, naming `what`, if a value in it cannot be read as what it should be."""
    try:
        yield
    except (ValueError, KeyError, TypeError, IndexError, AttributeError, ArithmeticError, RecursionError) as error:
        why = sanitize(str(error), limit=120)
        raise StoreDamaged(f"the state store is damaged: {what} cannot be read: {why}") from error


def int_of(row: Row, name: str) -> int:
    """Return the integer in a column. Raises StoreDamaged for anything else."""
    value = row[name]
    if type(value) is not int:
        raise StoreDamaged(f"the state store is damaged: {name} is not an integer")
    return value


def text_of(row: Row, name: str) -> str:
    """Return the text in a column. Raises StoreDamaged for anything else."""
    value = row[name]
    if type(value) is not str:
        raise StoreDamaged(f"the state store is damaged: {name} is not a text")
    return value


def run_of(row: Row) -> Run:
    """Return the run of a row. Raises StoreDamaged, naming the run, if this program cannot have written the row."""
    # A Row compares all column names for each access, which would make this three times as slow.
    values = dict(zip(row.keys(), tuple(row), strict=True)) if isinstance(row, sqlite3.Row) else row
    run_id = values["id"]
    with damage_if_unreadable(f"run {run_id}" if isinstance(run_id, str) else f"the run in row {values['seq']}"):
        for name, kinds in _COLUMN_TYPES.items():
            if type(values[name]) not in kinds:
                raise ValueError(f"{name} is of the wrong type")
        for name in _TIME_COLUMNS:
            if values[name] is not None and not 0 <= values[name] <= _MAX_TIME_MS:
                raise ValueError(f"{name} is no time")
        return Run(
            id=RunId(values["id"]),
            stage=Stage.of(values["stage"]),
            origin=Origin(values["origin"]),
            state=State(values["state"]),
            outcome=Outcome(values["outcome"]) if values["outcome"] else None,
            stop=_stop_of(values),
            fingerprint=_fingerprint_of(values["fingerprint"]),
            limits=_limits_of(values),
            claimed=_timestamp_of(values, "claimed"),
            sent=_timestamp_of(values, "sent"),
            usage=Usage(**{name: values[column] for column, name in USAGE_COLUMNS.items()}),
            superseded_by=RunId(values["superseded_by"]) if values["superseded_by"] else None,
            sandbox_own=bool(values["sandbox_own"]),
            usage_known=bool(values["usage_known"]),
            stalled=bool(values["stalled"]),
            # Only a database of several hosts has this column.
            host=str(values.get("host", "")),
            **{name: values[name] for name in PLAIN_COLUMNS},
        )


def _limits_of(row: Mapping[str, Any]) -> Limits:
    """Return the limits. Versions that knew only limits in tokens left `server_limit` empty."""
    stored = row["server_limit"]
    limit = TokenLimit(tokens=row["belt_tokens"]) if stored is None else parse_limit(stored)
    amounts = {name: row[column] for column, name in LIMIT_COLUMNS.items()}
    return Limits(cut_off=CutOff(row["cut_off"]), server_limit=limit, **amounts)


@lru_cache(maxsize=1024)
def _fingerprint_of(text: str) -> Fingerprint:
    return Fingerprint.from_fields(json.loads(text))


def _stop_of(row: Mapping[str, Any]) -> StopRequest | None:
    if row["stop_reason"] is None:
        return None
    return StopRequest(
        reason=StopReason(row["stop_reason"]),
        by=row["stop_by"],
        at_ms=row["stop_at_ms"],
        tries=row["stop_tries"],
        answer=row["stop_answer"],
        alarmed=bool(row["stop_alarmed"]),
    )


def _timestamp_of(row: Mapping[str, Any], name: str) -> Timestamp | None:
    if row[f"{name}_ms"] is None:
        return None
    return Timestamp(wall_ms=row[f"{name}_ms"], boot_ms=row[f"{name}_boot_ms"], boot_id=row[f"{name}_boot_id"])


def step_of(row: Row) -> StepRecord:
    """Return the step of a row of `steps`. Raises StoreDamaged."""
    with damage_if_unreadable("a step"):
        return StepRecord(
            index=int_of(row, "n"),
            kind=text_of(row, "kind"),
            text=text_of(row, "text"),
            at_ms=int_of(row, "at_ms"),
            units=int_of(row, "units"),
            done=bool(row["done"]),
        )


def new_run_columns(run: Run) -> Columns:
    """Return the columns of a run that is inserted; it has no stop, no send and no usage yet."""
    return {
        "id": run.id,
        "stage": run.stage.label,
        "origin": run.origin.value,
        "state": run.state.value,
        "outcome": run.outcome.value if run.outcome else None,
        "fingerprint": canonical_json(run.fingerprint.as_fields()),
        "cut_off": run.limits.cut_off.value,
        **{column: min(getattr(run.limits, name), _MAX_LIMIT) for column, name in LIMIT_COLUMNS.items()},
        **_server_limit_columns(run.limits.server_limit),
        **timestamp_columns("claimed", run.claimed),
        **{name: getattr(run, name) for name in PLAIN_COLUMNS},
    }


def _server_limit_columns(limit: ServerLimit | None) -> Columns:
    """Return both columns of the limit at the service. `belt_tokens` counts for limits in tokens only."""
    if isinstance(limit, TokenLimit):
        limit = TokenLimit(tokens=min(limit.tokens, _MAX_LIMIT))
    tokens = limit.tokens if isinstance(limit, TokenLimit) else 1
    return {"belt_tokens": tokens, "server_limit": limit_text(limit)}


def timestamp_columns(name: str, timestamp: Timestamp | None) -> Columns:
    """Return the three columns of the timestamp called `name`."""
    return {
        f"{name}_ms": timestamp.wall_ms if timestamp else None,
        f"{name}_boot_ms": timestamp.boot_ms if timestamp else None,
        f"{name}_boot_id": timestamp.boot_id if timestamp else None,
    }


def usage_columns(usage: Usage) -> Columns:
    """Return the columns of the usage, each within 0 to MAX_AMOUNT; money that was never told is None."""
    figures = {column: getattr(usage, name) for column, name in USAGE_COLUMNS.items()}
    return {column: None if figure is None else clamp_amount(figure) for column, figure in figures.items()}


def to_storable(value: Value) -> Value:
    """Return `value` with what a database cannot hold in a text replaced by U+FFFD: lone surrogates and U+0000."""
    # Nearly every text is printable, which is told at a fraction of the cost.
    if not isinstance(value, str) or value.isprintable():
        return value
    return _UNSTORABLE.sub("\ufffd", value)


def clamp_amount(amount: int) -> int:
    """Return `amount` within the range that is stored: 0 to MAX_AMOUNT."""
    return max(0, min(amount, MAX_AMOUNT))


async def fetch_all(tx: Transaction, sql: str, parameters: Columns) -> list[Row]:
    """Return all rows of a query, or those a write returns; a cursor that is not read to its end blocks commits."""
    try:
        return await tx.rows(sql, _storable(parameters))
    except (sqlite3.Error, UnicodeDecodeError) as error:
        _drop_cursor(error)
        raise


async def fetch_one(tx: Transaction, sql: str, parameters: Columns) -> Row | None:
    """Return the first row, or None."""
    rows = await fetch_all(tx, sql, parameters)
    return rows[0] if rows else None


async def fetch_batch(tx: Transaction, *statements: Statement) -> list[list[Row]]:
    """Return the rows of each of the statements; see `Transaction.batch`."""
    try:
        return await tx.batch(*[Statement(each.sql, _storable(each.named)) for each in statements])
    except (sqlite3.Error, UnicodeDecodeError) as error:
        _drop_cursor(error)
        raise


def _storable(parameters: Columns) -> Columns:
    return {name: to_storable(value) for name, value in parameters.items()}


def _drop_cursor(error: Exception) -> None:
    # The frames hold the cursor of the failed statement, and it keeps its lock on the database while it exists.
    traceback.clear_frames(error.__traceback__)


async def load_run(tx: Transaction, run_id: RunId) -> Run | None:
    """Return the run as the transaction sees it, or None."""
    row = await fetch_one(tx, SELECT_RUN, {"id": run_id})
    return run_of(row) if row else None


async def lock_run(tx: Transaction, run_id: RunId) -> Run | None:
    """`load_run`, and nobody else changes the run until the transaction has ended."""
    row = await fetch_one(tx, LOCK_RUN, {"id": run_id})
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
        rows = await _list_numbers(tx, sql, parameters)
    return await readable_runs(tx, rows, make)


async def _list_numbers(tx: Transaction, sql: str, parameters: Mapping[str, Value]) -> list[Row]:
    by_index, by_table = number_queries(sql)
    try:
        with translate_sqlite_errors():
            return await fetch_all(tx, by_index, parameters)
    except StoreDamaged:
        return await fetch_all(tx, by_table, parameters)


def number_queries(sql: str) -> tuple[str, str]:
    """Return the query for the `seq` alone of the runs that `sql` lists, and the same without the index it names.

    For a damaged store: the first needs no row of the table, the second no index.
    """
    by_index = sql.replace("runs.*", "runs.seq", 1)
    return by_index, by_index.replace("indexed by runs_open", "not indexed", 1)


async def readable_runs(tx: Transaction, rows: Sequence[Row], make: Callable[[Row], Run] = run_of) -> RunListing:
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


def insert_statement(columns: Columns) -> Statement:
    """Insert a run and return its row, which `index_statement` adds to the full-text index.

    The schema refuses a run whose key is taken; the caller of the unit gets that as KeyTaken.
    """
    names = ", ".join(columns)
    values = ", ".join(f":{name}" for name in columns)
    return Statement(f"insert into runs ({names}) values ({values}) returning *", columns)


def index_statement(row: Row) -> Statement:
    """Add a row of `runs` to the full-text index."""
    return Statement(INDEX_TEXT, _index_columns(row))


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
    believed = "id = :_id and state = :_state and owner is not distinct from :_owner and fence = :_fence"
    parameters = {**columns, "_id": run.id, "_state": run.state.value, "_owner": run.owner, "_fence": run.fence}
    changes_text = not CHANGING_TEXT.isdisjoint(columns)
    if changes_text:
        for before in await fetch_all(tx, SELECT_TEXT, {"id": run.id}):
            await fetch_all(tx, UNINDEX_TEXT, _index_columns(before))
    row = await fetch_one(tx, f"update runs set {assignments} where {believed} and {where} returning *", parameters)
    if row is None:
        raise stale_run(run)
    if changes_text:
        await fetch_batch(tx, index_statement(row))
    return run_of(row)


def _index_columns(row: Row) -> Columns:
    return {"seq": row["seq"], **{name: to_index_text(text_of(row, name)) for name in TEXT_COLUMNS}}


def update_many_statement(columns: Sequence[str]) -> str:
    """The statement that sets `columns` of many runs to the values in the JSON array `:updates`.

    Each entry names its run by `_id` and is written only where `_state`, `_owner` and `_fence` still hold.
    """
    return f"""
        update runs set {", ".join(f"{name} = {_value_in_json(name)}" for name in columns)}
        from json_each(cast(:updates as text)) as new
        where runs.id = new.value ->> '_id' and runs.state = new.value ->> '_state'
        and runs.owner is not distinct from new.value ->> '_owner'
        and runs.fence = cast(new.value ->> '_fence' as bigint)
        returning *
    """


def _value_in_json(name: str) -> str:
    kind = "bigint" if int in _COLUMN_TYPES[name] else "text"
    return f"cast(new.value ->> '{name}' as {kind})"


def as_believed(run: Run) -> Columns:
    """What an entry for `update_many_statement` says of the row that its writer believes to be there."""
    return {"_id": run.id, "_state": run.state.value, "_owner": run.owner, "_fence": run.fence}


def stale_run(run: Run) -> StaleRun:
    """Return the error for a write that found the row of `run` changed."""
    return StaleRun(f"run {run.id} is no longer {run.state} under {run.owner or 'nobody'} with fence {run.fence}")
