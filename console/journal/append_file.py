"""One `os.write` per line onto the end of a file: lines of several processes never mix.

A short write is real (a full disk, a size limit). What it left behind is closed with a newline before the next
line, so that a torn line costs itself and no other.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from pathlib import Path

from console.journal.log_files import JournalError, JournalFull, JournalUnsafe, translate_os_error

Write = Callable[[int, bytes], int]
"""`os.write`: descriptor and bytes in, number of bytes taken out."""

_FLAGS = os.O_RDWR | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC
_LOOKS = 3
_TRIES = 3
"""How often one line is begun before its short writes count as a full disk."""


def sync_folder(folder: Path) -> None:
    """Makes names created, renamed or removed in `folder` durable."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def create(path: Path, flags: int = _FLAGS) -> int:
    """A descriptor of the new file `path`, 0600, its name durable. Raises FileExistsError where something is there."""
    descriptor = os.open(path, flags | os.O_CREAT | os.O_EXCL, 0o600)
    sync_folder(path.parent)
    return descriptor


def check_ours(descriptor: int, path: Path) -> None:
    """Raises JournalUnsafe where somebody else could have a hand in an open file."""
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode):
        raise JournalUnsafe(f"{path} is not a regular file")
    if status.st_uid != os.geteuid():
        raise JournalUnsafe(f"{path} belongs to user {status.st_uid}")
    if status.st_mode & 0o022:
        raise JournalUnsafe(f"{path} is writable by others (mode {stat.S_IMODE(status.st_mode):04o})")


class AppendFile:
    """A file that only grows, opened again where its name stands for another file. One instance per thread."""

    def __init__(self, path: Path, *, durable: bool = False, write: Write = os.write) -> None:
        """`durable`: every write is on disk before it returns (O_DSYNC). `write` is `os.write` but in tests."""
        self._path = path
        self._flags = _FLAGS | (os.O_DSYNC if durable else 0)
        self._write = write
        self._descriptor: int | None = None

    @property
    def path(self) -> Path:
        """Where the file is, or will be made by the first line."""
        return self._path

    def append(self, line: bytes) -> None:
        """Puts `line` (which ends in a newline) at the end. Raises JournalError; the line is then not whole there."""
        try:
            for _ in range(_TRIES):
                descriptor = self._current()
                whole = line if _ends_clean(descriptor) else b"\n" + line
                if self._write(descriptor, whole) == len(whole):
                    return
        except OSError as error:
            raise translate_os_error(error, self._path) from error
        raise JournalFull(f"no room for {self._path}: writes stay short")

    def sync(self) -> None:
        """Makes all lines so far durable."""
        if self._descriptor is None:
            return
        try:
            os.fdatasync(self._descriptor)
        except OSError as error:
            raise translate_os_error(error, self._path) from error

    def size(self) -> int:
        """Bytes in the file; 0 where there is none."""
        try:
            return os.stat(self._path, follow_symlinks=False).st_size
        except FileNotFoundError:
            return 0

    def close(self) -> None:
        """Lets go of the descriptor; a later append opens the file again."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def _current(self) -> int:
        """A descriptor of the file that bears the name now."""
        if self._descriptor is not None:
            if self._bears_the_name(os.fstat(self._descriptor)):
                return self._descriptor
            self.close()
        self._descriptor = descriptor = self._open()
        try:
            check_ours(descriptor, self._path)
        except JournalError:
            self.close()
            raise
        return descriptor

    def _bears_the_name(self, status: os.stat_result) -> bool:
        try:
            named = os.stat(self._path, follow_symlinks=False)
        except FileNotFoundError:
            return False
        return (named.st_ino, named.st_dev) == (status.st_ino, status.st_dev)

    def _open(self) -> int:
        while True:
            try:
                return os.open(self._path, self._flags)
            except FileNotFoundError:
                pass
            try:
                return create(self._path, self._flags)
            except FileExistsError:
                continue


def _ends_clean(descriptor: int) -> bool:
    """False where the last line was torn. A line that another process is just writing may look so for a moment."""
    for _ in range(_LOOKS):
        size = os.fstat(descriptor).st_size
        if size == 0 or os.pread(descriptor, 1, size - 1) == b"\n":
            return True
        os.sched_yield()
    return False
