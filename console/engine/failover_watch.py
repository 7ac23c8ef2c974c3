"""Stops all launches where the database of several hosts has lost what a host still knows, and waits after a failover.

Each process compares the journal and the log of its host with the database whenever it has a new connection: behind it
may be a standby that was promoted without the last commits, or a backup that was put back.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from console.domain.formatting import counted
from console.domain.log_record import LogRecord
from console.domain.run import Run, RunId, State
from console.domain.timestamps import Clock
from console.engine.errors import StoreError, StoreOlder
from console.engine.problems import Problems
from console.journal.launch_journal import LaunchIntent, LaunchJournal
from console.journal.log_files import JournalError, newest_records
from console.store.identity import ForgottenRun, LostHistory
from console.store.postgres.failover import FleetHistory
from console.store.store import Store

NEWEST_LINES = 1_000
"""Lines of the log that are compared: a standby lags by seconds."""
NEWEST_RUNS = 1_000
"""Launches of the journal that are compared."""
BY = "nightdesk"


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetLoss:
    """What the files of this host know and the database does not."""

    lines: tuple[LogRecord, ...]
    """Of the log, by their numbers."""
    launches: tuple[LaunchIntent, ...]
    """Of the journal."""

    @property
    def sentence(self) -> str:
        """One line for the operator."""
        if self.lines:
            what = f"line {self.lines[-1].ev} of this host's log is not in it"
        else:
            launches = counted(len(self.launches), "launch", "launches")
            what = f"{launches} of this host's journal {'is' if len(self.launches) == 1 else 'are'} not in it"
        return f"the database went back: {what}; launches are paused"


class FailoverWatch:
    """The comparison of one process; a round each tick, and one before each launch."""

    def __init__(
        self,
        store: Store,
        launches: LaunchJournal,
        log_path: Path,
        clock: Clock,
        problems: Problems,
        *,
        hold_ms: int,
    ) -> None:
        """`clock` is that of the fleet. Launches wait for `hold_ms` after a failover, until each host has compared."""
        self._store = store
        self._history = FleetHistory(store.database)
        self._launches = launches
        self._log_path = log_path
        self._clock = clock
        self._problems = problems
        self._hold_ms = hold_ms
        self._compared = ""
        """The session behind which the database was last found complete."""
        self._failed_over_ms = 0
        """When the database failed over last, by its clock; 0: never."""
        self._mutex = asyncio.Lock()

    def may_send(self) -> bool:
        """True while the database that took the last write is one that was found complete, some time ago."""
        return self._compared == self._history.session and self._waits_ms() <= 0

    async def check(self) -> None:
        """Compare where the connection is another one than before. Raises StoreError."""
        with suppress(StoreOlder):
            await self.require_complete()

    async def require_complete(self) -> None:
        """Raise StoreOlder for a database that lost something, and shortly after a failover. Raises StoreError."""
        async with self._mutex:
            if self._compared != self._history.session:
                await self._compare()
        if (waits_ms := self._waits_ms()) > 0:
            seconds = max(0, self._hold_ms - waits_ms) // 1000
            raise StoreOlder(
                f"the database failed over {seconds} s ago; launches wait until every host has compared its journal"
            )

    async def require_launchable(self) -> None:
        """The same: a database that several hosts share is no part of a folder that could be a copy."""
        await self.require_complete()

    async def loss(self) -> FleetLoss | None:
        """Return what this host knows and the database does not, unless a person has given it up.

        The files are read first: what is written meanwhile is in the database in any case. One that cannot be read
        proves nothing. Raises StoreError.
        """
        intents = await asyncio.to_thread(self._newest_intents)
        lines = await asyncio.to_thread(newest_records, self._log_path, NEWEST_LINES)
        unknown = await self._history.unknown_sends({run_id: intent.sends for run_id, intent in intents.items()})
        lost_lines = await self._history.unknown_lines(lines)
        if not unknown and not lost_lines:
            return None
        accepted = await self._history.accepted()
        loss = FleetLoss(
            lines=tuple(line for line in lost_lines if line.ev > accepted.ev),
            launches=tuple(intents[run_id] for run_id in unknown if run_id not in accepted.run_ids),
        )
        return loss if loss.lines or loss.launches else None

    async def reclaim(self) -> tuple[tuple[Run, ...], tuple[str, ...]]:
        """Put the lost launches of this host back; return them, and a line for each that could not be. Raises
        StoreError where the database does not work.
        """
        loss = await self.loss()
        back, refused = [], []
        for intent in () if loss is None else loss.launches:
            try:
                run = await self._history.reclaim(intent.run_id, intent.row, intent.sends, self._clock.now())
            except StoreError as error:
                refused.append(f"run {intent.run_id} of task {intent.task}, key {intent.key}: {error}")
            else:
                back.append(run)
        return tuple(back), tuple(refused)

    async def accept(self, *, by: str, why: str) -> FleetLoss | None:
        """Give up what this host knows and the database does not; keys that may be taken stay so. Raises StoreError,
        also where a launch would be sent again.
        """
        loss = await self.loss()
        if loss is None:
            return None
        for intent in loss.launches:
            row = await self._store.runs.get(intent.run_id)
            if row is not None and row.state is not State.ENDED:
                raise StoreOlder(
                    f"run {intent.run_id} was sent and would be sent again; `nightdesk store reclaim` first"
                )
        runs = {intent.run_id: _forgotten(intent) for intent in loss.launches}
        for line in loss.lines:
            if (run := ForgottenRun.of(line)) is not None:
                runs[run.run_id] = run
        lost = LostHistory(
            last_ev=await self._store.log_records.last_number(),
            known_ev=max((line.ev for line in loss.lines), default=0),
            run_ids=tuple(sorted(runs)),
        )
        kept = [run for run in runs.values() if run.keeps_its_key]
        await self._store.identity.accept_lost_history(lost, kept, by=by, why=why, now=self._clock.now())
        self._compared = ""
        return loss

    async def _compare(self) -> None:
        self._failed_over_ms = await self._history.observe_failover()
        # The session of reads is opened by a read; what is found belongs to the sessions that are open now.
        await self._store.controls.paused()
        session = self._history.session
        if (loss := await self.loss()) is not None:
            if await self._store.controls.paused() is None:
                await self._store.controls.pause(by=BY, now=self._clock.now(), why=loss.sentence)
            self._problems.report("went back", loss.sentence, lasting=True)
            raise StoreOlder(loss.sentence)
        self._problems.clear("went back")
        self._compared = session

    def _waits_ms(self) -> int:
        """For how long launches still wait; 0 or less where they do not."""
        return self._failed_over_ms + self._hold_ms - self._clock.now().wall_ms if self._failed_over_ms else 0

    def _newest_intents(self) -> dict[RunId, LaunchIntent]:
        with suppress(JournalError):
            intents = self._launches.read_intents()
            return {run_id: intents[run_id] for run_id in sorted(intents)[-NEWEST_RUNS:]}
        return {}


def _forgotten(intent: LaunchIntent) -> ForgottenRun:
    return ForgottenRun(run_id=intent.run_id, key=intent.key, status="sending")
