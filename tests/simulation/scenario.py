"""Random acts of operators and random fates of processes, drawn by the seed of a simulated world."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import replace

from console.domain.caps import Caps
from console.domain.rollout import RolloutRules
from console.domain.run import RunId, State
from console.domain.task import Guardrails, Task
from console.domain.usage import Units
from console.engine.errors import OperationRefused, StaleRun, StoreError
from console.engine.models import LaunchRequest
from console.engine.settings import EngineSettings, ProcessKind, ServiceSettings
from tests.simulation.access import Access
from tests.simulation.exception_injector import is_injected
from tests.simulation.fault_injector import Fault
from tests.simulation.hazard import Hazard
from tests.simulation.invariant_checker import InvariantChecker
from tests.simulation.machine import EngineProcess, Machine, Site

BY = "tester tty=no"
BUDGET = 50_000
DATES = ("2026-11-22", "2026-11-23")
FATES = (
    Fault.CRASH,
    Fault.STUCK,
    Fault.LOST_LOCK,
    Fault.HAND_OVER,
    Fault.WALL_STEP,
    Fault.REBOOT,
)
EXPECTED = (OperationRefused, StaleRun, StoreError, LookupError, ValueError)
"""Errors that an operator's act may raise."""


def random_caps(rng: random.Random) -> Caps:
    """Caps that a few runs can reach."""
    return Caps(
        daily_units=rng.choice((2, 4)) * BUDGET,
        monthly_units=20 * BUDGET,
        daily_runs=8,
        concurrent_runs=rng.choice((1, 2, 3)),
        time_zone="UTC",
    )


