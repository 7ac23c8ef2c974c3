"""A PostgreSQL server of its own for tests, started from the package of the distribution in a temporary folder.

Where the package is missing, the tests that need it fail.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest

from console.demo.postgres_server import INITDB, server_folder, server_programs
from console.store.fleet_settings import FleetSettings
from console.store.postgres.schema import migrate
from tests.clock import ManualClock
from tests.waiting import until_sync

MEMORY = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
"""Where the files of a server cost no disk; None for the folder of temporary files."""
QUIET: dict[str, Any] = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.DEVNULL)
EMPTY = """
    set session_replication_role = replica;
    do $$
    declare name text;
    begin
        for name in select tablename from pg_tables where schemaname = current_schema and tablename <> 'meta' loop
            execute format('delete from %I', name);
        end loop;
        for name in select sequencename from pg_sequences where schemaname = current_schema loop
            execute format('alter sequence %I restart', name);
        end loop;
    end
    $$;
    delete from meta where name not in ('schema_version', 'state_id', 'made_ms')
"""
"""Deletes every row past the triggers that keep them, which a role without rights over the server cannot do."""


@contextmanager
def postgres_server(certificate: tuple[Path, Path] | None = None) -> Iterator[str]:
    """Starts a server on a Unix socket and yields the URL of its database; it is stopped and removed afterwards.

    With a certificate and its key it listens on a port of 127.0.0.1 as well, with TLS.
    """
    with server_folder(MEMORY) as (folder, user):
        data = folder / "data"
        run_program(*INITDB, "-D", data, folder=folder, user=user)
        port = 5432 if certificate is None else _free_port()
        options = [
            f"unix_socket_directories={folder}",
            "listen_addresses=",
            "shared_buffers=32MB",
            "max_connections=80",
        ]
        if certificate is not None:
            options[1:2] = ["listen_addresses=127.0.0.1", *_encrypting(folder, user, *certificate)]
            options.append(f"port={port}")
        server = start_server(data, options, folder=folder, user=user)
        try:
            url = f"postgresql://nightdesk@/postgres?host={folder}&port={port}"
            until_sync(lambda: _answers(url), what="the database server")
            yield url
        finally:
            # At once: at a friendlier signal it waits for sessions to end by themselves.
            server.send_signal(signal.SIGINT)
            try:
                server.wait(30)
            except subprocess.TimeoutExpired:
                server.send_signal(signal.SIGQUIT)
                server.wait(30)


def run_program(program: str, *arguments: str | Path, folder: Path, user: str | None) -> None:
    """Runs a program of the server to its end. Raises CalledProcessError."""
    subprocess.run([server_programs() / program, *arguments], check=True, user=user, cwd=folder, **QUIET)


def start_server(data: Path, options: Iterable[str], *, folder: Path, user: str | None) -> subprocess.Popen[Any]:
    """Starts a server on the files in `data`; it may not answer yet."""
    words = [word for option in options for word in ("-c", option)]
    return subprocess.Popen([server_programs() / "postgres", "-D", data, *words], user=user, cwd=folder, **QUIET)


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def _encrypting(folder: Path, user: str | None, certificate: Path, key: Path) -> list[str]:
    options = ["ssl=on"]
    for setting, path in (("ssl_cert_file", certificate), ("ssl_key_file", key)):
        copy = Path(shutil.copy(path, folder))
        copy.chmod(0o600)
        if user is not None:
            shutil.chown(copy, user)
        options.append(f"{setting}={copy}")
    return options


def _answers(url: str) -> bool:
    try:
        psycopg.connect(url).close()
    except psycopg.OperationalError:
        return False
    return True


@contextmanager
def new_store(url: str, **changes: Any) -> Iterator[FleetSettings]:
    """Makes a store in a schema of its own, which is dropped afterwards. `changes` are of the settings."""
    settings = FleetSettings(**{"url": url, "schema": f"store_{os.urandom(6).hex()}", "host": "here", **changes})
    with psycopg.connect(url, autocommit=True) as connection:
        migrate(connection, settings.schema, ManualClock().now())
    yield settings
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(f"drop schema {settings.schema} cascade".encode())


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """The URL of a database server that runs as long as the tests."""
    with postgres_server() as url:
        yield url


@pytest.fixture(scope="session")
def _emptied_again_and_again(postgres: str) -> Iterator[FleetSettings]:
    with new_store(postgres) as settings:
        yield settings


@pytest.fixture
def fleet(_emptied_again_and_again: FleetSettings) -> FleetSettings:
    """An empty store of several machines. Its tables are those of the test before: making them takes longer."""
    settings = _emptied_again_and_again
    with psycopg.connect(settings.conninfo, autocommit=True) as connection:
        connection.execute(f"set search_path = {settings.schema}".encode())
        connection.execute(EMPTY.encode())
    return settings
