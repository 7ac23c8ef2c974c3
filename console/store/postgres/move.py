"""Moves the store of a state folder into an empty schema, row for row with the numbers of runs and log lines.

The store in the folder is held meanwhile, and is marked as moved once the rows are in the database: no program opens it
again. A move that is interrupted between the two is completed by the next one, which finds the rows in place.
"""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Iterable, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, LiteralString

import psycopg
from psycopg import sql
from psycopg.rows import tuple_row

from console.domain.timestamps import Timestamp
from console.store.bootstrap import ID, JOURNAL, MADE, MOVED, prepare_store
from console.store.errors import StoreDamaged, StoreMissing, StoreRefused, translate_sqlite_errors
from console.store.files import folder_lock
from console.store.fleet_settings import FleetSettings
from console.store.identity import PLACE
from console.store.postgres.administration import connected
from console.store.postgres.opening import MOVED_TO
from console.store.postgres.schema import LOCK_CLASS, VERSION, check_usable
from console.store.postgres.statements import translated
from console.store.pragmas import BUSY_MS, database_uri
from console.store.rows import TEXT_COLUMNS, index_statement, to_storable

TABLES: Mapping[str, LiteralString] = {
    "runs": "seq",
    "sends": "run_id, n",
    "steps": "run_id, n",
    "holds": "run_id",
    "day_sums": "day, task",
    "raises": "id",
    "events": "id",
    "stage_changes": "id",
    "controls": "name",
}
"""The tables whose rows are moved, each with the columns that order them."""
NUMBERED = {"runs": "seq", "raises": "id", "events": "id", "stage_changes": "id"}
"""Tables that number their rows themselves."""
OF_THE_STORE = frozenset({ID, JOURNAL, MADE, PLACE, VERSION})
"""Values of `meta` that are not those of its runs."""
FROM = "moved_from"
"""Name in `meta` under which stands the id of the store whose rows were moved here."""
CHUNK = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class MovedStore:
    """What a move brought over."""

    runs: int
    lines: int
    """Of the log."""
    store_id: str
    """Of the store in the database."""


def move_store(folder: Path, settings: FleetSettings, now: Timestamp, role: str | None = None) -> MovedStore:
    """Move the store of `folder`; no process may use it. `role` owns the schema.

    Raises StoreRefused while a run is open or for a schema that holds runs, StoreError.
    """
    prepare_store(folder, now=now, read_only=False, create=False, busy_ms=BUSY_MS)
    opened = sqlite3.connect(database_uri(folder), uri=True, isolation_level=None, timeout=BUSY_MS / 1000)
    with folder_lock(folder), translate_sqlite_errors(), closing(opened) as source:
        source.execute("begin immediate")
        _refuse_open_runs(source)
        (store_id,) = source.execute("select value from meta where name = ?", (ID,)).fetchone()
        with connected(settings, role) as target:
            check_usable(target, settings.schema)
            with target.transaction():
                target.execute(sql.SQL("set local search_path = {}").format(sql.Identifier(settings.schema)))
                target.execute("select pg_advisory_xact_lock(%s, hashtext(%s))", (LOCK_CLASS, settings.schema))
                if not _is_here_already(target, store_id):
                    _copy_all(source, target, store_id)
                moved = _facts(target)
        # From here on the rows are in the database; until the mark is stored another move ends here.
        source.execute(
            "insert into meta (name, value) values (?, ?) on conflict (name) do update set value = excluded.value",
            (MOVED_TO, f"{moved.store_id} at {settings.place}"),
        )
        source.execute(f"pragma user_version = {MOVED:d}")
        source.execute("commit")
        return moved


def _refuse_open_runs(source: sqlite3.Connection) -> None:
    rows = source.execute("select id, task from runs where state <> 'ended' order by seq").fetchall()
    if rows:
        named = ", ".join(f"{run_id[:12]} ({task})" for run_id, task in rows[:3])
        more = f" and {len(rows) - 3} more" if len(rows) > 3 else ""
        raise StoreRefused(f"runs are open: {named}{more}; nothing was moved: wait for them, cancel or settle them")


def _is_here_already(target: psycopg.Connection, store_id: str) -> bool:
    """True if the rows of this store were moved here before. Raises StoreRefused for a schema with other runs."""
    (row,) = target.execute("select (select count(*) from runs) + (select count(*) from events)").fetchall()
    if not row[0]:
        return False
    before = target.execute("select value from meta where name = %s", (FROM,)).fetchone()
    if before is None or before[0] != store_id:
        raise StoreRefused("the schema holds runs of another store; move into an empty one: two are never merged")
    return True


