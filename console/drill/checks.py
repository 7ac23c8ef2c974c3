"""One check per guard. Each returns what happened, or raises DrillFailed with what happened instead."""

from __future__ import annotations

import asyncio
import os
from collections import Counter
from dataclasses import replace
from pathlib import Path

from console.app import App
from console.config import load
from console.domain.caps import RefusalKind
from console.domain.run import Outcome, RunId, State
from console.domain.server_limit import ServerLimitKind
from console.domain.usage import units_text
from console.drill.runner import BY, CAPS, Check, DrillEnv, expect, launch, reaches, until
from console.engine.models import LaunchKind
from console.program import own_command
from console.provider.services import TRAITS
from console.simulated import SIMULATED
from console.simulator.scenario import Ending, Scenario

ENDLESS = Scenario(step_seconds=0.2, tokens_per_step=500, ending=Ending.NEVER)
SHORT = Scenario(steps=3, step_seconds=0.1, tokens_per_step=1_000)


async def timeout(env: DrillEnv) -> str:
    """A clock outside the agent cuts it off."""
    async with env.app(env.task("timeout", ENDLESS, seconds=1.5)) as app:
        run = await app.engine.wait((await launch(app, "timeout")).run.id)
        spending = await env.spending(run.key)
    expect(run.outcome is Outcome.TIMEOUT and spending == 0, f"outcome {run.outcome}, {spending} still spending")
    return f"cut off after {run.elapsed_ms / 1000:.1f} s; no agent spends any more"


async def budget(env: DrillEnv) -> str:
    """Live usage is compared with the budget of the run."""
    greedy = replace(ENDLESS, tokens_per_step=9_000, faults=("budget.ignored",))
    async with env.app(env.task("budget", greedy, units=4)) as app:
        run = await app.engine.wait((await launch(app, "budget")).run.id)
        spending = await env.spending(run.key)
    used = units_text(run.used)
    expect(run.outcome is Outcome.BUDGET and spending == 0, f"outcome {run.outcome}, {used} units, {spending} spending")
    limits = TRAITS[env.kind].server_limit is not ServerLimitKind.NONE
    alone = "though the service's own limit was off" if limits else "by this program alone: the service has no limit"
    return f"cut off at {used} of 4.0 units {alone}"


async def daily_cap(env: DrillEnv) -> str:
    """A cap is held before the launch, so that launches at the same instant cannot all pass it."""
    tasks = tuple(env.task(f"cap-{number}", SHORT, units=10) for number in range(8))
    async with env.app(*tasks, caps=replace(CAPS, daily_units=30_000)) as app:
        answers = await asyncio.gather(*(launch(app, task.name) for task in tasks))
        kinds = Counter(answer.kind for answer in answers)
        for answer in answers:
            if answer.kind is LaunchKind.LAUNCHED:
                await app.engine.wait(answer.run.id)
        started = sum([await env.started(answer.run.key) for answer in answers])
        refusals = {answer.refusal.kind for answer in answers if answer.refusal}
    expect(
        kinds[LaunchKind.LAUNCHED] == started == 3 and refusals == {RefusalKind.CAP},
        f"{kinds[LaunchKind.LAUNCHED]} launched, {started} started, refused by {sorted(refusals)}",
    )
    return "8 at once, 10 units each, cap 30: 3 agents started, 5 launches refused"


async def done_key(env: DrillEnv) -> str:
    """A key that is done is never launched again."""
    async with env.app(env.task("done-key", SHORT)) as app:
        first = await app.engine.wait((await launch(app, "done-key")).run.id)
        again = [await launch(app, "done-key") for _ in range(3)]
        started = await env.started(first.key)
    kinds = {answer.kind for answer in again}
    expect(kinds == {LaunchKind.SKIPPED} and started == 1, f"answers {sorted(kinds)}, {started} agents started")
    return "3 more launches skipped as done; 1 agent started"


