"""Who guards a run is decided by a kernel lock, not by time: the kernel frees it at death and at nothing else.

A stopped process keeps its lock, so it is never robbed. A child that inherited the descriptor would keep it
too; descriptors are close-on-exec (PEP 446), and a test holds us to it.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import uuid
from collections.abc import Iterator
from pathlib import Path


class SchedulerLock:
    """Held by the one process that schedules. The file names its owner, for all others to show."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "scheduler.lock"
        self._descriptor: int | None = None

    def take(self, owner: str) -> bool:
        """True where the lock is ours from here on (or was already). Raises OSError."""
        if self._descriptor is not None:
            return True
        descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return False
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, owner.encode("ascii"), 0)
        self._descriptor = descriptor
        return True

    def release(self) -> None:
        """Another process may schedule."""
        if self._descriptor is not None:
            os.ftruncate(self._descriptor, 0)
            os.close(self._descriptor)
            self._descriptor = None

    def holder(self) -> str | None:
        """The owner id in the file; whether that process lives, its own lock tells."""
        with contextlib.suppress(OSError, UnicodeDecodeError):
            return self._path.read_text("ascii") or None
        return None


class OwnerLock:
    """The lock of this process, held for as long as it guards."""

    def __init__(self, folder: Path) -> None:
        """`folder` is the `owners` folder of the state folder; made here with mode 0700. Raises OSError."""
        self.id = uuid.uuid4().hex
        folder.mkdir(mode=0o700, exist_ok=True)
        self._path = lock_path(folder, self.id)
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        self._descriptor: int | None = os.open(self._path, flags, 0o600)
        # Blocking: somebody may be probing the new file at this instant, and will let go at once.
        fcntl.flock(self._descriptor, fcntl.LOCK_EX)

    def is_held(self) -> bool:
        """False once released, and where somebody removed the file: all others then take this process for dead."""
        if self._descriptor is None:
            return False
        try:
            return os.stat(self._path).st_ino == os.fstat(self._descriptor).st_ino
        except OSError:
            return False

    def release(self) -> None:
        """Gives the lock back; the runs of this owner may now be taken over."""
        if self._descriptor is None:
            return
        with contextlib.suppress(FileNotFoundError):
            self._path.unlink()
        os.close(self._descriptor)
        self._descriptor = None


def lock_path(folder: Path, owner: str) -> Path:
    """The lock file of `owner`. Raises ValueError for an id that is not one of ours."""
    if len(owner) != 32 or any(c not in "0123456789abcdef" for c in owner):
        raise ValueError(f"not an owner id: {owner!r}")
    return folder / f"{owner}.lock"


@contextlib.contextmanager
def if_dead(folder: Path, owner: str) -> Iterator[bool]:
    """True where `owner` holds its lock no more; it then stays ours while the block runs.

    A missing file means dead: an owner makes its file before it claims anything and removes it last.
    """
    try:
        descriptor = os.open(lock_path(folder, owner), os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError:
        yield True
        return
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
            return
        yield True
    finally:
        os.close(descriptor)


def is_alive(folder: Path, owner: str) -> bool:
    """True while a process holds the lock of `owner`."""
    with if_dead(folder, owner) as gone:
        return not gone


def bury(folder: Path, owner: str) -> None:
    """Removes the file of a dead owner that guards nothing any more."""
    with contextlib.suppress(FileNotFoundError):
        lock_path(folder, owner).unlink()
