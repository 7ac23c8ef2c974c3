"""A stop is a request until the provider shows an end: cancel for ever with back-off, the sandbox, the alarm."""

from __future__ import annotations

import asyncio

from console.domain.run import Run, State
from console.domain.text import sanitize
from console.domain.timestamps import Timestamp
from console.engine.context import EngineContext
from console.engine.run.writer import RunWriter
from console.provider.contract import ProviderError, Unavailable


class Canceller:
    """Sends the cancels of one run that is stopping. Never ends by itself: its guard ends it on proof."""

    def __init__(self, context: EngineContext, keeper: RunWriter, look: asyncio.Event) -> None:
        self._context = context
        self._keeper = keeper
        self._look = look
        """Set after each try: now the provider may show the end."""
        self._began: Timestamp | None = None
        self._sandbox_gone = False
        self._alarm_ms = 0

    async def keep_cancelling(self) -> None:
        """Until cancelled. Raises LostRun."""
        timings = self._context.timings
        longest = timings.cancel_first_s
        self._began = self._context.clock.now()
        while True:
            asked = await self._cancel_once()
            self._look.set()
            await self._escalate()
            wait = self._context.jitter(longest / 2) + longest / 2
            if asked is not None:
                wait = max(wait, min(asked, timings.cancel_longest_s))
            longest = min(longest * 2, timings.cancel_longest_s)
            await asyncio.sleep(wait)

    async def _cancel_once(self) -> float | None:
        """One try; gives the seconds that the provider asked to wait."""
        answer, trouble, retry_after = await try_cancel(self._context, self._keeper.run)

        async def change(run: Run) -> Run:
            return await self._context.store.runs.record_stop_try(
                run, answer=answer, trouble=trouble, now=self._context.clock.now()
            )

        await self._keeper.write(change)
        return retry_after

    async def _escalate(self) -> None:
        waited = self._waited_ms()
        if waited >= self._context.timings.sandbox_after_ms and not self._sandbox_gone:
            self._sandbox_gone = await delete_own_sandbox(self._context, self._keeper)
        due = self._alarm_ms or self._context.timings.alarm_after_ms
        if waited >= due and self._keeper.run.state is State.STOPPING:
            self._alarm_ms = due + self._context.timings.alarm_again_ms
            await self._keeper.write(lambda run: self._context.store.runs.record_alarm(run, self._context.clock.now()))
            await self._context.log_flusher.flush()

    def _waited_ms(self) -> int:
        """Real milliseconds since the stop was asked: what this process saw, or what stood in the store before."""
        now, run = self._context.clock.now(), self._keeper.run
        mine = now.since(self._began) if self._began else 0
        stored = now.wall_ms - run.stop.at_ms if run.stop else 0
        return max(mine, stored)


async def try_cancel(context: EngineContext, run: Run) -> tuple[str, str, float | None]:
    """One cancel: what the provider said, what went wrong, the seconds it asked to wait."""
    if run.remote_id is None:
        return "", "there is no id to cancel", None
    try:
        answer = await context.provider.cancel(run.remote_id)
    except Unavailable as error:
        return "", sanitize(str(error), limit=200), error.retry_after_s
    except ProviderError as error:
        return "", sanitize(str(error), limit=200), None
    return sanitize(answer.said, limit=200), "", answer.retry_after_s


async def delete_own_sandbox(context: EngineContext, keeper: RunWriter) -> bool:
    """Deletes the sandbox where it is this run's own. True where nothing is left to delete."""
    sandbox_id = keeper.run.sandbox_id
    if sandbox_id is None or not keeper.run.sandbox_own:
        return True
    try:
        await context.provider.delete_sandbox(sandbox_id)
        answer, gone = "deleted", True
    except ProviderError as error:
        answer, gone = f"not deleted: {sanitize(str(error), limit=200)}", False

    async def change(run: Run) -> Run:
        return await context.store.runs.record_sandbox_deleted(run, answer=answer, gone=gone, now=context.clock.now())

    await keeper.write(change)
    return gone
