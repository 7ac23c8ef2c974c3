"""What a person asks about the database of several hosts: where it is, how far away, of which version, who uses it."""

from __future__ import annotations

import time
from dataclasses import dataclass

import psycopg
from psycopg import sql
from psycopg.rows import dict_row

from console.store.bootstrap import ID
from console.store.errors import StoreMissing
from console.store.fleet_settings import FleetSettings
from console.store.postgres.administration import connected
from console.store.postgres.leases import SCHEDULER, SELECT_HOLDERS
from console.store.postgres.schema import DURABLE, SELECT_SETTINGS, latest_version, stored_version

SAMPLES = 5
CLOCK = "select extract(epoch from clock_timestamp()) * 1000"


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetProcess:
    """A process that registered itself in the database."""

    owner: str
    host: str
    kind: str
    pid: int
    version: str
    """Of the program."""
    left_ms: int
    """Until its lease ends, by the clock of the database; 0 or less where it has ended."""

    @property
    def is_alive(self) -> bool:
        """True while its lease is not over."""
        return self.left_ms > 0


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetStatus:
    """The database as one look at it shows it."""

    place: str
    schema: str
    role: str
    owns_schema: bool
    """True where nothing is withheld from the role: it owns the schema, or everything."""
    may_write: bool
    store_id: str
    version: int
    latest: int
    """The version that this program would make."""
    server: str
    """The version of the server: `15.4`."""
    tls: str | None
    """The protocol that encrypts the connection; None for none."""
    unsafe: tuple[str, ...]
    """Settings of the server with which an acknowledged commit can be lost."""
    round_trip_ms: float
    offset_ms: int
    """What the clock of the database is ahead of that of this host."""
    processes: tuple[FleetProcess, ...]
    scheduler: str | None
    """The host that schedules; None for none."""


def read_status(settings: FleetSettings) -> FleetStatus:
    """Look at the database. Raises StoreError."""
    with connected(settings) as connection:
        round_trip_ms, offset_ms = _clock(connection)
        version = stored_version(connection, settings.schema)
        if version == 0:
            raise StoreMissing(
                f"the schema {settings.schema} at {settings.place} holds no store that this role can read; "
                "`nightdesk store init` makes one, `nightdesk store grant` lets a role read it"
            )
        connection.execute(sql.SQL("set search_path = {}").format(sql.Identifier(settings.schema)))
        with connection.cursor(row_factory=dict_row) as cursor:
            role = cursor.execute(
                "select current_user as name, rolsuper, has_table_privilege('runs', 'insert') as writes,"
                " pg_has_role(current_user, nspowner, 'member') as owns"
                " from pg_roles, pg_namespace where rolname = current_user and nspname = %s",
                (settings.schema,),
            ).fetchone()
            assert role is not None, "a connection has a role, and the schema was found"
            meta = {row["name"]: row["value"] for row in cursor.execute("select name, value from meta")}
            processes = _processes(cursor)
            holders = {row["name"]: row["owner"] for row in cursor.execute(SELECT_HOLDERS.encode())}
            kept = cursor.execute(SELECT_SETTINGS.encode()).fetchone() or {}
        holder = holders.get(SCHEDULER)
        return FleetStatus(
            place=settings.place,
            schema=settings.schema,
            role=str(role["name"]),
            owns_schema=bool(role["rolsuper"] or role["owns"]),
            may_write=bool(role["writes"]),
            store_id=str(meta.get(ID)),
            version=version,
            latest=latest_version(),
            server=connection.info.parameter_status("server_version") or "unknown",
            tls=_tls(connection),
            unsafe=tuple(name for name in DURABLE if kept[name] == "off"),
            round_trip_ms=round_trip_ms,
            offset_ms=offset_ms,
            processes=processes,
            scheduler=next((each.host for each in processes if each.owner == holder), holder),
        )


def _processes(cursor: psycopg.Cursor[dict[str, object]]) -> tuple[FleetProcess, ...]:
    rows = cursor.execute(
        "select id, host, kind, pid, version, until_ms - now_ms() as left_ms from owners order by host, started_ms, id"
    ).fetchall()
    return tuple(
        FleetProcess(
            owner=str(row["id"]),
            host=str(row["host"]),
            kind=str(row["kind"]),
            pid=int(str(row["pid"])),
            version=str(row["version"]),
            left_ms=int(str(row["left_ms"])),
        )
        for row in rows
    )


def _clock(connection: psycopg.Connection) -> tuple[float, int]:
    """Return the shortest round trip in ms, and what the database's clock is ahead, which it knows to half of that."""
    samples = []
    for _ in range(SAMPLES):
        begun, wall = time.perf_counter(), time.time()
        (theirs,) = connection.execute(CLOCK).fetchone() or (0,)
        took = time.perf_counter() - begun
        samples.append((took * 1000, round(float(theirs) - (wall + took / 2) * 1000)))
    return min(samples)


def _tls(connection: psycopg.Connection) -> str | None:
    # A reader may see the row of its own session.
    row = connection.execute("select version from pg_stat_ssl where pid = pg_backend_pid()").fetchone()
    return str(row[0]) if row is not None and row[0] else None
