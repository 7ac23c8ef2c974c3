"""Refuses launches from a database that is older than runs.log or launch.journal, as a backup that was put back is.

Such a database has forgotten keys that were taken after the backup was made; launching them again would run them twice.

A module of its own because both the engine and `doctor --reconcile` use it.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from pathlib import Path

from console.domain.run import RunId
from console.engine.errors import StoreOlder
from console.journal.launch_journal import LaunchJournal
from console.journal.log_files import JournalError
from console.journal.log_reader import LogReader
from console.store.identity import LostHistory
from console.store.store import Store

NEWEST_LINES = 1_000
"""Lines of runs.log among which the highest record number is looked for; lines may be out of order."""
NEWEST_RUNS = 1_000
"""Launched runs that are looked up; run ids sort by time, and a backup has lost the newest ones."""


class RestoreCheck:
    """Compares the database with the files beside it, until it was found complete once in this process."""

    def __init__(self, store: Store, launches: LaunchJournal, log_path: Path) -> None:
        self._store = store
        self._launches = launches
        self._log_path = log_path
        self._is_complete = False
        self._mutex = asyncio.Lock()
        """Launches that are asked for at once are checked by the first of them."""

    async def require_complete(self) -> None:
        """Raise StoreOlder if the database has lost history that nobody has given up. Raises StoreError."""
        async with self._mutex:
            if self._is_complete:
                return
            lost = await self.lost_history()
            if lost is not None:
                raise StoreOlder(f"{lost.sentence}; nothing is launched until `nightdesk doctor --reconcile`")
            self._is_complete = True

    async def lost_history(self) -> LostHistory | None:
        """Return what the files know and the database does not; None if it is complete. Raises StoreError.

        A file that cannot be read proves nothing. The files are read before the database, so that a record that is
        written meanwhile does not count as lost.
        """
        known_ev, launched = 0, list[RunId]()
        with suppress(JournalError), LogReader(self._log_path, last=NEWEST_LINES) as reader:
            known_ev = max((line.record.ev for line in reader.read()), default=0)
        with suppress(JournalError):
            launched = sorted(self._launches.read())[-NEWEST_RUNS:]
        return await self._store.identity.lost_history(known_ev=known_ev, run_ids=launched)
