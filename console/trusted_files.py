"""Reads a file that somebody may have replaced by anything: with a size limit, without waiting, only a regular file.

Where it matters, only if no other user could have written it; and writes small files that no other user can read. Kept
apart because the config, the files that it names and small files of the state folder go through the same checks.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path

MAX_CONFIG = 16 << 20
"""Maximum size of the config file, and of a file that it names, in bytes."""
WRITABLE_BY_OTHERS = stat.S_IWGRP | stat.S_IWOTH
"""Permission bits that a file with instructions must not have."""
OPEN_TO_OTHERS = stat.S_IRWXG | stat.S_IRWXO
"""Permission bits that a file with a secret must not have."""


class Unreadable(Exception):
    """A file cannot be read or must not be trusted. `str()` completes a sentence that starts with the file name."""


def read_bounded(path: Path, *, most: int, forbidden_mode: int = 0) -> bytes:
    """Return the content of a regular file of at most `most` bytes.

    With `forbidden_mode`, the file must have none of these permission bits and belong to us or to root. Raises
    Unreadable.
    """
    try:
        # Without O_NONBLOCK, opening a named pipe would block.
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except (OSError, ValueError) as error:
        raise Unreadable(f"cannot be read: {_why(error)}") from None
    try:
        # Before a file object is made, which raises for a folder.
        _check(os.fstat(descriptor), forbidden_mode)
        with open(descriptor, "rb", closefd=False) as file:
            content = file.read(most + 1)
    except OSError as error:
        raise Unreadable(f"cannot be read: {_why(error)}") from None
    finally:
        os.close(descriptor)
    if len(content) > most:
        raise Unreadable(f"is larger than {most} bytes")
    return content


def replace_private(path: Path, text: str) -> None:
    """Replace the file at once by one with `text` (mode 0600). Raises OSError."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
    draft.replace(path)


def _check(status: os.stat_result, forbidden_mode: int) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise Unreadable("is a folder" if stat.S_ISDIR(status.st_mode) else "is not a regular file")
    if forbidden_mode and status.st_mode & forbidden_mode:
        raise Unreadable(f"has mode {stat.S_IMODE(status.st_mode):04o}")
    if forbidden_mode and status.st_uid not in (os.geteuid(), 0):
        raise Unreadable("belongs to another user")


def _why(error: OSError | ValueError) -> str:
    text = error.strerror if isinstance(error, OSError) else None
    return (text or "not a file name").lower()
