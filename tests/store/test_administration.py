"""Who may do what with a database of several hosts, and that nothing in the environment weakens the line to it."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import make_conninfo

from console.store.errors import StoreError, StoreMissing, StoreRefused
from console.store.fleet_settings import FleetSettings
from console.store.postgres.administration import create_store, creation_script, grant, upgrade_store
from console.store.postgres.schema import MIGRATIONS, check_usable, packaged_migrations
from console.store.postgres.status import read_status
from tests.clock import ManualClock
from tests.postgres_server import postgres_server

OWNER, ENGINE, READER = "nd_owner", "nd_engine", "nd_reader"

FORBIDDEN = (
    "delete from runs",
    "truncate runs cascade",
    "alter table runs disable trigger all",
    "drop trigger runs_never_deleted on runs",
    "drop index runs_key_taken",
    "drop table runs cascade",
    "alter table runs add column more text",
    "update raises set amount = amount + 1",
    "delete from raises",
    "delete from events",
    "delete from sends",
    "create table more (x bigint)",
    "set session_replication_role = replica",
    "create or replace function refuse() returns trigger language plpgsql as $$ begin return new; end $$",
)
"""What the role of an engine is refused."""


@pytest.fixture(scope="module")
def shared(postgres: str) -> FleetSettings:
    """A store of its own, made by its owner and shared with an engine and a reader."""
    schema = f"admin_{os.urandom(6).hex()}"
    with psycopg.connect(postgres, autocommit=True) as connection:
        for role in (OWNER, ENGINE, READER):
            connection.execute(sql.SQL("create role {} login").format(sql.Identifier(role)))
        connection.execute(sql.SQL("grant create on database postgres to {}").format(sql.Identifier(OWNER)))
    settings = FleetSettings(url=postgres, schema=schema, host="here")
    create_store(settings, ManualClock().now(), OWNER)
    grant(settings, ENGINE, READER, OWNER)
    with _as(settings, ENGINE) as connection:
        connection.execute("insert into raises values (1, 'daily_runs', null, 1, 'me', 'why', 1, '2026-11-28')")
    return settings


def _as(settings: FleetSettings, role: str) -> psycopg.Connection:
    return psycopg.connect(
        make_conninfo(settings.conninfo, user=role), autocommit=True, options=f"-c search_path={settings.schema}"
    )


@pytest.mark.parametrize("statement", FORBIDDEN)
def test_an_engine_cannot(shared: FleetSettings, statement: str) -> None:
    with _as(shared, ENGINE) as connection, pytest.raises(psycopg.Error) as refused:
        connection.execute(statement.encode())
    assert isinstance(refused.value, psycopg.errors.InsufficientPrivilege | psycopg.IntegrityError)


def test_an_engine_can_do_what_the_program_does(shared: FleetSettings) -> None:
    with _as(shared, ENGINE) as connection:
        connection.execute("insert into controls values ('paused', 'me', 1)")
        connection.execute("delete from controls")
        connection.execute("insert into meta values ('instant:x', '1')")
        connection.execute("delete from meta where name = 'instant:x'")
        connection.execute("insert into owners (id, kind, pid, started_ms, beat_ms) values ('o', 'run', 1, 1, 1)")
        connection.execute("delete from owners")
        connection.execute("delete from leases")
        connection.execute("insert into events (at_ms, kind) values (1, 'note')")


def test_a_reader_only_reads(shared: FleetSettings) -> None:
    with _as(shared, READER) as connection:
        check_usable(connection, shared.schema)
        assert connection.execute("select count(*) from runs").fetchone() == (0,)
        for statement in ("insert into meta values ('x', '1')", "delete from meta", "update runs set note = ''"):
            with pytest.raises((psycopg.errors.InsufficientPrivilege, psycopg.errors.ReadOnlySqlTransaction)):
                connection.execute(statement)
    status = read_status(replace(shared, url=f"{shared.url}&user={READER}"))
    assert (status.role, status.may_write, status.owns_schema) == (READER, False, False)


def test_a_role_from_which_nothing_can_be_withheld_is_refused(shared: FleetSettings) -> None:
    with pytest.raises(StoreRefused, match=f"{OWNER} owns the schema"):
        grant(shared, OWNER, None, OWNER)
    with pytest.raises(StoreRefused, match="no role is named nobody_here"):
        grant(shared, "nobody_here", None, OWNER)
    with pytest.raises(StoreError, match=f"{READER} does not own the schema"):
        grant(shared, ENGINE, None, READER)


def test_a_store_is_made_once_and_looked_at(shared: FleetSettings) -> None:
    latest = len(packaged_migrations())
    before = read_status(shared)
    change = create_store(shared, ManualClock().now(), OWNER)
    assert (change.before, change.after) == (latest, latest)
    after = read_status(shared)
    assert (after.store_id, after.version, after.latest) == (before.store_id, latest, latest)
    assert len(after.store_id) == 32
    assert after.unsafe == ()
    assert after.owns_schema, "the server of the tests belongs to the role of the URL"
    assert 0 < after.round_trip_ms < 5_000
    assert abs(after.offset_ms) < 5_000, "the server runs on this machine"
    with pytest.raises(StoreMissing, match="store init"):
        read_status(replace(shared, schema="nothing_here"))


def test_printed_statements_make_a_store(shared: FleetSettings) -> None:
    printed = replace(shared, schema=f"printed_{os.urandom(6).hex()}")
    with psycopg.connect(shared.conninfo, autocommit=True) as connection:
        connection.execute(creation_script(printed, ManualClock().now()).encode())
    assert read_status(printed).version == len(packaged_migrations())


def test_an_upgrade_waits_for_processes_of_the_version_before(
    shared: FleetSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    older = replace(shared, schema=f"older_{os.urandom(6).hex()}")
    with pytest.raises(StoreMissing, match="store init"):
        upgrade_store(older, ManualClock().now())
    create_store(older, ManualClock().now())
    latest = len(packaged_migrations())
    assert upgrade_store(older, ManualClock().now()).before == latest
    newer = Path(shutil.copytree(MIGRATIONS, tmp_path / "migrations"))
    (newer / f"{latest + 1:03d}_more.sql").write_text("create table more (x bigint);\n")
    monkeypatch.setattr("console.store.postgres.schema.MIGRATIONS", newer)
    with psycopg.connect(shared.conninfo, autocommit=True, options=f"-c search_path={older.schema}") as connection:
        connection.execute(
            "insert into owners (id, kind, pid, started_ms, beat_ms, host, until_ms)"
            " values ('o', 'serve', 7, 1, 1, 'web2', 9000000000000)"
        )
        with pytest.raises(StoreRefused, match="alive on web2; end them"):
            upgrade_store(older, ManualClock().now())
        connection.execute("update owners set until_ms = 1")
        change = upgrade_store(older, ManualClock().now())
        assert (change.before, change.after) == (latest, latest + 1)
        assert connection.execute("select count(*) from more").fetchone() == (0,)


def _certificate(folder: Path, name: str, *more: str) -> tuple[Path, Path]:
    """Makes a certificate that is its own authority, and its key."""
    made, key = folder / f"{name}.crt", folder / f"{name}.key"
    words = f"openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN={name} -keyout {key} -out {made}"
    subprocess.run([*words.split(), *more], check=True, capture_output=True)
    return made, key


@pytest.fixture(scope="module")
def certified(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[int, Path]]:
    """A server on a TCP port with a certificate for 127.0.0.1, and the file of the authority that made it."""
    folder = tmp_path_factory.mktemp("tls")
    certificate, key = _certificate(folder, "server", "-addext", "subjectAltName=IP:127.0.0.1")
    with postgres_server(certificate=(certificate, key)) as url:
        with psycopg.connect(url) as connection:
            row = connection.execute("show port").fetchone()
        assert row is not None
        yield int(row[0]), certificate


@pytest.mark.parametrize("weaker", ["disable", "allow", "prefer", "require"])
def test_the_environment_cannot_weaken_the_line(
    certified: tuple[int, Path], weaker: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    port, root = certified
    monkeypatch.setenv("PGSSLMODE", weaker)
    # A name is verified, whatever address it leads to; this certificate is for the address.
    by_name = FleetSettings(url=f"postgresql://nightdesk@localhost:{port}/postgres", host="here", tls_root=str(root))
    with pytest.raises(StoreError, match="does not match host name"):
        create_store(by_name, ManualClock().now())
    by_address = replace(by_name, url=f"postgresql://nightdesk@127.0.0.1:{port}/postgres")
    create_store(by_address, ManualClock().now())
    tls = read_status(by_address).tls
    assert tls is not None
    assert tls.startswith("TLSv1")


def test_an_unknown_authority_is_refused(certified: tuple[int, Path], tmp_path: Path) -> None:
    port, _ = certified
    other, _ = _certificate(tmp_path, "other")
    for name in ("localhost", "127.0.0.1"):
        url = f"postgresql://nightdesk@{name}:{port}/postgres"
        with pytest.raises(StoreError, match="certificate verify failed"):
            create_store(FleetSettings(url=url, host="here", tls_root=str(other)), ManualClock().now())


def test_a_server_elsewhere_without_tls_is_refused(
    certified: tuple[int, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What `localhost` leads to, a name server says."""
    port, _ = certified
    monkeypatch.setenv("PGSSLMODE", "disable")
    with pytest.raises(StoreError, match=r"root certificate file|certificate verify failed"):
        read_status(FleetSettings(url=f"postgresql://nightdesk@localhost:{port}/postgres", host="here"))
