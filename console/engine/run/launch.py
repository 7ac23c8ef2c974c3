"""From `claimed` to an answer: the sandbox, the record of the intent, ONE POST, the id on disk.

Intent before effect. What the POST proved decides, nothing else: only what provably sent nothing is tried again.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import assert_never

from console.domain.run import Outcome, Run, State
from console.domain.task import Fingerprint, Task
from console.domain.text import sanitize
from console.domain.timestamps import Timestamp
from console.engine.context import EngineContext
from console.engine.errors import OwnershipLost, StaleRun, StoreError
from console.journal.log_files import JournalError
from console.provider.contract import (
    Denied,
    Launched,
    LaunchOrder,
    NotSent,
    ProviderError,
    RateLimited,
    Rejected,
    Unknown,
    Unsupported,
    Verdict,
)
from console.store.rows import RunResult

OWN, REMOTE = "own", "remote"


class Launcher:
    """Takes one claimed run to running, unconfirmed or ended."""

    def __init__(self, context: EngineContext, run: Run) -> None:
        self._context = context
        self.run = run
        self.unstored: Launched | None = None
        """The answer of the provider while the store could not take it; `run` is ahead of the store then."""
        self._not_sent_waits = list(context.timings.not_sent_waits_s)
        self._rate_waits = list(context.timings.rate_limit_waits_s)

    async def send(self) -> Run:
        """The run in a state other than claimed. Raises StaleRun, StoreError where nothing could be recorded."""
        while self.run.state is State.CLAIMED:
            if (obstacle := self._obstacle()) is not None:
                outcome, note = obstacle
                return await self._end(outcome, note)
            if not await self._prepare_sandbox():
                continue
            try:
                self.run = await self._context.store.runs.mark_sending(self.run, self._context.clock.now())
            except StaleRun:
                await self._look_again()
                continue
            await self._record(await self._post(self.run))
        return self.run

    async def _look_again(self) -> None:
        """The run as it is by now: somebody else may have acted. Raises LostRun where it is not ours any more.

        The fence is never taken from the row: with the fence of a successor we would send in his place.
        """
        store = self._context.store
        fresh = await store.runs.get(self.run.id)
        if fresh is None or (fresh.owner, fresh.fence) != (self.run.owner, self.run.fence):
            raise OwnershipLost(self.run.id)
        self.run = fresh
        if fresh.state is State.CLAIMED and await store.controls.paused() is not None:
            await self._end(Outcome.EXPIRED, "launches were paused before anything was sent")

    def _obstacle(self) -> tuple[Outcome, str] | None:
        """What ends a claimed run before any byte was sent."""
        run, now = self.run, self._context.clock.now()
        if run.stop is not None:
            return Outcome.CANCELLED, "cancelled before anything was sent"
        if run.expires_ms is not None and now.wall_ms >= run.expires_ms:
            return Outcome.EXPIRED, "its window passed before anything was sent"
        task = self._task()
        if task is None:
            return Outcome.EXPIRED, "the task is no longer in the config"
        if Fingerprint.of(task) != run.fingerprint:
            return Outcome.EXPIRED, "the task was edited after the claim; nothing was sent"
        return None

    def _task(self) -> Task | None:
        return self._context.settings.task(self.run.task)

    async def _prepare_sandbox(self) -> bool:
        """Makes the run's own sandbox and stores its id. False where the run went another way."""
        run = self.run
        if run.fingerprint.sandbox != OWN or run.sandbox_id is not None:
            return True
        try:
            made: str | None = await self._context.provider.make_sandbox(network=run.fingerprint.network or None)
        except Unsupported as error:
            await self._record_sandbox(None, own=False, note=f"no sandbox made before the launch: {error}")
            return True
        except Denied as error:
            await self._end(Outcome.REJECTED, f"sandbox refused: {error}")
            return False
        except ProviderError as error:
            await self._again(f"sandbox: {error}", self._not_sent_waits, None)
            return False
        await self._record_sandbox(made, own=True, note="")
        return True

    async def _record_sandbox(self, sandbox_id: str | None, *, own: bool, note: str) -> None:
        self.run = await self._context.store.runs.record_sandbox(
            self.run, sandbox_id=sandbox_id, own=own, note=sanitize(note, limit=200), now=self._context.clock.now()
        )

    async def _post(self, run: Run) -> Verdict:
        context, task = self._context, self._task()
        if task is None or run.sent is None:
            return NotSent(why="the task is no longer in the config")
        if context.clock.now().since(run.sent) > context.timings.fresh_send_ms:
            # The process was held up after the record: nothing has left it, and it must not leave late.
            return NotSent(why="held up between the record and the launch")
        if not context.holds_lock():
            # Somebody may have taken the run over and ruled on it already.
            return NotSent(why="the lock file of this process was removed: restart it")
        return await context.provider.create(order_for(run, task))

    async def _record(self, verdict: Verdict) -> None:
        runs, now = self._context.store.runs, self._context.clock.now()
        match verdict:
            case Launched():
                await self._record_launched(verdict, now)
            case NotSent(why=why):
                await self._again(why, self._not_sent_waits, None)
            case RateLimited(why=why, retry_after_s=retry_after):
                await self._again(why, self._rate_waits, retry_after)
            case Rejected(why=why):
                self.run = await runs.record_rejected(self.run, why=sanitize(why, limit=200), now=now)
            case Unknown(why=why):
                self.run = await runs.record_unconfirmed(self.run, why=sanitize(why, limit=200), now=now)
            case _:
                assert_never(verdict)
        await self._context.log_flusher.flush()

    async def _record_launched(self, launched: Launched, now: Timestamp) -> None:
        """The id is on disk before the database is asked; from there on the store may fail and nothing is lost."""
        try:
            self._context.launches.append(self.run.id, self.run.attempt, launched.remote_id)
        except JournalError as error:
            self._context.problems.set("launch.journal", str(error))
        try:
            self.run = await self.store_launch(self.run, launched, now)
        except StoreError as error:
            self._context.problems.set("store", f"launched, but not recorded yet: {error}")
            self.unstored = launched
            self.run = replace(self.run, state=State.RUNNING, remote_id=launched.remote_id)

    async def store_launch(self, run: Run, launched: Launched, now: Timestamp) -> Run:
        """The id into the database; harmless to repeat until it is there."""
        return await self._context.store.runs.record_launched(
            run,
            remote_id=launched.remote_id,
            status=launched.status,
            sandbox_id=launched.environment_id,
            now=now,
        )

    async def _again(self, why: str, waits: list[float], retry_after_s: float | None) -> None:
        """Back to claimed and a wait, or the end where the tries are used up."""
        timings = self._context.timings
        too_long = retry_after_s is not None and retry_after_s > timings.longest_rate_limit_s
        final = not waits or too_long
        why = sanitize(why, limit=200)
        if self.run.state is State.SENDING:
            self.run = await self._context.store.runs.record_not_sent(
                self.run, why=why, final=final, now=self._context.clock.now()
            )
        elif final:
            await self._end(Outcome.NOT_SENT, why)
        if not final:
            wait = waits.pop(0)
            await asyncio.sleep(wait if retry_after_s is None else max(wait, retry_after_s))
            await self._look_again()

    async def _end(self, outcome: Outcome, note: str) -> Run:
        """Ends a run of which nothing was sent."""
        ending = RunResult.of_nothing_sent(outcome, sanitize(note, limit=200))
        self.run = await self._context.store.runs.settle(self.run, ending, self._context.clock.now())
        await self._context.log_flusher.flush()
        return self.run


def order_for(run: Run, task: Task) -> LaunchOrder:
    """The create call for `run`; the token limit and the labels are always on it."""
    environment = run.sandbox_id or (REMOTE if task.sandbox in (OWN, REMOTE) else task.sandbox)
    return LaunchOrder(
        agent=task.agent,
        model=task.model,
        prompt=task.prompt,
        environment=environment,
        max_total_tokens=run.limits.server_limit,
        labels={"nightdesk-key": run.key, "nightdesk-run": run.id, "nightdesk-attempt": str(run.attempt)},
        tools=task.tools,
        network=task.network if environment == REMOTE else None,
        system_instruction=task.system_instruction,
    )


def for_target(task: Task, target: str | None) -> Task:
    """`task` aimed at another target, where one was given."""
    return task if target is None else replace(task, target=target)