async def in_flight(env: DrillEnv) -> str:
    """Eight launches of one key at one instant."""
    async with env.app(env.task("in-flight", SHORT)) as app:
        answers = await asyncio.gather(*(launch(app, "in-flight") for _ in range(8)))
        winner = next(answer for answer in answers if answer.kind is LaunchKind.LAUNCHED)
        await app.engine.wait(winner.run.id)
        started = await env.started(winner.run.key)
    kinds = Counter(answer.kind for answer in answers)
    named = all(
        answer.holder is not None and answer.holder.id == winner.run.id for answer in answers if answer is not winner
    )
    expect(kinds[LaunchKind.SKIPPED] == 7 and started == 1 and named, f"{dict(kinds)}, {started} agents started")
    return "7 of 8 skipped, each naming the run that has the key; 1 agent started"


async def lost_reply(env: DrillEnv) -> str:
    """The agent runs, the answer is lost: no second agent. What a service cannot be asked for stays held."""
    lost = replace(ENDLESS, faults=("create.lost_reply",))
    can_find = TRAITS[env.kind].can_find_launch
    async with env.app(env.task("lost-reply", lost, units=20)) as app:
        expected = State.RUNNING if can_find else State.UNCONFIRMED
        run = await reaches(app, (await launch(app, "lost-reply")).run.id, expected, State.ENDED)
        again = await launch(app, "lost-reply")
        held = {cap_usage.cap: cap_usage.held for cap_usage in (await app.engine.queries.snapshot()).cap_usages}
        started = await env.started(run.key)
        await app.engine.operations.stop(run.id, by=BY)
        await _until_nothing_spends(env, run.key)
    answer = LaunchKind.SKIPPED if can_find else LaunchKind.REFUSED
    expect(
        run.state is expected and again.kind is answer and started == 1,
        f"state {run.state}, next launch {again.kind}, {started} agents started",
    )
    expect(20_000 in held.values(), "the hold was given back")
    if can_find:
        return "found again at the service, 20.0 units held, next launch skipped; 1 agent started, stopped"
    return "unconfirmed, 20.0 units held, next launch refused; 1 agent started, stopped by deleting its sandbox"


async def failing_cancel(env: DrillEnv) -> str:
    """A cancel that fails is repeated, and is not reported as a stop."""
    stubborn = replace(ENDLESS, faults={"cancel.503": 2})
    async with env.app(env.task("failing-cancel", stubborn)) as app:
        run_id = (await launch(app, "failing-cancel")).run.id
        launched = await reaches(app, run_id, State.RUNNING, State.UNCONFIRMED, State.ENDED)
        expect(launched.state is State.RUNNING, f"the launch was {launched.state}")
        asked = await app.engine.operations.stop(run_id, by=BY)
        run = await app.engine.wait(run_id)
        spending = await env.spending(run.key)
    tries = run.stop.tries if run.stop else 0
    expect(asked.state is State.STOPPING, f"the screen would have said {asked.state}")
    expect(run.outcome is Outcome.CANCELLED and tries >= 3 and spending == 0, f"{run.outcome} after {tries} tries")
    return f"shown as stopping through 2 failures, cancelled at try {tries}; no agent spends any more"


async def kill_switch(env: DrillEnv) -> str:
    """Everything stops, nothing starts."""
    tasks = tuple(env.task(name, ENDLESS) for name in ("kill-a", "kill-b", "kill-c"))
    async with env.app(*tasks) as app:
        ids = [(await launch(app, name)).run.id for name in ("kill-a", "kill-b")]
        for run_id in ids:
            await reaches(app, run_id, State.RUNNING)
        await app.engine.operations.pause(by=BY, cancel=True)
        refused = await launch(app, "kill-c")
        runs = [await app.engine.wait(run_id) for run_id in ids]
        spending = sum([await env.spending(run.key) for run in runs])
        started = await env.started(refused.run.key)
    outcomes = {run.outcome for run in runs}
    expect(outcomes == {Outcome.CANCELLED} and spending == 0, f"outcomes {outcomes}, {spending} still spending")
    expect(refused.kind is LaunchKind.REFUSED and started == 0, f"a launch while paused was {refused.kind}")
    return "2 runs stopped with proof, a third launch refused while paused"


