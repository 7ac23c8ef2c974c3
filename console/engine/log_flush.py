"""Carries log records from the state store into `runs.log`.

Kept apart because the context of the engine holds it, while it needs nothing of the engine but its problems.
"""

from __future__ import annotations

import asyncio
from contextlib import closing
from itertools import islice

from console.domain.log_record import LogRecord
from console.engine.concerns import describe
from console.engine.problems import Problems
from console.journal.log_files import JournalError
from console.journal.runs_log import LogWriter
from console.store.errors import StoreError
from console.store.events import BATCH
from console.store.store import Store


class LogCopy:
    """Keeps the log a whole copy of the store's records: what follows its last line is appended, in the order of `ev`.

    The last whole line of the file is the only cursor. A process that dies at any point leaves nothing to be undone:
    the next one goes on after what really is in the file.
    """

    def __init__(self, store: Store, log: LogWriter) -> None:
        self._store = store
        self._log = log
        self._diverged: tuple[LogRecord, int] | None = None
        """A last line that is of no record of the store, and the number after which the log goes on all the same."""

    async def append_missing(self) -> None:
        """Append what the file lacks. Raises JournalError, StoreError, ValueError for a bad field name.

        Each batch holds the lock of the log for itself, so that a long log which is written anew keeps nobody waiting.
        """
        more = True
        while more:
            async with self._log.locked_async():
                records = await self._missing()
                more = len(records) == BATCH
                if records:
                    # In a thread, because that waits for the disk.
                    await asyncio.to_thread(self._log.append, records, sync=not more)

    async def _missing(self) -> tuple[LogRecord, ...]:
        """Return the records that follow the last line of the log, at most `BATCH`."""
        records = self._store.log_records
        last = await asyncio.to_thread(self._log.last)
        if last is None:
            return await records.after(0)
        if (following := await records.following(last)) is not None:
            return following
        if self._diverged is None or self._diverged[0] != last:
            self._diverged = last, await self._last_common()
        return await records.after(self._diverged[1])

    async def _last_common(self) -> int:
        """Return the number of the newest line that is of a record of the store; 0 if there is none.

        Where an older backup of the database was put back, the lines after it are of records that are lost.
        """
        with closing(self._log.newest_first()) as lines:
            while batch := await asyncio.to_thread(lambda: list(islice(lines, BATCH))):
                if (common := await self._store.log_records.first_known(batch)) is not None:
                    return common.ev
        return 0


class LogFlusher:
    """Brings the log up to date whenever it is asked.

    One task at a time does it, and callers only wait for that task: a caller that is cancelled leaves the log to it,
    and does not wait for a disk that does not answer.
    """

    def __init__(self, store: Store, log: LogWriter, problems: Problems) -> None:
        self._copy = LogCopy(store, log)
        self._problems = problems
        self._flushing: asyncio.Task[None] | None = None
        """The flush under way, or the last one."""
        self._asked = self._served = 0
        """Calls of `flush` so far, and those of them whose lines a flush has included that began after the call."""

    async def flush(self) -> None:
        """Append what the file lacks. Operations call it before they return, so that their lines are in the file.

        The file is derived from the store: where it cannot be written, the problem is shown and the lines follow
        later. Raises nothing but the cancellation of the caller. Calls that wait while a flush is under way are
        served together by the next one.
        """
        self._asked += 1
        call = self._asked
        while self._served < call:
            if self._flushing is None or self._flushing.done():
                self._flushing = asyncio.create_task(self._serve(), name="log")
            # This never cancels the task itself.
            await asyncio.wait({self._flushing})

    async def _serve(self) -> None:
        """Serve all calls until now. Nothing is raised, because nobody may be left who waits."""
        serving = self._asked
        try:
            await self._copy.append_missing()
        except (JournalError, StoreError) as error:
            self._problems.report("runs.log", f"the log is behind: {error}")
        except Exception as error:
            self._problems.report("runs.log", f"the log is behind: {describe(error)}", error)
        else:
            self._problems.clear("runs.log")
        self._served = serving
