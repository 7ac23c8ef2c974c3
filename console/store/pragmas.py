"""How every connection to the database is made, of this process's loop or not: where it is and how it must be set."""

from __future__ import annotations

import sqlite3
from enum import StrEnum
from pathlib import Path

from console.store.files import DATABASE

BUSY_MS = 30_000
"""How long a write waits for other processes."""


class JournalMode(StrEnum):
    """How SQLite makes a commit atomic."""

    DELETE = "delete"
    WAL = "wal"

    @property
    def synchronous(self) -> int:
        """The setting under which a commit survives a power loss: EXTRA (3) for DELETE, FULL (2) for WAL."""
        return 3 if self is JournalMode.DELETE else 2


def sqlite_version() -> str:
    """Of the library that is in use."""
    return sqlite3.sqlite_version


def safe_journal_mode(version: tuple[int, ...] = sqlite3.sqlite_version_info) -> JournalMode:
    """WAL where this SQLite has the fix of the WAL-reset bug, which can lose commits; else DELETE.

    Fixed in 3.51.3, and backported to 3.44.6 and 3.50.7: https://sqlite.org/wal.html#walresetbug
    """
    fixed = version >= (3, 51, 3) or (3, 50, 7) <= version < (3, 51) or (3, 44, 6) <= version < (3, 45)
    return JournalMode.WAL if fixed else JournalMode.DELETE


def database_uri(folder: Path) -> str:
    """The database as a URI that never creates it."""
    return f"{(folder.absolute() / DATABASE).as_uri()}?mode=rw"


def connection_pragmas(journal: JournalMode, busy_ms: int) -> tuple[str, ...]:
    """The pragmas of every connection."""
    return (
        f"pragma busy_timeout = {busy_ms:d}",
        "pragma foreign_keys = on",
        "pragma trusted_schema = off",
        "pragma cell_size_check = on",
        f"pragma synchronous = {journal.synchronous:d}",
    )
