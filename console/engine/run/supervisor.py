"""One run, supervised from where it stands to its end, independent of any screen."""

from __future__ import annotations

import asyncio
from functools import partial
from itertools import chain, repeat
from typing import assert_never

from console.domain.run import Run, State, StopReason, StopRequest
from console.engine.concerns import end_tasks, wait_event, wait_task
from console.engine.context import EngineContext
from console.engine.errors import OwnershipLost
from console.engine.run.cancel import Canceller, discard_own
from console.engine.run.launch import Launcher
from console.engine.run.lost_launch import can_resolve, resolve
from console.engine.run.monitor import RunMonitor
from console.engine.run.progress import ProgressRecorder
from console.engine.run.writer import RunWriter, with_stop
from console.provider.contract import Absent, Fenced, Found


class RunSupervisor:
    """Takes a run of this owner through its states.

    It keeps what is known of the run over a restart: `supervise` may be called again after it raised.
    """

    def __init__(self, context: EngineContext, run: Run, recorder: ProgressRecorder) -> None:
        self.run_id = run.id
        self._context = context
        self._recorder = recorder
        self._launcher = Launcher(context, run)
        self._writer: RunWriter | None = (
            None if run.state in (State.CLAIMED, State.SENDING) else RunWriter(context, run)
        )
        self._monitor: RunMonitor | None = None
        self._canceller: Canceller | None = None
        """Kept over a restart, with its back-off and its alarms."""
        self._row_changed = asyncio.Event()
        self._sending: asyncio.Task[RunWriter] | None = None

    @property
    def run(self) -> Run:
        """The run as it is known here; may be ahead of the store while that fails."""
        if self._writer is not None:
            return self._writer.run
        stop = self._launcher.stop
        return self._launcher.run if stop is None else with_stop(self._launcher.run, stop)

    @property
    def is_sending(self) -> bool:
        """True while a launch is on its way and must not be interrupted."""
        return self._sending is not None and not self._sending.done()

    async def supervise(self) -> Run:
        """The run, ended. Raises OwnershipLost where another process has taken it."""
        while True:
            if self._writer is None:
                await self._launch()
                continue
            match self._writer.run.state:
                case State.RUNNING | State.STOPPING:
                    if self._canceller is None:
                        self._canceller = Canceller(self._context, self._writer)
                    self._monitor = RunMonitor(self._context, self._writer, self._recorder, self._canceller)
                    await self._monitor.follow()
                case State.UNCONFIRMED:
                    await self._hold_unconfirmed(self._writer)
                case State.ENDED:
                    return self._writer.run
                case State.CLAIMED | State.PROPOSED | State.SENDING:
                    raise OwnershipLost(f"{self.run_id} is {self.run.state}: not for a supervisor")
                case other:
                    assert_never(other)

    def on_row_changed(self, row: Run) -> None:
        """Take in the row as the store has it now. Raises OwnershipLost."""
        if self._writer is not None:
            if not self._writer.on_row_changed(row):
                return
        elif not self.is_sending and row.fence > self._launcher.run.fence:
            raise OwnershipLost(self.run_id)
        elif row.stop is not None:
            self._launcher.request_stop(row.stop)
        self._row_has_changed()

    async def request_stop(self, reason: StopReason, *, by: str) -> None:
        """Stop the run: in memory at once, so that the cancel leaves whatever the store does.

        Returns when the request is stored, or after `timings.intent_wait_s`.
        """
        if self._writer is not None:
            self._writer.request_stop(reason, by=by)
            self._row_has_changed()
            await self._writer.wait_stored(self._context.timings.intent_wait_s)
            return
        now = self._context.clock.now()
        self._launcher.request_stop(StopRequest(reason=reason, by=by, at_ms=now.wall_ms))
        store = self._context.store.runs.request_stop(self.run_id, reason=reason, by=by, now=now)
        wait_s = self._context.timings.intent_wait_s
        await self._context.background.start_and_wait(store, f"stop {self.run_id}", wait_s)
        self._row_has_changed()

    def extend_window(self) -> Run:
        """Return the run, with its window extended by the time for which its launch was queued."""
        return self._launcher.extend_window()

    def wake(self) -> None:
        """Have the limits of a live run applied now."""
        if self._monitor is not None:
            self._monitor.wake()

    async def wait_sent(self, seconds: float) -> None:
        """Begin no launch any more; let one that is on its way come to its answer, for at most `seconds`."""
        self._launcher.leaving = True
        if self._sending is not None and self._launcher.is_sending:
            await wait_task(self._sending, seconds)

    async def close(self) -> None:
        """Send nothing any more. A launch still on its way stays `sending`: its outcome cannot be known any more."""
        if self._sending is not None and not self._sending.done():
            await end_tasks([self._sending])
        if self._writer is not None:
            await self._writer.close()

    def _row_has_changed(self) -> None:
        self._row_changed.set()
        self.wake()

    async def _launch(self) -> None:
        """In a task of its own: a cancelled supervisor does not interrupt the POST."""
        if self._sending is None or self._sending.done():
            work = self._launcher.launch()
            self._sending = asyncio.get_running_loop().create_task(work, name=f"launch {self.run_id}")
        writer = await asyncio.shield(self._sending)
        self._writer = writer
        stop = self._launcher.stop
        if stop is not None and writer.run.stop is None:
            writer.request_stop(stop.reason, by=stop.by)

    async def _hold_unconfirmed(self, writer: RunWriter) -> None:
        """It may be running and there is no id to cancel. Key and hold stay until this state ends.

        Where the service can be asked, it is asked again and again; otherwise the own sandbox goes at a stop or at the
        deadline, and only a person ends this state.
        """
        if can_resolve(self._context, writer.run):
            await self._keep_resolving(writer)
            return
        wait, gone = self._context.timings.cancel_first_s, False
        while writer.run.state is State.UNCONFIRMED:
            self._row_changed.clear()
            writer.keep_flushing()
            if not gone and self._sandbox_must_go(writer.run):
                gone = await discard_own(self._context, writer)
                wait = min(wait * 2, self._context.timings.cancel_longest_s)
            await wait_event(self._row_changed, self._context.timings.tick_s if gone else self._until_due(wait))

    def _until_due(self, seconds: float) -> float:
        """At most so long, but no longer than to the time limit of the run."""
        left_ms = self.run.left_ms(self._context.clock.now())
        return seconds if left_ms is None or left_ms <= 0 else min(seconds, left_ms / 1000)

    async def _keep_resolving(self, writer: RunWriter) -> None:
        """Ask the service until it shows what became of the launch; a run that was found is taken up, stop and all."""
        waits = self._context.timings.resolve_waits_s
        for wait in chain(waits, repeat(waits[-1])):
            self._row_changed.clear()
            writer.keep_flushing()
            if writer.run.state is not State.UNCONFIRMED:
                return
            resolution, _ = await resolve(self._context, writer.run)
            if isinstance(resolution, Absent):
                await wait_event(self._row_changed, wait)
            else:
                await writer.write(partial(self._record_resolution, resolution))
                await self._context.log_flusher.flush()

    async def _record_resolution(self, resolution: Found | Fenced, run: Run) -> Run:
        runs, now = self._context.store.runs, self._context.clock.now()
        if isinstance(resolution, Fenced):
            return await runs.rule_not_launched(run, by="nightdesk", reason=resolution.why, now=now)
        return await runs.adopt(
            run, remote_id=resolution.remote_id, by="nightdesk", reason="the service shows it", now=now
        )

    def _sandbox_must_go(self, run: Run) -> bool:
        overdue = run.is_overdue(self._context.clock.now())
        return (run.stop is not None or overdue) and run.sandbox_deleted_ms is None