def _copy_all(source: sqlite3.Connection, target: psycopg.Connection, store_id: str) -> None:
    for table in TABLES:
        # The rows were checked when they were written, and some triggers would write what is copied as well.
        target.execute(sql.SQL("alter table {} disable trigger user").format(sql.Identifier(table)))
    for table, order in TABLES.items():
        columns = sql.SQL(", ").join(map(sql.Identifier, _columns(source, target, table)))
        parts = {"columns": columns, "table": sql.Identifier(table), "order": sql.SQL(order)}
        # Both databases take this one.
        statement = sql.SQL("select {columns} from {table} order by {order}").format(**parts).as_string(target)
        copy = sql.SQL("copy {table} ({columns}) from stdin").format(**parts)
        with target.cursor() as cursor, cursor.copy(copy) as writing:
            for row in source.execute(statement):
                writing.write_row(tuple(map(to_storable, row)))
        _compare(source, target, table, statement)
    # The runs that rows refer to are checked now: no table is changed while a check is owed.
    target.execute("set constraints all immediate")
    for table, column in NUMBERED.items():
        named = {"column": sql.Identifier(column), "table": sql.Identifier(table)}
        row = target.execute(sql.SQL("select coalesce(max({column}), 0) + 1 from {table}").format(**named)).fetchone()
        restart = sql.SQL("alter table {table} alter column {column} restart with {next}")
        target.execute(restart.format(**named, next=sql.Literal(row[0] if row else 1)))
    for table in TABLES:
        target.execute(sql.SQL("alter table {} enable trigger user").format(sql.Identifier(table)))
    _index_words(target)
    for name, value in source.execute("select name, value from meta order by name").fetchall():
        if name not in OF_THE_STORE:
            _store_fact(target, name, value)
    _store_fact(target, FROM, store_id)


def _store_fact(target: psycopg.Connection, name: str, value: str) -> None:
    target.execute("insert into meta (name, value) values (%s, %s) on conflict (name) do nothing", (name, value))


def _columns(source: sqlite3.Connection, target: psycopg.Connection, table: str) -> tuple[str, ...]:
    """Return the columns of a table in a state folder. Raises StoreDamaged if the database lacks some of them.

    What only a database of several hosts has gets its default.
    """
    held = {row[1] for row in source.execute(f"pragma table_info({table})")}
    found = target.execute(
        "select attname from pg_attribute where attrelid = %s::regclass and attnum > 0 and not attisdropped"
        " order by attnum",
        (table,),
    ).fetchall()
    names = tuple(str(name) for (name,) in found)
    if lacking := ", ".join(sorted(held - set(names))):
        raise StoreDamaged(f"the table {table} of the database lacks {lacking}")
    return tuple(name for name in names if name in held)


def _compare(source: sqlite3.Connection, target: psycopg.Connection, table: str, statement: str) -> None:
    """Raise StoreDamaged unless both databases hold the same rows in the same order."""
    wanted = _digest(tuple(map(to_storable, row)) for row in source.execute(statement))
    with target.cursor(name="compare", row_factory=tuple_row) as cursor:
        cursor.itersize = CHUNK
        cursor.execute(statement.encode())
        found = _digest(cursor)
    if wanted != found:
        raise StoreDamaged(f"the rows of {table} did not arrive as they were sent; nothing was moved")


def _digest(rows: Iterable[tuple[Any, ...]]) -> str:
    digest = hashlib.sha256()
    for row in rows:
        digest.update(repr(row).encode("utf-8", "surrogatepass"))
    return digest.hexdigest()


def _index_words(target: psycopg.Connection) -> None:
    names = ("seq", *TEXT_COLUMNS)
    query = sql.SQL("select {} from runs order by seq").format(sql.SQL(", ").join(map(sql.Identifier, names)))
    rows = target.execute(query).fetchall()
    indexed = [index_statement(dict(zip(names, row, strict=True))) for row in rows]
    statements = [translated(each.sql, each.named) for each in indexed]
    with target.cursor() as cursor:
        for first in range(0, len(statements), CHUNK):
            part = statements[first : first + CHUNK]
            cursor.executemany(part[0][0].encode(), [named or {} for _, named in part])


def _facts(target: psycopg.Connection) -> MovedStore:
    row = target.execute(
        "select (select count(*) from runs), (select coalesce(max(ev), 0) from events),"
        " (select value from meta where name = %s)",
        (ID,),
    ).fetchone()
    if row is None or row[2] is None:
        raise StoreMissing("the schema lost its id while rows were moved")
    return MovedStore(runs=int(row[0]), lines=int(row[1]), store_id=str(row[2]))
