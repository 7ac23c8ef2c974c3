"""Carries log records from the state store into `runs.log`.

Kept apart because the context of the engine holds it, while it needs nothing of the engine but its problems.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from console.domain.log_record import LogRecord
from console.engine.problems import Problems
from console.journal.log_files import JournalError
from console.journal.runs_log import LogWriter
from console.store.database import run_uncancelled
from console.store.errors import StoreError
from console.store.store import Store


class LogFlusher:
    """Appends every record of the store's outbox to the log, in the order of `ev`."""

    def __init__(self, store: Store, log: LogWriter, problems: Problems) -> None:
        self._store = store
        self._log = log
        self._problems = problems
        self._mutex = asyncio.Lock()
        self._asked = self._served = 0
        """Calls of `flush` so far, and those of them whose lines a flush has included that began after the call."""

    async def flush(self) -> None:
        """Append what the file lacks. Operations call it before they return, so that their lines are in the file.

        The file is derived from the store: where it cannot be written, the problem is shown and the lines follow
        later. Never raises for a log or a store that does not work. Calls that wait while a flush is under way are
        served together by the next one.
        """
        self._asked += 1
        call = self._asked
        async with self._mutex:
            if self._served >= call:
                return
            serving = self._asked
            try:
                await self._append_unlogged()
            except (JournalError, StoreError) as error:
                self._problems.report("runs.log", f"the log is behind: {error}")
            else:
                self._problems.clear("runs.log")
            self._served = serving

    async def _append_unlogged(self) -> None:
        async with self._log.locked_async():
            while records := await self._store.outbox.unlogged():
                # To its end, because the lock of the file is held so long.
                await run_uncancelled(self._append(records), "log")
                await self._store.outbox.mark_logged([record.ev for record in records])

    async def _append(self, records: Sequence[LogRecord]) -> None:
        """Append records in a thread, because that waits for the disk.

        What is raised unexpectedly is shown here: a caller that was cancelled does not learn of it.
        """
        try:
            await asyncio.to_thread(self._log.append, records, sync=True)
        except JournalError:
            raise
        except Exception as error:
            self._problems.report("runs.log", f"the log is behind: {type(error).__name__}: {error}", error)
            raise
