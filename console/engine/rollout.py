"""The way of each task from by hand to unattended: shown with its evidence, moved one rung at a time, audited."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime
from itertools import pairwise

from console.domain.rollout import PromotionDenied, check_step, effective_stage, unmet_criteria
from console.domain.task import Stage, Task
from console.domain.text import sanitize
from console.engine.context import EngineContext
from console.engine.errors import OperationRefused, StaleRun
from console.engine.models import NextLaunch, ScheduledTime, StageChange, TaskRollout
from console.engine.scheduling.cron import next_times, zone_of

COMING = 5
"""Instants shown of each schedule."""


class Rollout:
    """Stages and schedules of all tasks."""

    def __init__(self, context: EngineContext) -> None:
        self._context = context

    async def tasks(self) -> tuple[TaskRollout, ...]:
        """Every task of the config, in its order. Raises StoreError."""
        return tuple([await self._rung(task) for task in self._context.settings.tasks])

    async def task(self, name: str) -> TaskRollout:
        """One task. Raises LookupError, StoreError."""
        return await self._rung(self._task(name))

    async def move(self, name: str, to: Stage, *, by: str, reason: str, forced: bool = False) -> TaskRollout:
        """One rung up on evidence (or forced, with a reason) or one down with a reason; recorded with its evidence.

        Raises ActRefused for a step that may not be taken, LookupError, StoreError.
        """
        before = await self.task(name)
        try:
            check_step(before.stage, to, before.evidence, self._context.settings.rollout, forced=forced, reason=reason)
            await self._context.store.stages.change(
                name,
                to,
                by=by,
                reason=reason.strip() or "the evidence asked for is there",
                forced=forced and to > before.stage and bool(before.unmet_criteria),
                evidence={**asdict(before.evidence), "missing": list(before.unmet_criteria)},
                now=self._context.clock.now(),
                believed=before.stage,
            )
        except (PromotionDenied, StaleRun) as error:
            raise OperationRefused(f"{name}: {error}") from error
        await self._context.log_flusher.flush()
        return await self.task(name)

    def next_launch(self) -> NextLaunch | None:
        """The first scheduled instant of any task from now on."""
        now = self._context.clock.now().utc()
        coming = [
            (instants[0], task.name)
            for task in self._context.settings.tasks
            if task.schedule is not None and (instants := next_times(task, now, 1))
        ]
        if not coming:
            return None
        instant, name = min(coming)
        return NextLaunch(task=name, at_ms=int(instant.timestamp() * 1000))

    def _task(self, name: str) -> Task:
        task = self._context.settings.task(name)
        if task is None:
            raise LookupError(f"no task is named {name!r}")
        return task

    async def _rung(self, task: Task) -> TaskRollout:
        store, rules = self._context.store, self._context.settings.rollout
        steps = tuple(
            StageChange(
                at_ms=change.at_ms,
                before=change.before,
                after=change.after,
                by=sanitize(change.by, limit=80),
                reason=sanitize(change.reason, limit=400),
                forced=change.forced,
            )
            for change in reversed(await store.stages.changes(task.name))
        )
        stage = steps[0].after if steps else Stage.MANUAL
        evidence = await store.evidence.of(task.name)
        return TaskRollout(
            task=task,
            stage=stage,
            effective=effective_stage(stage, unconfirmed=evidence.unconfirmed > 0),
            evidence=evidence,
            unmet_criteria=unmet_criteria(stage, evidence, rules),
            steps=steps,
            next=upcoming_times(task, self._context.clock.now().utc()),
        )


def upcoming_times(task: Task, now: datetime) -> tuple[ScheduledTime, ...]:
    """The next instants of `task`; those before which the clocks change are marked."""
    zone = zone_of(task)
    instants = next_times(task, now, COMING)
    return tuple(
        ScheduledTime(
            at_ms=int(instant.timestamp() * 1000),
            shifts=before.astimezone(zone).utcoffset() != instant.astimezone(zone).utcoffset(),
        )
        for before, instant in pairwise((now, *instants))
    )
