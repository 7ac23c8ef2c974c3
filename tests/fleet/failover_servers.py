"""A database server and a copy of it that is promoted, on Unix sockets of a temporary folder."""

from __future__ import annotations

import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg

from console.demo.postgres_server import INITDB, server_folder
from tests.postgres_server import MEMORY, run_program, start_server
from tests.waiting import until_sync


class FailoverServers:
    """The server `one`, from the beginning, and `two`, once it is copied."""

    def __init__(self, folder: Path, user: str | None) -> None:
        """Starts `one` in `folder`, as `user`."""
        self._folder = folder
        self._user = user
        self._running: dict[str, subprocess.Popen[Any]] = {}
        self._run(*INITDB, "-D", self._data("one"))
        self._start("one")

    @property
    def url(self) -> str:
        """Leads to the server that takes writes."""
        return f"postgresql://nightdesk@/postgres?host={self._socket('one')},{self._socket('two')}&connect_timeout=2"

    def copy(self, *, synchronous: bool) -> None:
        """Start a standby as the server is now. A `synchronous` one gets every commit; the other gets no more."""
        more = ("-R",) if synchronous else ()
        self._run("pg_basebackup", "-d", self._dsn("one"), "-D", self._data("two"), "-X", "stream", "-c", "fast", *more)
        signal_file = self._data("two") / "standby.signal"
        signal_file.touch()
        if self._user is not None:
            shutil.chown(signal_file, self._user)
        self._start("two")
        if synchronous:
            self._execute("one", "alter system set synchronous_standby_names = '*'")
            self._execute("one", "select pg_reload_conf()")
            query = "select 1 from pg_stat_replication where sync_state = 'sync'"
            until_sync(lambda: self._execute("one", query), what="the synchronous standby")

    def crash(self) -> None:
        """End the first server as a crash does."""
        server = self._running.pop("one")
        server.send_signal(signal.SIGQUIT)
        server.wait(30)

    def promote(self) -> None:
        """Let the copy take writes, on a timeline of its own."""
        self._run("pg_ctl", "-D", self._data("two"), "-w", "promote")
        self._execute("two", "alter system set synchronous_standby_names = ''")
        self._execute("two", "select pg_reload_conf()")

    def close(self) -> None:
        """End what runs."""
        for server in self._running.values():
            server.send_signal(signal.SIGQUIT)
            server.wait(30)

    def _start(self, name: str) -> None:
        socket = self._socket(name)
        socket.mkdir(exist_ok=True)
        if self._user is not None:
            shutil.chown(socket, self._user)
        options = (
            "listen_addresses=",
            f"unix_socket_directories={socket}",
            "shared_buffers=16MB",
            "max_connections=60",
        )
        self._running[name] = start_server(self._data(name), options, folder=self._folder, user=self._user)
        until_sync(lambda: self._execute(name, "select 1"), what=f"the server {name}")

    def _execute(self, name: str, statement: str) -> bool:
        """True if the server answers, to a query with a row."""
        try:
            with psycopg.connect(self._dsn(name), autocommit=True) as connection:
                cursor = connection.execute(statement.encode())
                return cursor.description is None or cursor.fetchone() is not None
        except psycopg.OperationalError:
            return False

    def _run(self, program: str, *arguments: str | Path) -> None:
        run_program(program, *arguments, folder=self._folder, user=self._user)

    def _data(self, name: str) -> Path:
        return self._folder / f"data-{name}"

    def _socket(self, name: str) -> Path:
        return self._folder / name

    def _dsn(self, name: str) -> str:
        return f"postgresql://nightdesk@/postgres?host={self._socket(name)}"


@contextmanager
def failover_servers() -> Iterator[FailoverServers]:
    """Run the first server for the block."""
    with server_folder(MEMORY) as (folder, user):
        servers = FailoverServers(folder, user)
        try:
            yield servers
        finally:
            servers.close()
