"""The rehearsal: the tasks of one config against a simulated service, with an agent that makes each guard fire.

Every check has a state folder of its own, which is thrown away. Limits, caps, units, tools and the sandbox are those of
the config. Three things differ, and the result names them: long time limits are scaled down, runs are polled more
often, and what exists only at the real service (a saved agent, a sandbox) is replaced.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

from console.app import App, engine_settings, service_settings
from console.config import Settings
from console.domain.caps import Caps, RefusalKind
from console.domain.formatting import format_duration
from console.domain.run import Outcome, Run, State
from console.domain.task import Task
from console.domain.usage import units_text
from console.drill.runner import BY, POLL_MS, DrillEnv, expect, outcome_of, reaches, until
from console.engine.models import LaunchKind, LaunchRequest, LaunchResult
from console.engine.settings import ProcessKind
from console.provider.services import TRAITS
from console.provider.traits import Prepares
from console.simulated import SIMULATED, simulated_service, temporary_folder
from console.simulator.faults import FaultSpec
from console.simulator.process import SimulatorProcess
from console.simulator.scenario import Ending, Scenario

SEED = 13
LONGEST_MS = 2_000
"""Time limits are scaled down to at most so many milliseconds."""
MOST_LAUNCHES = 12
"""Launches that the rehearsal of the caps asks for at once, at most."""
AT_ONCE = 6
"""Checks under way at once."""
STEPS_TO_BUDGET = 8
NO_CAPS = Caps(daily_units=None, monthly_units=None, daily_runs=None, concurrent_runs=None, time_zone="UTC")
ENDLESS = Scenario(step_seconds=0.2, tokens_per_step=100, ending=Ending.NEVER)
SHORT = Scenario(steps=3, step_seconds=0.1, tokens_per_step=100)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rehearsed:
    """What one guard did to one task."""

    task: str
    guard: str
    config: str
    """What the config says, and how it was scaled."""
    seen: str
    passed: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class RehearsalEnv:
    """What a check works with."""

    env: DrillEnv
    task: Task
    """As configured; what exists only at the real service is replaced."""
    caps: Caps
    """As configured."""

    def acting(self, scenario: Scenario, *, max_ms: int | None = None) -> Task:
        """Return the task with an agent that follows the scenario, and with a time limit that does not interfere."""
        rails = self.task.guardrails
        no_caps = replace(rails, daily_runs=None, daily_units=None, max_ms=max_ms or max(rails.max_ms, 60_000))
        return replace(self.task, prompt=scenario.prompt(self.task.prompt), guardrails=no_caps)

    async def launch(self, app: App, target: str) -> LaunchResult:
        """Launch the task by hand, with a key of its own for each target."""
        request = LaunchRequest(task=self.task.name, target=f"rehearsal-{target}", by=BY)
        answer = await app.engine.operations.launch(request)
        return answer

    async def started(self, app: App, target: str) -> Run:
        """Launch the task and return its run once it runs. Raises DrillFailed if it does not."""
        answer = await self.launch(app, target)
        expect(answer.kind is LaunchKind.LAUNCHED, f"not launched: {_why(answer)}")
        run = await reaches(app, answer.run.id, State.RUNNING, State.STOPPING, State.UNCONFIRMED, State.ENDED)
        expect(run.remote_id is not None, f"the launch was refused: {run.note or run.state}")
        return run


def _why(answer: LaunchResult) -> str:
    return answer.refusal.sentence if answer.refusal else answer.run.note or answer.kind.value


async def time_limit(here: RehearsalEnv) -> str:
    """An agent that never ends."""
    task = here.acting(ENDLESS, max_ms=_scaled_ms(here.task))
    async with here.env.app(task) as app:
        run = await app.engine.wait((await here.started(app, "time-limit")).id)
        spending = await here.env.spending(run.key)
    expect(run.outcome is Outcome.TIMEOUT and spending == 0, f"outcome {run.outcome}, {spending} still spending")
    return f"stopped after {run.elapsed_ms / 1000:.1f} s; the service shows that it ended"


async def budget(here: RehearsalEnv) -> str:
    """An agent that passes its budget, at a service that does not enforce its own limit."""
    units = here.env.settings.units
    step = max(1, units.tokens_of(here.task.guardrails.budget) // STEPS_TO_BUDGET)
    spending = Scenario(step_seconds=0.3, tokens_per_step=step, ending=Ending.NEVER, faults=("budget.ignored",))
    async with here.env.app(here.acting(spending)) as app:
        run = await app.engine.wait((await here.started(app, "budget")).id)
        left = await here.env.spending(run.key)
    used = units_text(run.used)
    expect(run.outcome is Outcome.BUDGET and left == 0, f"outcome {run.outcome} at {used} units, {left} still spending")
    return f"stopped at {used} units, in steps of {units_text(units.of(run.usage) // max(1, run.steps))}"


async def key(here: RehearsalEnv) -> str:
    """The key launched again while its run is live, and again when it is done."""
    async with here.env.app(here.acting(SHORT)) as app:
        first = await here.launch(app, "key")
        expect(first.kind is LaunchKind.LAUNCHED, f"not launched: {_why(first)}")
        live = await here.launch(app, "key")
        run = await app.engine.wait(first.run.id)
        done = await here.launch(app, "key")
        agents = await here.env.started(run.key)
    expect(run.outcome is Outcome.OK, f"the run ended {run.outcome or run.state}: {run.note}")
    kinds = [live.kind, done.kind]
    expect(kinds == [LaunchKind.SKIPPED] * 2 and agents == 1, f"answers {kinds}, {agents} agents started")
    return "a second launch is skipped while it runs, a third when it is done; 1 agent started"


async def caps(here: RehearsalEnv) -> str:
    """As many launches at the same instant as the caps have room for, and one more."""
    room, narrowest = room_for(here.task, here.caps)
    asked = MOST_LAUNCHES if room is None else min(room + 1, MOST_LAUNCHES)
    task = here.acting(ENDLESS)
    rails = replace(here.task.guardrails, max_ms=task.guardrails.max_ms)
    async with here.env.app(replace(task, guardrails=rails), caps=here.caps) as app:
        answers = await asyncio.gather(*(here.launch(app, f"caps-{number}") for number in range(asked)))
        refused = [answer for answer in answers if answer.refusal and answer.refusal.kind is RefusalKind.CAP]
        launched = sum(answer.kind is LaunchKind.LAUNCHED for answer in answers)
        await app.engine.operations.stop_all(by=BY)
    fitting = asked if room is None else min(room, asked)
    expect(launched == fitting, f"{launched} of {asked} launched, room for {fitting}")
    expect(room != 0, f"it can never be launched: {_why(answers[0])}")
    if not refused:
        limit = "no cap limits it" if room is None else f"{narrowest} has room for {room}"
        return f"{asked} at once: all launched; {limit}"
    return f"{asked} at once: {launched} launched, {len(refused)} refused by {narrowest}"


async def pause(here: RehearsalEnv) -> str:
    """`pause --cancel` while it runs."""
    async with here.env.app(here.acting(ENDLESS)) as app:
        live = await here.started(app, "pause")
        await app.engine.operations.pause(by=BY, cancel=True)
        refused = await here.launch(app, "pause-next")
        run = await app.engine.wait(live.id)
        spending = await here.env.spending(run.key)
    paused = refused.refusal is not None and refused.refusal.kind is RefusalKind.PAUSED
    expect(run.outcome is Outcome.CANCELLED and spending == 0, f"outcome {run.outcome}, {spending} still spending")
    expect(paused, f"a launch while paused was {refused.kind}")
    return "the live run is stopped with proof, the next launch is refused"


async def lost_answer(here: RehearsalEnv) -> str:
    """The answer to the launch is lost, although the agent runs."""
    lost = replace(ENDLESS, faults=("create.lost_reply",))
    async with here.env.app(here.acting(lost)) as app:
        first = await here.launch(app, "lost")
        expect(first.kind is LaunchKind.LAUNCHED, f"not launched: {_why(first)}")
        run = await reaches(app, first.run.id, State.RUNNING, State.UNCONFIRMED, State.ENDED)
        again = await here.launch(app, "lost")
        agents = await here.env.started(run.key)
        expect(again.kind is not LaunchKind.LAUNCHED and agents == 1, f"{again.kind}, {agents} agents started")
        if run.state is not State.UNCONFIRMED:
            expect(run.state is State.RUNNING, f"the run is {run.state}, {run.outcome}")
            return "found again at the service and supervised; the next launch is skipped"
        what = f"unconfirmed: {units_text(run.limits.budget)} units stay held, the next launch is refused"
        if not run.sandbox_own:
            return f"{what}; nothing can stop it but its limit at the service, as it has no sandbox of its own"
        await app.engine.operations.stop(run.id, by=BY)

        async def nothing_spends() -> bool:
            return await here.env.spending(run.key) == 0

        await until(nothing_spends)
    return f"{what}; its deadline, or a cancel, stops it by deleting its sandbox"


Check = Callable[[RehearsalEnv], Awaitable[str]]

CHECKS: Mapping[str, Check] = {
    "time limit": time_limit,
    "budget": budget,
    "key": key,
    "caps": caps,
    "pause": pause,
    "lost answer": lost_answer,
}
"""Every guard in the order of the table."""


def room_for(task: Task, caps: Caps) -> tuple[int | None, str]:
    """Return how many runs of the task fit into all caps at once, and the name of the narrowest; None: unlimited."""
    rails = task.guardrails
    rooms = {
        "task_daily_runs": rails.daily_runs,
        "task_daily_units": None if rails.daily_units is None else rails.daily_units // rails.budget,
        "daily_runs": caps.daily_runs,
        "daily_units": None if caps.daily_units is None else caps.daily_units // rails.budget,
        "monthly_units": None if caps.monthly_units is None else caps.monthly_units // rails.budget,
        "concurrent_runs": caps.concurrent_runs,
    }
    limited = {name: room for name, room in rooms.items() if room is not None}
    if not limited:
        return None, ""
    narrowest = min(limited, key=lambda name: limited[name])
    return limited[narrowest], narrowest


def _scaled_ms(task: Task) -> int:
    return min(task.guardrails.max_ms, LONGEST_MS)


def _has_sessions(kind: str) -> bool:
    return TRAITS[kind].prepares is Prepares.SESSION


def _config_of(guard: str, task: Task, caps: Caps, kind: str) -> str:
    """Say what the config sets for a guard, and its scale."""
    rails, scaled_ms = task.guardrails, _scaled_ms(task)
    match guard:
        case "time limit":
            limit = format_duration(rails.max_ms)
            factor = rails.max_ms / scaled_ms
            return limit if factor == 1 else f"{limit}, rehearsed as {scaled_ms / 1000:g} s (1:{factor:g})"
        case "budget":
            return f"{units_text(rails.budget)} units, cut_off {rails.cut_off}"
        case "key":
            return f"{task.type}:{task.target}, one per {task.window}"
        case "caps":
            room, narrowest = room_for(task, caps)
            return "unlimited" if room is None else f"room for {room} ({narrowest})"
        case "lost answer":
            return "a session for each run" if _has_sessions(kind) else f"sandbox {task.sandbox}"
        case _:
            return "pause --cancel"


def replacements(task: Task, kind: str) -> tuple[Task, tuple[str, ...]]:
    """Return the task with what the simulated service has, and what was replaced in it, one line each."""
    simulated, notes = SIMULATED[kind], []
    changed = task
    if task.agent not in simulated.agents | {simulated.agent}:
        notes.append(f"{task.name}: agent {task.agent} is only at the real service; {simulated.agent} stands in for it")
        changed = replace(changed, agent=simulated.agent)
    if simulated.environment and task.environment not in simulated.environments | {simulated.environment}:
        notes.append(
            f"{task.name}: environment {task.environment} is only at the real service; another stands in for it"
        )
        changed = replace(changed, environment=simulated.environment)
    if task.sandbox not in ("own", "remote"):
        notes.append(f"{task.name}: sandbox {task.sandbox} is only at the real service; a new one stands in for it")
        changed = replace(changed, sandbox="own")
    return changed, tuple(notes)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rehearsal:
    """What came of a rehearsal."""

    findings: tuple[Rehearsed, ...]
    notes: tuple[str, ...]
    """What is not as at the real service, one line each."""

    @property
    def passed(self) -> bool:
        """True if every guard did what the config asks for."""
        return all(finding.passed for finding in self.findings)


async def rehearse(
    settings: Settings,
    tasks: tuple[Task, ...],
    *,
    faults: FaultSpec = (),
    on_finding: Callable[[Rehearsed], None] = lambda _: None,
) -> Rehearsal:
    """Let every guard fire for each of `tasks`. Needs no API key and no network, and touches no state folder.

    `on_finding` is called as soon as a check has its result. `faults` apply to every check; a test uses them to see the
    checks fail. Raises RuntimeError if no simulator can be started.
    """
    kinds = {name: provider.kind for name, provider in settings.providers.items()}
    notes, turns = [f"every run is polled every {POLL_MS / 1000:g} s"], asyncio.Semaphore(AT_ONCE)
    work: list[Awaitable[Rehearsed]] = []
    with ExitStack() as stack:
        parent = stack.enter_context(temporary_folder("rehearse"))
        services = {}
        for kind in {kinds[task.provider] for task in tasks}:
            services[kind], _ = stack.enter_context(simulated_service("simulator", seed=SEED, faults=faults, kind=kind))
        for task in tasks:
            kind = kinds[task.provider]
            acting, replaced = replacements(task, kind)
            notes += replaced
            for guard in CHECKS:
                folder = parent / str(len(work))
                folder.mkdir(mode=0o700)
                env = _env_of(settings, acting, services[kind], folder)
                here = RehearsalEnv(env=env, task=acting, caps=settings.caps)
                work.append(_rehearsed(guard, here, turns, on_finding))
        return Rehearsal(findings=tuple(await asyncio.gather(*work)), notes=tuple(notes))


def _env_of(settings: Settings, task: Task, simulator: SimulatorProcess, folder: Path) -> DrillEnv:
    service = service_settings(settings.providers[task.provider])
    engine = replace(
        engine_settings(settings, ProcessKind.RUN),
        tasks=(),
        caps=NO_CAPS,
        services=(replace(service, service=None, poll_ms=POLL_MS),),
    )
    return DrillEnv(url=simulator.url, control=simulator.control, folder=folder, settings=engine)


async def _rehearsed(
    guard: str, here: RehearsalEnv, turns: asyncio.Semaphore, on_finding: Callable[[Rehearsed], None]
) -> Rehearsed:
    async with turns:
        seen, passed = await outcome_of(CHECKS[guard](here))
    config = _config_of(guard, here.task, here.caps, here.env.kind)
    finding = Rehearsed(task=here.task.name, guard=guard, config=config, seen=seen, passed=passed)
    on_finding(finding)
    return finding
