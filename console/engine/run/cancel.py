"""Stopping a run: cancel with back-off until the provider shows an end, then its sandbox, then the alarm.

A stop is a request. Only a terminal answer of the provider ends a run; nothing here does.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from console.domain.run import Run, State
from console.domain.text import sanitize
from console.domain.timestamps import Timestamp
from console.engine.concerns import describe, wait_task
from console.engine.context import EngineContext
from console.engine.run.writer import RunWriter, StoreChange
from console.provider.contract import Provider, ProviderError, Unavailable
from console.provider.traits import DiscardUse, Prepares

NOTE = 200
"""Characters kept of an answer or of a reason."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CancelAttempt:
    """What one cancel call came to."""

    answer: str = ""
    """What the provider said, cleaned."""
    trouble: str = ""
    """What went wrong, cleaned; empty where the provider answered."""
    retry_after_s: float | None = None
    """How long the provider asked to wait."""


class Canceller:
    """Cancels one run that is stopping, until its monitor ends this on proof."""

    def __init__(self, context: EngineContext, writer: RunWriter) -> None:
        self._context = context
        self._writer = writer
        self._began: Timestamp | None = None
        self._waited_before_ms = 0
        """By the wall clock, from the request until this process began to cancel; another one may have tried before."""
        self._longest_s = context.timings.cancel_first_s
        self._next_at = 0.0
        """Loop time of the next attempt."""
        self._recording: asyncio.Task[bool] | None = None
        self._alarming: asyncio.Task[bool] | None = None
        self._sandbox_gone = False
        self.sandbox_deleted = False
        """True from the first request to delete the run's own sandbox, which may take effect before its answer."""
        self._alarm_ms = 0

    async def keep_cancelling(self, poll_now: asyncio.Event) -> None:
        """Repeat until cancelled; called again, it goes on with its back-off and its alarms.

        `poll_now` is set after each attempt: the provider may show the end now. Raises OwnershipLost where another
        process supervises the run now.
        """
        timings, loop = self._context.timings, asyncio.get_running_loop()
        if self._began is None:
            self._began = self._context.clock.now()
            stop = self._writer.run.stop
            self._waited_before_ms = max(0, self._began.wall_ms - stop.at_ms) if stop else 0
            is_slow = self._context.stop_took_s > timings.cancel_wait_s
            await self._writer.wait_stored(0.0 if is_slow else timings.cancel_wait_s)
        while True:
            await asyncio.sleep(max(0.0, self._next_at - loop.time()))
            attempt = await try_cancel(self._context, self._writer.run)
            wait = self._context.jitter(self._longest_s / 2) + self._longest_s / 2
            if attempt.retry_after_s is not None:
                wait = max(wait, min(attempt.retry_after_s, timings.cancel_longest_s))
            self._longest_s = min(self._longest_s * 2, timings.cancel_longest_s)
            self._next_at = loop.time() + wait
            poll_now.set()
            await self._record(attempt)
            await self._escalate()

    async def _record(self, attempt: CancelAttempt) -> None:
        """Store the attempt, without holding up the next one: while an earlier record waits, this one is dropped."""
        if self._recording is not None:
            if not self._recording.done():
                return
            recorded, self._recording = self._recording, None
            recorded.result()

        async def change(run: Run) -> Run:
            return await self._context.store.runs.record_stop_try(
                run, answer=attempt.answer, trouble=attempt.trouble, now=self._context.clock.now()
            )

        self._recording = self._start_write(change, "stop")
        await wait_task(self._recording, self._context.timings.intent_wait_s)

    async def _escalate(self) -> None:
        """Delete the own sandbox and raise the alarm, each once the stop has waited for long enough."""
        # What passes here is real time, however the wall clock is set.
        passed_ms = self._context.clock.now().since(self._began) if self._began else 0
        waited = self._waited_before_ms + passed_ms
        may_stop = self._context.traits_of(self._writer.run).discard is DiscardUse.MAY_STOP
        if may_stop and waited >= self._context.timings.sandbox_after_ms and not self._sandbox_gone:
            self.sandbox_deleted = self._writer.run.sandbox_own and self._writer.run.sandbox_id is not None
            self._sandbox_gone = await discard_own(self._context, self._writer)
        due = self._alarm_ms or self._context.timings.alarm_after_ms
        if waited >= due and self._writer.run.state is State.STOPPING and await self._raise_alarm():
            self._alarm_ms = due + self._context.timings.alarm_again_ms

    async def _raise_alarm(self) -> bool:
        """Store the alarm, for at most `intent_wait_s`; False where it is not stored yet and is tried again."""
        if self._alarming is None:

            async def change(run: Run) -> Run:
                return await self._context.store.runs.record_alarm(run, self._context.clock.now())

            self._alarming = self._start_write(change, "alarm")
        if not await wait_task(self._alarming, self._context.timings.intent_wait_s):
            return False
        alarming, self._alarming = self._alarming, None
        return alarming.result()

    def _start_write(self, change: StoreChange, what: str) -> asyncio.Task[bool]:
        return self._context.background.start(self._writer.write(change), f"{what} of {self._writer.row.id}")


