"""Runs the checks of the drill: each makes a guard fire over HTTP and asks the simulator what really happened.

The kinds of service follow one another. All checks of one run at once on its simulator, each with its own state folder
and keys.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from console.app import App, open_app
from console.domain.caps import Caps
from console.domain.run import Run, RunId, State
from console.domain.task import Guardrails, Task
from console.domain.usage import Price, Units
from console.engine.models import LaunchRequest, LaunchResult
from console.engine.settings import EngineSettings, ProcessKind, ServiceSettings
from console.provider.services import TRAITS
from console.simulated import SIMULATED, simulated_service, simulator_provider
from console.simulator.control_client import ControlClient
from console.simulator.faults import FaultSpec
from console.simulator.scenario import Scenario

BY = "nightdesk drill"
SEED = 11
CHECK_TIMEOUT_S = 25.0
"""Seconds after which a check has failed."""
POLL_MS = 200
"""How often a run is polled."""
UNITS = Units()
PRICE = Price(input_micro=2_000_000, cached_micro=200_000, output_micro=10_000_000, currency="USD")
CAPS = Caps(daily_units=1_000_000, monthly_units=10_000_000, daily_runs=100, concurrent_runs=50, time_zone="UTC")


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """The result of one check."""

    service: str
    """The kind of the simulated service."""
    guard: str
    done: str
    """What was done to make the guard fire."""
    seen: str
    """What happened, as the simulator saw it if it could."""
    passed: bool


class DrillFailed(Exception):
    """A guard did not fire; `str()` says what happened instead."""


def expect(holds: bool, seen: str) -> None:
    """Raise DrillFailed with `seen` unless `holds`."""
    if not holds:
        raise DrillFailed(seen)


@dataclass(frozen=True, slots=True, kw_only=True)
class DrillEnv:
    """What a check works with."""

    url: str
    control: ControlClient
    folder: Path
    """Used by this check only."""
    settings: EngineSettings
    """The settings of the engine, without tasks; its first service is the simulated one."""
    environment: dict[str, str] = field(default_factory=dict, repr=False)
    """The environment of processes that a check starts."""

    @property
    def kind(self) -> str:
        """The kind of the simulated service."""
        return self.settings.services[0].kind

    def task(self, name: str, scenario: Scenario, *, seconds: float = 60.0, units: float = 50.0) -> Task:
        """Return a task whose agent follows the scenario."""
        simulated = SIMULATED[self.kind]
        return Task(
            name=name,
            type="drill",
            target=name,
            prompt=scenario.prompt("Prove that this guard holds."),
            agent=simulated.agent,
            model=simulated.model,
            environment=simulated.environment,
            guardrails=Guardrails(max_ms=round(seconds * 1000), budget=round(units * 1000)),
        )

    @asynccontextmanager
    async def app(self, *tasks: Task, caps: Caps | None = None) -> AsyncIterator[App]:
        """Run an engine on the state folder of this check, as `nightdesk run` does."""
        settings = replace(self.settings, tasks=tasks, caps=caps or self.settings.caps)
        make = simulator_provider(self.url, self.kind, settings.services[0].launch)
        async with open_app(folder=self.folder / "state", settings=settings, make_provider=make) as app:
            yield app

    async def started(self, key: str) -> int:
        """Return how many agents really started for the key, whatever the client was told."""
        return len(await self._truth(key))

    async def spending(self, key: str) -> int:
        """Return how many of them may still spend."""
        return sum(bool(run["may_spend"]) for run in await self._truth(key))

    async def _truth(self, key: str) -> list[dict[str, object]]:
        runs = await asyncio.to_thread(self.control.runs)
        return [dict(run) for run in runs if run["key"] == key]


Check = Callable[[DrillEnv], Awaitable[str]]


async def launch(app: App, task: str) -> LaunchResult:
    """Launch by hand."""
    return await app.engine.operations.launch(LaunchRequest(task=task, by=BY))


async def until(condition: Callable[[], Awaitable[bool]]) -> None:
    """Return once `condition` holds. The timeout of the check bounds it."""
    while True:
        if await condition():
            return
        await asyncio.sleep(0.02)


async def reaches(app: App, run_id: RunId, *states: State) -> Run:
    """Return the run once it is in one of `states`. The timeout of the check bounds it."""

    async def there() -> bool:
        return (await app.engine.get_run(run_id)).state in states

    await until(there)
    return await app.engine.get_run(run_id)


async def drill(
    checks: dict[str, tuple[str, Check]],
    environment: dict[str, str],
    *,
    faults: FaultSpec = (),
    on_finding: Callable[[Finding], None] = lambda _: None,
    kinds: Sequence[str] = tuple(SIMULATED),
) -> tuple[Finding, ...]:
    """Run all checks once for each kind of service. Raises RuntimeError if no simulator can be started.

    `on_finding` is called as soon as a check has its result. `faults` apply to every check; a test uses them to see the
    checks fail.
    """
    findings: list[Finding] = []
    for kind in kinds:
        findings += await _drill_at(kind, checks, environment, faults, on_finding)
    return tuple(findings)


async def _drill_at(
    kind: str,
    checks: dict[str, tuple[str, Check]],
    environment: dict[str, str],
    faults: FaultSpec,
    on_finding: Callable[[Finding], None],
) -> list[Finding]:
    """Run all checks at one service, in a temporary folder."""
    with simulated_service("drill", seed=SEED, faults=faults, kind=kind) as (simulator, parent):
        service = ServiceSettings(kind=kind, server_limit=TRAITS[kind].server_limit, poll_ms=POLL_MS)
        settings = EngineSettings(
            tasks=(),
            caps=CAPS,
            units=UNITS,
            prices={SIMULATED[kind].model: PRICE},
            services=(service,),
            kind=ProcessKind.RUN,
        )
        env = DrillEnv(
            url=simulator.url,
            control=simulator.control,
            folder=parent,
            settings=settings,
            environment=environment,
        )
        envs = [replace(env, folder=parent / str(number)) for number in range(len(checks))]
        for each in envs:
            each.folder.mkdir(mode=0o700)

        async def result(guard: str, done: str, check: Check, env: DrillEnv) -> Finding:
            seen, passed = await outcome_of(check(env))
            finding = Finding(service=kind, guard=guard, done=done, seen=seen, passed=passed)
            on_finding(finding)
            return finding

        findings = [
            result(guard, done, check, each) for (guard, (done, check)), each in zip(checks.items(), envs, strict=True)
        ]
        return await asyncio.gather(*findings)


async def outcome_of(check: Awaitable[str]) -> tuple[str, bool]:
    """Return what a check saw, and whether the guard fired. Raises nothing that the check raises."""
    try:
        async with asyncio.timeout(CHECK_TIMEOUT_S):
            return await check, True
    except TimeoutError:
        return f"nothing within {CHECK_TIMEOUT_S:g} s", False
    except DrillFailed as error:
        return str(error), False
    except Exception as error:
        return f"{type(error).__name__}: {error}", False
