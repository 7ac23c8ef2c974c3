"""A year of log records with one planted rise: the report names its task, day and edit. A steady year has none.

The records are formatted as the log writer does; the runs around the planted day are in a real store.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from console.domain.log_record import LogRecord, format_line
from console.domain.task import Stage, Task
from console.domain.usage import Usage
from console.domain.usage_stats import Measure
from console.engine.usage import UsageQuery
from tests.clock import START, ManualClock
from tests.engine.building import BY, CAPS, EngineHarness, a_task, engine_harness, settings
from tests.engine.fake_provider import FakeAgent, FakeProvider

YEAR = 365
AGO = 3
"""How many days ago the edit was made."""
BASE = {"report": 40_000, "triage": 90_000, "digest": 15_000}
"""Milli-units per day."""
PLAIN_CAPS = replace(CAPS, time_zone="UTC", daily_units=None, monthly_units=None)


def provider_ending_ok() -> FakeProvider:
    def ends(agent: FakeAgent) -> None:
        agent.status, agent.usage = "completed", Usage(total=100)

    return FakeProvider(ends)


def records_of_a_year(seed: int, factor: float, ago: int) -> Iterator[LogRecord]:
    """Yield an ended run per task and day, 15 % noise; in the last `ago` days `digest` uses `factor` times as much."""
    source = random.Random(seed)
    ev = 1_000_000
    for back in range(YEAR, -1, -1):
        at = START - timedelta(days=back)
        for task, base in BASE.items():
            ev += 1
            units = base * source.uniform(0.85, 1.15) * (factor if task == "digest" and back <= ago else 1)
            fields = {"task": task, "run": f"r{ev}", "attempt": "1", "stage": "manual", "origin": "manual"}
            fields |= {"day": f"{at:%Y-%m-%d}", "tokens": "0", "cost": f"{units / 1e6:.6f}", "currency": "USD"}
            yield LogRecord(
                ev=ev,
                at_ms=int(at.timestamp() * 1000),
                key=f"{ev:016x}",
                status="ok",
                elapsed_ms=round(units),
                units=round(units),
                fields=fields,
            )


def clock_of(*, days_ago: int) -> ManualClock:
    """A clock of that day, after a restart of its own: within one boot it would be a step of the wall clock."""
    return ManualClock(START - timedelta(days=days_ago), boot_id=f"boot-{days_ago}")


async def launch_once(folder: Path, clock: ManualClock, task: Task, stage: Stage | None = None) -> None:
    """Run the task once at the time of the clock."""
    async with engine_harness(folder, provider_ending_ok(), settings(task, caps=PLAIN_CAPS), clock=clock) as here:
        if stage is not None:
            await promote(here, task, stage, clock)
        await here.engine.wait((await here.launch(task.name)).run.id)


async def promote(here: EngineHarness, task: Task, stage: Stage, clock: ManualClock) -> None:
    """Move the task to `stage` without evidence."""
    await here.store.stages.change(
        task.name, stage, by=BY, reason="for the test", forced=True, evidence={}, now=clock.now()
    )


def write_year(folder: Path, seed: int, factor: float, ago: int = AGO) -> None:
    """Append a year of records to the log."""
    with (folder / "runs.log").open("ab") as log:
        log.writelines(format_line(record) for record in records_of_a_year(seed, factor, ago))


def engine_of_today(folder: Path) -> AbstractAsyncContextManager[EngineHarness]:
    """Run an engine on `folder` at the end of the year."""
    use = settings(a_task("digest"), caps=PLAIN_CAPS)
    return engine_harness(folder, provider_ending_ok(), use, clock=ManualClock())


DIGEST = a_task("digest")
EDITS = {
    "model": (replace(DIGEST, model="gemini-9-huge"), None, "model: gemini-3.8-flash -> gemini-9-huge"),
    "prompt": (replace(DIGEST, prompt="Read everything twice, and then once more."), None, "prompt"),
    "budget": (
        replace(DIGEST, guardrails=replace(DIGEST.guardrails, budget=400_000)),
        None,
        "budget: 50.0 units -> 400.0 units",
    ),
    "time": (replace(DIGEST, guardrails=replace(DIGEST.guardrails, max_ms=7_200_000)), None, "max_ms:"),
    "stage": (DIGEST, Stage.SEMI, "stage: manual -> semi"),
    "nothing": (DIGEST, None, None),
}


@pytest.mark.parametrize("edit", EDITS)
async def test_a_planted_rise_is_reported_with_its_day_its_task_and_the_edit(tmp_path: Path, edit: str) -> None:
    after, stage, expected = EDITS[edit]
    folder = tmp_path / "state"
    await launch_once(folder, clock_of(days_ago=AGO + 2), DIGEST)
    await launch_once(folder, clock_of(days_ago=AGO), after, stage)
    write_year(folder, 7, 12)
    async with engine_of_today(folder) as here:
        found = await here.engine.usage.report(UsageQuery(days=30))
    planted = f"{START - timedelta(days=AGO):%Y-%m-%d}"
    assert {flag.day.member for flag in found.flags} == {"digest"}
    assert {flag.day.since for flag in found.flags} == {planted}
    assert found.flags[0].day.day == planted
    changes = " ".join(found.flags[0].changes)
    assert expected in changes if expected else not changes


@pytest.mark.parametrize("seed", range(3))
async def test_a_steady_year_has_no_anomalies(tmp_path: Path, seed: int) -> None:
    folder = tmp_path / "state"
    await launch_once(folder, clock_of(days_ago=YEAR), DIGEST)
    write_year(folder, seed, 1)
    async with engine_of_today(folder) as here:
        for measure in (Measure.UNITS, Measure.SECONDS, Measure.COST, Measure.RUNS):
            found = await here.engine.usage.report(UsageQuery(days=365, measure=measure))
            assert found.flags == (), (seed, measure)
