"""The report of a period: full days against full days, the month, and what the guards did."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from console.cli.render.report import report_text
from console.cli.render.table import Style
from console.domain.key import day_date
from console.domain.run import Outcome
from console.domain.usage import Usage
from console.domain.usage_stats import UsageTotals
from console.engine.models import LaunchKind
from console.engine.period_report import PeriodReport
from console.engine.scheduling.cron import zone_named
from tests.clock import START, ManualClock
from tests.engine.building import CAPS, EngineHarness, a_task, engine_harness, settings
from tests.engine.fake_provider import FakeAgent, FakeProvider

USE = settings(
    a_task("a", window="slot"), a_task("b", window="slot"), caps=replace(CAPS, time_zone="UTC", daily_units=200_000)
)


def ends(agent: FakeAgent) -> None:
    """End at once with four units."""
    agent.status = "completed"
    agent.usage = Usage(total=40_000, input=20_000, output=20_000)


async def run(here: EngineHarness, clock: ManualClock, task: str, *, number: int = 0) -> None:
    day = day_date(clock.now().utc(), zone_named("UTC")).replace("-", "")
    result = await here.launch(task, date=f"{day}T{number:02d}00Z")
    assert result.kind is LaunchKind.LAUNCHED
    await here.engine.wait(result.run.id)


def text(report: PeriodReport) -> str:
    return "\n".join(report_text(report, Style(enabled=False), None))


async def test_the_last_full_day_is_compared_with_the_one_before(tmp_path: Path) -> None:
    clock = ManualClock(START - timedelta(days=2))
    async with engine_harness(tmp_path, FakeProvider(ends), USE, clock=clock) as here:
        await run(here, clock, "a")
        clock.advance(86_400)
        for task, number in (("a", 0), ("a", 1), ("b", 2)):
            await run(here, clock, task, number=number)
        clock.advance(86_400)
        await run(here, clock, "a")
        report = await here.engine.period_report(1)
    assert (report.first, report.last) == ("2026-11-22", "2026-11-22")
    assert (report.total.now.runs, report.total.before.runs) == (3, 1)
    assert report.today.runs == 1
    assert report.compares
    assert [(each.name, each.now.runs) for each in report.outcomes] == [("ok", 3)]
    assert [(each.name, each.now.runs) for each in report.tasks] == [("a", 2), ("b", 1)]
    assert "against the period before: runs +200%" in text(report)
    assert report.month_cost is not None
    assert report.month_cost.so_far == 5 * report.today.cost_in("USD")  # type: ignore[operator]  # its price is known


async def test_a_period_before_the_log_is_not_compared(tmp_path: Path) -> None:
    clock = ManualClock()
    async with engine_harness(tmp_path, FakeProvider(ends), USE, clock=clock) as here:
        await run(here, clock, "a")
        clock.advance(86_400)
        report = await here.engine.period_report(1)
        with pytest.raises(ValueError, match="at least one day"):
            await here.engine.period_report(0)
    assert not report.compares
    assert "the log does not cover the period before" in text(report)
    assert "%" not in text(report)


async def test_the_guards_are_counted_with_what_they_saved(tmp_path: Path) -> None:
    clock = ManualClock()
    async with engine_harness(tmp_path, FakeProvider(ends), USE, clock=clock) as here:
        await run(here, clock, "a")
        assert (await here.launch("a", date="20261123T0000Z")).kind is LaunchKind.SKIPPED
        for number in range(1, 4):
            held = await here.launch("a", date=f"20261124T{number:02d}00Z")
            await here.engine.wait(held.run.id)
        big = replace(USE, tasks=(a_task("big", budget=250_000),))
        here.engine.reload(big)
        assert (await here.launch("big")).kind is LaunchKind.REFUSED
        await here.engine.operations.pause(by="ada tty=yes")
        assert (await here.launch("big")).kind is LaunchKind.REFUSED
        clock.advance(86_400)
        report = await here.engine.period_report(7)
    guards = report.guards
    assert (guards.doubles, guards.doubles_units) == (1, 4_000)
    assert (guards.over_caps, guards.over_caps_units, dict(guards.refused)) == (1, 250_000, {"paused": 1})
    shown = text(report)
    assert "1 second launch of a key not made; usually 4 units (about 0.09 USD)" in shown
    assert "1 launch refused by a cap; budgets of 250 units" in shown
    assert "1 launch refused: paused" in shown


async def test_stopped_runs_say_what_they_would_have_used(tmp_path: Path) -> None:
    def greedy(agent: FakeAgent) -> None:
        agent.usage = Usage(total=1_000_000, input=500_000, output=500_000)

    clock = ManualClock()
    async with engine_harness(tmp_path, FakeProvider(greedy), USE, clock=clock) as here:
        result = await here.launch("a", date="20261123T0000Z")
        await here.engine.wait(result.run.id)
        assert (await here.run(result.run.id)).outcome is Outcome.BUDGET
        clock.advance(86_400)
        report = await here.engine.period_report(1)
    assert report.guards.budget.runs == 1
    assert report.guards.budget.used >= 50_000
    assert "1 run stopped by the budget after" in text(report)


def test_a_cost_that_is_not_known_is_said_and_never_nothing(tmp_path: Path) -> None:
    from console.cli.render.report import _cost

    assert _cost(UsageTotals(runs=1, units=5, unpriced=1), "EUR") == "cost unknown"
    assert _cost(UsageTotals(runs=2, cost=(("EUR", 2_000_000),), unpriced=1), "EUR") == (
        "more than 2.00 EUR (1 run without a known price)"
    )
