"""The scheduler through edits, wrong clocks, repeated hours and second schedulers: nothing fires that was not due."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from console.domain.key import slot_date
from console.domain.run import Run, State
from console.domain.task import Guardrails, MissedPolicy, Stage, Task
from console.engine.models import LaunchKind, LaunchRequest
from console.store.history import HistoryFilter
from tests.clock import ManualClock
from tests.engine.building import BY, EngineHarness, a_task, engine_harness
from tests.engine.fake_provider import FakeProvider
from tests.engine.test_due import HOURLY, NOW, ends_ok, entries, scheduling, trust
from tests.waiting import until

OTHER = replace(HOURLY, schedule="30 * * * *")
CATCHING_UP = (MissedPolicy.LATEST, MissedPolicy.ALL)


async def shift(folder: Path, provider: FakeProvider, clock: ManualClock, *tasks: Task) -> list[tuple[str, str]]:
    """A scheduler with these tasks comes, looks, and goes; what stands in the history then, skips left out."""
    use = replace(scheduling(HOURLY), tasks=tasks)
    async with engine_harness(folder, provider, use, clock=clock) as here:

        async def scheduler() -> bool:
            found = (await here.engine.queries.snapshot()).scheduler
            return found is not None and found.mine

        await until(scheduler)
        clock.advance(1)
        await here.looked()
        await until(lambda: is_quiet(here))
        return await entries(here)


async def is_quiet(here: EngineHarness) -> bool:
    return all(run.state is State.PROPOSED for run in await here.store.runs.open_runs())


async def trusted(folder: Path, provider: FakeProvider, clock: ManualClock) -> None:
    async with engine_harness(folder, provider, replace(scheduling(HOURLY), schedules=False), clock=clock) as here:
        await trust(here, Stage.UNATTENDED)


@pytest.mark.parametrize("missed", CATCHING_UP)
async def test_a_schedule_that_comes_back_begins_anew(tmp_path: Path, missed: MissedPolicy) -> None:
    clock, provider = ManualClock(NOW), FakeProvider(ends_ok)
    one, other = replace(HOURLY, missed=missed), replace(OTHER, missed=missed)
    await trusted(tmp_path, provider, clock)
    await shift(tmp_path, provider, clock, one)
    await shift(tmp_path, provider, clock, other)
    clock.advance(5 * 3600)
    caught_up = await shift(tmp_path, provider, clock, other)
    assert caught_up
    assert await shift(tmp_path, provider, clock, one) == caught_up, "the five hours belonged to the other schedule"


@pytest.mark.parametrize("missed", CATCHING_UP)
async def test_a_task_that_was_taken_out_and_put_back_does_not_catch_up(tmp_path: Path, missed: MissedPolicy) -> None:
    clock, provider = ManualClock(NOW), FakeProvider(ends_ok)
    task = replace(HOURLY, missed=missed)
    await trusted(tmp_path, provider, clock)
    await shift(tmp_path, provider, clock, task)
    await shift(tmp_path, provider, clock, a_task("other"))
    clock.advance(5 * 3600)
    assert await shift(tmp_path, provider, clock, task) == []


@pytest.mark.parametrize(
    ("missed", "launched", "told"), [(MissedPolicy.SKIP, 0, 5), (MissedPolicy.LATEST, 1, 4), (MissedPolicy.ALL, 5, 0)]
)
async def test_a_night_that_was_slept_through(tmp_path: Path, missed: MissedPolicy, launched: int, told: int) -> None:
    clock, provider = ManualClock(NOW), FakeProvider(ends_ok)
    task = replace(HOURLY, missed=missed)
    await trusted(tmp_path, provider, clock)
    await shift(tmp_path, provider, clock, task)
    clock.advance(5 * 3600 + 1800)
    use = scheduling(task)
    async with engine_harness(tmp_path, provider, use, clock=clock) as here:

        async def all_told() -> bool:
            return len(await entries(here)) == 5 and await is_quiet(here)

        await until(all_told, within=20)
        await here.looked()
        assert len(provider.orders) == launched
        reasons = [record.fields.get("reason") for record in here.log() if record.status == "skipped"]
        assert reasons == ["missed"] * told, "each missed instant stands in the log, once"
        assert [date for date, _ in await entries(here)] == sorted(date for date, _ in await entries(here))


async def test_a_flood_is_bounded_and_told_once(tmp_path: Path) -> None:
    clock, provider = ManualClock(NOW), FakeProvider(ends_ok)
    task = replace(HOURLY, schedule="* * * * *", missed=MissedPolicy.ALL)
    await trusted(tmp_path, provider, clock)
    await shift(tmp_path, provider, clock, task)
    clock.advance(24 * 3600)
    async with engine_harness(tmp_path, provider, scheduling(task), clock=clock) as here:
        await until(lambda: len(provider.orders) > 2, within=20)
        notes = [record for record in here.log() if record.fields.get("event") == "missed"]
        assert len(notes) == 1
        assert int(notes[0].fields["more"]) == 24 * 60 - 200
        live = [run for run in await here.store.runs.open_runs() if run.is_live]
        assert len(live) <= 1, "one after the other"


async def test_a_clock_that_was_in_the_future_for_a_while_stops_no_schedule(tmp_path: Path) -> None:
    clock, provider = ManualClock(NOW), FakeProvider(ends_ok)
    await trusted(tmp_path, provider, clock)
    await shift(tmp_path, provider, clock, HOURLY)
    clock.step_wall(86_400)
    await shift(tmp_path, provider, clock, HOURLY)
    clock.step_wall(-86_400)
    async with engine_harness(tmp_path, provider, scheduling(HOURLY), clock=clock) as here:
        await here.looked()
        await here.engine.operations.resume(by=BY)
        clock.advance(3600)

        async def due() -> bool:
            return ("20261123T0400Z", "ok") in await entries(here)

        await until(due)


async def test_the_repeated_hour_runs_once_and_tells_of_nothing_missed(tmp_path: Path) -> None:
    nightly = a_task(schedule="30 2 * * *", time_zone="Europe/Berlin")
    clock, provider = ManualClock(datetime(2026, 10, 24, 23, 0, tzinfo=UTC)), FakeProvider(ends_ok)
    await trusted(tmp_path, provider, clock)
    async with engine_harness(tmp_path, provider, scheduling(nightly), clock=clock) as here:
        await here.looked()
        for _ in range(40):
            clock.advance(300)
            await here.looked()
            await until(lambda: is_quiet(here))
        page = await here.store.history.page(HistoryFilter())
        assert [(run.date, str(run.outcome)) for run in page.runs] == [("2026-10-25", "ok")]


async def test_cron_beside_the_scheduler_launches_no_second_time(tmp_path: Path) -> None:
    clock, provider = ManualClock(NOW), FakeProvider(ends_ok)
    await trusted(tmp_path, provider, clock)
    async with engine_harness(tmp_path, provider, scheduling(HOURLY), clock=clock) as here:
        await here.looked()
        clock.advance(3600)
        await until(lambda: len(provider.orders) == 1)
        by_cron = await here.engine.operations.launch(LaunchRequest(task="report", scheduled=True, by="cron tty=no"))
        assert by_cron.kind is LaunchKind.SKIPPED
        assert by_cron.run.date == slot_date(NOW + timedelta(hours=1))
        assert len(provider.orders) == 1


async def test_a_retry_does_not_outlive_the_next_instant(tmp_path: Path) -> None:
    rails = Guardrails(max_ms=60_000, budget=50_000, max_attempts=3)
    task = replace(HOURLY, schedule="* * * * *", guardrails=rails)
    clock, provider = ManualClock(NOW), FakeProvider(lambda agent: setattr(agent, "status", "failed"))
    await trusted(tmp_path, provider, clock)
    async with engine_harness(tmp_path, provider, scheduling(task), clock=clock) as here:
        await here.looked()
        clock.advance(60)

        async def failed() -> list[Run]:
            page = await here.store.history.page(HistoryFilter())
            return [run for run in page.runs if str(run.outcome) == "failed"]

        await until(failed)
        (run,) = await failed()
        assert run.retry_at_ms is None, "a minute from now another instant is due, so this key is not tried again"
        assert (await here.engine.rollout.task("report")).stage is Stage.SEMI
