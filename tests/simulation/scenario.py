"""What may happen in a simulated world: what operators do and what befalls processes, drawn by the seed."""

from __future__ import annotations

import asyncio
import random
import sqlite3
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import replace

from console.domain.limits import Caps
from console.domain.rollout import RolloutRules
from console.domain.run import RunId, State
from console.domain.task import Guardrails, Task
from console.domain.usage import Units
from console.engine.errors import OperationRefused, StaleRun, StoreError
from console.engine.models import LaunchRequest
from console.engine.settings import EngineSettings, ProcessKind
from tests.simulation.fault_injector import Fault
from tests.simulation.invariant_checker import InvariantChecker
from tests.simulation.machine import EngineProcess, Machine
from tests.simulation.virtual_loop import VirtualLoop

BY = "tester tty=no"
BUDGET = 50_000
DATES = ("2026-11-22", "2026-11-23")
BEFALLING = (
    Fault.CRASH,
    Fault.STUCK,
    Fault.LOST_LOCK,
    Fault.HAND_OVER,
    Fault.WALL_STEP,
    Fault.REBOOT,
)
EXPECTED = (OperationRefused, StaleRun, StoreError, LookupError, ValueError)
"""Answers to an operator that are no bug of ours."""


class RandomScenario:
    """The tasks, the processes, and every act that the seed may draw."""

    def __init__(self, seed: int, connection: sqlite3.Connection, *, live: bool) -> None:
        """`live`: the troubles end, and the world must come to rest."""
        self.loop = VirtualLoop()
        self.rng = random.Random(seed)
        random.seed(seed)
        self.live = live
        self.machine = Machine(self.loop, self.rng, connection)
        self.caps = Caps(
            daily_units=self.rng.choice((2, 4)) * BUDGET,
            monthly_units=20 * BUDGET,
            daily_runs=8,
            concurrent_runs=self.rng.choice((1, 2, 3)),
            time_zone="UTC",
        )
        self.judge = InvariantChecker(self.machine, self.caps)
        self.tasks = tuple(self._task(name) for name in ("one", "two")[: self.rng.choice((1, 1, 2))])
        self.lasts = self.rng.choice((20.0, 60.0, 150.0))
        self._acts: list[tuple[int, Callable[[], Awaitable[None]]]] = [
            (6, self._launch),
            (2, self._stop),
            (2, self._settle),
            (1, self._decide),
            (1, self._pause),
            (3, self._befall),
        ]

    def _task(self, name: str) -> Task:
        guardrails = Guardrails(
            max_ms=self.rng.choice((15_000, 40_000, 120_000)),
            budget=BUDGET,
            max_attempts=self.rng.choice((1, 2)),
        )
        return Task(
            name=name,
            target=name,
            prompt="Look.",
            agent="agent",
            model="model",
            sandbox=self.rng.choice(("own", "own", "own", "remote")),
            guardrails=guardrails,
        )

    def _settings(self) -> EngineSettings:
        tasks = self.tasks
        if self.machine.weather.strikes(Fault.EDITED):
            tasks = tuple(replace(task, prompt="Look twice.") for task in tasks)
        return EngineSettings(
            tasks=tasks,
            caps=self.caps,
            units=Units(tokens_per_unit=1_000, cached_weight_milli=100),
            rollout=RolloutRules(approval_ms=60_000),
            poll_ms=5_000,
            kind=self.rng.choice((ProcessKind.SERVE, ProcessKind.SERVE, ProcessKind.CONSOLE)),
            schedules=self.rng.random() < 0.3,
        )

    def _spawn(self) -> EngineProcess:
        process = self.machine.spawn(self._settings())
        if self.machine.weather.strikes(Fault.CRASH):
            process.dies_at = self.rng.randrange(1, self.rng.choice((30, 100)))
        return process

    async def _something(self) -> None:
        weights = [weight for weight, _ in self._acts]
        (act,) = self.rng.choices([act for _, act in self._acts], weights)
        await act()

    def _anybody(self) -> EngineProcess:
        living = self.machine.living()
        return self.rng.choice(living) if living else self._spawn()

    async def _done(self, task: asyncio.Task[object]) -> None:
        """Waits for a task of a process that may die or stand still meanwhile."""
        await asyncio.wait({task}, timeout=120.0)
        if task.done() and not task.cancelled():
            with suppress(*EXPECTED):
                task.result()

    async def _launch(self) -> None:
        """One key, or several, from several sides at once: overlapping cron jobs, a person, a rerun."""
        rerun, alike = self.rng.random() < 0.15, self.rng.random() < 0.6
        task, date = self.rng.choice(self.tasks), self.rng.choice(DATES)
        launches = []
        for _ in range(self.rng.choice((1, 1, 2, 3))):
            process = self._anybody()
            request = LaunchRequest(
                task=task.name,
                date=date,
                by=BY,
                rerun=rerun,
                reason="again" if rerun else "",
                scheduled=not rerun and self.rng.random() < 0.5,
            )
            self.machine.note(f"{process} launches {task.name} {date}{' again' if rerun else ''}")
            launches.append(process.act(process.engine.operations.launch(request)))
            if not alike:
                task, date = self.rng.choice(self.tasks), self.rng.choice(DATES)
        for launch in launches:
            if self.rng.random() < 0.5:
                await self._done(launch)
            else:
                launch.add_done_callback(_swallow)

    def _open(self, *states: State) -> list[RunId]:
        return [RunId(row.id) for row in self.judge.rows if State(row.state) in states]

    async def _stop(self) -> None:
        runs = self._open(State.CLAIMED, State.SENDING, State.RUNNING, State.UNCONFIRMED)
        process = self._anybody()
        if runs:
            self.machine.note(f"{process} stops a run")
            await self._done(process.act(process.engine.operations.stop(self.rng.choice(runs), by=BY)))

    async def _settle(self) -> None:
        """An operator rules on what nobody knows."""
        runs = self._open(State.UNCONFIRMED, State.STOPPING)
        process = self._anybody()
        if not runs:
            return
        run_id, operations = self.rng.choice(runs), process.engine.operations
        agents = self.machine.service.of_run(run_id)
        self.machine.note(f"{process} rules on a run")
        match self.rng.choice(("adopt", "not launched", "not launched", "write off")):
            case "adopt" if agents:
                work = operations.settle_adopt(run_id, agents[0].remote_id, by=BY, reason="seen")
            case "write off":
                work = operations.settle_write_off(run_id, by=BY, reason="gone")
            case _:
                work = operations.settle_not_launched(run_id, by=BY, reason="looked")
        await self._done(process.act(work))

    async def _decide(self) -> None:
        proposals = self._open(State.PROPOSED)
        process = self._anybody()
        if proposals:
            run_id = self.rng.choice(proposals)
            if self.rng.random() < 0.7:
                await self._done(process.act(process.engine.operations.approve(run_id, by=BY)))
            else:
                await self._done(process.act(process.engine.operations.decline(run_id, by=BY, reason="no")))

    async def _pause(self) -> None:
        process = self._anybody()
        operations = process.engine.operations
        self.machine.note(f"{process} pulls the kill switch")
        await self._done(process.act(operations.pause(by=BY, cancel=self.rng.random() < 0.5)))
        await asyncio.sleep(self.rng.choice((0.0, 10.0)))
        await self._done(process.act(operations.resume(by=BY)))

    async def _befall(self) -> None:
        """Something happens to a process or to the machine."""
        befalling = [trouble for trouble in BEFALLING if self.machine.weather.has(trouble)]
        if not befalling:
            return
        machine, process = self.machine, self._anybody()
        trouble = self.rng.choice(befalling)
        machine.note(f"{process}: {trouble}")
        match trouble:
            case Fault.CRASH:
                process.die()
                self._spawn()
            case Fault.STUCK:
                self._stick(process)
            case Fault.HAND_OVER:
                leaving = process.leave()
                self._spawn()
                await self._done(leaving)
            case Fault.LOST_LOCK:
                process.lose_lock()
            case Fault.WALL_STEP:
                machine.clock.step_wall(self.rng.choice((-86_400.0, -400.0, 3.0, 20.0, 400.0, 86_400.0)))
            case _:
                self._reboot()

    def _stick(self, process: EngineProcess) -> None:
        process.is_stuck = True
        stands = self.rng.choice((3.0, 30.0, 120.0))

        async def go_on() -> None:
            await asyncio.sleep(stands)
            self.machine.note(f"{process} goes on")
            self.loop.resume(process)

        self.machine.service.keep(self.loop.start(None, go_on()))

    def _reboot(self) -> None:
        for process in self.machine.living():
            process.die()
        self.machine.clock.reboot()
        self._spawn()


def _swallow(task: asyncio.Task[object]) -> None:
    if not task.cancelled() and (error := task.exception()) is not None and not isinstance(error, EXPECTED):
        raise error
