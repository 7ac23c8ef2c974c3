"""Refuses launches from a database that is older than runs.log or launch.journal, as a backup that was put back is.

Such a database has forgotten keys that were taken after the backup was made; launching them again would run them twice.

A module of its own because both the engine and `doctor --reconcile` use it.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from pathlib import Path

from console.domain.log_record import LogRecord
from console.domain.run import KEY_FREEING_OUTCOMES, NON_RUN_OUTCOMES, RunId
from console.engine.errors import StoreOlder
from console.journal.launch_journal import LaunchJournal
from console.journal.log_files import JournalError
from console.journal.log_reader import LogReader
from console.store.identity import ForgottenRun, LostHistory
from console.store.store import Store

NEWEST_LINES = 1_000
"""Lines of runs.log among which the highest record number is looked for; lines may be out of order."""
LAST_LINES = 20
"""The same for a check before a later launch, which takes a millisecond."""
NEWEST_RUNS = 1_000
"""Launched runs that are looked up; run ids sort by time, and a backup has lost the newest ones."""


FREE_STATUSES = frozenset(outcome.value for outcome in KEY_FREEING_OUTCOMES | NON_RUN_OUTCOMES)
"""Statuses of the log after which a key is free."""


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
                known_ev = await asyncio.to_thread(self._logged_ev, LAST_LINES)
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
        known_ev, runs, launched = await asyncio.to_thread(self._known_to_files)
        return await self._store.identity.lost_history(known_ev=known_ev, run_ids=runs, launched=launched)

    def _known_to_files(self) -> tuple[int, set[RunId], set[RunId]]:
        """Return the highest number of a record and the runs in runs.log, and the runs in launch.journal."""
        known_ev, runs, launched = 0, set[RunId](), set[RunId]()
        with suppress(JournalError), LogReader(self._log_path, last=NEWEST_LINES) as reader:
            for line in reader.read():
                known_ev = max(known_ev, line.record.ev)
                run_id = line.record.fields.get("run", "-")
                if run_id != "-":
                    runs.add(RunId(run_id))
        with suppress(JournalError):
            launched.update(sorted(self._launches.read())[-NEWEST_RUNS:])
        return known_ev, runs, launched

    def _logged_ev(self, lines: int) -> int:
        """Return the highest number among the last lines of runs.log; 0 if none can be read."""
        with suppress(JournalError), LogReader(self._log_path, last=lines) as reader:
            return max((line.record.ev for line in reader.read()), default=0)
        return 0

    def logged_runs(self) -> tuple[ForgottenRun, ...]:
        """Return the runs in runs.log that may have launched an agent.

        A file that cannot be read proves nothing.
        """
        statuses: dict[RunId, LogRecord] = {}
        with suppress(JournalError), LogReader(self._log_path) as reader:
            for line in reader.read():
                record = line.record
                if record.status != "note" and "run" in record.fields:
                    run_id = RunId(record.fields["run"])
                    before = statuses.get(run_id)
                    if before is None or before.ev < record.ev:
                        statuses[run_id] = record
        return tuple(
            ForgottenRun(run_id=run_id, key=record.key, status=record.status)
            for run_id, record in statuses.items()
            if record.status not in FREE_STATUSES
        )
