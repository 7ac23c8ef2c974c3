"""The drill: every guard is made to fire, against the real HTTP wire, and what the other side saw is the proof.

One simulator, one state folder per check, all checks at once; each has keys of its own, so the counts do not mix.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from console.app import App, open_app
from console.domain.limits import Caps
from console.domain.run import Run, RunId, State
from console.domain.task import Guardrails, Task
from console.domain.usage import Units
from console.engine.models import LaunchRequest, LaunchResult
from console.engine.settings import EngineSettings, ProcessKind
from console.simulated import simulated_service, simulator_provider
from console.simulator.control_client import ControlClient
from console.simulator.faults import FaultSpec
from console.simulator.scenario import Scenario

BY = "nightdesk drill"
SEED = 11
PATIENCE_S = 25.0
"""A check that has shown nothing by then has failed."""
UNITS = Units()
CAPS = Caps(daily_units=1_000_000, monthly_units=10_000_000, daily_runs=100, concurrent_runs=50, time_zone="UTC")


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What one check showed."""

    guard: str
    done: str
    """What was done to provoke it."""
    seen: str
    """What was seen, at the simulator where it can be seen there."""
    passed: bool


class DrillFailed(Exception):
    """A guard did not do what it is for; `str()` says what was seen instead."""


def expect(holds: bool, seen: str) -> None:
    """Raises DrillFailed with what was seen, unless it `holds`."""
    if not holds:
        raise DrillFailed(seen)


@dataclass(frozen=True, slots=True, kw_only=True)
class DrillEnv:
    """What a check stands on."""

    url: str
    control: ControlClient
    folder: Path
    """Of this check alone."""
    environment: dict[str, str] = field(repr=False)
    """For processes that a check starts."""

    @asynccontextmanager
    async def app(self, *tasks: Task, caps: Caps = CAPS) -> AsyncIterator[App]:
        """An engine on this check's state folder, as `nightdesk run` has it."""
        settings = EngineSettings(
            tasks=tasks, caps=caps, units=UNITS, poll_ms=200, kind=ProcessKind.RUN, read_only=False, schedules=False
        )
        async with open_app(
            folder=self.folder / "state", settings=settings, make_provider=simulator_provider(self.url)
        ) as app:
            yield app

    async def started(self, key: str) -> int:
        """Agents that really started for the key, whatever anybody was told."""
        return len(await self._truth(key))

    async def spending(self, key: str) -> int:
        """Of these, the ones that may still spend."""
        return sum(bool(run["may_spend"]) for run in await self._truth(key))

    async def _truth(self, key: str) -> list[dict[str, object]]:
        runs = await asyncio.to_thread(self.control.runs)
        return [dict(run) for run in runs if run["key"] == key]


Check = Callable[[DrillEnv], Awaitable[str]]


def task_of(name: str, scenario: Scenario, *, seconds: float = 60.0, units: float = 50.0) -> Task:
    """A task whose agent behaves as the scenario says."""
    return Task(
        name=name,
        type="drill",
        target=name,
        prompt=scenario.prompt("Prove that this guard holds."),
        agent="antigravity-preview-09-2026",
        model="gemini-3.8-flash",
        guardrails=Guardrails(max_ms=round(seconds * 1000), budget=round(units * 1000)),
    )


async def launch(app: App, task: str) -> LaunchResult:
    """By hand."""
    return await app.engine.operations.launch(LaunchRequest(task=task, by=BY))


async def until(condition: Callable[[], Awaitable[bool]]) -> None:
    """Returns once `condition` holds. Bounded by the check's own patience."""
    while True:
        if await condition():
            return
        await asyncio.sleep(0.02)


async def reaches(app: App, run_id: RunId, *states: State) -> Run:
    """The run once it is in one of `states`. Bounded by the check's own patience."""

    async def there() -> bool:
        return (await app.engine.get_run(run_id)).state in states

    await until(there)
    return await app.engine.get_run(run_id)


async def drill(
    checks: dict[str, tuple[str, Check]], environment: dict[str, str], *, faults: FaultSpec = ()
) -> tuple[Finding, ...]:
    """Runs all checks in a temporary folder that goes away. Raises RuntimeError where no simulator can be started.

    `faults` strike every check: with the right ones the drill must fail, or it proves nothing.
    """
    with simulated_service("drill", seed=SEED, faults=faults) as (simulator, parent):
        ground = DrillEnv(url=simulator.url, control=simulator.control, folder=parent, environment=environment)
        grounds = [replace(ground, folder=parent / str(number)) for number in range(len(checks))]
        for each in grounds:
            each.folder.mkdir(mode=0o700)
        findings = [
            _found(guard, done, check, each)
            for (guard, (done, check)), each in zip(checks.items(), grounds, strict=True)
        ]
        return tuple(await asyncio.gather(*findings))


async def _found(guard: str, done: str, check: Check, ground: DrillEnv) -> Finding:
    try:
        async with asyncio.timeout(PATIENCE_S):
            seen, passed = await check(ground), True
    except TimeoutError:
        seen, passed = f"nothing within {PATIENCE_S:g} s", False
    except DrillFailed as error:
        seen, passed = str(error), False
    except Exception as error:
        seen, passed = f"{type(error).__name__}: {error}", False
    return Finding(guard=guard, done=done, seen=seen, passed=passed)
