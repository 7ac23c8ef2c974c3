"""The schema of the store on PostgreSQL: created and upgraded by numbered migrations, by `nightdesk store` alone.

The version is a row of `meta`, so that any role that reads the store knows it.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import psycopg
from psycopg import sql

from console.domain.timestamps import Timestamp
from console.store.bootstrap import ID, MADE
from console.store.errors import StoreError, StoreMissing, StoreNewer
from console.store.fleet_settings import SCHEMA_NAME

VERSION = "schema_version"
MIGRATIONS = Path(__file__).with_name("migrations")
LOCK_CLASS = 0x6E696768
"""The advisory lock of a schema is this number and the hash of the schema's name."""
DURABLE = ("fsync", "full_page_writes", "synchronous_commit")
"""Settings without which an acknowledged commit can be lost."""
SELECT_SETTINGS = "select " + ", ".join(f"current_setting('{name}') as {name}" for name in DURABLE)

_MIGRATION_NAME = re.compile(r"(\d{3})_[a-z0-9_]+\.sql\Z", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class Migration:
    """The script that turns schema version `number` - 1 into version `number`."""

    number: int
    script: str


def packaged_migrations() -> tuple[Migration, ...]:
    """Return the migrations of this program in order. Raises ValueError if a number is missing or used twice."""
    found = []
    for entry in MIGRATIONS.iterdir():
        if match := _MIGRATION_NAME.match(entry.name):
            found.append(Migration(number=int(match[1]), script=entry.read_text(encoding="utf-8")))
    found.sort(key=lambda migration: migration.number)
    if [migration.number for migration in found] != list(range(1, len(found) + 1)):
        raise ValueError(f"migrations are not numbered 1 to {len(found)}")
    return tuple(found)


def migrate(connection: psycopg.Connection, schema: str, now: Timestamp) -> int:
    """Create the schema, run the migrations that are missing in one transaction and return how many were run.

    Raises StoreNewer for a schema of a newer program, ValueError for a name that is none, psycopg.Error.
    """
    if not SCHEMA_NAME.match(schema):
        raise ValueError(f"not the name of a schema: {schema!r}")
    migrations = packaged_migrations()
    name = sql.Identifier(schema)
    with connection.transaction():
        connection.execute("select pg_advisory_xact_lock(%s, hashtext(%s))", (LOCK_CLASS, schema))
        connection.execute(sql.SQL("create schema if not exists {}").format(name))
        connection.execute(sql.SQL("set local search_path = {}").format(name))
        done = stored_version(connection, schema)
        check_version(done, len(migrations))
        for migration in migrations[done:]:
            # Without parameters a script of many statements is sent as it is.
            connection.execute(migration.script.encode())
        for statement in _facts(len(migrations), now):
            connection.execute(statement.encode())
    return len(migrations) - done


def init_script(schema: str, now: Timestamp) -> str:
    """Return the statements that make a new store in the schema, for a person who runs them.

    Raises ValueError for a name that is none.
    """
    if not SCHEMA_NAME.match(schema):
        raise ValueError(f"not the name of a schema: {schema!r}")
    migrations = packaged_migrations()
    parts = (
        f"begin;\ncreate schema {schema};\nset local search_path = {schema};\n",
        *(migration.script for migration in migrations),
        "".join(f"{statement};\n" for statement in _facts(len(migrations), now)),
        "commit;\n",
    )
    return "\n".join(parts)


def _facts(version: int, now: Timestamp) -> tuple[str, ...]:
    """Statements that store what every process reads first. Their values are digits and letters."""
    insert = "insert into meta (name, value) values ('{}', '{}') on conflict"
    return (
        f"{insert.format(VERSION, version)} (name) do update set value = excluded.value",
        f"{insert.format(ID, os.urandom(16).hex())} do nothing",
        f"{insert.format(MADE, now.wall_ms)} do nothing",
    )


def latest_version() -> int:
    """Return the newest version of the schema that this program knows."""
    return len(packaged_migrations())


def stored_version(connection: psycopg.Connection, schema: str) -> int:
    """Return the version of the schema; 0 if there is no store in it."""
    row = connection.execute("select to_regclass(%s)", (f"{schema}.meta",)).fetchone()
    if row is None or row[0] is None:
        return 0
    query = sql.SQL("select value from {}.meta where name = %s").format(sql.Identifier(schema))
    found = connection.execute(query, (VERSION,)).fetchone()
    return int(found[0]) if found else 0


def check_version(version: int, latest: int) -> None:
    """Raise StoreNewer if a newer version of this program made the schema."""
    if version > latest:
        raise StoreNewer(
            f"the state store is of version {version}, this program knows versions up to {latest}; use the newer one"
        )


def check_usable(connection: psycopg.Connection, schema: str) -> None:
    """Raise StoreError unless the schema is of this program's version and the server keeps what it acknowledges."""
    row = connection.execute(SELECT_SETTINGS.encode()).fetchone() or ()
    refuse_unusable(schema, stored_version(connection, schema), dict(zip(DURABLE, row, strict=True)))


def refuse_unusable(schema: str, version: int, settings: Mapping[str, str]) -> None:
    """Raise StoreError for a schema of another `version` than this program's, 0 being none, or for unsafe `settings`.

    `settings` are those of DURABLE.
    """
    latest = len(packaged_migrations())
    check_version(version, latest)
    if version == 0:
        raise StoreMissing(f"the schema {schema} holds no store; `nightdesk store init` makes one")
    if version < latest:
        raise StoreMissing(
            f"the store in schema {schema} is of version {version}; `nightdesk store migrate` upgrades it"
        )
    for setting in DURABLE:
        if settings[setting] == "off":
            raise StoreError(f"the database server has {setting} off: it can lose launches that it has acknowledged")
