"""The engine owns its tasks and outlives every screen: `async with Engine(...) as engine`, then show it or not."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from console.domain.moment import Clock
from console.domain.run import Run, RunId, State
from console.engine.desk import Desk
from console.engine.errors import StoreError
from console.engine.ownership import OwnerLock
from console.engine.pacing import Pacing
from console.engine.parts import Parts, Problems, Scribe
from console.engine.rollout import Rollout
from console.engine.scheduler import Scheduler, SchedulerLock
from console.engine.settings import EngineSettings
from console.engine.usage import UsageBook
from console.engine.view import View
from console.engine.watch import Watch
from console.journal.launches import LaunchJournal
from console.journal.writer import LogWriter
from console.provider.contract import Provider
from console.store.store import Store

log_line = logging.getLogger("nightdesk")

NOBODY = "0" * 32
"""The owner of a process that guards nothing."""
SETTLED = frozenset({State.ENDED, State.UNCONFIRMED})


class Engine:
    """One process's engine on a state folder. The parts are handed in open and are closed by whoever opened them."""

    looks = 0
    """Ticks that came to their end, with a working store or without: while it rises this engine is alive."""

    def __init__(
        self,
        *,
        store: Store,
        log: LogWriter,
        launches: LaunchJournal,
        provider: Provider,
        clock: Clock,
        settings: EngineSettings,
        folder: Path,
        pacing: Pacing | None = None,
        randomness: Callable[[int], bytes] = os.urandom,
    ) -> None:
        """`folder` is the state folder, made by the store. Nothing happens before `__aenter__`."""
        self.settings = settings
        owners = folder / "owners"
        self._guards_runs = settings.kind.guards and not settings.read_only
        self._lock = OwnerLock(owners) if self._guards_runs else None
        problems = Problems()
        self._parts = Parts(
            store=store,
            scribe=Scribe(store, log, problems),
            launches=launches,
            provider=provider,
            clock=clock,
            settings=settings,
            owner=self._lock.id if self._lock else NOBODY,
            problems=problems,
            holds_lock=self._lock.is_held if self._lock else lambda: False,
            pacing=pacing or Pacing(),
        )
        self._watch = Watch(self._parts, owners)
        self.desk = Desk(self._parts, self._watch, randomness)
        self.rollout = Rollout(self._parts)
        self._scheduling = SchedulerLock(folder)
        self._scheduler = Scheduler(self._parts, self.desk, self._scheduling, log_line.info)
        self.view = View(self._parts, self.desk, self.rollout, self._scheduling, owners)
        self.usage = UsageBook(self._parts, folder / "runs.log")
        self._watching: asyncio.Task[None] | None = None
        self._handed_over = False

    async def __aenter__(self) -> Self:
        """Announces this owner and begins to watch. Raises StoreError."""
        if self._lock is not None:
            await self._parts.store.controls.announce(
                self._lock.id, kind=self.settings.kind.value, pid=os.getpid(), now=self._parts.clock.now()
            )
            self._watching = asyncio.create_task(self._keep_watching(), name="watch")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Hands the runs over; none is stopped by it."""
        await self.hand_over()

    @property
    def guarded(self) -> frozenset[RunId]:
        """The runs this process guards."""
        return self._watch.guarded

    async def hand_over(self) -> int:
        """Guards no more, without stopping a run. How many open runs now wait for another process."""
        if self._handed_over:
            return 0
        self._handed_over = True
        if self._watching is not None:
            self._watching.cancel()
            with suppress(asyncio.CancelledError):
                await self._watching
        self._scheduling.release()
        self.usage.close()
        left = len(self._watch.guarded)
        await self._watch.hand_over()
        if self._lock is not None:
            with suppress(StoreError):
                await self._parts.store.controls.withdraw(self._lock.id)
            self._lock.release()
        return left

    async def wait(self, run_id: RunId) -> Run:
        """The run once it is ended or unconfirmed and its line is in the log, whoever guards it.

        Raises LookupError, StoreError.
        """
        while True:
            run = await self.look_at(run_id)
            if run.state in SETTLED:
                await self._parts.scribe.flush()
                return run
            await self._watch.settle_down(run_id, self._parts.pacing.tick_s / 4)

    async def look_at(self, run_id: RunId) -> Run:
        """The run now: as its guard here knows it, else as the store has it. Raises LookupError, StoreError."""
        run = self._watch.known(run_id) or await self._parts.store.runs.get(run_id)
        if run is None:
            raise LookupError(f"no run has the id {run_id}")
        return run

    async def look(self) -> None:
        """One look at the state folder now, beside the one of every tick. Raises StoreError."""
        if self._lock is not None:
            await self._watch.look()

    async def _keep_watching(self) -> None:
        while True:
            try:
                await self._watch.look()
                if self.settings.schedules:
                    await self._scheduler.look()
            except StoreError as error:
                self._parts.problems.set("store", str(error))
            else:
                self._parts.problems.clear("store")
            self.looks += 1
            await asyncio.sleep(self._parts.pacing.tick_s)
