"""The way of each task from by hand to unattended: shown with its evidence, moved one rung at a time, audited."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime
from itertools import pairwise

from console.domain.rollout import NotEarned, check_step, effective_stage, missing
from console.domain.task import Stage, Task
from console.domain.text import safe
from console.engine.dates import next_instants, zone_of
from console.engine.errors import ActRefused, StaleRun
from console.engine.parts import Parts
from console.engine.snapshot import Instant, NextLaunch, Rung, StageStep

COMING = 5
"""Instants shown of each schedule."""


class Rollout:
    """Stages and schedules of all tasks."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    async def ladder(self) -> tuple[Rung, ...]:
        """Every task of the config, in its order. Raises StoreError."""
        return tuple([await self._rung(task) for task in self._parts.settings.tasks])

    async def rung(self, name: str) -> Rung:
        """One task. Raises LookupError, StoreError."""
        return await self._rung(self._task(name))

    async def move(self, name: str, to: Stage, *, by: str, reason: str, forced: bool = False) -> Rung:
        """One rung up on evidence (or forced, with a reason) or one down with a reason; recorded with its evidence.

        Raises ActRefused for a step that may not be taken, LookupError, StoreError.
        """
        before = await self.rung(name)
        try:
            check_step(before.stage, to, before.evidence, self._parts.settings.rollout, forced=forced, reason=reason)
            await self._parts.store.stages.change(
                name,
                to,
                by=by,
                reason=reason.strip() or "the evidence asked for is there",
                forced=forced and to > before.stage and bool(before.missing),
                evidence={**asdict(before.evidence), "missing": list(before.missing)},
                now=self._parts.clock.now(),
                believed=before.stage,
            )
        except (NotEarned, StaleRun) as error:
            raise ActRefused(f"{name}: {error}") from error
        await self._parts.scribe.flush()
        return await self.rung(name)

    def next_launch(self) -> NextLaunch | None:
        """The first scheduled instant of any task from now on."""
        now = self._parts.clock.now().utc()
        coming = [
            (instants[0], task.name)
            for task in self._parts.settings.tasks
            if task.schedule is not None and (instants := next_instants(task, now, 1))
        ]
        if not coming:
            return None
        instant, name = min(coming)
        return NextLaunch(task=name, at_ms=int(instant.timestamp() * 1000))

    def _task(self, name: str) -> Task:
        task = self._parts.settings.task(name)
        if task is None:
            raise LookupError(f"no task is named {name!r}")
        return task

    async def _rung(self, task: Task) -> Rung:
        store, rules = self._parts.store, self._parts.settings.rollout
        steps = tuple(
            StageStep(
                at_ms=change.at_ms,
                before=change.before,
                after=change.after,
                by=safe(change.by, limit=80),
                reason=safe(change.reason, limit=400),
                forced=change.forced,
            )
            for change in reversed(await store.stages.changes(task.name))
        )
        stage = steps[0].after if steps else Stage.MANUAL
        evidence = await store.evidence.of(task.name)
        return Rung(
            task=task,
            stage=stage,
            effective=effective_stage(stage, unconfirmed=evidence.unconfirmed > 0),
            evidence=evidence,
            missing=missing(stage, evidence, rules),
            steps=steps,
            next=coming_instants(task, self._parts.clock.now().utc()),
        )


def coming_instants(task: Task, now: datetime) -> tuple[Instant, ...]:
    """The next instants of `task`; those before which the clocks change are marked."""
    zone = zone_of(task)
    instants = next_instants(task, now, COMING)
    return tuple(
        Instant(
            at_ms=int(instant.timestamp() * 1000),
            shifts=before.astimezone(zone).utcoffset() != instant.astimezone(zone).utcoffset(),
        )
        for before, instant in pairwise((now, *instants))
    )
