"""Which process supervises what is decided by kernel locks, not by time: the kernel frees a lock at death only.

A stopped process keeps the lock of its runs, so it is never robbed of them. A child that inherited the descriptor would
keep it too; descriptors are close-on-exec (PEP 446), and a test holds us to it.
"""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import Iterator
from pathlib import Path

from console.os_files import LockedFile
from console.turn import Turn


class OwnerLock:
    """The lock of this process, held for as long as it supervises."""

    def __init__(self, folder: Path) -> None:
        """`folder` is the `owners` folder of the state folder; made here with mode 0700. Raises OSError."""
        self.id = uuid.uuid4().hex
        folder.mkdir(mode=0o700, exist_ok=True)
        self._file = LockedFile.create(lock_path(folder, self.id))

    def is_held(self) -> bool:
        """False once released, and where somebody removed the file: all others then take this process for dead."""
        return self._file.is_there

    def release(self) -> None:
        """Give the lock back; the runs of this owner may now be taken over. Harmless twice."""
        with contextlib.suppress(OSError):
            if self._file.is_there:
                self._file.path.unlink()
        self._file.release()


class SchedulerLock:
    """Held by the one process that schedules. The file names its owner, for all others to show.

    A process that is stopped loses it after `PATIENCE` rounds of another one: unlike a run, the schedule needs no
    proof that its holder is dead, as a time that two processes launch has one key.
    """

    def __init__(self, folder: Path) -> None:
        self._turn = Turn(folder / "scheduler.lock")

    def take(self, owner: str) -> bool:
        """True where the lock is ours in this round. Raises OSError."""
        return self._turn.take(owner)

    def release(self) -> None:
        """Another process may schedule. Harmless twice."""
        self._turn.release()

    def holder(self) -> str | None:
        """The owner id in the file; whether that process lives, its own lock tells."""
        return self._turn.holder()


def _is_owner_id(owner: str) -> bool:
    return len(owner) == 32 and all(c in "0123456789abcdef" for c in owner)


def lock_path(folder: Path, owner: str) -> Path:
    """The lock file of `owner`. Raises ValueError for an id that is not one of ours."""
    if not _is_owner_id(owner):
        raise ValueError(f"not an owner id: {owner!r}")
    return folder / f"{owner}.lock"


def problems_path(folder: Path, owner: str) -> Path:
    """The file in which `owner` publishes its problems. Raises ValueError as `lock_path` does."""
    return lock_path(folder, owner).with_suffix(".problems")


@contextlib.contextmanager
def if_dead(folder: Path, owner: str) -> Iterator[bool]:
    """True where `owner` holds its lock no more; it then stays locked by us while the block runs.

    A missing file means dead: an owner makes its file before it claims anything and removes it last. An id that is not
    one of ours, from a damaged row, is dead too: nobody can hold its lock. Raises OSError.
    """
    if not _is_owner_id(owner):
        yield True
        return
    try:
        lock = LockedFile.try_lock(lock_path(folder, owner), create=False)
    except FileNotFoundError:
        yield True
        return
    try:
        yield lock is not None
    finally:
        if lock is not None:
            lock.release()


def is_alive(folder: Path, owner: str) -> bool:
    """True while a process holds the lock of `owner`. Raises OSError."""
    with if_dead(folder, owner) as dead:
        return not dead
