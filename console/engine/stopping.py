"""A stop is a request until the provider shows an end: cancel for ever with back-off, the sandbox, the alarm."""

from __future__ import annotations

import asyncio

from console.domain.moment import Moment
from console.domain.run import Run, State
from console.domain.text import safe
from console.engine.keeping import Keeper
from console.engine.parts import Parts
from console.provider.contract import ProviderError, Unavailable


class Stopper:
    """Sends the cancels of one run that is stopping. Never ends by itself: its guard ends it on proof."""

    def __init__(self, parts: Parts, keeper: Keeper, look: asyncio.Event) -> None:
        self._parts = parts
        self._keeper = keeper
        self._look = look
        """Set after each try: now the provider may show the end."""
        self._began: Moment | None = None
        self._sandbox_gone = False
        self._alarm_ms = 0

    async def keep_cancelling(self) -> None:
        """Until cancelled. Raises LostRun."""
        pacing = self._parts.pacing
        longest = pacing.cancel_first_s
        self._began = self._parts.clock.now()
        while True:
            asked = await self._cancel_once()
            self._look.set()
            await self._escalate()
            wait = self._parts.jitter(longest / 2) + longest / 2
            if asked is not None:
                wait = max(wait, min(asked, pacing.cancel_longest_s))
            longest = min(longest * 2, pacing.cancel_longest_s)
            await asyncio.sleep(wait)

    async def _cancel_once(self) -> float | None:
        """One try; gives the seconds that the provider asked to wait."""
        answer, trouble, retry_after = await try_cancel(self._parts, self._keeper.run)

        async def change(run: Run) -> Run:
            return await self._parts.store.runs.record_stop_try(
                run, answer=answer, trouble=trouble, now=self._parts.clock.now()
            )

        await self._keeper.write(change)
        return retry_after

    async def _escalate(self) -> None:
        waited = self._waited_ms()
        if waited >= self._parts.pacing.sandbox_after_ms and not self._sandbox_gone:
            self._sandbox_gone = await delete_own_sandbox(self._parts, self._keeper)
        due = self._alarm_ms or self._parts.pacing.alarm_after_ms
        if waited >= due and self._keeper.run.state is State.STOPPING:
            self._alarm_ms = due + self._parts.pacing.alarm_again_ms
            await self._keeper.write(lambda run: self._parts.store.runs.record_alarm(run, self._parts.clock.now()))
            await self._parts.scribe.flush()

    def _waited_ms(self) -> int:
        """Real milliseconds since the stop was asked: what this process saw, or what stood in the store before."""
        now, run = self._parts.clock.now(), self._keeper.run
        mine = now.since(self._began) if self._began else 0
        stored = now.wall_ms - run.stop.at_ms if run.stop else 0
        return max(mine, stored)


async def try_cancel(parts: Parts, run: Run) -> tuple[str, str, float | None]:
    """One cancel: what the provider said, what went wrong, the seconds it asked to wait."""
    if run.remote_id is None:
        return "", "there is no id to cancel", None
    try:
        answer = await parts.provider.cancel(run.remote_id)
    except Unavailable as error:
        return "", safe(str(error), limit=200), error.retry_after_s
    except ProviderError as error:
        return "", safe(str(error), limit=200), None
    return safe(answer.said, limit=200), "", answer.retry_after_s


async def delete_own_sandbox(parts: Parts, keeper: Keeper) -> bool:
    """Deletes the sandbox where it is this run's own. True where nothing is left to delete."""
    sandbox_id = keeper.run.sandbox_id
    if sandbox_id is None or not keeper.run.sandbox_own:
        return True
    try:
        await parts.provider.delete_sandbox(sandbox_id)
        answer, gone = "deleted", True
    except ProviderError as error:
        answer, gone = f"not deleted: {safe(str(error), limit=200)}", False

    async def change(run: Run) -> Run:
        return await parts.store.runs.record_sandbox_deleted(run, answer=answer, gone=gone, now=parts.clock.now())

    await keeper.write(change)
    return gone
