"""The rollout of tasks from manual to unattended: one stage at a time, on recorded evidence, every change audited."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping
from dataclasses import asdict, replace
from datetime import datetime
from itertools import pairwise

from console.domain.rollout import PromotionDenied, check_step, effective_stage, unmet_criteria
from console.domain.task import Stage, Task
from console.domain.text import is_blank, sanitize
from console.engine.acting_user import MAX_BY
from console.engine.context import EngineContext
from console.engine.errors import OperationRefused, StaleRun
from console.engine.models import NextLaunch, ScheduledTime, TaskRollout
from console.engine.scheduling.cron import next_times, zone_of
from console.engine.scheduling.daily_demand import DailyDemand, daily_demand

COMING = 5
"""Upcoming times shown of each schedule."""


class Rollout:
    """Stages and schedules of all tasks."""

    def __init__(self, context: EngineContext) -> None:
        self._context = context

    async def tasks(self) -> tuple[TaskRollout, ...]:
        """Every task of the config, in its order. Raises StoreError."""
        return tuple([await self._of(task) for task in self._context.settings.tasks])

    async def task(self, name: str) -> TaskRollout:
        """One task. Raises LookupError, StoreError."""
        return await self._of(self._task(name))

    async def demand(self, name: str) -> DailyDemand | None:
        """The most that the schedule of a task can take in a day; None without one. Raises LookupError, StoreError."""
        task, settings, stages = self._task(name), self._context.settings, await self._context.store.stages.all()
        others = [
            other
            for other in settings.tasks
            if other.name != name and stages.get(other.name, Stage.MANUAL) is not Stage.MANUAL
        ]
        # A schedule of every minute takes a moment of computing.
        return await asyncio.to_thread(daily_demand, task, others, settings, self._context.clock.now().utc())

    async def move(self, name: str, to: Stage, *, by: str, reason: str, forced: bool = False) -> TaskRollout:
        """Promote a task by one stage on evidence (or forced, with a reason), or demote it by one with a reason.

        The change is recorded with its evidence. Raises OperationRefused where it is not allowed, LookupError,
        StoreError.
        """
        before = await self.task(name)
        try:
            check_step(before.stage, to, before.evidence, self._context.settings.rollout, forced=forced, reason=reason)
            await self._context.store.stages.change(
                name,
                to,
                by=by,
                reason="evidence complete" if is_blank(reason) else reason.strip(),
                forced=forced and to > before.stage and bool(before.unmet_criteria),
                evidence={**asdict(before.evidence), "missing": list(before.unmet_criteria)},
                now=self._context.clock.now(),
                believed=before.stage,
            )
        except (PromotionDenied, StaleRun) as error:
            raise OperationRefused(f"{name}: {error}") from error
        await self._context.log_flusher.flush()
        return await self.task(name)

    def next_launch(self, stages: Mapping[str, Stage], unconfirmed: Collection[str]) -> NextLaunch | None:
        """The next scheduled time at which a task runs or is proposed; None where there is none.

        `stages` are those of the tasks, `unconfirmed` the names of tasks with an unconfirmed run.
        """
        now = self._context.clock.now().utc()
        coming = []
        for task in self._context.settings.tasks:
            stage = effective_stage(stages.get(task.name, Stage.MANUAL), unconfirmed=task.name in unconfirmed)
            if task.schedule is not None and stage is not Stage.MANUAL and (times := next_times(task, now, 1)):
                coming.append((times[0], task.name, stage is Stage.SEMI))
        if not coming:
            return None
        at, name, proposes = min(coming)
        return NextLaunch(task=name, at_ms=int(at.timestamp() * 1000), proposes=proposes)

    def _task(self, name: str) -> Task:
        task = self._context.settings.task(name)
        if task is None:
            raise LookupError(f"no task is named {name!r}")
        return task

    async def _of(self, task: Task) -> TaskRollout:
        store, rules = self._context.store, self._context.settings.rollout
        changes = tuple(
            replace(change, by=sanitize(change.by, limit=MAX_BY), reason=sanitize(change.reason, limit=400))
            for change in reversed(await store.stages.changes(task.name))
        )
        stage = changes[0].after if changes else Stage.MANUAL
        evidence = await store.evidence.of(task.name)
        return TaskRollout(
            task=task,
            stage=stage,
            effective=effective_stage(stage, unconfirmed=evidence.unconfirmed > 0),
            evidence=evidence,
            unmet_criteria=unmet_criteria(stage, evidence, rules),
            changes=changes,
            next=upcoming_times(task, self._context.clock.now().utc()),
        )


def upcoming_times(task: Task, now: datetime) -> tuple[ScheduledTime, ...]:
    """The next scheduled times of `task`; those before which the clocks change are marked."""
    zone = zone_of(task)
    times = next_times(task, now, COMING)
    return tuple(
        ScheduledTime(
            at_ms=int(at.timestamp() * 1000),
            shifts=before.astimezone(zone).utcoffset() != at.astimezone(zone).utcoffset(),
        )
        for before, at in pairwise((now, *times))
    )
