"""Whose turn it is: of all processes on a state folder, the one that does something for all of them.

The holder keeps a kernel lock on a file, which is free when it dies, and touches the file in each of its rounds. A
process that is stopped (SIGSTOP, a debugger), or whose rounds do not end, keeps its lock for good; it loses its turn to
one that has seen the file untouched for many rounds of its own. Rounds are counted and not seconds, so that nobody
seems late after all of them were stopped together. A late process sees in its next round that the turn is another's.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from console.os_files import LockedFile
from console.trusted_files import Unreadable, read_bounded, replace_private

PATIENCE = 30
"""Rounds in which nobody has touched the file, after which its holder loses its turn."""
SHORT_PATIENCE = 15
"""The same for turns in which nothing else than messages and spans waits; it takes longer than `ROUND_S`."""
ROUND_S = 20.0
"""A round of such a holder that waits longer for the store is given up; the watchdog of the process looks at rounds."""
MOST_BYTES = 4_096


class Turn:
    """A turn among the processes of a state folder. Two may both take it for theirs for one round, not longer."""

    def __init__(self, path: Path, *, patience: int = PATIENCE) -> None:
        """`path` is the file of the lock; it is made when the turn is taken."""
        self._path = path
        self._patience = patience
        self._file: LockedFile | None = None
        self._seen: tuple[int, int] | None = None
        """The file as it was in the last round in which the turn was another's: its inode, and when it was touched."""
        self._untouched = 0
        """Rounds since it changed."""

    @property
    def is_mine(self) -> bool:
        """True from a `take` that said so until another process takes the turn."""
        return self._file is not None and self._file.is_there

    def take(self, name: str = "") -> bool:
        """True where it is the turn of this process; called once in each of its rounds. Raises OSError.

        `name` (ASCII) is written into the file, for the others to read.
        """
        if self._file is not None and not self._file.is_there:
            self._file.release()
            self._file = None
        if self._file is None:
            free = LockedFile.try_lock(self._path)
            if free is None:
                self._take_from_late(name)
                return False
            _name(free, name)
            self._file = free
        self._seen, self._untouched = None, 0
        # A file system that takes no writes ends no turn.
        with suppress(OSError):
            self._file.touch()
        return self._file.is_there

    def release(self) -> None:
        """Another process may have it. Harmless twice."""
        if self._file is not None:
            with suppress(OSError):
                self._file.write("")
            self._file.release()
            self._file = None

    def replace(self, path: Path, content: str) -> None:
        """Replace the file at `path`, or make it (mode 0600), while it is the turn of this process. Raises OSError.

        What is known of a turn that another process has taken is old: nothing of it is written any more.
        """
        if self.is_mine:
            replace_private(path, content)

    def holder(self) -> str | None:
        """The name in the file; whether that process lives, its own lock tells."""
        with suppress(Unreadable, UnicodeDecodeError):
            return read_bounded(self._path, most=MOST_BYTES).decode("ascii") or None
        return None

    def _take_from_late(self, name: str) -> None:
        """Count one more round of waiting; after the last one put a locked file of our own in the place of theirs.

        The turn is ours from the next round on, unless another process does the same in this one.
        """
        try:
            found = os.stat(self._path)
        except FileNotFoundError:
            return
        now = (found.st_ino, found.st_mtime_ns)
        self._untouched = self._untouched + 1 if now == self._seen else 0
        self._seen = now
        if self._untouched < self._patience:
            return
        draft = self._path.with_name(f".{self._path.name}.{os.getpid()}")
        draft.unlink(missing_ok=True)
        ours = LockedFile.create(draft)
        _name(ours, name)
        try:
            ours.rename(self._path)
        except BaseException:
            ours.release()
            raise
        self._file, self._seen, self._untouched = ours, None, 0


def _name(file: LockedFile, name: str) -> None:
    """Write `name` into a file that was just locked. Raises OSError; the lock is given back then."""
    if name:
        try:
            file.write(name)
        except BaseException:
            file.release()
            raise