class RandomScenario:
    """The tasks and processes of one world, and every act that the seed may draw."""

    def __init__(self, machine: Machine, checker: InvariantChecker, caps: Caps) -> None:
        self._machine = machine
        self._checker = checker
        self._caps = caps
        self._rng = machine.rng
        self.tasks = tuple(self._task(name) for name in ("one", "two")[: self._rng.choice((1, 1, 2))])
        self._acts: list[tuple[int, Callable[[], Awaitable[None]]]] = [
            (6, self._launch),
            (2, self._stop),
            (2, self._settle),
            (1, self._decide),
            (1, self._pause),
            (3, self._meet_fate),
        ]
        self.hazard = Hazard()
        """What a world of its own kind adds."""

    async def act(self) -> None:
        """One random act."""
        acts = [*self._acts, *self.hazard.acts]
        (act,) = self._rng.choices([act for _, act in acts], [weight for weight, _ in acts])
        await act()

    def spawn(self, access: Access | None = None, site: Site | None = None) -> EngineProcess:
        """Starts a process; `access` None: with that which the world draws for it."""
        access = access or self.hazard.access()
        settings = self.hazard.settings(self._settings())
        if access is not None:
            here = replace(settings.services[0], service=access.service.name)
            settings = replace(settings, services=(here,))
        process = self._machine.spawn(settings, site=site, access=access)
        if self._machine.faults.strikes(Fault.CRASH):
            process.dies_at = self._rng.randrange(1, self._rng.choice((30, 100)))
        return process

    async def finished(self, task: asyncio.Task[object]) -> None:
        """Waits for a task of a process that may die or stand still meanwhile. Raises its error if it is a bug."""
        await asyncio.wait({task}, timeout=120.0)
        if task.done():
            raise_unexpected(task)
        else:
            task.add_done_callback(raise_unexpected)

    def _task(self, name: str) -> Task:
        guardrails = Guardrails(
            max_ms=self._rng.choice((15_000, 40_000, 120_000)),
            budget=BUDGET,
            max_attempts=self._rng.choice((1, 2)),
        )
        return Task(
            name=name,
            target=name,
            prompt="Look.",
            agent="agent",
            model="model",
            sandbox=self._rng.choice(("own", "own", "own", "remote")),
            guardrails=guardrails,
        )

    def _settings(self) -> EngineSettings:
        tasks = self.tasks
        if self._machine.faults.strikes(Fault.EDITED):
            tasks = tuple(replace(task, prompt="Look twice.") for task in tasks)
        return EngineSettings(
            tasks=tasks,
            caps=self._caps,
            units=Units(tokens_per_unit=1_000, cached_weight_milli=100),
            rollout=RolloutRules(approval_ms=60_000),
            services=(ServiceSettings(poll_ms=5_000),),
            kind=self._rng.choice((ProcessKind.SERVE, ProcessKind.SERVE, ProcessKind.CONSOLE)),
            schedules=self._rng.random() < 0.3,
        )

    def _any_process(self) -> EngineProcess:
        living = self._machine.living()
        return self._rng.choice(living) if living else self.spawn()

    async def _launch(self) -> None:
        """Launches one key or several, from several sides at once: overlapping cron jobs, a person, a rerun."""
        rerun, alike = self._rng.random() < 0.15, self._rng.random() < 0.6
        task, date = self._rng.choice(self.tasks), self._rng.choice(DATES)
        launches = []
        for _ in range(self._rng.choice((1, 1, 2, 3))):
            process = self._any_process()
            request = LaunchRequest(
                task=task.name,
                date=date,
                by=BY,
                rerun=rerun,
                reason="again" if rerun else "",
                scheduled=not rerun and self._rng.random() < 0.5,
            )
            self._machine.note(f"{process} launches {task.name} {date}{' again' if rerun else ''}")
            launches.append(process.act(process.engine.operations.launch(request)))
            if not alike:
                task, date = self._rng.choice(self.tasks), self._rng.choice(DATES)
        for launch in launches:
            if self._rng.random() < 0.5:
                await self.finished(launch)
            else:
                launch.add_done_callback(raise_unexpected)

    def _runs_in(self, *states: State) -> list[RunId]:
        return [RunId(row.id) for row in self._checker.rows if State(row.state) in states]

    async def _stop(self) -> None:
        runs = self._runs_in(State.CLAIMED, State.SENDING, State.RUNNING, State.UNCONFIRMED)
        process = self._any_process()
        if runs:
            self._machine.note(f"{process} stops a run")
            await self.finished(process.act(process.engine.operations.stop(self._rng.choice(runs), by=BY)))

    async def _settle(self) -> None:
        """An operator settles an unconfirmed run."""
        runs = self._runs_in(State.UNCONFIRMED, State.STOPPING)
        process = self._any_process()
        if not runs:
            return
        run_id, operations = self._rng.choice(runs), process.engine.operations
        agents = self._machine.agents_of(run_id)
        self._machine.note(f"{process} settles a run")
        match self._rng.choice(("adopt", "not launched", "not launched", "write off")):
            case "adopt" if agents:
                work = operations.settle_adopt(run_id, agents[0].remote_id, by=BY, reason="seen")
            case "write off":
                work = operations.settle_write_off(run_id, by=BY, reason="gone")
            case _:
                work = operations.settle_not_launched(run_id, by=BY, reason="checked")
        await self.finished(process.act(work))

    async def _decide(self) -> None:
        proposals = self._runs_in(State.PROPOSED)
        process = self._any_process()
        if proposals:
            run_id, operations = self._rng.choice(proposals), process.engine.operations
            if self._rng.random() < 0.7:
                await self.finished(process.act(operations.approve(run_id, by=BY)))
            else:
                await self.finished(process.act(operations.decline(run_id, by=BY, reason="no")))

    async def _pause(self) -> None:
        process = self._any_process()
        operations = process.engine.operations
        self._machine.note(f"{process} pulls the kill switch")
        await self.finished(process.act(operations.pause(by=BY, cancel=self._rng.random() < 0.5)))
        await asyncio.sleep(self._rng.choice((0.0, 10.0)))
        await self.finished(process.act(operations.resume(by=BY)))

    async def _meet_fate(self) -> None:
        """Something happens to a process or to the machine."""
        fates = [fault for fault in FATES if self._machine.faults.has(fault)]
        if not fates:
            return
        machine, process = self._machine, self._any_process()
        fate = self._rng.choice(fates)
        machine.note(f"{process}: {fate}")
        match fate:
            case Fault.CRASH:
                process.die()
                self.spawn()
            case Fault.STUCK:
                self._stand_still(process)
            case Fault.HAND_OVER:
                leaving = process.leave()
                self.spawn()
                await self.finished(leaving)
            case Fault.LOST_LOCK:
                process.lose_lock()
            case Fault.WALL_STEP:
                machine.clock.step_wall(self._rng.choice((-86_400.0, -400.0, 3.0, 20.0, 400.0, 86_400.0)))
            case _:
                self._reboot()

    def _stand_still(self, process: EngineProcess) -> None:
        process.is_stuck = True
        seconds = self._rng.choice((3.0, 30.0, 120.0))

        async def go_on() -> None:
            await asyncio.sleep(seconds)
            self._machine.note(f"{process} goes on")
            self._machine.loop.resume(process)

        self._machine.service.keep(self._machine.loop.start(None, go_on()))

    def _reboot(self) -> None:
        for process in self._machine.living():
            process.die()
        self._machine.clock.reboot()
        self.spawn()


def raise_unexpected(task: asyncio.Task[object]) -> None:
    """Raises the error of a finished act, unless acts may raise it or an injector raised it."""
    if task.cancelled():
        return
    error = task.exception()
    if error is not None and not isinstance(error, EXPECTED) and not is_injected(error):
        raise error
