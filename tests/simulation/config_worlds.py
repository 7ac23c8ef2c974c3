"""Worlds whose config changes while launches and runs are under way, and whose processes read it late or never.

A run keeps the limits with which it was claimed and is cut off by them, whatever the config says later and whether its
task is still in it. A launch is judged by the config in force in its process.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import replace

from console.domain.caps import Caps
from console.domain.run import HOLDING
from console.domain.task import Task
from console.engine.settings import EngineSettings
from tests.invariants import config_violations, kept_limit_violations
from tests.simulation.fault_injector import Fault
from tests.simulation.hazard import Hazard
from tests.simulation.invariant_checker import InvariantChecker, Row
from tests.simulation.machine import EngineProcess, Machine
from tests.simulation.scenario import RandomScenario
from tests.simulation.supervision_checker import SupervisionChecker

BESIDE_EDITS = frozenset(
    {Fault.NEVER_ENDS, Fault.SPENDS, Fault.FAILS, Fault.USAGE_LATE, Fault.STREAM, Fault.CRASH, Fault.HAND_OVER}
)
"""Faults in a world whose config changes: none of them delays a cancel."""
LIMITS_MS = (15_000, 25_000, 40_000, 120_000)
TASK_OF = "select task from runs where id = ?"


class ChangingConfig:
    """The config file of one world, and what must hold while it changes."""

    def __init__(
        self,
        machine: Machine,
        checker: InvariantChecker,
        scenario: RandomScenario,
        supervision: SupervisionChecker,
        caps: Caps,
    ) -> None:
        """`caps` are those of the file at first; they are never raised above that."""
        self._machine = machine
        self._checker = checker
        self._supervision = supervision
        self._tasks = scenario.tasks
        """The tasks of the file. The scenario asks for those that it had at first."""
        self._first_tasks = scenario.tasks
        self._first_caps = self._caps = caps
        self._in_force: dict[EngineProcess, list[EngineSettings]] = {}
        """What each process judged by, oldest first."""
        self._limits: dict[str, int] = {}
        """The time limit of each run as it was claimed."""
        self._counts: Counter[str] = Counter()

    def hazard(self) -> Hazard:
        """What this world adds."""
        return Hazard(
            counts=self._counts,
            acts=((6, self._edit),),
            check=self.check,
            settings=self._as_in_file,
            on_change=self._on_change,
        )

    def check(self) -> None:
        """Every run is cut off by its own limit, also where its task has gone from the config."""
        self._supervision.check()
        living = self._machine.living()
        for row in self._checker.rows:
            if row.state in ("running", "stopping") and all(self._task_of(row) not in _names(one) for one in living):
                self._counts["runs seen whose task is in no config"] += 1

    async def _edit(self) -> None:
        """The file changes. Each process reads it at once or after some seconds, or goes on with the old one."""
        rng, machine = self._machine.rng, self._machine
        edited = [self._edited(task) for task in self._first_tasks if rng.random() < 0.7]
        self._tasks = tuple(edited)
        slots = min(rng.choice((1, 2, 3)), self._first_caps.concurrent_runs or 1)
        self._caps = replace(self._first_caps, concurrent_runs=slots)
        self._counts["edits"] += 1
        machine.note(f"the config has {[task.name for task in edited]}, {slots} slots")
        for process in machine.living():
            if rng.random() < 0.8 and not process.is_leaving:
                machine.service.keep(machine.loop.start(process, self._read(process, rng.choice((0.0, 0.0, 1.0, 5.0)))))

    def _edited(self, task: Task) -> Task:
        rng = self._machine.rng
        limits = replace(task.guardrails, max_ms=rng.choice(LIMITS_MS), max_attempts=rng.choice((1, 2)))
        return replace(task, guardrails=limits, prompt=rng.choice((task.prompt, "Look elsewhere.")))

    async def _read(self, process: EngineProcess, after_s: float) -> None:
        await asyncio.sleep(after_s)
        settings = self._as_in_file(process.engine.settings)
        self._in_force.setdefault(process, [process.settings]).append(settings)
        process.engine.reload(settings)

    def _as_in_file(self, settings: EngineSettings) -> EngineSettings:
        return replace(settings, tasks=self._tasks, caps=self._caps)

    def _on_change(self, process: EngineProcess, run_id: str) -> None:
        """A new run has limits that were in force in its process; an older one has those that it had."""
        row = self._checker.row(run_id)
        if run_id in self._limits:
            self._checker.must_not(kept_limit_violations(run_id, was=self._limits[run_id], now=row.max_ms))
            return
        self._limits[run_id] = row.max_ms
        # A request that was begun before the last edit may have been judged by what was in force then.
        in_force = self._in_force.get(process, [process.settings])[-2:]
        self._counts["launches after an edit"] += len(in_force) > 1
        limits = {task.guardrails.max_ms for one in in_force for task in one.tasks if task.name == self._task_of(row)}
        self._checker.must_not(config_violations(run_id, "time limit", row.max_ms, limits))
        if row.state == "claimed":
            slots = max(one.caps.concurrent_runs or 0 for one in in_force)
            taken = sum(run.state in HOLDING for run in map(self._checker.facts, self._limits))
            self._checker.must_not(config_violations(run_id, "number of concurrent runs", taken, range(slots + 1)))

    def _task_of(self, row: Row) -> str:
        (name,) = self._machine.site.connection.execute(TASK_OF, (row.id,)).fetchone()
        return str(name)


def _names(process: EngineProcess) -> set[str]:
    return {task.name for task in process.engine.settings.tasks}