async def try_cancel(context: EngineContext, run: Run) -> CancelAttempt:
    """One cancel call. Never raises: an error of any kind is the trouble of the attempt."""
    remote_id = remote_id_of(context, run)
    if remote_id is None:
        return CancelAttempt(trouble="there is no id to cancel")
    try:
        context.cancelled_at[run.id] = context.clock.now()
        answer = await context.provider_of(run).cancel(remote_id)
    except Unavailable as error:
        return CancelAttempt(trouble=sanitize(str(error), limit=NOTE), retry_after_s=error.retry_after_s)
    except ProviderError as error:
        return CancelAttempt(trouble=sanitize(str(error), limit=NOTE))
    except Exception as error:
        context.problems.report(
            f"run {run.id}", f"run {run.id}: cancel raised {describe(error)}", error, source="cancel"
        )
        return CancelAttempt(trouble=sanitize(describe(error), limit=NOTE))
    context.problems.clear(f"run {run.id}", "cancel")
    return CancelAttempt(answer=sanitize(answer.said, limit=NOTE), retry_after_s=answer.retry_after_s)


def remote_id_of(context: EngineContext, run: Run) -> str | None:
    """The id by which `run` can be cancelled. The id of a session that was made before is the id of the run."""
    if run.remote_id is None and run.sandbox_own and context.traits_of(run).prepares is Prepares.SESSION:
        return run.sandbox_id
    return run.remote_id


async def discard_own(context: EngineContext, writer: RunWriter) -> bool:
    """Discard the sandbox or session where it was made for this run alone. True where nothing is left to discard."""
    sandbox_id = writer.run.sandbox_id
    if sandbox_id is None or not writer.run.sandbox_own:
        return True
    answer, gone = await try_discard(context, context.provider_of(writer.run), sandbox_id)

    async def change(run: Run) -> Run:
        return await context.store.runs.record_sandbox_deleted(run, answer=answer, gone=gone, now=context.clock.now())

    name = f"sandbox of {writer.row.id}"
    await context.background.start_and_wait(writer.write(change), name, context.timings.intent_wait_s)
    return gone


async def try_discard(context: EngineContext, provider: Provider, prepared_id: str) -> tuple[str, bool]:
    """One discard call: what came of it, and whether the sandbox or session is gone. Never raises."""
    try:
        await provider.discard(prepared_id)
    except ProviderError as error:
        return f"not deleted: {sanitize(str(error), limit=NOTE)}", False
    except Exception as error:
        problem = f"a sandbox or session could not be deleted: {describe(error)}"
        context.problems.report("sandbox", problem, error, source=prepared_id)
        return f"not deleted: {sanitize(describe(error), limit=NOTE)}", False
    context.problems.clear("sandbox", prepared_id)
    return "deleted", True