CONFIG = """
[provider]
kind = "{kind}"
base_url = "{url}"
api_key_env = "NIGHTDESK_DRILL_KEY"
poll_seconds = 0.2
agent = "{agent}"
model = "{model}"
{environment}
[prices."{model}"]
input = 2
output = 10
[caps]
daily_units = 1000
monthly_units = 10000
daily_runs = 100
concurrent_runs = 10
time_zone = "UTC"
[[tasks]]
name = "take-over"
type = "drill"
prompt_file = "prompt.txt"
max_seconds = 4
budget_units = 50
"""


def _config_text(env: DrillEnv) -> str:
    simulated = SIMULATED[env.kind]
    environment = f'{simulated.environment_key} = "{simulated.environment}"' if simulated.environment else ""
    return CONFIG.format(
        kind=env.kind, url=env.url, agent=simulated.agent, model=simulated.model, environment=environment
    )


async def take_over(env: DrillEnv) -> str:
    """kill -9 of the process that guards a run: another one takes it, and its clock still cuts it off."""
    config, prompt = env.folder / "nightdesk.toml", env.folder / "prompt.txt"
    for path, text in ((config, _config_text(env)), (prompt, ENDLESS.prompt("Guard me."))):
        path.touch(mode=0o600)
        path.write_text(text)
    task = load(config).tasks[0]
    async with env.app(task) as app:
        child = await _run_command(env, config)
        try:
            run_id = await _running(app)
        finally:
            child.kill()
            await child.wait()
        killed = asyncio.get_running_loop().time()

        async def taken() -> bool:
            return run_id in app.engine.guarded

        await until(taken)
        taken_s = asyncio.get_running_loop().time() - killed
        run = await app.engine.wait(run_id)
        started, spending = await env.started(run.key), await env.spending(run.key)
    expect(run.outcome is Outcome.TIMEOUT and started == 1, f"outcome {run.outcome}, {started} agents started")
    expect(spending == 0, "the agent still spends")
    return f"taken over {taken_s:.1f} s after kill -9, cut off by its own clock; 1 agent started"


async def _run_command(env: DrillEnv, config: Path) -> asyncio.subprocess.Process:
    where = ("--config", str(config), "--state-dir", str(env.folder / "state"))
    return await asyncio.create_subprocess_exec(
        *own_command(*where, "run", "take-over", "--origin", "manual"),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
        env={**os.environ, **env.environment, "NIGHTDESK_DRILL_KEY": "drill"},
    )


async def _running(app: App) -> RunId:
    async def runs() -> bool:
        return any(run.state is State.RUNNING for run in (await app.engine.queries.snapshot()).live)

    await until(runs)
    return (await app.engine.queries.snapshot()).live[0].id


async def _until_nothing_spends(env: DrillEnv, key: str) -> None:
    async def quiet() -> bool:
        return await env.spending(key) == 0

    await until(quiet)


CHECKS: dict[str, tuple[str, Check]] = {
    "timeout": ("an agent that never ends, limit 1.5 s", timeout),
    "budget cut-off": ("an agent of 0.9 units a step, cap 4", budget),
    "daily cap": ("8 launches at once, room for 3", daily_cap),
    "idempotency key": ("a done key launched 3 times more", done_key),
    "in-flight duplicate": ("one key launched 8 times at once", in_flight),
    "lost reply": ("the answer to the launch is dropped", lost_reply),
    "failing cancel": ("cancel answers 503 twice", failing_cancel),
    "kill switch": ("pause --cancel with 2 live runs", kill_switch),
    "take-over": ("kill -9 of the guarding process", take_over),
}
"""Every check in the order of the table."""
