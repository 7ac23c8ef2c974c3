"""What store, journal, engine and commands ask of the operating system about files: locks, and durable names.

Locks are taken with `flock`; the kernel frees one when the process dies and at nothing else.
"""

from __future__ import annotations

import errno
import fcntl
import os
from pathlib import Path
from typing import Self


class LockedFile:
    """A file whose exclusive `flock` this process holds."""

    def __init__(self, path: Path, descriptor: int) -> None:
        self.path = path
        self._descriptor: int | None = descriptor

    @classmethod
    def try_lock(cls, path: Path, *, create: bool = True) -> Self | None:
        """The lock, without waiting; None where another process holds it.

        Raises OSError, FileNotFoundError among them where the file is not there and `create` is false.
        """
        descriptor = _open(path, os.O_CREAT if create else 0)
        return cls(path, descriptor) if _flock(descriptor, fcntl.LOCK_EX) else None

    @classmethod
    def try_lock_folder(cls, folder: Path) -> Self | None:
        """The lock on a folder itself, without waiting; None where another process holds it. Raises OSError."""
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        return cls(folder, descriptor) if _flock(descriptor, fcntl.LOCK_EX) else None

    @classmethod
    def create(cls, path: Path) -> Self:
        """The lock on a file that is made here. Raises OSError, FileExistsError among them."""
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            # Blocking: somebody may be probing the new file at this instant, and lets go at once.
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        except BaseException:
            os.close(descriptor)
            raise
        return cls(path, descriptor)

    @property
    def is_there(self) -> bool:
        """True while the lock is held and the path still names the locked file."""
        if self._descriptor is None:
            return False
        try:
            return os.path.samestat(os.stat(self.path), os.fstat(self._descriptor))
        except OSError:
            return False

    def write(self, text: str) -> None:
        """Replace the content by `text` (ASCII). Raises OSError."""
        if self._descriptor is not None:
            os.ftruncate(self._descriptor, 0)
            os.pwrite(self._descriptor, text.encode("ascii"), 0)

    def touch(self) -> None:
        """Set the time of the last change to now. Raises OSError."""
        if self._descriptor is not None:
            os.utime(self._descriptor)

    def rename(self, path: Path) -> None:
        """Give the file the name `path`, in the place of a file that has it. Raises OSError."""
        self.path.replace(path)
        self.path = path

    def release(self) -> None:
        """Give the lock back; harmless twice."""
        if self._descriptor is not None:
            descriptor, self._descriptor = self._descriptor, None
            os.close(descriptor)


def sync_folder(folder: Path) -> None:
    """Make names created, renamed or removed in `folder` durable. Raises OSError."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def is_locked(path: Path) -> bool:
    """True while another process holds the lock on `path`; False where there is no such file.

    Probes with a shared lock, so that the probe of one process is never taken for a holder by another.
    """
    try:
        descriptor = _open(path, 0)
    except OSError:
        return False
    free = _flock(descriptor, fcntl.LOCK_SH)
    if free:
        os.close(descriptor)
    return not free


def _open(path: Path, flags: int) -> int:
    flags |= os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        return os.open(path, os.O_RDWR | flags, 0o600)
    except OSError as error:
        if error.errno != errno.EROFS:
            raise
        # A lock can be taken on a file that is open for reading only.
        return os.open(path, os.O_RDONLY | flags & ~os.O_CREAT)


def _flock(descriptor: int, kind: int) -> bool:
    """Lock without waiting. The descriptor is closed where that does not work: False, or OSError."""
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return False
    except BaseException:
        os.close(descriptor)
        raise
    return True
