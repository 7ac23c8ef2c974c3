"""Usage reports are computed from the log; they show held units, anomalies and the edits made on those days."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from console.domain.run import State
from console.domain.usage import Usage
from console.domain.usage_stats import Group, Measure
from console.engine.usage import UsageQuery
from tests.clock import START, ManualClock
from tests.engine.building import CAPS, a_task, engine_harness, settings
from tests.engine.fake_provider import FakeAgent, FakeProvider
from tests.waiting import until

USE = settings(a_task("a"), a_task("b"), caps=replace(CAPS, time_zone="UTC"))


def provider_using(tokens: int) -> FakeProvider:
    def ends(agent: FakeAgent) -> None:
        agent.status = "completed"
        agent.usage = Usage(total=tokens, input=tokens // 2, output=tokens - tokens // 2)

    return FakeProvider(ends)


async def test_the_report_shows_the_usage_of_the_runs(tmp_path: Path) -> None:
    async with engine_harness(tmp_path, provider_using(20_000), USE, clock=ManualClock()) as here:
        for name in ("a", "b"):
            await here.engine.wait((await here.launch(name)).run.id)
        report = await here.engine.usage.report(UsageQuery(days=7))
        assert report.days[-1] == "2026-11-23"
        assert len(report.days) == 7
        assert report.bars == {"2026-11-23": {"a": 2_000, "b": 2_000}}
        assert [(m.member, m.value, m.share, m.runs) for m in report.members] == [
            ("a", 2_000, 0.5, 1),
            ("b", 2_000, 0.5, 1),
        ]
        assert (report.cap, report.held, report.foreign, report.gaps) == (CAPS.daily_units, 0, 0, 0)


@pytest.mark.parametrize(("measure", "value"), [(Measure.RUNS, 1), (Measure.COST, 45_000), (Measure.UNITS, 2_000)])
async def test_each_measure_has_its_total(tmp_path: Path, measure: Measure, value: int) -> None:
    async with engine_harness(tmp_path, provider_using(20_000), USE, clock=ManualClock()) as here:
        await here.engine.wait((await here.launch("a")).run.id)
        report = await here.engine.usage.report(UsageQuery(days=1, measure=measure, group=Group.OUTCOME))
        assert report.bars == {"2026-11-23": {"ok": value}}


async def test_a_live_run_is_shown_as_held(tmp_path: Path) -> None:
    async with engine_harness(tmp_path, FakeProvider(), USE, clock=ManualClock()) as here:
        await here.reaches((await here.launch("a")).run.id, State.RUNNING)

        async def is_held() -> bool:
            return (await here.engine.usage.report(UsageQuery())).held == 50_000

        await until(is_held, what="the line of the launch, which is written in the background")


async def test_an_anomaly_names_the_task_and_the_edit(tmp_path: Path) -> None:
    clock = ManualClock(START - timedelta(days=20))
    async with engine_harness(tmp_path, provider_using(20_000), USE, clock=clock) as here:
        for _ in range(20):
            for name in ("a", "b"):
                await here.engine.wait((await here.launch(name)).run.id)
            clock.advance(86_400)
    edited = settings(a_task("a"), replace(a_task("b"), model="gemini-9-huge"), caps=USE.caps)
    async with engine_harness(tmp_path, provider_using(400_000), edited, clock=clock) as here:
        await here.engine.wait((await here.launch("b")).run.id)
        (flag,) = (await here.engine.usage.report(UsageQuery(days=7))).flags
        assert (flag.day.day, flag.day.member) == ("2026-11-23", "b")
        assert flag.changes == ("model: gemini-3.8-flash -> gemini-9-huge",)


async def test_a_report_of_no_days_is_refused(tmp_path: Path) -> None:
    async with engine_harness(tmp_path, FakeProvider(), USE) as here:
        with pytest.raises(ValueError, match="at least one day"):
            await here.engine.usage.report(UsageQuery(days=0))
