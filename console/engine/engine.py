"""The engine owns its tasks and outlives every screen: `async with Engine(...) as engine`, then show it or not."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

from console.domain.run import Run, RunId, State
from console.domain.timestamps import Clock
from console.engine.context import EngineContext
from console.engine.errors import StoreError
from console.engine.log_flush import LogFlusher
from console.engine.operations import Operations
from console.engine.ownership import OwnerLock, SchedulerLock
from console.engine.problems import Problems
from console.engine.queries import Queries
from console.engine.rollout import Rollout
from console.engine.scheduling.scheduler import Scheduler
from console.engine.settings import EngineSettings, Timings
from console.engine.supervisor import Supervisor
from console.journal.launch_journal import LaunchJournal
from console.journal.runs_log import LogWriter
from console.provider.contract import Provider
from console.store.store import Store

if TYPE_CHECKING:
    from console.engine.usage import UsageReporter

log_line = logging.getLogger("nightdesk")

NOBODY = "0" * 32
"""The owner of a process that guards nothing."""
SETTLED = frozenset({State.ENDED, State.UNCONFIRMED})


class Engine:
    """One process's engine on a state folder. The parts are handed in open and are closed by whoever opened them."""

    ticks = 0
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
        timings: Timings | None = None,
        randomness: Callable[[int], bytes] = os.urandom,
    ) -> None:
        """`folder` is the state folder, made by the store. Nothing happens before `__aenter__`."""
        self.settings = settings
        owners = folder / "owners"
        self._guards_runs = settings.kind.guards and not settings.read_only
        self._lock = OwnerLock(owners) if self._guards_runs else None
        problems = Problems()
        self._context = EngineContext(
            store=store,
            log_flusher=LogFlusher(store, log, problems),
            launches=launches,
            provider=provider,
            clock=clock,
            settings=settings,
            owner=self._lock.id if self._lock else NOBODY,
            problems=problems,
            holds_lock=self._lock.is_held if self._lock else lambda: False,
            timings=timings or Timings(),
        )
        self._supervisor = Supervisor(self._context, owners)
        self.operations = Operations(self._context, self._supervisor, randomness)
        self.rollout = Rollout(self._context)
        self._scheduling = SchedulerLock(folder)
        self._scheduler = Scheduler(self._context, self.operations, self._scheduling, log_line.info)
        self.queries = Queries(self._context, self.operations, self.rollout, self._scheduling, owners)
        self._log_path = folder / "runs.log"
        self._usage: UsageReporter | None = None
        self._watching: asyncio.Task[None] | None = None
        self._handed_over = False

    async def __aenter__(self) -> Self:
        """Announces this owner and begins to watch. Raises StoreError."""
        if self._lock is not None:
            await self._context.store.controls.announce(
                self._lock.id, kind=self.settings.kind.value, pid=os.getpid(), now=self._context.clock.now()
            )
            self._watching = asyncio.create_task(self._keep_watching(), name="watch")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Hands the runs over; none is stopped by it."""
        await self.hand_over()

    @property
    def usage(self) -> UsageReporter:
        """What was used, summed from the log. Loaded at the first request: most processes never ask."""
        if self._usage is None:
            from console.engine.usage import UsageReporter

            self._usage = UsageReporter(self._context, self._log_path)
        return self._usage

    @property
    def guarded(self) -> frozenset[RunId]:
        """The runs this process guards."""
        return self._supervisor.guarded

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
        if self._usage is not None:
            self._usage.close()
        left = len(self._supervisor.guarded)
        await self._supervisor.hand_over()
        if self._lock is not None:
            with suppress(StoreError):
                await self._context.store.controls.withdraw(self._lock.id)
            self._lock.release()
        return left

    async def wait(self, run_id: RunId) -> Run:
        """The run once it is ended or unconfirmed and its line is in the log, whoever guards it.

        Raises LookupError, StoreError.
        """
        while True:
            run = await self.get_run(run_id)
            if run.state in SETTLED:
                await self._context.log_flusher.flush()
                return run
            await self._supervisor.settle_down(run_id, self._context.timings.tick_s / 4)

    async def get_run(self, run_id: RunId) -> Run:
        """The run now: as its guard here knows it, else as the store has it. Raises LookupError, StoreError."""
        run = self._supervisor.known(run_id) or await self._context.store.runs.get(run_id)
        if run is None:
            raise LookupError(f"no run has the id {run_id}")
        return run

    async def tick(self) -> None:
        """One look at the state folder now, beside the one of every tick. Raises StoreError."""
        if self._lock is not None:
            await self._supervisor.tick()

    async def _keep_watching(self) -> None:
        while True:
            try:
                await self._supervisor.tick()
                if self.settings.schedules:
                    await self._scheduler.tick()
            except StoreError as error:
                self._context.problems.set("store", str(error))
            else:
                self._context.problems.clear("store")
            self.ticks += 1
            await asyncio.sleep(self._context.timings.tick_s)
