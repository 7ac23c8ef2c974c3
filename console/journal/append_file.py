"""A file that is only appended to, with one `os.write` per line, so that lines of several processes never mix.

A write can be short (full disk, size limit). The next line then starts with a newline, so that the torn line spoils no
other line.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from pathlib import Path

from console.journal.log_files import JournalError, JournalFull, JournalUnsafe, translate_os_error
from console.os_files import sync_folder

Write = Callable[[int, bytes], int]
"""The signature of `os.write`: takes a descriptor and bytes, returns the number of bytes written."""

_FLAGS = os.O_RDWR | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC
_CHECKS = 3
"""How often the end of the file is read before its last line counts as torn."""
_ATTEMPTS = 3
"""How often one line is written before short writes count as a full disk."""


def create(path: Path, flags: int = _FLAGS) -> int:
    """Create `path` with mode 0600 and a durable name, and return its descriptor.

    Raises FileExistsError if the path exists, and OSError.
    """
    descriptor = os.open(path, flags | os.O_CREAT | os.O_EXCL, 0o600)
    sync_folder(path.parent)
    return descriptor


def check_ours(descriptor: int, path: Path) -> None:
    """Raise JournalUnsafe unless the open file is a regular file of ours that nobody else may write."""
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode):
        raise JournalUnsafe(f"{path} is not a regular file")
    if status.st_uid != os.geteuid():
        raise JournalUnsafe(f"{path} belongs to user {status.st_uid}")
    if status.st_mode & 0o022:
        raise JournalUnsafe(f"{path} is writable by others (mode {stat.S_IMODE(status.st_mode):04o})")


class AppendFile:
    """An append-only file, reopened whenever its path leads to another file. Use one instance per thread."""

    def __init__(self, path: Path, *, durable: bool = False, write: Write = os.write) -> None:
        """With `durable`, every line is on disk before `append` returns (O_DSYNC). Tests replace `write`."""
        self.path = path
        """The first line creates the file if necessary."""
        self._flags = _FLAGS | (os.O_DSYNC if durable else 0)
        self._write = write
        self._descriptor: int | None = None

    def append(self, line: bytes) -> None:
        """Append `line`, which ends in a newline. Raises JournalError; the line is then not complete in the file."""
        try:
            for _ in range(_ATTEMPTS):
                descriptor = self._current()
                whole = line if _ends_with_newline(descriptor) else b"\n" + line
                written = self._write(descriptor, whole)
                if written == len(whole) - 1:
                    # Only the newline is missing: the line itself must not be there twice.
                    written += self._write(descriptor, b"\n")
                if written == len(whole):
                    return
        except OSError as error:
            raise translate_os_error(error, self.path) from error
        raise JournalFull(f"no room for {self.path}: writes stay short")

    def end_last_line(self) -> None:
        """Write the newline that the last line lacks, if there is a file and it lacks one. Raises JournalError.

        Only for files with one writer at a time: a line that is being written looks as if it lacked one.
        """
        try:
            if self.path.exists() and not _ends_with_newline(descriptor := self._current()):
                self._write(descriptor, b"\n")
        except OSError as error:
            raise translate_os_error(error, self.path) from error

    def sync(self) -> None:
        """Make all lines written so far durable. Raises JournalError."""
        if self._descriptor is None:
            return
        try:
            os.fdatasync(self._descriptor)
        except OSError as error:
            raise translate_os_error(error, self.path) from error

    def size(self) -> int:
        """Return the size of the file in bytes; 0 if it does not exist."""
        try:
            return os.stat(self.path, follow_symlinks=False).st_size
        except FileNotFoundError:
            return 0

    def close(self) -> None:
        """Close the descriptor; the next `append` opens the file again."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def _current(self) -> int:
        """Return a descriptor of the file to which the path leads now."""
        if self._descriptor is not None:
            if self._is_at_path(os.fstat(self._descriptor)):
                return self._descriptor
            self.close()
        self._descriptor = descriptor = self._open()
        try:
            check_ours(descriptor, self.path)
        except JournalError:
            self.close()
            raise
        return descriptor

    def _is_at_path(self, status: os.stat_result) -> bool:
        try:
            found = os.stat(self.path, follow_symlinks=False)
        except FileNotFoundError:
            return False
        return (found.st_ino, found.st_dev) == (status.st_ino, status.st_dev)

    def _open(self) -> int:
        while True:
            try:
                return os.open(self.path, self._flags)
            except FileNotFoundError:
                pass
            try:
                return create(self.path, self._flags)
            except FileExistsError:
                continue


def _ends_with_newline(descriptor: int) -> bool:
    """False if the last line is torn. A line that another process is writing may look torn for a moment."""
    for _ in range(_CHECKS):
        size = os.fstat(descriptor).st_size
        if size == 0 or os.pread(descriptor, 1, size - 1) == b"\n":
            return True
        os.sched_yield()
    return False
