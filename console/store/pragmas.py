"""How every connection to the database is opened and set up.

Shared by `database`, `fast_read`, `bootstrap` and `diagnostics`, so that all of them use the same pragmas. A module of
its own, because it imports nothing that would slow down a short command.
"""

from __future__ import annotations

import sqlite3
from enum import StrEnum
from pathlib import Path

from console.store.files import DATABASE

BUSY_MS = 30_000
"""How long a statement waits for locks of other processes unless the caller says otherwise."""


class JournalMode(StrEnum):
    """How SQLite makes a commit atomic."""

    DELETE = "delete"
    WAL = "wal"

    @property
    def synchronous(self) -> int:
        """The `pragma synchronous` with which a commit survives a power loss: EXTRA for DELETE, FULL for WAL."""
        return 3 if self is JournalMode.DELETE else 2


def sqlite_version() -> str:
    """Return the version of the SQLite library in use."""
    return sqlite3.sqlite_version


def safe_journal_mode(version: tuple[int, ...] = sqlite3.sqlite_version_info) -> JournalMode:
    """Return WAL if this SQLite has the fix of the WAL-reset bug, which can lose commits, and DELETE otherwise.

    The fix is in 3.51.3 and later, and in 3.44.6 and 3.50.7: https://sqlite.org/wal.html#walresetbug
    """
    is_fixed = version >= (3, 51, 3) or (3, 50, 7) <= version < (3, 51) or (3, 44, 6) <= version < (3, 45)
    return JournalMode.WAL if is_fixed else JournalMode.DELETE


def database_uri(folder: Path) -> str:
    """Return the URI of the database in `folder`; opening it never creates the file."""
    return f"{(folder.absolute() / DATABASE).as_uri()}?mode=rw"


def connection_pragmas(journal: JournalMode, busy_ms: int) -> tuple[str, ...]:
    """Return the pragmas that each connection executes first."""
    return (
        f"pragma busy_timeout = {busy_ms:d}",
        "pragma foreign_keys = on",
        "pragma trusted_schema = off",
        "pragma cell_size_check = on",
        f"pragma synchronous = {journal.synchronous:d}",
    )
