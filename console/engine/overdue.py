"""Cancels for runs that are past their limit, of this and of other processes.

The supervisor of a run stops it in time. This is the second line: of a run of this process that is two seconds late,
and of another living process that is 15 s late, a cancel is sent from here. A run that nobody supervises, because its
process is dead and the store does not take a take-over, is cancelled at its limit. Cancels run in a bounded pool of
tasks; nothing waits for their answers.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterable, Sequence

from console.domain.run import Run, RunId, State, StopReason
from console.domain.timestamps import Timestamp
from console.engine.concerns import describe, end_tasks
from console.engine.context import EngineContext
from console.engine.errors import StaleRun, StoreError
from console.engine.ownership import Ownership
from console.engine.run.cancel import CancelAttempt, remote_id_of, try_cancel, try_discard

LIVE_HERE = frozenset({State.RUNNING, State.STOPPING})
LIVE_ELSEWHERE = LIVE_HERE | {State.SENDING, State.UNCONFIRMED}
"""A launcher that is stuck may have launched: at the deadline the sandbox of its run goes."""


OWNERS = "owners"
"""The topic of the problem that it cannot be told whether another process lives."""


class OverdueCancels:
    """The cancels that this engine sends for runs that their own supervisor should have stopped."""

    def __init__(self, context: EngineContext, ownership: Ownership) -> None:
        self._context = context
        self._ownership = ownership
        self._dead_since: dict[str | None, Timestamp] = {}
        """When each dead owner of open runs was first seen to be dead; None: of runs that were given back."""
        self._slots = asyncio.Semaphore(context.timings.cancels_at_once)
        self._tasks: dict[RunId, asyncio.Task[None]] = {}

    def start_due(self, mine: Iterable[Run], others: Sequence[Run], *, dead: Collection[str] = ()) -> None:
        """Start a cancel for each run that needs one. `dead` are owners known to be dead in any case."""
        now, timings = self._context.clock.now(), self._context.timings
        seen: set[RunId] = set()
        services = self._context.settings.services
        keyless = {one.name for one in services if self._context.key_trouble(one.name) is not None}
        for run in mine:
            seen.add(run.id)
            late = run.state in LIVE_HERE and run.is_overdue(now, grace_ms=timings.own_overdue_ms)
            if late and self._context.settings.serves(run) and self._may_try(run.id, now):
                self.send(run)
        unsupervised = self._long_dead({run.owner for run in others if run.state in LIVE_ELSEWHERE}, dead, now)
        for run in others:
            seen.add(run.id)
            if not self._context.settings.serves(run) or (
                run.owner != self._context.owner and self._context.settings.service_of(run).name in keyless
            ):
                continue
            grace_ms = 0 if run.owner in unsupervised else timings.overdue_ms
            late = run.state in LIVE_ELSEWHERE and run.is_overdue(now, grace_ms=grace_ms)
            if late and self._may_try(run.id, now):
                self.send(run)
        for run_id in [run_id for run_id in self._context.cancelled_at if run_id not in seen]:
            del self._context.cancelled_at[run_id]

    def send(self, run: Run) -> asyncio.Task[None]:
        """Cancel `run` in a task of its own; one that is under way is not doubled."""
        task = self._tasks.get(run.id)
        if task is None or task.done():
            self._context.cancelled_at[run.id] = self._context.clock.now()
            task = asyncio.get_running_loop().create_task(self._cancel(run), name=f"overdue {run.id}")
            self._tasks[run.id] = task
            task.add_done_callback(lambda ended: self._ended(run.id, ended))
        return task

    async def close(self) -> None:
        """Send no more; what is on its way is cut short."""
        await end_tasks(self._tasks.values())

    def _long_dead(self, owners: set[str | None], known: Collection[str], now: Timestamp) -> set[str | None]:
        """Those of `owners` that have been dead for so long that somebody would have taken their runs over."""
        others = owners - {self._context.owner}
        dead = {owner for owner in others if owner in known or self._is_dead(owner)}
        self._dead_since = {owner: self._dead_since.get(owner, now) for owner in dead}
        return {owner for owner in dead if now.since(self._dead_since[owner]) >= self._context.timings.take_over_ms}

    def _is_dead(self, owner: str | None) -> bool:
        """False also where that cannot be told, which is reported."""
        try:
            is_dead = owner is None or not self._ownership.is_alive(owner)
        except Exception as error:
            text = f"whether process {owner} lives cannot be told: {describe(error)}"
            self._context.problems.report(OWNERS, text, error, source=f"{owner}")
            return False
        self._context.problems.clear(OWNERS, f"{owner}")
        return is_dead

    def _may_try(self, run_id: RunId, now: Timestamp) -> bool:
        tried = self._context.cancelled_at.get(run_id)
        return tried is None or now.since(tried) >= self._context.timings.overdue_ms

    async def _cancel(self, run: Run) -> None:
        """Store the request, for at most `intent_wait_s`; cancel, and record what came of it.

        `run` may have been read long ago, where the rows could not be read since. Nothing is cancelled if the store
        shows in that time that the launch was sent anew: its limit counts from then.
        """
        async with self._slots:
            background, wait_s = self._context.background, self._context.timings.intent_wait_s
            request = await background.start_and_wait(self._request(run), f"stop {run.id}", wait_s)
            if _was_sent_anew(run, request):
                return
            if remote_id_of(self._context, run) is not None:
                attempt = await try_cancel(self._context, run)
                await self._record(await request, attempt)
            elif run.sandbox_own and run.sandbox_id is not None and run.sandbox_deleted_ms is None:
                answer, gone = await try_discard(self._context, self._context.provider_of(run), run.sandbox_id)
                await self._context.store.runs.record_sandbox_deleted(
                    await request, answer=answer, gone=gone, now=self._context.clock.now()
                )

    async def _request(self, run: Run) -> Run:
        runs, now = self._context.store.runs, self._context.clock.now()
        if run.stop is not None:
            return run
        return await runs.request_stop(run.id, reason=StopReason.TIMEOUT, by="nightdesk", now=now, sent=run.sent)

    async def _record(self, run: Run, attempt: CancelAttempt) -> None:
        await self._context.store.runs.record_stop_try(
            run, answer=attempt.answer, trouble=attempt.trouble, now=self._context.clock.now()
        )

    def _ended(self, run_id: RunId, task: asyncio.Task[None]) -> None:
        if self._tasks.get(run_id) is task:
            del self._tasks[run_id]
        if task.cancelled():
            return
        error = task.exception()
        if isinstance(error, StoreError):
            self._context.problems.report_once("store", f"a cancel was sent and is not recorded: {error}")
        elif error is not None and not isinstance(error, StaleRun):
            text = f"run {run_id}: its overdue cancel raised {describe(error)}"
            self._context.problems.report_once(f"run {run_id}", text, error)


def is_due(run: Run, now: Timestamp) -> bool:
    """True where the run should be stopped by now: a stop was asked, or its time limit has passed."""
    if run.stop is not None:
        return True
    try:
        return run.is_overdue(now)
    except Exception:
        return True


def _was_sent_anew(run: Run, request: asyncio.Task[Run]) -> bool:
    """True where the row that `request` returned is of a later try of the launch than `run`."""
    if not request.done() or request.cancelled() or request.exception() is not None:
        return False
    return request.result().sent != run.sent
