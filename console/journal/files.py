"""The files of one log: the one that grows and the rotated ones, ours or logrotate's, in the order of writing."""

from __future__ import annotations

import gzip
import os
import stat
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, cast

from console.domain.record import MAX_LINE, BadLine, parse_line
from console.journal.errors import JournalUnsafe
from console.journal.writer import rotated_names

Identity = tuple[int, int]
"""Device and inode."""

_UNREADABLE = (EOFError, gzip.BadGzipFile, zlib.error)
"""A compressed file that is not whole, as while logrotate writes it; the plain one is there then."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LogFile:
    """One file as it stood when it was looked up."""

    path: Path
    identity: Identity
    ended_ms: int
    """When it was last written."""

    @property
    def packed(self) -> bool:
        """True for a compressed file: it grows no more."""
        return self.path.suffix == ".gz"


def log_files(path: Path) -> list[LogFile]:
    """All files of the log `path`, oldest first; the growing one, where it exists, is last. Raises OSError."""
    if not path.parent.is_dir():
        return []
    rotated = [
        (first, file)
        for name in rotated_names(path)
        if (first := _first_number(name)) is not None and (file := _look_up(name)) is not None
    ]
    rotated.sort(key=lambda one: (one[0], one[1].ended_ms))
    growing = _look_up(path)
    return [file for _, file in rotated] + ([growing] if growing else [])


def open_log(path: Path) -> tuple[BinaryIO, Identity]:
    """An unbuffered reader of the content of `path`, unpacked. Raises OSError, JournalUnsafe for what is no file."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode):
        os.close(descriptor)
        raise JournalUnsafe(f"{path} is not a regular file")
    file = cast(BinaryIO, os.fdopen(descriptor, "rb", buffering=0))
    identity = (status.st_dev, status.st_ino)
    return (cast(BinaryIO, _Unpacked(file)) if path.suffix == ".gz" else file), identity


def read_some(file: BinaryIO, size: int) -> bytes:
    """Up to `size` more bytes; empty at the end, and where a compressed file breaks off."""
    try:
        return file.read(size)
    except _UNREADABLE:
        return b""


class _Unpacked(gzip.GzipFile):
    """Closes the file beneath it too."""

    def __init__(self, packed: BinaryIO) -> None:
        super().__init__(fileobj=packed, mode="rb")
        self._packed = packed

    def close(self) -> None:
        super().close()
        self._packed.close()


def _look_up(path: Path) -> LogFile | None:
    try:
        status = os.stat(path, follow_symlinks=False)
    except FileNotFoundError:
        return None
    return LogFile(path=path, identity=(status.st_dev, status.st_ino), ended_ms=status.st_mtime_ns // 1_000_000)


def _first_number(path: Path) -> int | None:
    """The `ev` of the first whole line; None where there is none, or no file."""
    try:
        file, _ = open_log(path)
    except FileNotFoundError:
        return None
    with file:
        start = read_some(file, 4 * MAX_LINE)
    for line in start.split(b"\n"):
        try:
            return parse_line(line).ev
        except BadLine:
            continue
    return None
