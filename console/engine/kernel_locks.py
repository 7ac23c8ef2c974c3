"""Ownership within one machine by kernel locks, not by time: the kernel frees a lock at death only.

Each process that supervises holds the lock on a file of its own in the folder `owners` of the state folder. A stopped
process keeps it, so it is never robbed of its runs. A child that inherited the descriptor would keep it too;
descriptors are close-on-exec (PEP 446), and a test holds us to it.
"""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import Collection, Iterator
from pathlib import Path

from console.engine.ownership import NOBODY, is_owner_id
from console.os_files import LockedFile, is_locked
from console.turn import Turn

OWNERS_FOLDER = "owners"
"""In the state folder; made with mode 0700."""


class KernelLocks:
    """The owners of one state folder on this machine; implements `Ownership`.

    A missing file means dead: an owner makes its file before it claims anything and removes it last. An id that is not
    one of ours, from a damaged row, is dead too: nobody can hold its lock.
    """

    in_fleet = False
    clock_behind_ms = 0
    round_trip_ms = None

    def __init__(self, folder: Path, *, supervises: bool = False) -> None:
        """`folder` is the state folder. With `supervises` this process becomes an owner. Raises OSError then."""
        self._owners = folder / OWNERS_FOLDER
        self._schedule = Turn(folder / "scheduler.lock")
        self._file: LockedFile | None = None
        self.id = NOBODY
        if supervises:
            self.id = uuid.uuid4().hex
            self._owners.mkdir(mode=0o700, exist_ok=True)
            self._file = LockedFile.create(self._path(self.id))

    def is_held(self) -> bool:
        """False once released, and where somebody removed the file: all others then take this process for dead."""
        return self._file is not None and self._file.is_there

    def release(self) -> None:
        """Give the lock back; the runs of this owner may now be taken over. Harmless twice."""
        if self._file is not None:
            with contextlib.suppress(OSError):
                if self._file.is_there:
                    self._file.path.unlink()
            self._file.release()

    async def exchange(self) -> None:
        """There is no other host."""

    async def refresh(self) -> None:
        """There is no other host."""

    def is_elsewhere(self, owner: str | None) -> bool:
        """False: all owners are of this host."""
        return False

    def is_alive(self, owner: str) -> bool:
        """True while a process holds the lock of `owner`. Raises OSError."""
        with self.if_dead(owner) as dead:
            return not dead

    @contextlib.contextmanager
    def if_dead(self, owner: str) -> Iterator[bool]:
        """True where `owner` holds its lock no more; we then hold it while the block runs. Raises OSError."""
        if not is_owner_id(owner):
            yield True
            return
        try:
            lock = LockedFile.try_lock(self._path(owner), create=False)
        except FileNotFoundError:
            yield True
            return
        try:
            yield lock is not None
        finally:
            if lock is not None:
                lock.release()

    def remove(self, owner: str) -> None:
        """Remove the lock file of a dead owner; within `if_dead`. Raises OSError."""
        if is_owner_id(owner):
            self._path(owner).unlink(missing_ok=True)

    def remove_leftovers(self, known: Collection[str | None], *, before_ms: int) -> tuple[str, ...]:
        """Remove the lock files of dead owners that are not `known`, last written before this UTC time."""
        removed = []
        for path in self._owners.glob("*.lock"):
            if path.stem in known or not is_owner_id(path.stem):
                continue
            with contextlib.suppress(OSError):
                if path.stat().st_mtime_ns // 1_000_000 >= before_ms:
                    continue
                lock = LockedFile.try_lock(path, create=False)
                if lock is not None:
                    path.unlink(missing_ok=True)
                    lock.release()
                    removed.append(path.stem)
        return tuple(removed)

    def take_schedule(self) -> bool:
        """True where it is the turn of this process to schedule, in this round. Raises OSError.

        A process that is stopped loses it after `PATIENCE` rounds of another one: unlike a run, the schedule needs no
        proof that its holder is dead, as a time that two processes launch has one key.
        """
        return self._schedule.take(self.id)

    def release_schedule(self) -> None:
        """Another process may schedule. Harmless twice."""
        self._schedule.release()

    def scheduler(self) -> str | None:
        """The owner id in `scheduler.lock`; whether that process lives, its own lock tells."""
        return self._schedule.holder()

    def host_of(self, owner: str) -> str:
        """Nothing: all processes run on this machine."""
        return ""

    def held_locks(self) -> int:
        """Return how many locks of owners other processes hold, that of the background supervisor included."""
        return sum(map(is_locked, self._owners.glob("*.lock")))

    def _path(self, owner: str) -> Path:
        return self._owners / f"{owner}.lock"
