"""A PostgreSQL server of its own, started from the package of the distribution, in a folder that is removed with it.

Tests start theirs from the same programs.
"""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

PACKAGES = Path("/usr/lib/postgresql")
USERS = ("postgres", "nobody")
"""The server refuses to run as root."""
ROLE = "nightdesk"
INITDB = ("initdb", "-A", "trust", "-U", ROLE, "-E", "UTF8", "--locale=C", "-N")
"""Makes the files of a server that believes everybody who reaches its socket; `-D` and their folder follow."""
START_S, STOP_S = 60, 30


@contextmanager
def postgres_server() -> Iterator[str]:
    """Run a server on a Unix socket for the block and yield the URL of its database.

    Raises RuntimeError, in one line, where the programs are missing or the server does not start.
    """
    programs = server_programs()
    with server_folder() as (folder, user):
        options = f"-c listen_addresses= -c unix_socket_directories={folder} -c fsync=on -c shared_buffers=16MB"
        start = ["pg_ctl", "-w", "-t", str(START_S), "-o", options, "-l", str(folder / "log"), "start"]
        _run(programs, folder, user, INITDB)
        try:
            _run(programs, folder, user, start)
            yield f"postgresql://{ROLE}@/postgres?host={folder}"
        finally:
            _run(programs, folder, user, ["pg_ctl", "-w", "-t", str(STOP_S), "-m", "immediate", "stop"], check=False)


@contextmanager
def server_folder(parent: str | None = None) -> Iterator[tuple[Path, str | None]]:
    """Make a folder for a server, below `parent` or where temporary files are, and remove it after the block.

    Yields it with the user to run the server as; None for the one of this process.
    """
    with tempfile.TemporaryDirectory(prefix="nightdesk-db-", dir=parent, ignore_cleanup_errors=True) as made:
        user = _unprivileged_user()
        if user is not None:
            shutil.chown(made, user)
        yield Path(made), user


def server_programs() -> Path:
    """Return the folder with the programs of the newest server. Raises RuntimeError if none is installed."""
    found = sorted(PACKAGES.glob("*/bin/postgres"), key=lambda path: int(path.parts[-3]))
    if not found:
        raise RuntimeError(f"there is no PostgreSQL server in {PACKAGES}: apt-get install postgresql")
    return found[-1].parent


def _unprivileged_user() -> str | None:
    if os.getuid() != 0:
        return None
    names = {entry.pw_name for entry in pwd.getpwall()}
    return next(user for user in USERS if user in names)


def _run(programs: Path, folder: Path, user: str | None, words: Sequence[str], *, check: bool = True) -> None:
    name, *arguments = words
    quiet: dict[str, Any] = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "stdin": subprocess.DEVNULL}
    # In a session of its own: ctrl+c in the terminal is for the console.
    command = [str(programs / name), "-D", str(folder / "data"), *arguments]
    code = subprocess.run(command, user=user, cwd=folder, check=False, start_new_session=True, **quiet).returncode
    if check and code != 0:
        raise RuntimeError(f"the database server for the demo did not start: {name} ended with exit code {code}")
