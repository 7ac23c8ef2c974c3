"""Carries log records from the state store into `runs.log`.

Kept apart because the context of the engine holds it, while it needs nothing of the engine but its problems.
"""

from __future__ import annotations

import asyncio

from console.engine.concerns import describe
from console.engine.problems import Problems
from console.journal.log_files import JournalError
from console.journal.runs_log import LogWriter
from console.store.errors import StoreError
from console.store.store import Store


class LogFlusher:
    """Appends every record of the store's outbox to the log, in the order of `ev`.

    One task at a time does it, and callers only wait for that task: a caller that is cancelled leaves no line that is
    written and not marked as logged, and does not wait for a disk that does not answer.
    """

    def __init__(self, store: Store, log: LogWriter, problems: Problems) -> None:
        self._store = store
        self._log = log
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
            await self._append_unlogged()
        except (JournalError, StoreError) as error:
            self._problems.report("runs.log", f"the log is behind: {error}")
        except Exception as error:
            self._problems.report("runs.log", f"the log is behind: {describe(error)}", error)
        else:
            self._problems.clear("runs.log")
        self._served = serving

    async def _append_unlogged(self) -> None:
        async with self._log.locked_async():
            while records := await self._store.outbox.unlogged():
                # In a thread, because that waits for the disk.
                await asyncio.to_thread(self._log.append, records, sync=True)
                await self._store.outbox.mark_logged([record.ev for record in records])
