"""A running run: polled, streamed, held to its clock and its budget, until the provider shows an end.

The poll is the truth; the stream shows steps and usage sooner. Neither can hold up the limits: each call runs in a
task of its own, and nothing here waits for the store before a cancel is sent.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from contextlib import aclosing, suppress
from itertools import chain, repeat

from console.domain.run import Ending, Run, State, StopReason
from console.domain.text import sanitize
from console.domain.timestamps import Timestamp
from console.domain.usage import Usage
from console.engine.concerns import describe, end_tasks, wait_event
from console.engine.context import EngineContext
from console.engine.errors import AccessDenied
from console.engine.run.cancel import Canceller, discard_own, try_cancel
from console.engine.run.live_usage import LiveUsage
from console.engine.run.progress import ProgressRecorder
from console.engine.run.settle import settle_run
from console.engine.run.writer import RunWriter
from console.provider.contract import (
    Denied,
    NotFound,
    ProviderError,
    RemoteRun,
    StatusClass,
    Unavailable,
    Unreachable,
)
from console.provider.traits import Prepares
from console.store.progress import Progress, ProgressUpdate

ACCESS = "access"
"""The source of the problem that the service refuses the key of this process for a run."""


class RunMonitor:
    """Follows one run that has an id, running or stopping, to its settlement."""

    def __init__(
        self, context: EngineContext, writer: RunWriter, recorder: ProgressRecorder, canceller: Canceller
    ) -> None:
        self._context = context
        self._canceller = canceller
        self._writer = writer
        self._recorder = recorder
        self._usage = LiveUsage.of(writer.run, context.settings.units_of(writer.run))
        self._changed = asyncio.Event()
        """Something changed: apply the limits again."""
        self._poll_now = asyncio.Event()
        self._end: RemoteRun | None = None
        self._denied = 0
        """Polls in a row that were refused for the key."""
        self._parked_polls = 0
        self._unstarted_polls = 0
        self._parked = ""
        """The status under which it waited for input, once it was cancelled for that."""
        self._cancelling = False
        self._has_news = True
        """A poll or the stream brought something since the last draft."""
        self._saved: tuple[Progress | None, int] = (None, 0)
        """The figures stored last and the boot time of that, in milliseconds."""
        self._tasks: set[asyncio.Task[None]] = set()

    async def follow(self) -> None:
        """Return when the run is ended. Raises OwnershipLost where another process supervises it."""
        self._start(self._poll(), "poll")
        self._start(self._stream(), "stream")
        self._recorder.add(self._writer.row.id, self)
        try:
            while self._end is None and self._writer.run.state is not State.ENDED:
                await self._apply_limits()
            if self._end is not None:
                await settle_run(
                    self._context,
                    self._writer,
                    self._usage,
                    self._end,
                    parked=self._parked,
                    sandbox_deleted=self._canceller.sandbox_deleted,
                )
        finally:
            self._recorder.remove(self._writer.row.id)
            await self._stop_tasks()

    def wake(self) -> None:
        """Apply the limits now: the run changed from outside, or its time limit has passed."""
        self._changed.set()

    def draft(self) -> ProgressUpdate | None:
        """The figures that changed since they were stored, at most once in `save_ms`."""
        row, now = self._writer.row, self._context.clock.now()
        if not self._has_news or self._writer.is_behind or row.state not in (State.RUNNING, State.STOPPING):
            return None
        before, at = self._saved
        progress = self._usage.progress_of(row, self._context.settings.price_of(row), now)
        if before is not None and now.boot_ms - at < self._context.timings.save_ms:
            return None
        self._has_news = False
        if progress == before:
            return None
        return ProgressUpdate(run=row, progress=progress, steps=self._usage.unsaved_steps())

    def stored(self, draft: ProgressUpdate, row: Run | None) -> None:
        """The draft is stored; `row` is the run there, or None where it had changed."""
        if row is None:
            self._has_news = True
            return
        self._saved = (draft.progress, self._context.clock.now().boot_ms)
        self._usage.stored(draft.steps)
        self._writer.take(row)

    def _start(self, work: Coroutine[None, None, None], name: str) -> None:
        task = asyncio.get_running_loop().create_task(work, name=f"{name} {self._writer.row.id}")
        task.add_done_callback(lambda _: self._changed.set())
        self._tasks.add(task)

    async def _stop_tasks(self) -> None:
        await end_tasks(self._tasks)
        # A cancelled task keeps its frames and they keep this monitor: a circle that only a full collection would find.
        self._tasks.clear()

    def _raise_failed(self) -> None:
        """A helper task never ends by itself: where it did, its error is the monitor's."""
        for task in self._tasks:
            if task.done():
                task.result()

    async def _apply_limits(self) -> None:
        """One turn: deadline and budget, then wait for news or the next tick."""
        self._changed.clear()
        self._raise_failed()
        self._writer.keep_flushing()
        now, run = self._context.clock.now(), self._writer.run
        if run.state is State.RUNNING and (reason := self._limit_reached(run, now)) is not None:
            self._writer.request_stop(reason, by="nightdesk")
        if self._writer.run.state is State.STOPPING and not self._cancelling:
            self._cancelling = True
            self._start(self._canceller.keep_cancelling(self._poll_now), "cancel")
        await wait_event(self._changed, self._until_next(now))

    def _limit_reached(self, run: Run, now: Timestamp) -> StopReason | None:
        if run.is_overdue(now):
            return StopReason.TIMEOUT
        if self._usage.over_budget(run):
            return StopReason.BUDGET
        return None

    def _until_next(self, now: Timestamp) -> float:
        """Seconds until the limits are applied again if nothing happens.

        A timer does not run while the machine is suspended; the supervisor of all runs finds a limit that has passed
        meanwhile within a tick.
        """
        run, timings = self._writer.run, self._context.timings
        left_ms = run.left_ms(now)
        if run.state is not State.RUNNING or left_ms is None:
            return timings.tick_s
        ticks = 1 if self._writer.is_behind else timings.idle_ticks
        return min(ticks * timings.tick_s, max(0.0, left_ms / 1000))

    async def _poll(self) -> None:
        pace, is_first = self._context.poll_pace, True
        with pace.polling(), self._context.reachability_of(self._writer.run).following():
            while self._end is None:
                self._poll_now.clear()
                async with pace.turn():
                    remote = await self._poll_once()
                if remote is not None:
                    await self._classify(remote)
                # It has all the steps of the run, and the next poll may be far away.
                remote = None
                self._note_news()
                interval_s = self._context.settings.service_of(self._writer.row).poll_ms / 1000
                await wait_event(self._poll_now, pace.wait_s(self._writer.row.id, interval_s, is_first=is_first))
                is_first = False
        await asyncio.Event().wait()

    async def _poll_once(self) -> RemoteRun | None:
        """One poll; None where it failed. Raises AccessDenied after several refusals in a row."""
        try:
            remote = await self._context.provider_of(self._writer.run).get(self._writer.run.remote_id or "")
            self._usage.absorb_remote(remote, self._context.clock.now())
            self._denied = 0
            self._context.reachability_of(self._writer.run).answered()
        except (Denied, NotFound) as error:
            self._context.reachability_of(self._writer.run).answered()
            if isinstance(error, NotFound) and self._was_discarded():
                return _never_started(self._writer.run)
            # The key of another account gets either of them; a process with the right key may be alive.
            self._denied += 1
            self._usage.trouble = sanitize(str(error), limit=200)
            if self._denied % self._context.timings.denied_polls == 0:
                raise AccessDenied(self._usage.trouble) from error
        except ProviderError as error:
            self._usage.trouble = sanitize(str(error), limit=200)
            if isinstance(error, Unreachable | Unavailable):
                self._context.reachability_of(self._writer.run).failed(str(error), self._context.clock.now())
        except Exception as error:
            self._report("the poll", error)
            return None
        else:
            self._context.problems.clear(f"run {self._writer.row.id}", ACCESS)
            self._clear("the poll")
            return remote
        self._clear("the poll")
        return None

    async def _classify(self, remote: RemoteRun) -> None:
        """Is this the end? A parked run waits for a client that is not there: it is cancelled, until an end shows.

        One parked status among live ones ends nothing and cancels nothing.
        """
        if remote.status_class is StatusClass.TERMINAL:
            self._end = remote
        elif remote.is_unstarted:
            await self._discard_unstarted()
        elif remote.status_class is not StatusClass.PARKED:
            self._parked_polls = 0
        else:
            self._parked_polls += 1
            if self._parked_polls >= self._context.timings.parked_polls and not self._cancelling:
                self._parked = sanitize(remote.status, limit=64)
                attempt = await try_cancel(self._context, self._writer.run)
                self._usage.trouble = f"needs input ({self._parked}); {attempt.trouble or 'cancel sent'}"

    async def _discard_unstarted(self) -> None:
        """Discard a session in which nothing was started, once it is to be stopped: that proves that nothing starts."""
        self._unstarted_polls += 1
        if self._unstarted_polls < self._context.timings.parked_polls or self._writer.run.state is not State.STOPPING:
            return
        if self._writer.run.sandbox_own and await discard_own(self._context, self._writer):
            self._end = _never_started(self._writer.run)
            self._usage.absorb_remote(self._end, self._context.clock.now())

    def _was_discarded(self) -> bool:
        """True where the run was a session that was discarded, which the service does only after its end."""
        is_session = self._context.traits_of(self._writer.run).prepares is Prepares.SESSION
        return is_session and self._writer.run.sandbox_deleted_ms is not None

    async def _stream(self) -> None:
        waits = self._context.timings.stream_waits_s
        for wait in chain(waits, repeat(waits[-1])):
            try:
                async with self._context.streams:
                    await self._follow_stream()
            except ProviderError:
                # However a stream ended, only a poll tells how the run stands.
                self._clear("the stream")
            except Exception as error:
                self._report("the stream", error)
            else:
                self._clear("the stream")
            self._poll_now.set()
            await asyncio.sleep(wait)

    async def _follow_stream(self) -> None:
        """Take in the events of one stream until it ends. Raises what the provider raises."""
        async with aclosing(
            self._context.provider_of(self._writer.run).follow(self._writer.run.remote_id or "")
        ) as events:
            async for event in events:
                self._usage.absorb_event(event, self._context.clock.now())
                self._note_news()

    def _note_news(self) -> None:
        """A poll or the stream brought something; the limits are applied again only if one may be reached."""
        self._has_news = True
        run = self._writer.run
        if self._end is not None or (run.state is State.RUNNING and self._usage.over_budget(run)):
            self._changed.set()

    def _report(self, what: str, error: Exception) -> None:
        run_id = self._writer.row.id
        with suppress(Exception):
            self._usage.trouble = sanitize(f"{what} raised {describe(error)}", limit=200)
        self._has_news = True
        text = f"run {run_id}: {what} raised {describe(error)}"
        self._context.problems.report(f"run {run_id}", text, error, source=what)

    def _clear(self, what: str) -> None:
        self._context.problems.clear(f"run {self._writer.row.id}", what)


def _never_started(run: Run) -> RemoteRun:
    """The end of a run whose session was discarded before anything was started in it."""
    return RemoteRun(
        remote_id=run.remote_id or "",
        status="discarded",
        status_class=StatusClass.TERMINAL,
        ending=Ending.CANCELLED,
        usage=run.usage if run.usage_known else Usage(),
    )
