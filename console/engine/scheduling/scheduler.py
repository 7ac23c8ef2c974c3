"""One process per state folder launches what is due: by a kernel lock, which another takes seconds after its death.

Nothing here can double a launch: the key is made from the scheduled time, so a restart, a second scheduler or cron
beside it meet the same key.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime

from console.domain.caps import Refusal
from console.domain.formatting import counted
from console.domain.key import day_date, slot_date
from console.domain.policy import policy_refusal
from console.domain.run import Run
from console.domain.task import Task
from console.engine.concerns import describe
from console.engine.context import EngineContext
from console.engine.errors import StoreError
from console.engine.models import LaunchKind, LaunchRequest, LaunchResult
from console.engine.operations import Operations
from console.engine.ownership import Ownership
from console.engine.problems import MISSED, STALE_MS
from console.engine.scheduling.cron import zone_of
from console.engine.scheduling.due import ON_TIME_MS, Due, due, schedule_name
from console.store.audit import PAGE, AuditFilter

BY = "nightdesk scheduler"
LOOK_EVERY_S = 10.0
"""How often it is looked whether somebody saw to a task that missed its times."""


class Scheduler:
    """Launches, proposes, refuses or logs what became due; one round a tick."""

    def __init__(
        self, context: EngineContext, operations: Operations, ownership: Ownership, report: Callable[[str], None]
    ) -> None:
        """`report` takes one line of what was done, for the diagnostic log."""
        self._context = context
        self._operations = operations
        self._ownership = ownership
        self._report = report
        self._begun = False
        self._failing: set[str] = set()
        """The tasks and retries that raised in the last round, by the topic of their problem."""
        self._missed_ms: dict[str, int] = {}
        """By task: when it was found that scheduled times were missed, UTC ms, until somebody saw to it."""
        self._look_at = 0.0
        self._policy_at = 0.0
        """When the policy of the fleet is looked up again, by the clock of the loop."""
        self._other_policy: Refusal | None = None
        """Why the launches of this host are refused, as of the last look."""

    def restart(self) -> None:
        """Compare the schedules with the stored cursors and the fleet again, since the config may have changed."""
        self._begun = False
        self._policy_at = 0.0

    async def tick(self) -> None:
        """One round. A task or a retry that raises is reported by name and stops no other.

        Raises StoreError, and OSError where it cannot be told who schedules.
        """
        await self._end_missed()
        failing = await self._schedule()
        # Over is also what is not tried any more, as of a task that was removed from the config.
        for topic in self._failing - failing:
            self._context.problems.clear(topic)
        self._failing = failing

    async def _schedule(self) -> set[str]:
        """Launch what is due; return the topics of what raised."""
        services = self._context.settings.services
        troubles = {one.name: why for one in services if (why := self._context.key_trouble(one.name)) is not None}
        if len(troubles) == len(services):
            # Another process, which has a key, may schedule.
            self._ownership.release_schedule()
            self._context.problems.report("no key", f"nothing is scheduled here: {'; '.join(troubles.values())}")
            return set()
        if troubles:
            names = ", ".join(sorted(troubles))
            why = "; ".join(troubles.values())
            self._context.problems.report("no key", f"no task of {names} is scheduled here: {why}")
        else:
            self._context.problems.clear("no key")
        if not await self._judges_as_fleet() or not self._ownership.take_schedule():
            return set()
        now = self._context.clock.now().utc()
        keyed = [task for task in self._context.settings.tasks if task.provider not in troubles]
        scheduled = [task for task in keyed if task.schedule is not None]
        if not self._begun:
            await self._begin(scheduled, now)
        failing: set[str] = set()
        for task in scheduled:
            await self._isolated(f"task {task.name}", self._launch_due(task, now), failing)
        for run in await self._context.store.cursors.due_retries(self._context.clock.now().wall_ms):
            if run.fingerprint.provider in troubles or not await self._judges_as_fleet(now=True):
                continue
            await self._isolated(f"retry of run {run.id}", self._retry(run), failing)
        return failing

    async def _judges_as_fleet(self, *, now: bool = False) -> bool:
        """True where the claims of this host are not refused for its config; looked up every LOOK_EVERY_S, or `now`.

        Otherwise a host whose config is that of the fleet may schedule. Raises StoreError.
        """
        if not self._context.in_fleet:
            return True
        loop_s = asyncio.get_running_loop().time()
        if now or loop_s >= self._policy_at:
            stored = await self._context.store.policy.current()
            here = self._context.settings.policy
            refusal = None if stored is None else policy_refusal(here, stored.policy, scheduled=True)
            self._policy_at, self._other_policy = loop_s + LOOK_EVERY_S, refusal
        if self._other_policy is None:
            self._context.problems.clear("policy")
            return True
        self._ownership.release_schedule()
        self._context.problems.report("policy", f"nothing is scheduled here: {self._other_policy.sentence}")
        return False

    async def _isolated(self, topic: str, work: Awaitable[None], failing: set[str]) -> None:
        """Await `work`; where it raises, add `topic` to `failing`. Raises StoreError."""
        try:
            await work
        except StoreError:
            raise
        except Exception as error:
            failing.add(topic)
            self._context.problems.report(topic, f"{topic}: {describe(error)}", error)

    async def _begin(self, scheduled: list[Task], now: datetime) -> None:
        """Nothing becomes due by an edit, by a task that comes back, or by a clock that was wrong."""
        beyond = _ms(now) + self._context.timings.clock_pause_ms
        names = [schedule_name(task) for task in scheduled]
        await self._context.store.cursors.begin(names, now_ms=_ms(now), beyond_ms=beyond)
        self._begun = True
        self._report(f"scheduling {len(names)} tasks")

    async def _launch_due(self, task: Task, now: datetime) -> None:
        cursors, name = self._context.store.cursors, schedule_name(task)
        reached = await cursors.reached(name)
        if reached is None or reached > _ms(now) + self._context.timings.clock_pause_ms:
            self._begun = False
            return
        if _ms(now) - reached <= ON_TIME_MS:
            found = due(task, reached, now)
        else:
            # After a long gap this takes a moment of computing.
            found = await asyncio.to_thread(due, task, reached, now)
        if found != Due() and not await self._judges_as_fleet(now=True):
            # It stays due for a host that may launch it.
            return
        await self._log_missed(task, found)
        for at in found.launch:
            late = (now - at).total_seconds() * 1000 > ON_TIME_MS
            if late and await self._has_open_run(task):
                # Catching up goes one run after the other; what waits stays due.
                return
            result = await self._operations.launch(self._request(task, at))
            self._report_launch(task, result, at)
            await cursors.advance(name, to_ms=_ms(at))

    async def _log_missed(self, task: Task, found: Due) -> None:
        store = self._context.store
        if found.untold:
            fields = {"task": task.name, "more": str(found.untold)}
            await store.runs.note(event="missed", fields=fields, run=None, now=self._context.clock.now())
            oldest = min(found.missed + found.launch)
            await store.cursors.advance(schedule_name(task), to_ms=_ms(oldest) - 1)
        for at in found.missed:
            request = self._request(task, at)
            await store.claims.record_missed(request, self._operations.terms(request), self._context.clock.now())
            await store.cursors.advance(schedule_name(task), to_ms=_ms(at))
        if found.missed or found.untold:
            await self._context.log_flusher.flush()
        if found.missed:
            last = f"{max(found.missed).astimezone(zone_of(task)):%Y-%m-%d %H:%M %Z}"
            times = counted(len(found.missed) + found.untold, "scheduled time")
            text = f"{task.name} missed {times}, the last at {last}: nobody scheduled then"
            self._context.problems.report(f"{MISSED}{task.name}", text, lasting=True)
            self._missed_ms[task.name] = self._context.clock.now().wall_ms

    async def _end_missed(self) -> None:
        """End the problem of each task that ran again, about which a person did something, or that has no schedule."""
        loop_s, now_ms = asyncio.get_running_loop().time(), self._context.clock.now().wall_ms
        if not self._missed_ms or loop_s < self._look_at:
            return
        self._look_at = loop_s + LOOK_EVERY_S
        acts, _ = await self._context.store.audit.acts(AuditFilter(since_ms=min(self._missed_ms.values())), limit=PAGE)
        for name, at_ms in list(self._missed_ms.items()):
            task = self._context.settings.task(name)
            if task is not None and task.schedule is not None:
                # Of a task that caught up at once, too, somebody has to be told.
                if now_ms - at_ms < STALE_MS:
                    continue
                acted = any(act.task == name and act.at_ms >= at_ms and act.by != BY for act in acts)
                if not acted and not await self._context.store.cursors.has_launched(name, since_ms=at_ms):
                    continue
            del self._missed_ms[name]
            self._context.problems.clear(f"{MISSED}{name}")

    async def _has_open_run(self, task: Task) -> bool:
        return any(run.task == task.name and run.is_live for run in await self._context.store.runs.open_runs())

    async def _retry(self, run: Run) -> None:
        """Launch the next attempt of a failed key. Whatever is answered, this run asks for no other.

        A retry that the task of today cannot be launched for (its window or target was edited) is dropped, with a
        line in the log.
        """
        if self._context.settings.task(run.task) is not None:
            request = LaunchRequest(
                task=run.task, date=run.date, target=run.target, scheduled=True, by=BY, automatic_retry=True
            )
            try:
                result = await self._operations.launch(request)
            except (ValueError, LookupError) as error:
                fields = {"why": f"the task was edited: {error}"}
                await self._context.store.runs.note(
                    event="retry_dropped", fields=fields, run=run, now=self._context.clock.now()
                )
                self._report(f"{run.task}: the retry of {run.id} is dropped: {error}")
            else:
                self._report(f"{run.task}: attempt {result.run.attempt} after {run.id} failed: {result.kind}")
        await self._context.store.cursors.retried(run)

    def _request(self, task: Task, at: datetime) -> LaunchRequest:
        date = slot_date(at) if task.window == "slot" else day_date(at, zone_of(task))
        return LaunchRequest(task=task.name, date=date, scheduled=True, by=BY)

    def _report_launch(self, task: Task, result: LaunchResult, at: datetime) -> None:
        refused = result.kind is LaunchKind.REFUSED and result.refusal
        why = f": {result.refusal.sentence}" if refused and result.refusal else ""
        self._report(f"{task.name} due {at:%Y-%m-%dT%H:%MZ}: {result.kind}, run {result.run.id}{why}")


def _ms(at: datetime) -> int:
    return int(at.timestamp() * 1000)
