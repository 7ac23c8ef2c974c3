"""What is due, by policy: nothing fires by an edit, nothing is missed in silence, nothing floods."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from console.domain.run import Outcome, Run, State
from console.domain.task import Guardrails, MissedPolicy, Stage, Task
from console.engine.scheduling.due import MOST_MISSED, due, schedule_name
from console.engine.settings import EngineSettings, ProcessKind
from console.provider.contract import Unknown
from console.store.history import HistoryFilter
from tests.clock import ManualClock
from tests.engine.building import BY, EngineHarness, a_task, engine_harness, settings
from tests.engine.fake_provider import FakeAgent, FakeProvider
from tests.waiting import until

NOW = datetime(2026, 11, 23, 3, 0, 30, tzinfo=UTC)
HOURLY = a_task(schedule="0 * * * *", window="slot")


def ms(instant: datetime) -> int:
    return int(instant.timestamp() * 1000)


def ends_ok(agent: FakeAgent) -> None:
    agent.status = "completed"


def scheduling(task: Task) -> EngineSettings:
    return replace(settings(task, kind=ProcessKind.SERVE), schedules=True)


async def entries(here: EngineHarness) -> list[tuple[str, str]]:
    page = await here.store.history.page(HistoryFilter())
    return [(run.date, str(run.outcome or run.state)) for run in reversed(page.runs)]


async def trust(here: EngineHarness, stage: Stage) -> None:
    for rung in range(1, stage + 1):
        await here.engine.rollout.move("report", Stage(rung), by=BY, reason="for this test", forced=True)


@pytest.mark.parametrize(
    ("missed", "launched", "logged"), [(MissedPolicy.SKIP, 1, 4), (MissedPolicy.LATEST, 1, 4), (MissedPolicy.ALL, 5, 0)]
)
def test_what_becomes_of_a_gap(missed: MissedPolicy, launched: int, logged: int) -> None:
    found = due(replace(HOURLY, missed=missed), ms(NOW - timedelta(hours=5)), NOW)
    assert (len(found.launch), len(found.missed)) == (launched, logged)
    assert list(found.missed + found.launch) == sorted(found.missed + found.launch)


def test_latest_catches_up_with_one_and_skip_with_none() -> None:
    late = NOW + timedelta(minutes=30)
    reached = ms(NOW - timedelta(hours=5))
    assert due(replace(HOURLY, missed=MissedPolicy.SKIP), reached, late).launch == ()
    assert len(due(replace(HOURLY, missed=MissedPolicy.LATEST), reached, late).launch) == 1


def test_a_year_of_minutes_is_bounded_and_counted() -> None:
    minutely = a_task(schedule="* * * * *", window="slot")
    found = due(minutely, ms(NOW - timedelta(days=10)), NOW)
    assert len(found.missed) + len(found.launch) == MOST_MISSED
    assert found.untold == 10 * 24 * 60 - MOST_MISSED


def test_nothing_is_due_twice() -> None:
    assert due(HOURLY, ms(NOW), NOW + timedelta(minutes=59)).launch == ()


def test_an_edited_schedule_is_another_one() -> None:
    assert schedule_name(HOURLY) != schedule_name(replace(HOURLY, schedule="30 * * * *"))
    assert schedule_name(HOURLY) != schedule_name(replace(HOURLY, time_zone="Asia/Tokyo"))
    assert schedule_name(HOURLY) == schedule_name(replace(HOURLY, prompt="edited"))


async def test_a_first_sight_fires_nothing_and_the_next_instant_does(tmp_path: Path) -> None:
    clock, provider = ManualClock(NOW), FakeProvider(ends_ok)
    async with engine_harness(tmp_path, provider, scheduling(HOURLY), clock=clock) as here:
        await trust(here, Stage.UNATTENDED)
        await here.looked()
        assert await entries(here) == []
        clock.advance(3600)
        await until(lambda: provider.orders)

        async def done() -> bool:
            return await entries(here) == [("20261123T0400Z", "ok")]

        await until(done)
    async with engine_harness(tmp_path, provider, scheduling(HOURLY), clock=clock) as here:
        await here.looked()
        assert len(provider.orders) == 1, "a restart repeats nothing"


@pytest.mark.parametrize(("stage", "what"), [(Stage.MANUAL, "refused"), (Stage.SEMI, "proposed")])
async def test_a_stage_below_unattended_launches_nothing_by_itself(tmp_path: Path, stage: Stage, what: str) -> None:
    clock, provider = ManualClock(NOW), FakeProvider(ends_ok)
    async with engine_harness(tmp_path, provider, scheduling(HOURLY), clock=clock) as here:
        await trust(here, stage)
        await here.looked()
        clock.advance(3600)

        async def written() -> bool:
            return await entries(here) == [("20261123T0400Z", what)]

        await until(written)
        assert provider.orders == []


async def test_a_proposal_runs_when_approved_and_expires_at_the_next_instant(tmp_path: Path) -> None:
    clock, provider = ManualClock(NOW), FakeProvider(ends_ok)
    async with engine_harness(tmp_path, provider, scheduling(HOURLY), clock=clock) as here:
        await trust(here, Stage.SEMI)
        await here.looked()
        clock.advance(3600)
        await until(lambda: proposals(here))
        (first,) = await proposals(here)
        await here.engine.operations.approve(first.id, by=BY)
        assert (await here.engine.wait(first.id)).outcome is Outcome.OK
        clock.advance(3600)
        await until(lambda: proposals(here))
        (second,) = await proposals(here)
        assert second.expires_ms == ms(NOW.replace(minute=0, second=0) + timedelta(hours=3))
        clock.advance(3600)
        assert (await here.reaches(second.id, State.ENDED)).outcome is Outcome.EXPIRED
        assert len(provider.orders) == 1


async def proposals(here: EngineHarness) -> list[Run]:
    return [run for run in await here.store.runs.open_runs() if run.state is State.PROPOSED]


async def test_a_failed_key_is_tried_again_as_often_as_allowed_then_costs_the_trust(tmp_path: Path) -> None:
    def fails(agent: FakeAgent) -> None:
        agent.status = "failed"

    guardrails = Guardrails(max_ms=60_000, budget=50_000, max_attempts=2)
    task = replace(HOURLY, guardrails=guardrails)
    clock, provider = ManualClock(NOW), FakeProvider(fails)
    async with engine_harness(tmp_path, provider, scheduling(task), clock=clock) as here:
        await trust(here, Stage.UNATTENDED)
        await here.looked()
        clock.advance(3600)

        async def outcomes(*wanted: str) -> bool:
            return [entry[1] for entry in await entries(here)] == list(wanted)

        await until(lambda: outcomes("failed"))
        assert (await here.engine.rollout.task("report")).stage is Stage.UNATTENDED
        clock.advance(61)
        await until(lambda: outcomes("failed", "failed"))
        rung = await here.engine.rollout.task("report")
        assert rung.stage is Stage.SEMI
        assert rung.last_demotion is not None
        assert "failed" in rung.last_demotion.reason
        clock.advance(301)
        await here.looked()
        assert len(provider.orders) == 2


async def test_an_unconfirmed_run_lowers_the_stage_for_as_long_as_it_lasts(tmp_path: Path) -> None:
    clock, provider = ManualClock(NOW), FakeProvider(ends_ok)
    provider.verdicts.append(Unknown(why="silence"))
    async with engine_harness(tmp_path, provider, settings(HOURLY), clock=clock) as here:
        await trust(here, Stage.UNATTENDED)
        run = (await here.launch()).run
        await here.reaches(run.id, State.UNCONFIRMED)
        rung = await here.engine.rollout.task("report")
        assert (rung.stage, rung.effective) == (Stage.SEMI, Stage.MANUAL)
        await here.engine.operations.settle_not_launched(run.id, by=BY, reason="nothing there")
        rung = await here.engine.rollout.task("report")
        assert (rung.stage, rung.effective) == (Stage.SEMI, Stage.SEMI)


async def test_only_one_of_two_processes_schedules_and_the_other_takes_over(tmp_path: Path) -> None:
    clock, provider = ManualClock(NOW), FakeProvider(ends_ok)
    async with engine_harness(tmp_path, provider, scheduling(HOURLY), clock=clock) as first:

        async def scheduler() -> str | None:
            found = (await first.engine.queries.snapshot()).scheduler
            return found.id if found else None

        await until(scheduler)
        one = await scheduler()
        async with engine_harness(tmp_path, provider, scheduling(HOURLY), clock=clock) as second:
            await second.looked()
            assert await scheduler() == one
            await first.engine.hand_over()

            async def moved() -> bool:
                found = (await second.engine.queries.snapshot()).scheduler
                return found is not None and found.mine

            await until(moved)


async def test_what_waits_for_a_person_is_shown_first(tmp_path: Path) -> None:
    clock, provider = ManualClock(NOW), FakeProvider()
    task = replace(HOURLY, name="due", target="due")
    use = replace(settings(a_task(max_ms=86_400_000), task, kind=ProcessKind.SERVE), schedules=True)
    async with engine_harness(tmp_path, provider, use, clock=clock) as here:
        await here.engine.rollout.move("due", Stage.SEMI, by=BY, reason="for this test", forced=True)
        await here.looked()
        await here.reaches((await here.launch()).run.id, State.RUNNING)
        clock.advance(3600)
        await until(lambda: proposals(here))
        live = (await here.engine.queries.snapshot()).live
        assert [run.state for run in live] == [State.PROPOSED, State.RUNNING]
