"""A running run: polled, streamed, judged by the clock and by its budget, until the provider shows an end.

The poll is the truth, the stream is decoration that tells steps and usage sooner. Neither can hold up the
judgement: a call that hangs hangs in a task of its own.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from contextlib import aclosing, suppress
from itertools import chain, repeat

from console.domain.run import Run, State, StopReason
from console.domain.text import sanitize
from console.domain.timestamps import Timestamp
from console.engine.context import EngineContext
from console.engine.run.cancel import Canceller
from console.engine.run.live_usage import LiveUsage
from console.engine.run.settle import settle_run
from console.engine.run.writer import RunWriter
from console.engine.waiting import wait_event
from console.provider.contract import ProviderError, RemoteRun, StatusClass
from console.store.rows import Progress, StepRow


class RunMonitor:
    """Guards one run that has an id, running or stopping."""

    def __init__(self, context: EngineContext, keeper: RunWriter) -> None:
        self._context = context
        self._keeper = keeper
        self._figures = LiveUsage.of(keeper.run, context.settings.units_of(keeper.run))
        self._wake = asyncio.Event()
        """Something changed: judge again."""
        self._look = asyncio.Event()
        """Poll now."""
        self._end: RemoteRun | None = None
        self._parked = 0
        self._cancelling = False
        self._saved: tuple[Progress | None, int] = (None, 0)
        self._tasks: set[asyncio.Task[None]] = set()

    async def follow(self) -> Run:
        """The run, ended. Raises LostRun where another process guards it."""
        self._start(self._poll(), "poll")
        self._start(self._stream(), "stream")
        try:
            while (ended := self._end) is None and self._keeper.run.state is not State.ENDED:
                await self._judge()
            if ended is not None:
                self._keeper.run = await settle_run(self._context, self._keeper, self._figures, ended)
                await self._save_steps()
        finally:
            await self._drop_tasks()
        return self._keeper.run

    def see(self, row: Run) -> None:
        """What another process did to the row. Raises LostRun."""
        self._keeper.see(row)
        self._wake.set()

    def _start(self, work: Coroutine[None, None, None], name: str) -> None:
        task = asyncio.create_task(work, name=f"{name} {self._keeper.run.id}")
        task.add_done_callback(lambda _: self._wake.set())
        self._tasks.add(task)

    async def _drop_tasks(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _raise_broken(self) -> None:
        """A helper task never ends by itself: where it did, its error is the guard's."""
        for task in self._tasks:
            if task.done():
                task.result()

    async def _judge(self) -> None:
        """One turn: deadline, budget, stall, what to store; then waits for news or the next tick."""
        self._wake.clear()
        self._raise_broken()
        now = self._context.clock.now()
        run = self._keeper.run
        if run.state is State.RUNNING and (reason := self._must_stop(run, now)) is not None:
            await self._keeper.ask_stop(reason)
        if self._keeper.run.state is State.STOPPING and not self._cancelling:
            self._cancelling = True
            stopper = Canceller(self._context, self._keeper, self._look)
            self._start(stopper.keep_cancelling(), "cancel")
        await self._save(now)
        await wait_event(self._wake, self._until_next(now))

    def _must_stop(self, run: Run, now: Timestamp) -> StopReason | None:
        if run.sent is not None and now.since(run.sent) >= run.limits.max_ms:
            return StopReason.TIMEOUT
        if self._figures.over_budget(run):
            return StopReason.BUDGET
        return None

    def _until_next(self, now: Timestamp) -> float:
        run, tick = self._keeper.run, self._context.timings.tick_s
        if run.state is not State.RUNNING or run.sent is None:
            return tick
        return min(tick, max(0.0, (run.limits.max_ms - now.since(run.sent)) / 1000))

    async def _poll(self) -> None:
        while self._end is None:
            self._look.clear()
            try:
                remote = await self._context.provider.get(self._keeper.run.remote_id or "")
            except ProviderError as error:
                self._figures.trouble = sanitize(str(error), limit=200)
            else:
                self._figures.absorb_remote(remote, self._context.clock.now())
                await self._weigh(remote)
            self._wake.set()
            await wait_event(self._look, self._context.settings.poll_ms / 1000)
        await asyncio.Event().wait()

    async def _weigh(self, remote: RemoteRun) -> None:
        """Is this the end? A parked run waits for a client that is not there: asked to stop, then taken as failed."""
        if remote.status_class is StatusClass.TERMINAL:
            self._end = remote
        elif remote.status_class is StatusClass.PARKED:
            self._parked += 1
            if self._parked >= self._context.timings.parked_polls:
                self._end = remote
            else:
                with suppress(ProviderError):
                    await self._context.provider.cancel(remote.remote_id)

    async def _stream(self) -> None:
        waits = self._context.timings.stream_waits_s
        for wait in chain(waits, repeat(waits[-1])):
            with suppress(ProviderError):
                async with aclosing(self._context.provider.follow(self._keeper.run.remote_id or "")) as events:
                    async for event in events:
                        self._figures.absorb_event(event, self._context.clock.now())
                        self._wake.set()
            # However a stream ended, only a poll tells how the run stands.
            self._look.set()
            await asyncio.sleep(wait)

    async def _save(self, now: Timestamp) -> None:
        """Stores what changed, at most once in `save_ms`."""
        before, at = self._saved
        progress = self._progress(now)
        if progress == before or (before is not None and now.boot_ms - at < self._context.timings.save_ms):
            return
        self._saved = (progress, now.boot_ms)
        stalled_now = progress.stalled and not (before.stalled if before else self._keeper.run.stalled)
        if self._keeper.run.state is not State.ENDED:
            await self._keeper.write(lambda run: self._context.store.runs.record_progress(run, progress, now))
        await self._save_steps()
        if stalled_now:
            await self._context.log_flusher.flush()

    async def _save_steps(self) -> None:
        figures = self._figures
        if not figures.unsaved:
            return
        seen = [figures.steps[index] for index in sorted(figures.unsaved)]
        rows = [
            StepRow(index=s.index, kind=s.kind, text=s.text, at_ms=s.at_ms, units=s.units, done=s.done) for s in seen
        ]

        async def change(run: Run) -> Run:
            await self._context.store.runs.save_steps(run.id, rows, self._context.clock.now())
            return run

        if await self._keeper.write(change):
            figures.unsaved.difference_update(row.index for row in rows)

    def _progress(self, now: Timestamp) -> Progress:
        run, figures = self._keeper.run, self._figures
        price = self._context.price(run)
        stalled = run.state is State.RUNNING and figures.quiet_ms(run, now) >= run.limits.stall_ms
        return Progress(
            usage=figures.usage,
            used=figures.used,
            usage_known=figures.usage_known,
            largest_step=figures.largest_step,
            remote_status=figures.remote_status,
            trouble=figures.trouble,
            stalled=stalled,
            polled_ms=figures.polled_ms,
            last_step=figures.last_line() or run.last_step,
            last_step_ms=figures.last_step.wall_ms if figures.last_step else run.last_step_ms,
            steps=max(run.steps, figures.last_step_index + 1),
            cost_micro=price.cost(figures.usage) if price and figures.usage_known else None,
            currency=price.currency if price else None,
        )
