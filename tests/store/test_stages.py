"""The rungs of a task are a list that only grows; by hand one at a time, and only from where the operator saw it."""

from __future__ import annotations

import pytest

from console.domain.run import Outcome
from console.domain.task import Origin, Stage
from console.store.errors import StaleRun
from console.store.rows import StageChange
from tests.store.building import BY, Bench


async def _move(bench: Bench, to: Stage, **options: Stage) -> StageChange:
    return await bench.store.stages.change(
        "report", to, by=BY, reason="it works", forced=True, evidence={"clean": 3}, now=bench.now, **options
    )


async def test_a_task_begins_at_manual(bench: Bench) -> None:
    assert await bench.store.stages.stage("report") is Stage.MANUAL
    assert (await bench.store.stages.changes("report"), await bench.store.stages.all()) == ((), {})


async def test_a_climb_is_recorded_with_its_evidence_and_logged(bench: Bench) -> None:
    change = await _move(bench, Stage.SEMI)
    assert (change.before, change.after, change.forced, change.evidence) == (
        Stage.MANUAL,
        Stage.SEMI,
        True,
        {"clean": 3},
    )
    assert (change.by, change.reason, change.run_id, change.at_ms) == (BY, "it works", None, bench.now.wall_ms)
    assert await bench.store.stages.stage("report") is Stage.SEMI
    (record,) = await bench.records()
    assert dict(record.fields) == {
        "event": "stage",
        "task": "report",
        "before": "manual",
        "after": "semi",
        "by": BY,
        "forced": "yes",
        "why": "it works",
    }


@pytest.mark.parametrize("to", [Stage.MANUAL, Stage.UNATTENDED])
async def test_no_rung_is_jumped_and_none_is_climbed_to_itself(bench: Bench, to: Stage) -> None:
    with pytest.raises(ValueError, match="one rung at a time"):
        await _move(bench, to)
    assert await bench.store.stages.changes("report") == ()


async def test_what_the_operator_saw_must_still_be_so(bench: Bench) -> None:
    await bench.at_stage(Stage.UNATTENDED)
    await bench.ended(Outcome.TIMEOUT, origin=Origin.SCHEDULE)
    with pytest.raises(StaleRun, match="at semi by now"):
        await _move(bench, Stage.SEMI, believed=Stage.UNATTENDED)
    assert (await _move(bench, Stage.MANUAL, believed=Stage.SEMI)).after is Stage.MANUAL


async def test_every_change_stays_and_the_newest_is_the_stage(bench: Bench) -> None:
    for stage in (Stage.SEMI, Stage.UNATTENDED, Stage.SEMI):
        await _move(bench, stage)
    assert [change.after for change in await bench.store.stages.changes("report")] == [
        Stage.SEMI,
        Stage.UNATTENDED,
        Stage.SEMI,
    ]
    newest = await bench.store.stages.all()
    assert {task: change.after for task, change in newest.items()} == {"report": Stage.SEMI}
