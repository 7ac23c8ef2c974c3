"""What can keep a line from being written. The line is never lost by it: its event stays in the database."""

from __future__ import annotations

import errno
from pathlib import Path

_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_LINK = frozenset({errno.ELOOP, errno.EMLINK})


class JournalError(Exception):
    """A log file could not be used; `str()` is one clear line that names the file."""

    written: int = 0
    """How many of the given lines are whole in the file all the same."""


class JournalFull(JournalError):
    """No room: the disk, a quota or a size limit."""


class JournalUnsafe(JournalError):
    """The file is not ours alone to write: a symbolic link, no regular file, another owner, others may write it."""


class JournalBusy(JournalError):
    """Another process kept the lock for too long."""


def translated(error: OSError, path: Path) -> JournalError:
    """The error of this floor for what the system said about `path`."""
    if error.errno in _FULL:
        return JournalFull(f"no room for {path}: {error.strerror}")
    if error.errno in _LINK:
        return JournalUnsafe(f"{path} is a symbolic link; nothing is written through it")
    return JournalError(f"cannot use {path}: {error.strerror or error}")
