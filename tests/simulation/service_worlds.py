"""Worlds with two services in one state folder, and with processes whose key is missing or refused.

Nobody asks a service for a run that was launched at the other one, nobody who cannot guard takes a run, and a run whose
key is refused goes to a process that can guard it.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

from console.domain.run import RunId
from console.domain.task import Guardrails, Task
from console.engine.scheduling.scheduler import BY as SCHEDULER
from console.provider.contract import LaunchOrder
from tests.invariants import guardian_violations, kept_violations, launch_service_violations, unguarded_violations
from tests.simulation.access import Access, Key
from tests.simulation.fault_injector import Fault
from tests.simulation.hazard import Hazard
from tests.simulation.invariant_checker import InvariantChecker
from tests.simulation.machine import EngineProcess, Machine
from tests.simulation.scenario import RandomScenario
from tests.simulation.service import Service

BESIDE_SERVICES = frozenset(
    {
        *(Fault.NEVER_ENDS, Fault.SPENDS, Fault.FAILS, Fault.USAGE_LATE, Fault.STREAM, Fault.LOST_REPLY, Fault.SLOW),
        *(Fault.LATE_PACKET, Fault.CANCEL_LOST, Fault.CRASH, Fault.HAND_OVER, Fault.LOST_LOCK),
    }
)
"""Faults in a world of two services."""
NAMES = ("alpha", "beta")
EVERY_MINUTE = Task(
    name="every-minute",
    target="every-minute",
    prompt="Look.",
    agent="agent",
    model="model",
    schedule="* * * * *",
    window="slot",
    guardrails=Guardrails(max_ms=15_000, budget=1_000),
)
"""So that there is something to schedule for a process that cannot guard it."""
GIVEN_WITHIN_S = 20.0
"""A process whose key is refused gives a run to another one within this, where one that can guard it lives."""
GUARDED_WITHIN_S = 90.0
"""A run that works past its limit is cancelled within this, where a process that can guard it lived all the time."""


class TwoServices:
    """The services and the keys of one world."""

    def __init__(self, machine: Machine, checker: InvariantChecker, scenario: RandomScenario) -> None:
        self._machine = machine
        self._checker = checker
        self._scenario = scenario
        machine.service.name = NAMES[0]
        machine.services.append(Service(machine.loop, machine.faults, NAMES[1]))
        self._able_since: dict[EngineProcess, float] = {}
        """Since when the key of each process is what it is."""
        self._owners: dict[str, tuple[str | None, int]] = {}
        self._counts: Counter[str] = Counter()

    def hazard(self) -> Hazard:
        """What this world adds."""
        return Hazard(
            counts=self._counts,
            acts=((4, self._change_key),),
            check=self.check,
            clear=self._give_keys,
            tasks=(EVERY_MINUTE,),
            settings=lambda settings: replace(settings, tasks=(*settings.tasks, EVERY_MINUTE), schedules=True),
            access=self._access,
            on_started=self._on_started,
            on_post=self._on_post,
            on_change=self._on_change,
        )

    def check(self) -> None:
        """No service was asked for what is not its own, and no run waits for somebody who could guard it."""
        machine, now = self._machine, self._machine.loop.time()
        for service in machine.services:
            self._checker.must_not(f"P11: {service.name} was asked for {strange}" for strange in service.strange)
        for row in self._checker.rows:
            sent_at = self._checker.sent_at.get(row.id)
            if sent_at is None or row.remote_id is None:
                continue
            launched_at = row.service or ""
            works = any(agent.is_working(now) for agent in machine.agents_of(RunId(row.id)))
            able = [since for process, since in self._able_since.items() if self._is_able(process, launched_at)]
            if works and able:
                late = now - max(sent_at + row.max_ms / 1000, min(able))
                self._counts["agents seen past their limit"] += late > 0.0
                self._checker.must_not(unguarded_violations(row.id, late_s=late, bound_s=GUARDED_WITHIN_S))
                owner = next(
                    (each for each in machine.living() if each.owner == row.owner and self._is_refused(each)), None
                )
                if owner is not None and row.state == "running":
                    kept_s = now - max(sent_at, self._able_since[owner], min(able))
                    self._counts["runs seen with a refused key"] += 1
                    self._checker.must_not(kept_violations(row.id, kept_s=kept_s, bound_s=GIVEN_WITHIN_S))

    def _is_able(self, process: EngineProcess, service: str) -> bool:
        access = process.access
        lives = not process.is_dead and not process.is_leaving and process.holds_its_lock()
        return lives and access is not None and access.key is Key.USABLE and access.service.name == service

    @staticmethod
    def _is_refused(process: EngineProcess) -> bool:
        return process.access is not None and process.access.key is Key.REFUSED and not process.is_leaving

    def _access(self) -> Access:
        rng = self._machine.rng
        return Access(service=rng.choice(self._machine.services), key=rng.choice((*Key, *[Key.USABLE] * 4)))

    def _on_started(self, process: EngineProcess) -> None:
        self._able_since[process] = self._machine.loop.time()

    def _on_post(self, process: EngineProcess, order: LaunchOrder) -> None:
        """A run is launched at the service that its row names."""
        access, row = process.access, self._checker.row(order.labels["nightdesk-run"])
        if access is not None:
            self._counts["launches"] += 1
            self._checker.must_not(launch_service_violations(row.id, recorded=row.service, used=access.service.name))

    def _on_change(self, process: EngineProcess, run_id: str) -> None:
        """A take-over is made by a process that can guard the run; so is a scheduled launch."""
        row, access = self._checker.row(run_id), process.access
        owner, fence = self._owners.get(run_id, (None, row.fence))
        self._owners[run_id] = (row.owner, row.fence)
        if access is None:
            return
        has_key, here = access.key is not Key.MISSING, access.service.name
        if row.fence > fence and row.owner == process.owner and owner != row.owner:
            self._counts["take-overs"] += 1
            self._checker.must_not(guardian_violations(run_id, has_key=has_key, service=row.service, here=here))
        elif owner is None and row.state == "claimed" and row.requested_by == SCHEDULER:
            self._counts["scheduled launches"] += 1
            self._checker.must_not(guardian_violations(run_id, has_key=has_key, service=row.service, here=here))

    async def _change_key(self) -> None:
        """A key is revoked, removed, or put back."""
        living, rng = self._machine.living(), self._machine.rng
        if not living:
            return
        process, key = rng.choice(living), rng.choice(tuple(Key))
        owners = {row.owner for row in self._checker.rows if row.state == "running"}
        guarding = [each for each in living if each.owner in owners]
        if guarding and rng.random() < 0.5:
            # There is most to see where a run is under way.
            process, key = rng.choice(guarding), rng.choice((Key.REFUSED, Key.MISSING))
        if process.access is not None:
            process.access.key = key
            self._able_since[process] = self._machine.loop.time()
            self._machine.note(f"{process} has {process.access}")

    def _give_keys(self) -> None:
        """Every key works, and each service has a process that can guard its runs."""
        now = self._machine.loop.time()
        for process in self._machine.living():
            if process.access is not None and process.access.key is not Key.USABLE:
                process.access.key = Key.USABLE
                self._able_since[process] = now
        for service in self._machine.services:
            if not any(self._is_able(process, service.name) for process in self._machine.living()):
                self._scenario.spawn(Access(service=service))
