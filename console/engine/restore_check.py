"""Refuses launches from a database that is older than runs.log or launch.journal, as a backup that was put back is.

Such a database has forgotten keys that were taken after the backup was made; launching them again would run them twice.

A module of its own because both the engine and `doctor --reconcile` use it.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from pathlib import Path
from typing import Protocol

from console.domain.run import RunId
from console.engine.errors import StoreOlder
from console.journal.launch_journal import LaunchJournal
from console.journal.log_files import JournalError, newest_records
from console.store.identity import LostHistory
from console.store.store import Store

NEWEST_LINES = 1_000
"""Lines of runs.log among which the highest record number is looked for; lines may be out of order."""
LAST_LINES = 20
"""The same for a check before a later launch, which takes a millisecond."""
NEWEST_RUNS = 1_000
"""Launched runs that are looked up; run ids sort by time, and a backup has lost the newest ones."""


class HistoryCheck(Protocol):
    """What every launch asks first."""

    async def require_complete(self) -> None:
        """Raise StoreOlder if the database has lost history that nobody has given up. Raises StoreError."""

    async def require_launchable(self) -> None:
        """The same for a run that is claimed, and StoreCopied in a copy that nobody accepted. Raises StoreError."""


class RestoreCheck:
    """Compares the database with the files beside it: in full before the first launch of a process, later by the log.

    A backup may be put back while the process lives; the end of the log then has records that the database lacks.
    """

    def __init__(self, store: Store, launches: LaunchJournal, log_path: Path, *, again_s: float = 1.0) -> None:
        """After `again_s` seconds a launch checks again."""
        self._store = store
        self._launches = launches
        self._log_path = log_path
        self._again_s = again_s
        self._complete_at: float | None = None
        """Loop time at which the database was last found complete; None before."""
        self._mutex = asyncio.Lock()
        """Launches that are asked for at once are checked by the first of them."""

    async def require_complete(self) -> None:
        """Raise StoreOlder if the database has lost history that nobody has given up. Raises StoreError."""
        loop = asyncio.get_running_loop()
        async with self._mutex:
            if self._complete_at is None:
                lost = await self.lost_history()
            elif loop.time() < self._complete_at + self._again_s:
                return
            else:
                newest = await asyncio.to_thread(newest_records, self._log_path, LAST_LINES)
                known_ev = max((record.ev for record in newest), default=0)
                lost = await self._store.identity.lost_history(known_ev=known_ev, run_ids=())
            if lost is not None:
                self._complete_at = None
                raise StoreOlder(f"{lost.sentence}; nothing is launched until `nightdesk doctor --reconcile`")
            self._complete_at = loop.time()

    async def require_launchable(self) -> None:
        """Raise StoreOlder as `require_complete`, or StoreCopied in a copy that nobody accepted. Raises StoreError."""
        await self._store.identity.require_original()
        await self.require_complete()

    async def lost_history(self) -> LostHistory | None:
        """Return what the files know and the database does not; None if it is complete. Raises StoreError.

        The runs of both files count beside the number of the newest record: as soon as a process works on an older
        database, its new records take the numbers of the lost ones. A file that cannot be read proves nothing. The
        files are read before the database, so that a record that is written meanwhile does not count as lost.
        """
        launched = await asyncio.to_thread(self._launched_runs)
        newest = await asyncio.to_thread(newest_records, self._log_path, NEWEST_LINES)
        runs = {RunId(record.fields.get("run", "-")) for record in newest} - {"-"}
        known_ev = max((record.ev for record in newest), default=0)
        return await self._store.identity.lost_history(known_ev=known_ev, run_ids=runs, launched=launched)

    def _launched_runs(self) -> list[RunId]:
        """Return the newest runs of launch.journal. A file that cannot be read proves nothing."""
        with suppress(JournalError):
            return sorted(self._launches.read())[-NEWEST_RUNS:]
        return []
