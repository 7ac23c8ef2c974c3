"""The one writer of `runs.log`. The events table is the truth; a line that could not be written is written later.

Two processes may both carry events from the table into the file. The lock beside the file keeps them from
writing the same record twice; a double that happens all the same is told by its `ev` and dropped by the reader.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager, nullcontext
from pathlib import Path

from console.domain.log_record import LogRecord, format_line
from console.journal.append_file import AppendFile, Write, create, sync_folder
from console.journal.log_files import JournalBusy, JournalError, rotated_names, translate_os_error

WAIT_SECONDS = 5.0
"""How long a process waits for the lock: a stopped holder must not stop the others."""
_RETRY_SECONDS = 0.005


class LogWriter:
    """Appends, rotates and rebuilds one log file. Not for use by several threads at once."""

    def __init__(self, path: Path, *, write: Write = os.write) -> None:
        self._file = AppendFile(path, write=write)
        self._lock_path = path.with_name(path.name + ".lock")
        self._held = False

    @property
    def path(self) -> Path:
        """The log file."""
        return self._file.path

    @contextmanager
    def locked(self, wait: float = WAIT_SECONDS) -> Iterator[None]:
        """Only one process (and one task of it) is within at a time. Raises JournalBusy after `wait` seconds.

        Blocks the thread while it waits; on an event loop use `turn`. Not to be nested.
        """
        until = time.monotonic() + wait
        while (descriptor := self._try_lock()) is None:
            if time.monotonic() >= until:
                raise JournalBusy(f"another process has kept {self._lock_path} for {wait:g} s")
            time.sleep(_RETRY_SECONDS)
        try:
            yield
        finally:
            self._unlock(descriptor)

    @asynccontextmanager
    async def locked_async(self, wait: float = WAIT_SECONDS) -> AsyncIterator[None]:
        """`locked` for an event loop: waits without blocking it."""
        until = time.monotonic() + wait
        while (descriptor := self._try_lock()) is None:
            if time.monotonic() >= until:
                raise JournalBusy(f"another process has kept {self._lock_path} for {wait:g} s")
            await asyncio.sleep(_RETRY_SECONDS)
        try:
            yield
        finally:
            self._unlock(descriptor)

    def append(self, lines: Sequence[LogRecord], *, sync: bool) -> None:
        """One write per record; with `sync` they are on disk when this returns.

        To be called within `locked` or `turn`; where these were busy it is safe without, at the price of doubles.
        Raises JournalError (its `written` tells how many lines are whole), ValueError for a bad field name.
        """
        written = 0
        try:
            for record in lines:
                self._file.append(format_line(record))
                written += 1
            if sync:
                self._file.sync()
        except JournalError as error:
            error.written = written
            raise

    def rotate(self, *, keep: int, max_bytes: int | None = None, force: bool = False) -> Path | None:
        """Renames the log to `runs.log.1` (older ones one further, at most `keep` of them) and starts a new file.

        Does nothing, and returns None, for an empty log and, unless forced, below `max_bytes`. Takes the lock
        itself where the caller does not hold it. Raises JournalError.
        """
        if keep < 1:
            raise ValueError(f"at least one rotated log is kept, not {keep}")
        with nullcontext() if self._held else self.locked():
            size = self._file.size()
            if size == 0 or not (force or (max_bytes is not None and size >= max_bytes)):
                return None
            try:
                return self._shift(keep)
            except OSError as error:
                raise translate_os_error(error, self.path) from error

    @contextmanager
    def rebuilding(self) -> Iterator[Callable[[Sequence[LogRecord]], None]]:
        """Writes the whole log anew: call what this gives with every batch of records, in the order of `ev`.

        To be used within the lock. The new file takes the name only when the block ends well; what was there,
        rotated files too, is then kept with `.replaced` behind its name, which readers pass over.
        Raises JournalError; the log then stands as it was.
        """
        fresh = self.path.with_name(self.path.name + ".new")
        file = AppendFile(fresh)

        def add(batch: Sequence[LogRecord]) -> None:
            for record in batch:
                file.append(format_line(record))

        try:
            fresh.unlink(missing_ok=True)
            os.close(create(fresh))
            yield add
            file.sync()
            for old in (*rotated_names(self.path), self.path):
                if old.exists():
                    old.rename(old.with_name(old.name + ".replaced"))
            fresh.rename(self.path)
            sync_folder(self.path.parent)
        except OSError as error:
            raise translate_os_error(error, fresh) from error
        finally:
            file.close()
            fresh.unlink(missing_ok=True)

    def close(self) -> None:
        """Lets go of the file."""
        self._file.close()

    def _shift(self, keep: int) -> Path:
        numbered = [self.path.with_name(f"{self.path.name}.{number}") for number in range(1, keep + 1)]
        for older, newer in zip(reversed(numbered), reversed(numbered[:-1]), strict=False):
            if newer.exists():
                newer.rename(older)
        self.path.rename(numbered[0])
        self._file.close()
        os.close(create(self.path))
        return numbered[0]

    def _try_lock(self) -> int | None:
        """A descriptor that holds the lock, or None while another one does."""
        try:
            descriptor = os.open(self._lock_path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise translate_os_error(error, self._lock_path) from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return None
        self._held = True
        return descriptor

    def _unlock(self, descriptor: int) -> None:
        self._held = False
        os.close(descriptor)
