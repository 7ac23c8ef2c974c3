"""What the owner of the schema does, and nobody else: create the store, upgrade it, and say who may use it.

An engine may add and change rows where the program does, and delete only what is no record. A reader may read. Neither
can drop an index, disable a trigger, or delete a run.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

import psycopg
from psycopg import sql
from psycopg.conninfo import make_conninfo

from console.domain.timestamps import Timestamp
from console.store.errors import StoreMissing, StoreRefused
from console.store.fleet_settings import FleetSettings
from console.store.postgres.errors import translate_postgres_errors
from console.store.postgres.line import CONNECT_S
from console.store.postgres.schema import (
    init_script,
    latest_version,
    migrate,
    stored_version,
)

DELETABLE = frozenset({"controls", "owners", "leases", "meta", "day_sums"})
"""Tables whose rows are no record of a launch; an engine may delete them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SchemaChange:
    """What became of the schema."""

    before: int
    """Its version; 0 where there was none."""
    after: int


@contextmanager
def connected(settings: FleetSettings, role: str | None = None) -> Iterator[psycopg.Connection]:
    """Connect to the database, as `role` in place of the one of the config. Raises StoreError."""
    conninfo = settings.conninfo if role is None else make_conninfo(settings.conninfo, user=role)
    # Options of the environment do not apply.
    with (
        translate_postgres_errors(settings.place),
        psycopg.connect(conninfo, autocommit=True, connect_timeout=CONNECT_S, options="") as connection,
    ):
        yield connection


def create_store(settings: FleetSettings, now: Timestamp, role: str | None = None) -> SchemaChange:
    """Make a new store in the schema; one that is there is left as it is. Raises StoreError."""
    with connected(settings, role) as connection:
        before = stored_version(connection, settings.schema)
        if before == 0:
            migrate(connection, settings.schema, now)
        return SchemaChange(before=before, after=stored_version(connection, settings.schema))


def creation_script(settings: FleetSettings, now: Timestamp) -> str:
    """Return the statements that make the store, for a person who runs them."""
    return init_script(settings.schema, now)


def upgrade_store(settings: FleetSettings, now: Timestamp, role: str | None = None) -> SchemaChange:
    """Run the migrations that the schema lacks. Raises StoreError, also while a process of another version lives."""
    with connected(settings, role) as connection:
        before = stored_version(connection, settings.schema)
        if before == 0:
            raise StoreMissing(f"the schema {settings.schema} holds no store; `nightdesk store init` makes one")
        if before < latest_version():
            _refuse_while_used(connection, settings.schema)
        migrate(connection, settings.schema, now)
        return SchemaChange(before=before, after=stored_version(connection, settings.schema))


def _refuse_while_used(connection: psycopg.Connection, schema: str) -> None:
    query = sql.SQL("select distinct host from {schema}.owners where until_ms > {schema}.now_ms() order by host")
    alive = connection.execute(query.format(schema=sql.Identifier(schema))).fetchall()
    if alive:
        hosts = ", ".join(str(host) for (host,) in alive)
        raise StoreRefused(f"processes of the version before are alive on {hosts}; end them, and upgrade then")


def grant(settings: FleetSettings, engine: str, reader: str | None, role: str | None = None) -> None:
    """Give `engine` and `reader` what they need and nothing else. Raises StoreError."""
    schema = sql.Identifier(settings.schema)
    with connected(settings, role) as connection, connection.transaction():
        if stored_version(connection, settings.schema) == 0:
            raise StoreMissing(f"the schema {settings.schema} holds no store; `nightdesk store init` makes one")
        if not _owns(connection, settings, connection.info.user):
            message = (
                f"{connection.info.user} does not own the schema {settings.schema}; --role names the one that does"
            )
            raise StoreRefused(message)
        for name in filter(None, (engine, reader)):
            _check_role(connection, settings, name)
        _give(connection, schema, sql.Identifier(engine), sql.SQL("select, insert, update"))
        tables = connection.execute("select tablename from pg_tables where schemaname = %s", (settings.schema,))
        for table in sorted({str(name) for (name,) in tables} & DELETABLE):
            statement = sql.SQL("grant delete on {}.{} to {}")
            connection.execute(statement.format(schema, sql.Identifier(table), sql.Identifier(engine)))
        if reader is not None:
            _give(connection, schema, sql.Identifier(reader), sql.SQL("select"))
            # Only some owners may change another role; its rights keep a reader from writing as well.
            with suppress(psycopg.errors.InsufficientPrivilege), connection.transaction():
                statement = sql.SQL("alter role {} set default_transaction_read_only = on")
                connection.execute(statement.format(sql.Identifier(reader)))


def _give(connection: psycopg.Connection, schema: sql.Identifier, role: sql.Identifier, rights: sql.SQL) -> None:
    for statement in (
        sql.SQL("revoke all on all tables in schema {schema} from {role}"),
        sql.SQL("revoke all on schema {schema} from {role}"),
        sql.SQL("grant usage on schema {schema} to {role}"),
        sql.SQL("grant {rights} on all tables in schema {schema} to {role}"),
        # For the tables of later versions.
        sql.SQL("alter default privileges in schema {schema} grant {rights} on tables to {role}"),
    ):
        connection.execute(statement.format(schema=schema, role=role, rights=rights))


def _check_role(connection: psycopg.Connection, settings: FleetSettings, name: str) -> None:
    """Raise StoreError for a role that is not there, or from which nothing can be withheld."""
    found = connection.execute("select rolsuper from pg_roles where rolname = %s", (name,)).fetchone()
    if found is None:
        raise StoreRefused(f"no role is named {name} at {settings.place}; create role {name} login makes it")
    if found[0] or _owns(connection, settings, name):
        message = f"{name} owns the schema or everything, so that nothing is withheld from it; name another role"
        raise StoreRefused(message)


def _owns(connection: psycopg.Connection, settings: FleetSettings, role: str) -> bool:
    """True if the role owns the schema, or is a member of the one that does, as a superuser is of every role."""
    query = "select pg_has_role(%s, nspowner, 'member') from pg_namespace where nspname = %s"
    row = connection.execute(query, (role, settings.schema)).fetchone()
    return row is not None and bool(row[0])
