"""What can be wrong with the state store. Each of these means: nothing was sent, and nothing may be.

`str()` of every error is one clear line. SQLite's own errors are translated here, at the edge of the floor.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager


class StoreError(Exception):
    """The state store cannot be used."""


class StoreMissing(StoreError):
    """The database is gone, or it is not the one that belongs to this folder."""


class StoreDamaged(StoreError):
    """The database cannot be read as what it should be."""


class StoreNewer(StoreError):
    """A newer program has made the database; this one must not touch it."""


class StoreBusy(StoreError):
    """Another process kept the database locked for longer than we wait."""


class StoreFull(StoreError):
    """The disk is full, or too full for a launch."""


class StoreUnsafe(StoreError):
    """Others could change the files, or the place cannot keep a database whole."""


class StoreRefused(StoreError):
    """The schema refused a write that the code thought right: the database has the last word."""


class StaleRun(Exception):
    """A write that changed no row: the run's state, owner or fence is not what the writer believed."""


_DAMAGED = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_FORMAT})
_BUSY = frozenset({sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED})


@contextmanager
def translate_sqlite_errors() -> Iterator[None]:
    """Inside it, what SQLite raises comes out as a StoreError.

    UnicodeDecodeError counts as damage: a flipped byte in a text can raise it instead of any error of SQLite.
    """
    try:
        yield
    except (sqlite3.Error, UnicodeDecodeError) as error:
        raise store_error(error) from error


def store_error(error: sqlite3.Error | UnicodeDecodeError) -> StoreError:
    """The error of this floor that says what SQLite meant."""
    if isinstance(error, UnicodeDecodeError) or "Could not decode to UTF-8" in str(error):
        return StoreDamaged("the state store is damaged: a text in it is not UTF-8")
    if isinstance(error, sqlite3.IntegrityError):
        return StoreRefused(f"the state store refused a write: {error}")
    code = getattr(error, "sqlite_errorcode", None)
    primary = code & 0xFF if isinstance(code, int) else None
    if primary in _DAMAGED:
        return StoreDamaged(f"the state store is damaged: {error}")
    if primary in _BUSY:
        return StoreBusy(f"the state store is busy, another process holds it: {error}")
    if primary == sqlite3.SQLITE_FULL:
        return StoreFull(f"the disk of the state store is full: {error}")
    if primary == sqlite3.SQLITE_CANTOPEN:
        return StoreMissing(f"the state store cannot be opened: {error}")
    return StoreError(f"the state store cannot be used: {error}")
