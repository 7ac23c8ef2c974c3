"""What can keep a line from being written. The line is never lost by it: its event stays in the database."""

from __future__ import annotations

import errno
import gzip
import io
import os
import re
import stat
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, cast

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


def translate_os_error(error: OSError, path: Path) -> JournalError:
    """The error of this floor for what the system said about `path`."""
    if error.errno in _FULL:
        return JournalFull(f"no room for {path}: {error.strerror}")
    if error.errno in _LINK:
        return JournalUnsafe(f"{path} is a symbolic link; nothing is written through it")
    return JournalError(f"cannot use {path}: {error.strerror or error}")


Identity = tuple[int, int]
"""Device and inode."""

_NUMBERED = re.compile(r"\.(\d+)(\.gz)?\Z", re.ASCII)
_DATED = 1 << 62
"""Where times say nothing, a dated file is older than a numbered one."""
_LOOKS = 20
"""How often the folder is listed until it stands still."""
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
    """All files of the log `path`, oldest first; the growing one, where it exists, is last. Raises OSError.

    Empty where there is none, and where names go on moving while they are looked up: look again later.
    """
    rotated, growing = _present(path)
    for _ in range(_LOOKS):
        before, earlier = rotated, growing
        rotated, growing = _present(path)
        # A rotation moves names one by one: a file can slip from a name not yet looked at to one that was.
        if _names([*rotated, *growing]) == _names([*before, *earlier]):
            return _by_age(rotated) + growing
    return []


def look_up(path: Path) -> LogFile | None:
    """The file that bears this name now. Raises OSError."""
    try:
        status = os.stat(path, follow_symlinks=False)
    except FileNotFoundError:
        return None
    return LogFile(path=path, identity=(status.st_dev, status.st_ino), ended_ms=status.st_mtime_ns // 1_000_000)


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


def read_into(file: BinaryIO, view: memoryview) -> int:
    """The same into `view`; how many bytes."""
    try:
        return cast(io.RawIOBase, file).readinto(view) or 0
    except _UNREADABLE:
        return 0


def rotated_names(path: Path) -> tuple[Path, ...]:
    """The rotated files of a log: ours (`runs.log.1`) and logrotate's (`runs.log-20261123`, either one also `.gz`)."""
    form = re.compile(re.escape(path.name) + r"[.-]\d+(\.gz)?\Z", re.ASCII)
    return tuple(sorted(found for found in path.parent.iterdir() if form.match(found.name)))


class _Unpacked(gzip.GzipFile):
    """Closes the file beneath it too."""

    def __init__(self, packed: BinaryIO) -> None:
        super().__init__(fileobj=packed, mode="rb")
        self._packed = packed

    def close(self) -> None:
        super().close()
        self._packed.close()


def _present(path: Path) -> tuple[list[LogFile], list[LogFile]]:
    """The rotated files, and the growing one if it is there."""
    if not path.parent.is_dir():
        return [], []
    rotated = [file for name in rotated_names(path) if (file := look_up(name)) is not None]
    growing = look_up(path)
    return rotated, [growing] if growing is not None else []


def _names(files: list[LogFile]) -> list[tuple[Path, Identity]]:
    return [(file.path, file.identity) for file in files]


def _by_age(files: list[LogFile]) -> list[LogFile]:
    """Names tell the age better than times, which a restored copy may have lost; unless both kinds are there."""
    numbers = {file: int(found[1]) for file in files if (found := _NUMBERED.search(file.path.name)) is not None}
    both = 0 < len(numbers) < len(files)

    def age(file: LogFile) -> tuple[int, int, str]:
        return file.ended_ms if both else 0, -numbers.get(file, _DATED), file.path.name

    return sorted(files, key=age)
