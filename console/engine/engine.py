"""The engine of one process on a state folder: `async with Engine(...) as engine`, with a screen or without.

It owns its tasks and outlives every screen. Each concern (reading rows, take-over, overdue cancels, schedule, …) and
each run has a task of its own; see `concerns.py` and `supervisor.py` for what happens when one of them raises.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

from console.domain.run import Run, RunId, State
from console.domain.timestamps import Clock
from console.engine.concerns import BackgroundTasks, Concern, ConcernRunner, describe
from console.engine.context import EngineContext
from console.engine.failover_watch import FailoverWatch
from console.engine.housekeeping import ClockStepDetector, DeadOwners, Heartbeat
from console.engine.load import LoadMeter
from console.engine.log_flush import LogFlusher
from console.engine.operations import Operations
from console.engine.ownership import NOBODY, Ownership
from console.engine.problems import Problems, problems_path
from console.engine.queries import Queries
from console.engine.restore_check import RestoreCheck
from console.engine.rollout import Rollout
from console.engine.run.late_ids import LateIds
from console.engine.scheduling.agenda import AgendaReader
from console.engine.scheduling.scheduler import Scheduler
from console.engine.settings import EngineSettings, Timings
from console.engine.supervisor import Supervisor
from console.engine.unstarted import UnstartedSweep
from console.journal.launch_journal import LaunchJournal
from console.journal.runs_log import LogWriter
from console.provider.contract import Provider
from console.store.store import Store

if TYPE_CHECKING:
    from console.engine.period_report import PeriodReport
    from console.engine.usage import UsageReporter

log = logging.getLogger("nightdesk")

SETTLED = frozenset({State.ENDED, State.UNCONFIRMED})


class Engine:
    """The engine of one process. Its ports are handed in open; the caller closes them."""

    def __init__(
        self,
        *,
        store: Store,
        log: LogWriter,
        launches: LaunchJournal,
        providers: Mapping[str, Provider],
        clock: Clock,
        settings: EngineSettings,
        folder: Path,
        ownership: Ownership,
        key_trouble: Callable[[str], str | None] = lambda name: None,
        timings: Timings | None = None,
        randomness: Callable[[int], bytes] = os.urandom,
    ) -> None:
        """`folder` is the state folder, made by the store. Nothing happens before `__aenter__`.

        `ownership` is released by the hand-over; this process supervises where its id is not `NOBODY`.

        `providers` are those of `settings.services` by name. `key_trouble` says why there is no usable API key for the
        provider of that name; None where there is one.
        """
        self._folder = folder
        self._ownership = ownership
        self._supervises = ownership.id != NOBODY
        problems = Problems(lambda: clock.now().wall_ms)
        self._context = EngineContext(
            store=store,
            log_flusher=LogFlusher(store, log, problems),
            launches=launches,
            providers=providers,
            clock=clock,
            settings=settings,
            owner=ownership.id,
            problems=problems,
            background=BackgroundTasks(problems),
            holds_lock=ownership.is_held,
            in_fleet=ownership.in_fleet,
            clock_behind_ms=lambda: ownership.clock_behind_ms,
            key_trouble=key_trouble,
            timings=timings or Timings(),
        )
        self._concerns = ConcernRunner(problems)
        self._load = LoadMeter(self._context.poll_pace, problems)
        self._log_path = folder / "runs.log"
        self.failover = self._failover_watch()
        """Compares the database of several hosts with the files of this one; None on one machine."""
        again_s = self._context.timings.tick_s
        history_check = self.failover or RestoreCheck(store, launches, self._log_path, again_s=again_s)
        self._supervisor = Supervisor(self._context, ownership, history_check.require_launchable)
        self.operations = Operations(self._context, self._supervisor, randomness, history_check)
        self.rollout = Rollout(self._context)
        self._scheduler = Scheduler(self._context, self.operations, ownership, _info)
        self.queries = Queries(self._context, self.operations, self.rollout, ownership, folder)
        self.agenda = AgendaReader(self._context, self.queries)
        self._usage: UsageReporter | None = None
        self._handed_over = False

    async def __aenter__(self) -> Self:
        """Announce this owner and start its concerns. Raises StoreError; the ownership is released then."""
        if not self._supervises:
            await self._ownership.refresh()
        else:
            try:
                await self._ownership.exchange()
                await self._context.store.controls.announce(
                    self._ownership.id, kind=self.settings.kind.value, pid=os.getpid(), now=self._context.clock.now()
                )
            except BaseException:
                self._ownership.release()
                raise
            self._concerns.start(self.concerns())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Hand the runs over; none is stopped by it."""
        try:
            await self.hand_over()
        finally:
            # An operation asked for after an earlier hand-over may try its write again for as long as the store is
            # held, and the store waits for all writes when it closes.
            await self._context.background.stop()

    def concerns(self) -> tuple[Concern, ...]:
        """What this engine repeats, each in a task of its own."""
        tick, beat = self._context.timings.tick_s, self._context.timings.beat_ms / 1000
        supervisor, dead_owners = self._supervisor, DeadOwners(self._context, self._ownership, self._folder)
        concerns = [
            Concern(name="rows", round=self._read_rows, every_s=tick),
            Concern(name="take-over", round=supervisor.take_over, every_s=tick),
            Concern(name="overdue", round=supervisor.cancel_overdue, every_s=tick),
            Concern(name="progress", round=supervisor.recorder.record, every_s=tick),
            Concern(name="log", round=self._context.log_flusher.flush, every_s=tick),
            Concern(name="observed", round=supervisor.record_observed, every_s=tick),
            Concern(name="clock", round=ClockStepDetector(self._context).check, every_s=tick),
            Concern(name="heartbeat", round=Heartbeat(self._context).beat, every_s=beat),
            Concern(name="dead owners", round=dead_owners.remove, every_s=beat),
            Concern(name="unstarted", round=UnstartedSweep(self._context).sweep_if_due, every_s=beat),
            Concern(name="queue", round=supervisor.store_windows, every_s=beat),
            Concern(name="pause", round=self._context.store.controls.adopt_pause, every_s=tick),
            Concern(name="load", round=self._measure_load, every_s=tick),
            Concern(name="problems", round=self._publish_problems, every_s=tick),
        ]
        if self._ownership.in_fleet:
            late_ids = LateIds(
                self._context, self._folder / "launch.journal", supervisor.stored_runs, supervisor.notify
            )
            concerns.append(Concern(name="leases", round=self._ownership.exchange, every_s=tick))
            concerns.append(Concern(name="late ids", round=late_ids.adopt, every_s=tick))
        if self.failover is not None:
            concerns.append(Concern(name="failover", round=self.failover.check, every_s=tick))
        if self.settings.schedules:
            concerns.append(Concern(name="schedule", round=self._scheduler.tick, every_s=tick))
        return tuple(concerns)

    @property
    def settings(self) -> EngineSettings:
        """The settings in force."""
        return self._context.settings

    @property
    def problems(self) -> Problems:
        """What does not work now; commands report into it too."""
        return self._context.problems

    def reload(self, settings: EngineSettings) -> None:
        """Judge launches by `settings` from here on. Kind and role of the process stay; limits of runs stay too."""
        before = self._context.settings
        self._context.settings = replace(
            settings, kind=before.kind, read_only=before.read_only, schedules=before.schedules
        )
        self._scheduler.restart()
        _info(f"config reloaded: {len(settings.tasks)} tasks")

    def add_concern(self, concern: Concern) -> None:
        """Repeat one more duty until this engine hands over."""
        self._concerns.start((concern,))

    @property
    def usage(self) -> UsageReporter:
        """What was used, summed from the log. Loaded at the first request: most processes never ask."""
        if self._usage is None:
            from console.engine.usage import UsageReporter

            self._usage = UsageReporter(self._context, self._log_path)
        return self._usage

    async def period_report(self, days: int) -> PeriodReport:
        """The page of the last `days` full days. Raises JournalError, StoreError, ValueError."""
        from console.engine.period_report import period_report

        return await period_report(self._context, self.usage, days)

    @property
    def guarded(self) -> frozenset[RunId]:
        """The ids of the runs this process supervises."""
        return self._supervisor.guarded

    @property
    def rounds(self) -> Mapping[str, int]:
        """The rounds of each concern that came to an end; all rise while this engine works."""
        return self._concerns.rounds

    def lagging(self) -> tuple[str, ...]:
        """The concerns whose round takes longer than `stuck_after_s`: while there are any, the watchdog is not fed."""
        return self._concerns.lagging(self._context.timings.stuck_after_s)

    async def hand_over(self) -> int:
        """Supervise no more, without stopping a run; return how many open runs now wait for another process.

        Whatever is raised on the way, every lock is released.
        """
        if self._handed_over:
            return 0
        self._handed_over = True
        left = 0
        try:
            async with AsyncExitStack() as stack:
                # Undone from the last to the first, each whatever the others raised.
                if self._supervises:
                    stack.callback(self._ownership.release)
                    stack.push_async_callback(self._withdraw)
                stack.push_async_callback(self._flush_last_lines)
                stack.push_async_callback(self._context.background.stop)
                stack.push_async_callback(self._supervisor.hand_over)
                stack.callback(self._ownership.release_schedule)
                if self._usage is not None:
                    stack.callback(self._usage.close)
                stack.push_async_callback(self._concerns.stop)
                left = len(self._supervisor.guarded)
        except Exception as error:
            self._context.problems.report("hand-over", f"hand-over: {describe(error)}", error)
        return left

    async def wait(self, run_id: RunId) -> Run:
        """The run once it is ended or unconfirmed and its line is in the log; any process may supervise it.

        Raises LookupError, StoreError.
        """
        while True:
            run = await self.get_run(run_id)
            if run.state in SETTLED:
                await self._context.log_flusher.flush()
                return run
            await self._supervisor.wait(run_id, self._context.timings.tick_s / 4)

    async def get_run(self, run_id: RunId) -> Run:
        """The run now: as its supervisor here knows it, else as stored. Raises LookupError, StoreError."""
        run = self._supervisor.known(run_id) or await self._context.store.runs.get(run_id)
        if run is None:
            raise LookupError(f"no run has the id {run_id}")
        return run

    async def tick(self) -> None:
        """Read the state folder now, beside the round of every tick. Raises StoreError."""
        if self._supervises:
            await self._supervisor.read_rows()
            await self._supervisor.take_over()
            await self._supervisor.cancel_overdue()

    async def _read_rows(self) -> None:
        await self._supervisor.read_rows()
        for name in ("take-over", "overdue", "observed"):
            self._concerns.wake(name)

    def _failover_watch(self) -> FailoverWatch | None:
        """Return what has to find the database complete before anything is sent; None on one machine."""
        context, ownership = self._context, self._ownership
        if not ownership.in_fleet:
            return None
        hold_ms = context.timings.failover_hold_ms
        watch = FailoverWatch(
            context.store, context.launches, self._log_path, context.clock, context.problems, hold_ms=hold_ms
        )
        context.holds_lock = lambda: ownership.is_held() and watch.may_send()
        return watch

    async def _measure_load(self) -> None:
        await self._load.measure(
            self._context.timings.tick_s, min(one.poll_ms for one in self.settings.services) / 1000
        )

    async def _publish_problems(self) -> None:
        lagging = self.lagging()
        if lagging:
            self._context.problems.report("supervision", f"supervision does not come round: {', '.join(lagging)}")
        else:
            self._context.problems.clear("supervision")
        path = problems_path(self._folder, self._context.owner)
        await self._context.problems.publish(path, config=self.settings.fingerprint)

    async def _flush_last_lines(self) -> None:
        """Put what happened last into the log, for at most `stop_wait_s`; the next process writes what is missing."""
        flush = self._context.log_flusher.flush()
        await self._context.background.start_and_wait(flush, "flush", self._context.timings.stop_wait_s)

    async def _withdraw(self) -> None:
        """Take this owner out of the store, for at most `stop_wait_s`: nobody needs it to take the runs over."""
        problems_path(self._folder, self._ownership.id).unlink(missing_ok=True)
        withdraw = self._context.store.controls.withdraw(self._ownership.id)
        await self._context.background.start_and_wait(withdraw, "withdraw", self._context.timings.stop_wait_s)


def _info(line: str) -> None:
    log.info("%s", line)
