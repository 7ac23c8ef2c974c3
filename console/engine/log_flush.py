"""Log flush."""

from __future__ import annotations

import asyncio

from console.engine.problems import Problems
from console.journal.log_files import JournalError
from console.journal.runs_log import LogWriter
from console.store.errors import StoreError
from console.store.store import Store


class LogFlusher:
    """Writes every log record of the store that is not in the file yet, in the order of `ev`."""

    def __init__(self, store: Store, log: LogWriter, problems: Problems) -> None:
        self._store = store
        self._log = log
        self._problems = problems
        self._mutex = asyncio.Lock()

    async def flush(self) -> None:
        """A line is in the file before the act that caused it returns.

        The file is derived from the store: where it cannot be written, the problem is shown and the lines
        follow later. Never raises for the log; never undoes what the store holds.
        """
        try:
            async with self._mutex, self._log.locked_async():
                while records := await self._store.outbox.unlogged():
                    self._log.append(records, sync=True)
                    await self._store.outbox.mark_logged([record.ev for record in records])
        except (JournalError, StoreError) as error:
            self._problems.set("log", f"the log is behind: {error}")
        else:
            self._problems.clear("log")
