"""Errors of the state store, and the translation of SQLite's errors into them.

A StoreError means that the store did not do what was asked; nothing may be launched on the strength of that call.
`str()` of each error is one line for the operator.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class StoreError(Exception):
    """The state store cannot be used."""


class StoreMissing(StoreError):
    """The database is gone, or it is not the one that belongs to this folder."""


class StoreAbsent(StoreMissing):
    """There is no state folder, or nothing was ever stored in it."""

    def __init__(self, folder: Path, *, was_used: bool = False) -> None:
        """`was_used`: it is known that there was a store, which was moved away, or whose disk is not mounted."""
        if was_used:
            super().__init__(
                f"{folder} was used with this config and holds no state store any more: put it back, or mount its "
                "disk; `nightdesk doctor --reconcile` begins an empty one, which knows no key that was launched"
            )
            return
        what = f"no state store in {folder}" if folder.is_dir() else f"no state folder {folder}"
        super().__init__(
            f"there is {what}: nothing was launched with it, or it was moved away; `nightdesk paths` says why this "
            "folder is used"
        )


class StoreDamaged(StoreError):
    """The database, or a row of it, holds what this program cannot have written."""


class StoreNewer(StoreError):
    """The database was made by a newer version of this program, so this version must not use it."""


class StoreBusy(StoreError):
    """The database stayed locked for longer than the caller waits."""


class StoreUnfinished(StoreError):
    """A writer died inside a commit, and the file system is read-only, so that SQLite cannot undo the commit."""


class StoreUnknown(StoreError):
    """Whether a write is stored is not known: the connection was lost at its commit, and nobody answered since."""


class StoreUnreachable(StoreError):
    """The server of the database does not answer."""


class StoreFull(StoreError):
    """The disk is full, or too full for a launch."""


class StoreUnsafe(StoreError):
    """Other users could change the files, or the file system cannot keep a database whole."""


class StoreCopied(StoreError):
    """The state folder is a copy of another one, and nobody has accepted it; nothing may be launched from it."""


class StoreOlder(StoreError):
    """The database is older than runs.log or launch.journal: it was restored and has forgotten launches."""


class StoreRefused(StoreError):
    """A constraint or trigger of the schema refused the write."""


class KeyTaken(StoreRefused):
    """The unique index on keys refused a run: another run has taken its key."""


class StaleRun(Exception):
    """A write changed no row: the run's state, owner or fence is no longer what the writer believed."""


_DAMAGED = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_FORMAT})
_KEY_TAKEN = "UNIQUE constraint failed: runs.key"
"""SQLite's message for the index `runs_key_taken`. The index of attempts names `runs.attempt` as well."""
_UNFINISHED = frozenset({sqlite3.SQLITE_READONLY_ROLLBACK, sqlite3.SQLITE_READONLY_RECOVERY})
_BUSY = frozenset({sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED})


@contextmanager
def translate_sqlite_errors() -> Iterator[None]:
    """Raise errors of SQLite inside the block as StoreError.

    UnicodeDecodeError counts as damage: a flipped byte in a text may raise it instead of an error of SQLite.
    """
    try:
        yield
    except (sqlite3.Error, UnicodeDecodeError) as error:
        raise store_error(error) from error


def store_error(error: sqlite3.Error | UnicodeDecodeError) -> StoreError:
    """Return the StoreError that stands for `error`."""
    if isinstance(error, UnicodeDecodeError) or "Could not decode to UTF-8" in str(error):
        return StoreDamaged("the state store is damaged: a text in it is not UTF-8")
    if isinstance(error, sqlite3.IntegrityError):
        if str(error) == _KEY_TAKEN:
            return KeyTaken("the key is taken by another run")
        return StoreRefused(f"the state store refused a write: {error}")
    code = getattr(error, "sqlite_errorcode", None)
    primary = code & 0xFF if isinstance(code, int) else None
    if primary in _DAMAGED:
        return StoreDamaged(f"the state store is damaged: {error}")
    if primary in _BUSY:
        return StoreBusy(f"the state store is busy, another process holds it: {error}")
    if code in _UNFINISHED:
        return StoreUnfinished(
            "the state store holds an unfinished commit, which cannot be undone on a read-only file system; "
            "make it writable, or copy the folder to one that is"
        )
    if primary == sqlite3.SQLITE_FULL:
        return StoreFull(f"the disk of the state store is full: {error}")
    if primary == sqlite3.SQLITE_CANTOPEN:
        return StoreMissing(f"the state store cannot be opened: {error}")
    return StoreError(f"the state store cannot be used: {error}")
