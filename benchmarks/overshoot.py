"""Measure how far a run exceeds its budget before it is stopped, with the real engine against the simulator.

Steps have random sizes (up to twice the mean) and random durations. Half of the tokens are cached. The service's own
limit does not count cached tokens, so only the engine stops these runs.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import random
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from statistics import mean, median

from console.app import open_app
from console.domain.caps import Caps
from console.domain.run import Outcome, Run
from console.domain.task import CutOff, Guardrails, Task
from console.domain.usage import Units
from console.engine.models import LaunchRequest
from console.engine.settings import EngineSettings, ProcessKind, ServiceSettings
from console.provider.gemini.adapter import GeminiProvider
from console.provider.http.secret import Secret
from console.simulator.scenario import Ending, Scenario
from console.simulator.server import SimulatorThread
from console.simulator.state import SimulatorState

AT_ONCE = 8
BUDGET = 20_000
"""In thousandths of a unit."""
UNITS = Units(tokens_per_unit=10_000, cached_weight_milli=100)
STEP = Scenario(
    steps=1000,
    step_seconds=0.4,
    tokens_per_step=20_000,
    jitter=1.0,
    cached_share=0.5,
    cancel_seconds=0.1,
    ending=Ending.NEVER,
)
STEP_UNITS = STEP.tokens_per_step * (1 - STEP.cached_share + STEP.cached_share / 10) / UNITS.tokens_per_unit
UNLIMITED = Caps(daily_units=None, monthly_units=None, daily_runs=None, concurrent_runs=None, time_zone="UTC")


def tasks(runs: int, cut_off: CutOff) -> tuple[Task, ...]:
    """Return one task for each run."""
    guardrails = Guardrails(max_ms=120_000, budget=BUDGET, cut_off=cut_off)
    return tuple(
        Task(
            name=f"{cut_off.value}-{number}",
            target=str(number),
            prompt=STEP.prompt(f"Go on, number {number}."),
            agent="antigravity-preview-09-2026",
            model="gemini-3.8-flash",
            guardrails=guardrails,
        )
        for number in range(runs)
    )


async def measure(url: str, folder: Path, runs: int, cut_off: CutOff) -> list[Run]:
    """Launch every task, at most AT_ONCE at a time, and return the runs after their end."""
    settings = EngineSettings(
        tasks=tasks(runs, cut_off),
        caps=UNLIMITED,
        units=UNITS,
        services=(ServiceSettings(poll_ms=1000),),
        kind=ProcessKind.RUN,
    )
    slots = asyncio.Semaphore(AT_ONCE)

    async with open_app(
        folder=folder,
        settings=settings,
        make_provider=lambda name: GeminiProvider(base_url=url, secret=Secret("not-used")),
    ) as app:

        async def launch(task: Task) -> Run:
            async with slots:
                answer = await app.engine.operations.launch(LaunchRequest(task=task.name, by="benchmark tty=no"))
                return await app.engine.wait(answer.run.id)

        return list(await asyncio.gather(*map(launch, settings.tasks)))


def row(cut_off: CutOff, runs: Sequence[Run]) -> str:
    """Return one line of the table: units over the budget, also in mean steps and in percent of the budget."""
    over = [(run.used - BUDGET) / 1000 for run in runs]
    stopped = sum(run.outcome is Outcome.BUDGET for run in runs)
    past = sum(each > 0 for each in over)
    steps = [each / STEP_UNITS for each in over]
    return (
        f"{cut_off.value:<8} {len(runs):>5} {stopped:>8} {past:>6} {mean(over):>8.2f} {median(over):>8.2f} "
        f"{max(over):>8.2f} {max(steps):>10.2f} {100_000 * max(over) / BUDGET:>9.1f} %"
    )


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=40)
    parser.add_argument("--seed", type=int, default=random.randrange(2**32))
    arguments = parser.parse_args()
    logging.disable(logging.INFO)
    print(f"budget {BUDGET / 1000:g} units, mean step {STEP_UNITS:g} units every {STEP.step_seconds:g} s,")
    print(f"{AT_ONCE} runs at once, seed {arguments.seed}; units over the budget (negative: below it)")
    print(
        f"{'cut_off':<8} {'runs':>5} {'stopped':>8} {'past':>6} {'mean':>8} {'median':>8} {'most':>8} {'in steps':>10} "
    )
    with (
        tempfile.TemporaryDirectory(prefix="overshoot-") as folder,
        SimulatorThread(SimulatorState(seed=arguments.seed)) as service,
    ):
        for cut_off in CutOff:
            runs = asyncio.run(measure(service.url, Path(folder) / cut_off.value, arguments.runs, cut_off))
            print(row(cut_off, runs))
            sys.stdout.flush()


if __name__ == "__main__":
    main()
