"""Which scheduled times are due: edits launch nothing, missed times are logged, and their number is bounded."""

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


async def promote(here: EngineHarness, stage: Stage) -> None:
    for step in range(1, stage + 1):
        await here.engine.rollout.move("report", Stage(step), by=BY, reason="for this test", forced=True)


@pytest.mark.parametrize(
    ("missed", "launched", "logged"), [(MissedPolicy.SKIP, 1, 4), (MissedPolicy.LATEST, 1, 4), (MissedPolicy.ALL, 5, 0)]
)
def test_missed_times_are_launched_or_logged_according_to_the_policy(
    missed: MissedPolicy, launched: int, logged: int
) -> None:
    found = due(replace(HOURLY, missed=missed), ms(NOW - timedelta(hours=5)), NOW)
    assert (len(found.launch), len(found.missed)) == (launched, logged)
    assert list(found.missed + found.launch) == sorted(found.missed + found.launch)


def test_latest_launches_one_missed_time_and_skip_none() -> None:
    late = NOW + timedelta(minutes=30)
    reached = ms(NOW - timedelta(hours=5))
    assert due(replace(HOURLY, missed=MissedPolicy.SKIP), reached, late).launch == ()
    assert len(due(replace(HOURLY, missed=MissedPolicy.LATEST), reached, late).launch) == 1


def test_a_large_number_of_missed_times_is_bounded_and_the_rest_counted() -> None:
    minutely = a_task(schedule="* * * * *", window="slot")
    found = due(minutely, ms(NOW - timedelta(days=10)), NOW)
    assert len(found.missed) + len(found.launch) == MOST_MISSED
    assert found.untold == 10 * 24 * 60 - MOST_MISSED


def test_a_time_that_was_reached_is_not_due_again() -> None:
    assert due(HOURLY, ms(NOW), NOW + timedelta(minutes=59)).launch == ()


def test_an_edited_schedule_has_another_name() -> None:
    assert schedule_name(HOURLY) != schedule_name(replace(HOURLY, schedule="30 * * * *"))
    assert schedule_name(HOURLY) != schedule_name(replace(HOURLY, time_zone="Asia/Tokyo"))
    assert schedule_name(HOURLY) == schedule_name(replace(HOURLY, prompt="edited"))


async def test_a_new_schedule_first_launches_at_its_next_time(tmp_path: Path) -> None:
    clock, provider = ManualClock(NOW), FakeProvider(ends_ok)
    async with engine_harness(tmp_path, provider, scheduling(HOURLY), clock=clock) as here:
        await promote(here, Stage.UNATTENDED)
        await here.next_tick()
        assert await entries(here) == []
        clock.advance(3600)
        await until(lambda: provider.orders)

        async def done() -> bool:
            return await entries(here) == [("20261123T0400Z", "ok")]

        await until(done)
    async with engine_harness(tmp_path, provider, scheduling(HOURLY), clock=clock) as here:
        await here.next_tick()
        assert len(provider.orders) == 1, "a restart launches nothing again"


@pytest.mark.parametrize(("stage", "what"), [(Stage.MANUAL, "refused"), (Stage.SEMI, "proposed")])
async def test_a_stage_below_unattended_launches_nothing_without_a_person(
    tmp_path: Path, stage: Stage, what: str
) -> None:
    clock, provider = ManualClock(NOW), FakeProvider(ends_ok)
    async with engine_harness(tmp_path, provider, scheduling(HOURLY), clock=clock) as here:
        await promote(here, stage)
        await here.next_tick()
        clock.advance(3600)

        async def written() -> bool:
            return await entries(here) == [("20261123T0400Z", what)]

        await until(written)
        assert provider.orders == []


async def test_a_proposal_runs_when_approved_and_expires_at_the_next_scheduled_time(tmp_path: Path) -> None:
    clock, provider = ManualClock(NOW), FakeProvider(ends_ok)
    async with engine_harness(tmp_path, provider, scheduling(HOURLY), clock=clock) as here:
        await promote(here, Stage.SEMI)
        await here.next_tick()
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


