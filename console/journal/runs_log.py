"""Write, rotate and rebuild `runs.log`.

The events table of the database is authoritative; a line that cannot be written now is written later. Several processes
copy to the file the events that follow its last line. A lock file beside it keeps them from writing the same record
twice; a duplicate that happens nevertheless is recognised by its number and ignored by readers.
"""

from __future__ import annotations

import asyncio
import os
import threading
import time
from collections.abc import AsyncIterator, Callable, Generator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager, nullcontext
from pathlib import Path

from console.domain.log_record import LogRecord, format_line
from console.journal.append_file import AppendFile, Write, create
from console.journal.log_files import JournalBusy, JournalError, LogEnd, rotated_names, translate_os_error
from console.os_files import LockedFile, sync_folder

WAIT_SECONDS = 5.0
"""How long a process waits for the lock; a suspended holder must not block the others for ever."""
_RETRY_SECONDS = 0.005


class LogWriter:
    """Appends to, rotates and rebuilds one log file. Not thread-safe, except that `append` may run in a thread while
    another one calls `close`.
    """

    def __init__(self, path: Path, *, write: Write = os.write) -> None:
        self._file = AppendFile(path, write=write)
        self._end = LogEnd(path)
        self._lock_path = path.with_name(path.name + ".lock")
        self._held = False
        self._appending = threading.Lock()

    @property
    def path(self) -> Path:
        """The path of the log file."""
        return self._file.path

    @contextmanager
    def locked(self, wait: float = WAIT_SECONDS) -> Iterator[None]:
        """Hold the lock of the log within the block. Not reentrant. Raises JournalBusy after `wait` seconds.

        Waiting blocks the thread; on an event loop use `locked_async`.
        """
        until = time.monotonic() + wait
        while (lock := self._try_lock()) is None:
            if time.monotonic() >= until:
                raise JournalBusy(f"another process has kept {self._lock_path} for {wait:g} s")
            time.sleep(_RETRY_SECONDS)
        try:
            yield
        finally:
            self._held = False
            lock.release()

    @asynccontextmanager
    async def locked_async(self, wait: float = WAIT_SECONDS) -> AsyncIterator[None]:
        """Hold the lock as `locked` does, but wait without blocking the event loop."""
        until = time.monotonic() + wait
        while (lock := self._try_lock()) is None:
            if time.monotonic() >= until:
                raise JournalBusy(f"another process has kept {self._lock_path} for {wait:g} s")
            await asyncio.sleep(_RETRY_SECONDS)
        try:
            yield
        finally:
            self._held = False
            lock.release()

    def last(self) -> LogRecord | None:
        """Return the last whole line of the log, rotated files included; None if it has none.

        A line that a dead process left without its newline is ended before, so that readers see it if it is whole.
        Call it within `locked` or `locked_async`. Raises JournalError.
        """
        with self._appending:
            self._file.end_last_line()
        return self._end.last()

    def newest_first(self) -> Generator[LogRecord]:
        """Yield the whole lines of the log as `LogEnd` does, from the last one back. As for `last`, hold the lock."""
        return self._end.newest_first()

    def append(self, lines: Sequence[LogRecord], *, sync: bool) -> None:
        """Append one line per record; with `sync` they are on disk when the call returns.

        Call it within `locked` or `locked_async`; without the lock it is safe too, but lines may be duplicated. Raises
        JournalError, whose `written` is the number of complete lines, and ValueError for a bad field name.
        """
        written = 0
        with self._appending:
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
        """Rename the log to `runs.log.1`, keep at most `keep` rotated files, and start a new file.

        Returns the path of the renamed log, or None if nothing was done: the log is empty or, without `force`,
        smaller than `max_bytes`. Takes the lock unless the caller holds it. Raises JournalError.
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
        """Write the whole log anew: call the function given with each batch of records, in the order of `ev`.

        The caller holds the lock. The new file replaces the log only if the block ends without an exception. The old
        files, rotated ones included, are kept with the suffix `.replaced`, which readers ignore. Raises JournalError;
        the log is then unchanged.
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
        """Close the file. While an `append` is under way in another thread the file stays open, and nothing waits: that
        thread would write to whatever file is opened next under the same descriptor.
        """
        if self._appending.acquire(blocking=False):
            try:
                self._file.close()
            finally:
                self._appending.release()

    def _shift(self, keep: int) -> Path:
        numbered = [self.path.with_name(f"{self.path.name}.{number}") for number in range(1, keep + 1)]
        for older, newer in zip(reversed(numbered), reversed(numbered[:-1]), strict=False):
            if newer.exists():
                newer.rename(older)
        self.path.rename(numbered[0])
        self._file.close()
        os.close(create(self.path))
        return numbered[0]

    def _try_lock(self) -> LockedFile | None:
        """Return the lock, or None while it is held elsewhere."""
        try:
            lock = LockedFile.try_lock(self._lock_path)
        except OSError as error:
            raise translate_os_error(error, self._lock_path) from error
        self._held = self._held or lock is not None
        return lock
