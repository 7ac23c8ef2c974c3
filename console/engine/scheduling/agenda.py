"""What the schedules are going to do: the coming scheduled times in order, and what each will do as things stand.

A launch is foreseen by the checks that a claim makes, in their order: pause, key, stage, caps.
"""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from itertools import islice

from console.domain.fact_text import author_text
from console.domain.key import KeyDecisionKind, KeyRequest, day_date, decide_key, key_of, slot_date
from console.domain.rollout import effective_stage
from console.domain.run import Run, RunId, State
from console.domain.task import Fingerprint, Origin, Stage, Task
from console.domain.text import sanitize
from console.engine.context import EngineContext
from console.engine.models import KeyStatus, Pause, TypicalUsage
from console.engine.queries import Queries
from console.engine.scheduling.cap_forecast import CapForecast, Demand, Room
from console.engine.scheduling.cron import zone_named, zone_of
from console.engine.scheduling.due import times_between

MOST_HOURS = 24 * 31
"""How far an agenda looks ahead at most."""
MOST_ENTRIES = 5_000
"""Entries of an agenda at most; the later ones are left out, and the agenda says so."""
KEYS_AT_ONCE = 500
"""Keys that are looked up in one statement."""


class Effect(StrEnum):
    """What a scheduled time comes to."""

    RUN = "run"
    PROPOSAL = "proposal"
    SKIPPED = "skipped"
    """The work of its key is done or under way."""
    REFUSED = "refused"


