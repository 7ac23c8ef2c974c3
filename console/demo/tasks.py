"""The tasks of the demo: their scenarios differ, so that every guard fires within a minute."""

from __future__ import annotations

from dataclasses import replace

from console.domain.caps import Caps
from console.domain.rollout import RolloutRules
from console.domain.task import CutOff, Guardrails, Task
from console.domain.usage import Price, Units
from console.engine.settings import EngineSettings, ProcessKind, ServiceSettings
from console.provider.services import TRAITS
from console.simulated import SIMULATED
from console.simulator.scenario import Scenario, failing, good, greedy, never_ending, slow, stalling

MODEL = "gemini-3.8-flash"
UNITS = Units()
CAPS = Caps(daily_units=600_000, monthly_units=9_000_000, daily_runs=60, concurrent_runs=8, time_zone="UTC")
PRICE = Price(input_micro=750_000, cached_micro=75_000, output_micro=3_750_000, currency="USD")


def _task(
    name: str,
    target: str,
    instruction: str,
    scenario: Scenario,
    *,
    seconds: int,
    units: int,
    schedule: str | None = None,
    time_zone: str = "UTC",
    window: str = "day",
    cut_off: CutOff = CutOff.REACHED,
) -> Task:
    return Task(
        name=name,
        type="demo",
        target=target,
        prompt=scenario.prompt(instruction),
        agent="antigravity-preview-09-2026",
        model=MODEL,
        guardrails=Guardrails(max_ms=seconds * 1000, budget=units * 1000, cut_off=cut_off, stall_ms=15_000),
        schedule=schedule,
        time_zone=time_zone,
        window=window,
    )


REPORT = _task(
    "nightly-report",
    "acme/site",
    "Summarise yesterday's errors and open a draft.",
    good(0.6),
    seconds=180,
    units=20,
    schedule="0 3 * * *",
    time_zone="Asia/Tokyo",
)
AUDIT = _task(
    "dependency-audit",
    "acme/api",
    "Look at every dependency and list those with known holes.",
    slow(0.4),
    seconds=45,
    units=40,
    schedule="30 2 * * *",
)
DIGEST = _task(
    "log-digest",
    "acme/logs",
    "Read the logs of the last six hours and group what repeats.",
    greedy(0.9),
    seconds=240,
    units=45,
    schedule="15 */6 * * *",
    window="slot",
    cut_off=CutOff.BEFORE,
)
CRAWLER = _task(
    "link-check",
    "acme/docs",
    "Follow every link of the manual and note the dead ones.",
    never_ending(0.5),
    seconds=600,
    units=60,
)
BACKUP = _task(
    "backup-check",
    "acme/db",
    "Restore last night's backup into the sandbox and compare.",
    failing(1.2),
    seconds=120,
    units=15,
    schedule="0 4 * * *",
)
TRIAGE = _task(
    "ticket-triage",
    "acme/support",
    "Sort the new tickets and propose an answer to each.",
    good(0.8),
    seconds=240,
    units=20,
    schedule="0 7 * * *",
    time_zone="Europe/Berlin",
)
NOTES = _task(
    "release-notes",
    "acme/app",
    "Write the notes for what was merged since the last tag.",
    stalling(0.5),
    seconds=90,
    units=20,
)

TASKS = (REPORT, AUDIT, DIGEST, CRAWLER, BACKUP, TRIAGE, NOTES)
BY_HAND = (REPORT, DIGEST, AUDIT, BACKUP, CRAWLER)
"""Launched when the demo starts: one succeeds, two are cut off by budget and clock, one fails, one never ends."""
PROPOSED = TRIAGE
"""Waits for approval when the demo starts."""


def demo_settings(poll_ms: int = 500, kind: str = "gemini") -> EngineSettings:
    """Return the settings of the demo's engine at a simulated service of one kind."""
    simulated = SIMULATED[kind]
    tasks = tuple(
        replace(task, agent=simulated.agent, model=simulated.model, environment=simulated.environment) for task in TASKS
    )
    return EngineSettings(
        tasks=tasks,
        caps=CAPS,
        units=UNITS,
        prices={simulated.model: PRICE},
        rollout=RolloutRules(),
        services=(ServiceSettings(kind=kind, server_limit=TRAITS[kind].server_limit, poll_ms=poll_ms),),
        kind=ProcessKind.CONSOLE,
        schedules=True,
    )
