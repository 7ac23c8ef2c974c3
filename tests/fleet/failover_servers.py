"""A database server and a copy of it that is promoted, on Unix sockets of a temporary folder."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg

from console.demo.postgres_server import server_programs, unprivileged_user
from tests.waiting import until_sync

QUIET = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "stdin": subprocess.DEVNULL}


class FailoverServers:
    """The server `one`, from the beginning, and `two`, once it is copied."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._bin = server_programs()
        self._user = unprivileged_user()
        self._running: dict[str, subprocess.Popen[Any]] = {}
        self._run("initdb", "-D", self._data("one"), "-A", "trust", "-U", "nightdesk", "-E", "UTF8", "--locale=C", "-N")
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
        words: list[str | Path] = [
            self._bin / "postgres",
            "-D",
            self._data(name),
            *(word for each in options for word in ("-c", each)),
        ]
        quiet: dict[str, Any] = QUIET
        self._running[name] = subprocess.Popen(words, user=self._user, cwd=self._folder, **quiet)
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
        quiet: dict[str, Any] = QUIET
        subprocess.run([self._bin / program, *arguments], check=True, user=self._user, cwd=self._folder, **quiet)

    def _data(self, name: str) -> Path:
        return self._folder / f"data-{name}"

    def _socket(self, name: str) -> Path:
        return self._folder / name

    def _dsn(self, name: str) -> str:
        return f"postgresql://nightdesk@/postgres?host={self._socket(name)}"


@contextmanager
def failover_servers() -> Iterator[FailoverServers]:
    """Run the first server for the block."""
    memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    with tempfile.TemporaryDirectory(prefix="nd-fo-", dir=memory, ignore_cleanup_errors=True) as made:
        folder, user = Path(made), unprivileged_user()
        if user is not None:
            shutil.chown(folder, user)
        servers = FailoverServers(folder)
        try:
            yield servers
        finally:
            servers.close()
