"""Stage changes are only added; a person changes a stage one step at a time, from the stage they saw."""

from __future__ import annotations

import pytest

from console.domain.rollout import StageChange
from console.domain.run import Outcome
from console.domain.task import Stage
from console.store.errors import StaleRun
from tests.store.harness import BY, StoreHarness


async def _move(harness: StoreHarness, to: Stage, **options: Stage) -> StageChange:
    return await harness.store.stages.change(
        "report", to, by=BY, reason="it works", forced=True, evidence={"clean": 3}, now=harness.now, **options
    )


async def test_a_task_begins_at_manual(harness: StoreHarness) -> None:
    assert await harness.store.stages.stage("report") is Stage.MANUAL
    assert await harness.store.stages.changes("report") == ()


async def test_a_climb_is_recorded_with_its_evidence_and_logged(harness: StoreHarness) -> None:
    change = await _move(harness, Stage.SEMI)
    assert (change.before, change.after, change.forced, change.evidence) == (
        Stage.MANUAL,
        Stage.SEMI,
        True,
        {"clean": 3},
    )
    assert (change.by, change.reason, change.run_id, change.at_ms) == (BY, "it works", None, harness.now.wall_ms)
    assert await harness.store.stages.stage("report") is Stage.SEMI
    (record,) = await harness.records()
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
async def test_a_stage_changes_to_its_neighbour_only(harness: StoreHarness, to: Stage) -> None:
    with pytest.raises(ValueError, match="one step at a time"):
        await _move(harness, to)
    assert await harness.store.stages.changes("report") == ()


async def test_what_the_operator_saw_must_still_be_so(harness: StoreHarness) -> None:
    await harness.at_stage(Stage.UNATTENDED)
    await harness.ended(Outcome.TIMEOUT, scheduled=True)
    with pytest.raises(StaleRun, match="at semi by now"):
        await _move(harness, Stage.SEMI, believed=Stage.UNATTENDED)
    assert (await _move(harness, Stage.MANUAL, believed=Stage.SEMI)).after is Stage.MANUAL


async def test_every_change_stays_and_the_newest_is_the_stage(harness: StoreHarness) -> None:
    for stage in (Stage.SEMI, Stage.UNATTENDED, Stage.SEMI):
        await _move(harness, stage)
    assert [change.after for change in await harness.store.stages.changes("report")] == [
        Stage.SEMI,
        Stage.UNATTENDED,
        Stage.SEMI,
    ]
    assert await harness.store.stages.stage("report") is Stage.SEMI