async def test_a_failed_key_is_retried_up_to_its_limit_and_then_the_task_is_demoted(tmp_path: Path) -> None:
    def fails(agent: FakeAgent) -> None:
        agent.status = "failed"

    guardrails = Guardrails(max_ms=60_000, budget=50_000, max_attempts=2)
    task = replace(HOURLY, guardrails=guardrails)
    clock, provider = ManualClock(NOW), FakeProvider(fails)
    async with engine_harness(tmp_path, provider, scheduling(task), clock=clock) as here:
        await promote(here, Stage.UNATTENDED)
        await here.next_tick()
        clock.advance(3600)

        async def outcomes(*wanted: str) -> bool:
            return [entry[1] for entry in await entries(here)] == list(wanted)

        await until(lambda: outcomes("failed"))
        assert (await here.engine.rollout.task("report")).stage is Stage.UNATTENDED
        clock.advance(61)
        await until(lambda: outcomes("failed", "failed"))
        rollout = await here.engine.rollout.task("report")
        assert rollout.stage is Stage.SEMI
        assert rollout.last_demotion is not None
        assert "failed" in rollout.last_demotion.reason
        clock.advance(301)
        await here.next_tick()
        assert len(provider.orders) == 2


async def test_an_unconfirmed_run_lowers_the_effective_stage_until_it_is_settled(tmp_path: Path) -> None:
    clock, provider = ManualClock(NOW), FakeProvider(ends_ok)
    provider.verdicts.append(Unknown(why="silence"))
    async with engine_harness(tmp_path, provider, settings(HOURLY), clock=clock) as here:
        await promote(here, Stage.UNATTENDED)
        run = (await here.launch()).run
        await here.reaches(run.id, State.UNCONFIRMED)
        rollout = await here.engine.rollout.task("report")
        assert (rollout.stage, rollout.effective) == (Stage.SEMI, Stage.MANUAL)
        await here.engine.operations.settle_not_launched(run.id, by=BY, reason="nothing there")
        rollout = await here.engine.rollout.task("report")
        assert (rollout.stage, rollout.effective) == (Stage.SEMI, Stage.SEMI)


async def test_one_of_two_processes_schedules_and_the_other_takes_over(tmp_path: Path) -> None:
    clock, provider = ManualClock(NOW), FakeProvider(ends_ok)
    async with engine_harness(tmp_path, provider, scheduling(HOURLY), clock=clock) as first:

        async def scheduler() -> str | None:
            found = (await first.engine.queries.snapshot()).scheduler
            return found.id if found else None

        await until(scheduler)
        before = await scheduler()
        async with engine_harness(tmp_path, provider, scheduling(HOURLY), clock=clock) as second:
            await second.next_tick()
            assert await scheduler() == before
            await first.engine.hand_over()

            async def moved() -> bool:
                found = (await second.engine.queries.snapshot()).scheduler
                return found is not None and found.mine

            await until(moved)


async def test_proposals_are_listed_before_running_runs(tmp_path: Path) -> None:
    clock, provider = ManualClock(NOW), FakeProvider()
    task = replace(HOURLY, name="due", target="due")
    use = replace(settings(a_task(max_ms=86_400_000), task, kind=ProcessKind.SERVE), schedules=True)
    async with engine_harness(tmp_path, provider, use, clock=clock) as here:
        await here.engine.rollout.move("due", Stage.SEMI, by=BY, reason="for this test", forced=True)
        await here.next_tick()
        await here.reaches((await here.launch()).run.id, State.RUNNING)
        clock.advance(3600)
        await until(lambda: proposals(here))
        live = (await here.engine.queries.snapshot()).live
        assert [run.state for run in live] == [State.PROPOSED, State.RUNNING]
