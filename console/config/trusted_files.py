"""Files that the configuration names are read whole, bounded, and only where nobody else could have written them."""

from __future__ import annotations

import os
import stat
from pathlib import Path

WRITABLE_BY_OTHERS = stat.S_IWGRP | stat.S_IWOTH
OPEN_TO_OTHERS = stat.S_IRWXG | stat.S_IRWXO


class Unreadable(Exception):
    """A file cannot be read or must not be trusted. `str()` completes the sentence "FILE ..."."""


def read_bounded(path: Path, *, most: int, forbidden_mode: int = 0) -> bytes:
    """The bytes of a regular file. Raises Unreadable where it is longer than `most` bytes, is no regular file, or,
    with `forbidden_mode`, has one of these permission bits or belongs neither to us nor to root.
    """
    try:
        # O_NONBLOCK: a pipe of that name must not make a command hang.
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except (OSError, ValueError) as error:
        raise Unreadable(f"cannot be read: {_why(error)}") from None
    with open(descriptor, "rb") as file:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise Unreadable("is not a regular file")
        if forbidden_mode and status.st_mode & forbidden_mode:
            raise Unreadable(f"has mode {stat.S_IMODE(status.st_mode):04o}")
        if forbidden_mode and status.st_uid not in (os.geteuid(), 0):
            raise Unreadable("belongs to another user")
        content = file.read(most + 1)
    if len(content) > most:
        raise Unreadable(f"is larger than {most} bytes")
    return content


def _why(error: OSError | ValueError) -> str:
    text = error.strerror if isinstance(error, OSError) else None
    return (text or "not a file name").lower()