@dataclass(frozen=True, slots=True, kw_only=True)
class AgendaEntry:
    """One scheduled time, or the next try of a run that failed."""

    task: str
    at_ms: int
    time_zone: str
    """IANA name of the zone of the task."""
    shifts: bool
    """True where the clocks of that zone change between the time before and this one."""
    effect: Effect
    why: str
    """One sanitized line: why it is skipped or refused, or what it depends on; empty where nothing is in the way."""
    hold: int
    """Milli-units that it holds when it is launched."""
    cost_micro: int | None
    """Micro-money if the whole hold were used; None where the price is unknown."""
    currency: str | None
    room: Room | None
    """Whether the caps will have room for it then; None for what is not launched."""
    retry_of: RunId | None = None
    """The failed run that is tried again; None for a time of the schedule."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Agenda:
    """The scheduled times of all tasks in a period that begins now."""

    now_ms: int
    until_ms: int
    time_zone: str
    """The zone of the caps."""
    entries: tuple[AgendaEntry, ...] = ()
    """In order of time, at most MOST_ENTRIES."""
    is_cut: bool = False
    """True where there are more than MOST_ENTRIES."""
    nobody_schedules: bool = False
    """True where no process is going to launch any of them."""
    paused: Pause | None = None


class AgendaReader:
    """Reads what the forecast depends on. Nothing is written."""

    def __init__(self, context: EngineContext, queries: Queries) -> None:
        self._context = context
        self._queries = queries

    async def upcoming(self, hours: int) -> Agenda:
        """Return the agenda of the next `hours`. Raises ValueError outside 1 to MOST_HOURS, StoreError."""
        if not 1 <= hours <= MOST_HOURS:
            raise ValueError(f"an agenda looks ahead by 1 to {MOST_HOURS} hours, not by {hours}")
        context, settings = self._context, self._context.settings
        snapshot = await self._queries.snapshot()
        now = snapshot.taken
        until_ms = now.wall_ms + hours * 3_600_000
        times = await asyncio.to_thread(_upcoming, settings.tasks, now.utc(), until_ms)
        times = sorted([*times, *await self._retries(now.wall_ms, until_ms)], key=lambda time: time.at_ms)
        is_cut, times = len(times) > MOST_ENTRIES, times[:MOST_ENTRIES]
        tasks = {time.task.name: time.task for time in times}
        planner = _Planner(
            stages=snapshot.stages,
            unconfirmed={run.task for run in snapshot.live if run.state is State.UNCONFIRMED},
            paused=snapshot.paused,
            keys=await self._keys(times),
            typical={name: await context.store.history.typical(name) for name in tasks},
            forecast=CapForecast(
                settings.caps,
                today=day_date(now.utc(), zone_named(settings.caps.time_zone)),
                usages=snapshot.cap_usages,
                of_tasks={
                    name: (await context.store.ledger.cap_usages(settings.caps, now, task))[:2]
                    for name, task in tasks.items()
                    if task.guardrails.daily_runs is not None or task.guardrails.daily_units is not None
                },
                open_until_ms=[
                    None if run.state is State.UNCONFIRMED else run.deadline_ms or now.wall_ms + run.limits.max_ms
                    for run in snapshot.live
                    if run.state is not State.PROPOSED
                ],
            ),
        )
        return Agenda(
            now_ms=now.wall_ms,
            until_ms=until_ms,
            time_zone=settings.caps.time_zone,
            # Thousands of times take a second of computing, which the supervision of runs must not wait for.
            entries=await asyncio.to_thread(self._entries, planner, times),
            is_cut=is_cut,
            nobody_schedules=snapshot.nobody_schedules,
            paused=snapshot.paused,
        )

    def _entries(self, planner: _Planner, times: list[_Time]) -> tuple[AgendaEntry, ...]:
        return tuple([self._entry(time, *planner.plan(time)) for time in times])

    def _entry(self, time: _Time, effect: Effect, why: str, room: Room | None) -> AgendaEntry:
        rails, settings = time.task.guardrails, self._context.settings
        price = settings.prices.get(time.task.model)
        return AgendaEntry(
            task=time.task.name,
            at_ms=time.at_ms,
            time_zone=time.task.time_zone,
            shifts=time.shifts,
            effect=effect,
            why=sanitize(why, limit=300),
            hold=rails.budget,
            cost_micro=price.worst_case(rails.budget, settings.units, max_ms=rails.max_ms) if price else None,
            currency=price.currency if price else None,
            room=room,
            retry_of=time.retry_of.id if time.retry_of else None,
        )

    async def _retries(self, now_ms: int, until_ms: int) -> list[_Time]:
        """The failed runs that are tried again in the period."""
        found = []
        for run in await self._context.store.cursors.due_retries(until_ms):
            task = self._context.settings.task(run.task)
            if task is not None and run.retry_at_ms is not None:
                found.append(_Time(task=task.with_target(run.target), at_ms=max(now_ms, run.retry_at_ms), retry_of=run))
        return found

    async def _keys(self, times: list[_Time]) -> dict[str, KeyStatus]:
        wanted = list(dict.fromkeys(time.key for time in times))
        found: dict[str, KeyStatus] = {}
        for start in range(0, len(wanted), KEYS_AT_ONCE):
            found.update(await self._context.store.history.keys(wanted[start : start + KEYS_AT_ONCE]))
        return found


@dataclass(frozen=True, slots=True, kw_only=True)
class _Time:
    """A time at which something is launched by schedule."""

    task: Task
    at_ms: int
    shifts: bool = False
    retry_of: Run | None = None

    @property
    def key(self) -> str:
        if self.retry_of is not None:
            return self.retry_of.key
        at = datetime.fromtimestamp(self.at_ms / 1000, UTC)
        date = slot_date(at) if self.task.window == "slot" else day_date(at, zone_of(self.task))
        return key_of(self.task.type, self.task.target, date)


def _upcoming(tasks: Collection[Task], now: datetime, until_ms: int) -> list[_Time]:
    """The scheduled times of all tasks, in order: one more than MOST_ENTRIES at most."""
    until = datetime.fromtimestamp(until_ms / 1000, UTC)
    merged = heapq.merge(*(_times_of(task, now, until) for task in tasks), key=lambda time: time.at_ms)
    return list(islice(merged, MOST_ENTRIES + 1))


def _times_of(task: Task, now: datetime, until: datetime) -> Iterator[_Time]:
    zone = zone_of(task)
    offset = now.astimezone(zone).utcoffset()
    for at in times_between(task, now, until):
        before, offset = offset, at.astimezone(zone).utcoffset()
        yield _Time(task=task, at_ms=int(at.timestamp() * 1000), shifts=before != offset)


@dataclass(slots=True, kw_only=True)
class _Planner:
    """Decides about one time after the other, each on what those before it are expected to leave."""

    stages: Mapping[str, Stage]
    unconfirmed: Collection[str]
    paused: Pause | None
    keys: Mapping[str, KeyStatus]
    typical: Mapping[str, TypicalUsage | None]
    forecast: CapForecast
    planned: dict[str, tuple[Effect, int]] = field(default_factory=dict)
    """By key: what an earlier time of this agenda makes of it, and when."""

    def plan(self, time: _Time) -> tuple[Effect, str, Room | None]:
        """Return what the time comes to, why, and whether the caps have room for it then."""
        if self.paused is not None:
            return Effect.REFUSED, f"launches are paused by {author_text(self.paused.by)}", None
        taken = self._key_verdict(time)
        if taken is not None:
            return *taken, None
        task = time.task
        stage = effective_stage(self.stages.get(task.name, Stage.MANUAL), unconfirmed=task.name in self.unconfirmed)
        if stage is Stage.MANUAL or (stage is Stage.SEMI and time.retry_of is not None):
            return Effect.REFUSED, f"the task is at stage {stage.label}", None
        effect = Effect.RUN if stage is Stage.UNATTENDED else Effect.PROPOSAL
        typical, rails = self.typical[task.name], task.guardrails
        room, refusal = self.forecast.add(
            Demand(
                task=task,
                at_ms=time.at_ms,
                units=min(rails.budget, typical.median_units) if typical else rails.budget,
                ms=min(rails.max_ms, typical.p95_ms) if typical else rails.max_ms,
            )
        )
        if room is Room.FULL and effect is Effect.RUN:
            return Effect.REFUSED, refusal.sentence if refusal else "", room
        earlier = self.planned.get(time.key)
        self.planned[time.key] = effect, time.at_ms
        if room is Room.FULL:
            return effect, f"its approval will be refused: {refusal.sentence}" if refusal else "", room
        if earlier is not None:
            return effect, "if the proposal before it was not approved", room
        return effect, f"if earlier runs use their whole budgets: {refusal.sentence}" if refusal else "", room

    def _key_verdict(self, time: _Time) -> tuple[Effect, str] | None:
        """Why the key is not free then; None where it is."""
        effect, _ = self.planned.get(time.key, (None, 0))
        if effect is Effect.RUN:
            return Effect.SKIPPED, "its key is taken by an earlier time of the same day"
        holder = self.keys[time.key].holder
        if holder is None or (holder.state is State.PROPOSED and (holder.expires_ms or 0) <= time.at_ms):
            return None
        request = KeyRequest(
            fingerprint=Fingerprint.of(time.task),
            origin=Origin.SCHEDULE,
            automatic_retry=time.retry_of is not None,
        )
        decision = decide_key([holder], request)
        match decision.answer:
            case KeyDecisionKind.FREE:
                return None
            case KeyDecisionKind.REFUSED:
                return Effect.REFUSED, decision.refusal.sentence if decision.refusal else ""
            case KeyDecisionKind.DONE:
                return Effect.SKIPPED, f"its key is done: run {holder.id} ended ok"
            case KeyDecisionKind.RUNNING:
                return Effect.SKIPPED, f"run {holder.id} of its key is {holder.state}"
