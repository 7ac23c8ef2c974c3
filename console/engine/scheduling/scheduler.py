"""One process per state folder launches what is due: by a kernel lock, which another takes seconds after its death.

Nothing here can double a launch: the key is made from the scheduled instant, so a restart, a second scheduler or
cron beside it meet the same key.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from console.domain.key import day_date, slot_date
from console.domain.run import Run
from console.domain.task import Task
from console.engine.context import EngineContext
from console.engine.models import LaunchKind, LaunchRequest, LaunchResult
from console.engine.operations import Operations
from console.engine.ownership import SchedulerLock
from console.engine.scheduling.cron import zone_of
from console.engine.scheduling.due import ON_TIME_MS, Due, due, schedule_name

BY = "nightdesk scheduler"


class Scheduler:
    """Looks once a tick. `take_up` claims one launch for a scheduled instant."""

    def __init__(
        self, context: EngineContext, operations: Operations, lock: SchedulerLock, report: Callable[[str], None]
    ) -> None:
        self._context = context
        self._desk = operations
        self._lock = lock
        self._report = report
        """One line of what was done, for diag.log."""
        self._begun = False

    async def tick(self) -> None:
        """Launches, proposes, refuses or logs what became due. Raises StoreError."""
        if not self._lock.take(self._context.owner):
            return
        now = self._context.clock.now().utc()
        scheduled = [task for task in self._context.settings.tasks if task.schedule is not None]
        if not self._begun:
            await self._begin(scheduled, now)
        for task in scheduled:
            await self._look_at(task, now)
        for run in await self._context.store.cursors.due_retries(self._context.clock.now().wall_ms):
            await self._retry(run)

    async def _begin(self, scheduled: list[Task], now: datetime) -> None:
        """Nothing becomes due by an edit, by a task that comes back, or by a clock that was wrong."""
        beyond = _ms(now) + self._context.timings.clock_pause_ms
        names = [schedule_name(task) for task in scheduled]
        await self._context.store.cursors.begin(names, now_ms=_ms(now), beyond_ms=beyond)
        self._begun = True
        self._report(f"scheduling {len(names)} tasks")

    async def _look_at(self, task: Task, now: datetime) -> None:
        instants, name = self._context.store.cursors, schedule_name(task)
        reached = await instants.reached(name)
        if reached is None or reached > _ms(now) + self._context.timings.clock_pause_ms:
            self._begun = False
            return
        found = due(task, reached, now)
        await self._log_missed(task, found)
        for instant in found.launch:
            late = (now - instant).total_seconds() * 1000 > ON_TIME_MS
            if late and await self._has_open_run(task):
                # Catching up goes one run after the other; what waits stays due.
                return
            answer = await self._desk.launch(self._request(task, instant))
            self._tell(task, answer, instant)
            await instants.advance(name, to_ms=_ms(instant))

    async def _log_missed(self, task: Task, found: Due) -> None:
        if found.untold:
            fields = {"task": task.name, "more": str(found.untold)}
            await self._context.store.runs.note(event="missed", fields=fields, run=None, now=self._context.clock.now())
            oldest = min(found.missed + found.launch)
            await self._context.store.cursors.advance(schedule_name(task), to_ms=_ms(oldest) - 1)
        for instant in found.missed:
            request = self._request(task, instant)
            terms = self._desk.terms(request)
            await self._context.store.claims.record_missed(request, terms, self._context.clock.now())
            await self._context.store.cursors.advance(schedule_name(task), to_ms=_ms(instant))
        if found.missed or found.untold:
            await self._context.log_flusher.flush()

    async def _has_open_run(self, task: Task) -> bool:
        return any(run.task == task.name and run.is_live for run in await self._context.store.runs.open_runs())

    async def _retry(self, run: Run) -> None:
        """The next attempt of a failed key; whatever is answered, this run asks for no other."""
        if self._context.settings.task(run.task) is not None:
            request = LaunchRequest(
                task=run.task, date=run.date, target=run.target, scheduled=True, by=BY, automatic_retry=True
            )
            answer = await self._desk.launch(request)
            self._report(f"{run.task}: attempt {answer.run.attempt} after {run.id} failed: {answer.kind}")
        await self._context.store.cursors.retried(run)

    def _request(self, task: Task, instant: datetime) -> LaunchRequest:
        date = slot_date(instant) if task.window == "slot" else day_date(instant, zone_of(task))
        return LaunchRequest(task=task.name, date=date, scheduled=True, by=BY)

    def _tell(self, task: Task, answer: LaunchResult, instant: datetime) -> None:
        why = f": {answer.refusal.sentence}" if answer.kind is LaunchKind.REFUSED and answer.refusal else ""
        self._report(f"{task.name} due {instant:%Y-%m-%dT%H:%MZ}: {answer.kind}, run {answer.run.id}{why}")


def _ms(instant: datetime) -> int:
    return int(instant.timestamp() * 1000)
