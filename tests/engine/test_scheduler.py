"""The scheduler with edited tasks, wrong clocks, repeated hours and a second scheduler launches only what is due."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from console.domain.key import slot_date
from console.domain.run import Run, State
from console.domain.task import Guardrails, MissedPolicy, Stage, Task
from console.engine.models import LaunchKind, LaunchRequest
from console.engine.problems import Problem
from console.engine.scheduling.due import due, schedule_name
from console.engine.scheduling.scheduler import Scheduler
from console.store.history import HistoryFilter
from tests.clock import ManualClock
from tests.engine.building import BY, EngineHarness, a_task, engine_harness
from tests.engine.fake_provider import FakeProvider
from tests.engine.test_due import HOURLY, NOW, ends_ok, entries, ms, promote, scheduling
from tests.waiting import until


class RaisesForATask(Scheduler):
    """One task raises what nobody expects, each time it is considered."""

    async def _launch_due(self, task: Task, now: datetime) -> None:
        if task.name == "broken":
            raise ValueError("nobody expected this")
        await super()._launch_due(task, now)


OTHER = replace(HOURLY, schedule="30 * * * *")
CATCH_UP_POLICIES = (MissedPolicy.LATEST, MissedPolicy.ALL)


async def schedule_once(
    folder: Path, provider: FakeProvider, clock: ManualClock, *tasks: Task
) -> list[tuple[str, str]]:
    """Run a scheduler with these tasks until nothing is due any more, and return the history."""
    use = replace(scheduling(HOURLY), tasks=tasks)
    async with engine_harness(folder, provider, use, clock=clock) as here:
        clock.advance(1)
        await here.next_tick()
        # Missed times are launched one after the other, each in a tick of its own.
        await until(lambda: has_caught_up(here, clock, tasks), within=20)
        await until(lambda: is_quiet(here))
        return await entries(here)


async def has_caught_up(here: EngineHarness, clock: ManualClock, tasks: tuple[Task, ...]) -> bool:
    """True where the scheduler has dealt with every time of `tasks` that has passed."""
    now = clock.now().utc()
    for task in tasks:
        if task.schedule is None:
            continue
        reached = await here.store.cursors.reached(schedule_name(task))
        if reached is None or due(task, reached, now) != due(task, ms(now), now):
            return False
    return True


async def is_quiet(here: EngineHarness) -> bool:
    return all(run.state is State.PROPOSED for run in await here.store.runs.open_runs())


async def make_unattended(folder: Path, provider: FakeProvider, clock: ManualClock) -> None:
    async with engine_harness(folder, provider, replace(scheduling(HOURLY), schedules=False), clock=clock) as here:
        await promote(here, Stage.UNATTENDED)


@pytest.mark.parametrize("missed", CATCH_UP_POLICIES)
async def test_a_schedule_that_is_restored_does_not_catch_up(tmp_path: Path, missed: MissedPolicy) -> None:
    clock, provider = ManualClock(NOW), FakeProvider(ends_ok)
    first, other = replace(HOURLY, missed=missed), replace(OTHER, missed=missed)
    await make_unattended(tmp_path, provider, clock)
    await schedule_once(tmp_path, provider, clock, first)
    await schedule_once(tmp_path, provider, clock, other)
    clock.advance(5 * 3600)
    caught_up = await schedule_once(tmp_path, provider, clock, other)
    assert caught_up
    assert await schedule_once(tmp_path, provider, clock, first) == caught_up, (
        "the other schedule was in force during the five hours"
    )


@pytest.mark.parametrize("missed", CATCH_UP_POLICIES)
async def test_a_task_that_was_removed_and_restored_does_not_catch_up(tmp_path: Path, missed: MissedPolicy) -> None:
    clock, provider = ManualClock(NOW), FakeProvider(ends_ok)
    task = replace(HOURLY, missed=missed)
    await make_unattended(tmp_path, provider, clock)
    await schedule_once(tmp_path, provider, clock, task)
    await schedule_once(tmp_path, provider, clock, a_task("other"))
    clock.advance(5 * 3600)
    assert await schedule_once(tmp_path, provider, clock, task) == []


@pytest.mark.parametrize(
    ("missed", "launched", "logged"), [(MissedPolicy.SKIP, 0, 5), (MissedPolicy.LATEST, 1, 4), (MissedPolicy.ALL, 5, 0)]
)
async def test_missed_hours_are_launched_or_logged_according_to_the_policy(
    tmp_path: Path, missed: MissedPolicy, launched: int, logged: int
) -> None:
    clock, provider = ManualClock(NOW), FakeProvider(ends_ok)
    task = replace(HOURLY, missed=missed)
    await make_unattended(tmp_path, provider, clock)
    await schedule_once(tmp_path, provider, clock, task)
    clock.advance(5 * 3600 + 1800)
    use = scheduling(task)
    async with engine_harness(tmp_path, provider, use, clock=clock) as here:

        async def all_recorded() -> bool:
            return len(await entries(here)) == 5 and await is_quiet(here)

        await until(all_recorded, within=20)
        await here.next_tick()
        assert len(provider.orders) == launched
        reasons = [record.fields.get("reason") for record in here.log() if record.status == "skipped"]
        assert reasons == ["missed"] * logged, "each missed time is logged once"
        assert [date for date, _ in await entries(here)] == sorted(date for date, _ in await entries(here))


@pytest.mark.parametrize("ends_it", ["a launch", "a person", "an edit"])
async def test_missed_times_are_a_problem_until_somebody_saw_to_the_task(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ends_it: str
) -> None:
    monkeypatch.setattr("console.engine.scheduling.scheduler.LOOK_EVERY_S", 0.0)
    clock, provider = ManualClock(NOW), FakeProvider(ends_ok)
    await make_unattended(tmp_path, provider, clock)
    await schedule_once(tmp_path, provider, clock, HOURLY)
    clock.advance(5 * 3600 + 1800)
    async with engine_harness(tmp_path, provider, scheduling(HOURLY), clock=clock) as here:

        async def missed() -> list[str]:
            return [each.topic for each in (await here.engine.queries.snapshot()).problems if each.over_ms is None]

        async def is_over() -> bool:
            return await missed() == []

        async def is_told() -> bool:
            return await missed() == [f"missed {HOURLY.name}"]

        await until(is_told)
        # Less than an hour: nothing becomes due.
        clock.advance(1500)
        await here.next_tick()
        await here.next_tick()
        assert await is_told(), "it does not expire"
        match ends_it:
            case "a launch":
                await here.engine.operations.launch(LaunchRequest(task=HOURLY.name, date="20260101T0000Z", by=BY))
            case "a person":
                await here.engine.rollout.move(HOURLY.name, Stage.SEMI, by=BY, reason="seen", forced=True)
            case _:
                here.engine.reload(replace(here.engine.settings, tasks=(replace(HOURLY, schedule=None),)))
        await until(is_over)


async def test_many_missed_times_are_bounded_and_logged_in_one_note(tmp_path: Path) -> None:
    clock, provider = ManualClock(NOW), FakeProvider(ends_ok)
    task = replace(HOURLY, schedule="* * * * *", missed=MissedPolicy.ALL)
    await make_unattended(tmp_path, provider, clock)
    await schedule_once(tmp_path, provider, clock, task)
    clock.advance(24 * 3600)
    async with engine_harness(tmp_path, provider, scheduling(task), clock=clock) as here:
        await until(lambda: len(provider.orders) > 2, within=20)
        notes = [record for record in here.log() if record.fields.get("event") == "missed"]
        assert len(notes) == 1
        assert int(notes[0].fields["more"]) == 24 * 60 - 200
        live = [run for run in await here.store.runs.open_runs() if run.is_live]
        assert len(live) <= 1, "missed times are launched one at a time"


async def test_a_schedule_continues_after_the_clock_was_temporarily_in_the_future(tmp_path: Path) -> None:
    clock, provider = ManualClock(NOW), FakeProvider(ends_ok)
    await make_unattended(tmp_path, provider, clock)
    await schedule_once(tmp_path, provider, clock, HOURLY)
    clock.step_wall(86_400)
    await schedule_once(tmp_path, provider, clock, HOURLY)
    clock.step_wall(-86_400)
    async with engine_harness(tmp_path, provider, scheduling(HOURLY), clock=clock) as here:
        await here.next_tick()
        await here.engine.operations.resume(by=BY)
        clock.advance(3600)

        async def due() -> bool:
            return ("20261123T0400Z", "ok") in await entries(here)

        await until(due)


async def test_a_repeated_hour_runs_once_and_logs_nothing_as_missed(tmp_path: Path) -> None:
    nightly = a_task(schedule="30 2 * * *", time_zone="Europe/Berlin")
    clock, provider = ManualClock(datetime(2026, 10, 24, 23, 0, tzinfo=UTC)), FakeProvider(ends_ok)
    await make_unattended(tmp_path, provider, clock)
    async with engine_harness(tmp_path, provider, scheduling(nightly), clock=clock) as here:
        await here.next_tick()
        for _ in range(20):
            clock.advance(600)
            await here.next_tick()
            await until(lambda: is_quiet(here))
        page = await here.store.history.page(HistoryFilter())
        assert [(run.date, str(run.outcome)) for run in page.runs] == [("2026-10-25", "ok")]


async def test_cron_does_not_launch_again_what_the_scheduler_launched(tmp_path: Path) -> None:
    clock, provider = ManualClock(NOW), FakeProvider(ends_ok)
    await make_unattended(tmp_path, provider, clock)
    async with engine_harness(tmp_path, provider, scheduling(HOURLY), clock=clock) as here:
        await here.next_tick()
        clock.advance(3600)
        await until(lambda: len(provider.orders) == 1)
        by_cron = await here.engine.operations.launch(LaunchRequest(task="report", scheduled=True, by="cron tty=no"))
        assert by_cron.kind is LaunchKind.SKIPPED
        assert by_cron.run.date == slot_date(NOW + timedelta(hours=1))
        assert len(provider.orders) == 1


async def test_no_retry_is_scheduled_after_the_next_scheduled_time(tmp_path: Path) -> None:
    rails = Guardrails(max_ms=60_000, budget=50_000, max_attempts=3)
    task = replace(HOURLY, schedule="* * * * *", guardrails=rails)
    clock, provider = ManualClock(NOW), FakeProvider(lambda agent: setattr(agent, "status", "failed"))
    await make_unattended(tmp_path, provider, clock)
    async with engine_harness(tmp_path, provider, scheduling(task), clock=clock) as here:
        await here.next_tick()
        clock.advance(60)

        async def failed() -> list[Run]:
            page = await here.store.history.page(HistoryFilter())
            return [run for run in page.runs if str(run.outcome) == "failed"]

        await until(failed)
        (run,) = await failed()
        assert run.retry_at_ms is None, "the next scheduled time is a minute away, so this key is not retried"
        assert (await here.engine.rollout.task("report")).stage is Stage.SEMI


async def test_the_problem_of_a_task_ends_with_the_task(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("console.engine.engine.Scheduler", RaisesForATask)
    broken, use = replace(HOURLY, name="broken"), scheduling(HOURLY)
    async with engine_harness(tmp_path, FakeProvider(), replace(use, tasks=(HOURLY, broken))) as here:

        def of_task() -> list[Problem]:
            return [entry for entry in here.engine.problems.entries() if entry.topic == "task broken"]

        await until(lambda: [entry.over_ms for entry in of_task()] == [None])
        here.engine.reload(use)
        await until(lambda: all(entry.over_ms is not None for entry in of_task()))
