"""The agenda foresees what each scheduled time comes to, by the checks that a claim makes then."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from console.domain.caps import Cap, Caps
from console.domain.fact_text import author_text
from console.domain.rollout import RolloutRules
from console.domain.run import State
from console.domain.task import Guardrails, Stage, Task
from console.domain.timestamps import iso_ms
from console.engine.scheduling.agenda import MOST_ENTRIES, MOST_HOURS, Agenda, AgendaEntry, Effect
from console.engine.scheduling.cap_forecast import Room
from console.engine.settings import ProcessKind
from tests.clock import ManualClock
from tests.engine.building import BY, CAPS, EngineHarness, a_task, engine_harness, settings
from tests.engine.fake_provider import FakeProvider
from tests.engine.test_due import HOURLY, NOW, promote, scheduling
from tests.waiting import until

NIGHT = datetime(2026, 11, 23, 22, 0, tzinfo=UTC)


@asynccontextmanager
async def engine_at(
    folder: Path, *tasks: Task, now: datetime = NIGHT, caps: Caps = CAPS, stage: Stage = Stage.UNATTENDED
) -> AsyncIterator[EngineHarness]:
    """An engine that supervises nothing, at a time of its own, with all tasks at `stage`."""
    use = settings(*tasks, kind=ProcessKind.COMMAND, caps=caps)
    async with engine_harness(folder, FakeProvider(), use, clock=ManualClock(now)) as house:
        for task in tasks:
            for step in range(stage):
                await house.engine.rollout.move(task.name, Stage(step + 1), by=BY, reason="a test", forced=True)
        yield house


def told(entries: tuple[AgendaEntry, ...]) -> list[tuple[str, str, Effect]]:
    return [(iso_ms(entry.at_ms)[:16], entry.task, entry.effect) for entry in entries]


async def agenda_of(house: EngineHarness, hours: int = 24) -> Agenda:
    return await house.engine.agenda.upcoming(hours)


async def test_the_times_of_all_tasks_come_in_order_with_what_they_hold(tmp_path: Path) -> None:
    tasks = a_task("late", schedule="30 3 * * *"), a_task("early", schedule="0 3 * * *", budget=80_000), a_task("hand")
    async with engine_at(tmp_path, *tasks) as house:
        found = await agenda_of(house)
    assert told(found.entries) == [
        ("2026-11-24T03:00", "early", Effect.RUN),
        ("2026-11-24T03:30", "late", Effect.RUN),
    ]
    assert [(entry.hold, entry.room, entry.why) for entry in found.entries] == [
        (80_000, Room.FITS, ""),
        (50_000, Room.FITS, ""),
    ]
    assert found.entries[0].currency == "USD"
    assert (found.entries[0].cost_micro or 0) > 0
    assert found.nobody_schedules


@pytest.mark.parametrize(
    ("stage", "effect", "why"),
    [
        (Stage.MANUAL, Effect.REFUSED, "the task is at stage manual"),
        (Stage.SEMI, Effect.PROPOSAL, ""),
        (Stage.UNATTENDED, Effect.RUN, ""),
    ],
)
async def test_the_stage_decides(tmp_path: Path, stage: Stage, effect: Effect, why: str) -> None:
    async with engine_at(tmp_path, a_task(schedule="0 3 * * *"), stage=stage) as house:
        (entry,) = (await agenda_of(house)).entries
    assert (entry.effect, entry.why) == (effect, why)


async def test_while_launches_are_paused_all_are_refused_and_the_agenda_says_by_whom(tmp_path: Path) -> None:
    async with engine_at(tmp_path, a_task(schedule="0 3 * * *")) as house:
        await house.engine.operations.pause(by=BY)
        found = await agenda_of(house)
    assert found.paused is not None
    assert found.entries[0].effect is Effect.REFUSED
    assert author_text(BY) in found.entries[0].why


async def test_one_key_a_day_is_launched_once(tmp_path: Path) -> None:
    async with engine_at(tmp_path, a_task(schedule="0 */6 * * *")) as house:
        found = await agenda_of(house)
    effects = [entry.effect for entry in found.entries]
    assert effects == [Effect.RUN, Effect.SKIPPED, Effect.SKIPPED, Effect.SKIPPED]
    assert "taken by an earlier time" in found.entries[1].why


async def test_a_key_that_is_taken_already_is_foreseen(tmp_path: Path) -> None:
    async with engine_at(tmp_path, a_task(schedule="0 23 * * *")) as house:
        launched = await house.launch("report")
        assert launched.run.state is State.CLAIMED
        first = (await agenda_of(house)).entries[0]
    assert (first.effect, first.why) == (Effect.SKIPPED, f"run {launched.run.id} of its key is claimed")


async def test_a_proposal_does_not_take_the_place_of_the_next_one(tmp_path: Path) -> None:
    async with engine_at(tmp_path, a_task(schedule="0 */12 * * *"), stage=Stage.SEMI) as house:
        found = await agenda_of(house)
    assert [entry.effect for entry in found.entries] == [Effect.PROPOSAL, Effect.PROPOSAL]
    assert found.entries[1].why == "if the proposal before it was not approved"


async def test_the_caps_fill_up_and_open_again_on_the_next_day(tmp_path: Path) -> None:
    caps = replace(CAPS, daily_units=120_000, time_zone="UTC")
    task = a_task(schedule="0 */6 * * *", window="slot", budget=50_000)
    async with engine_at(tmp_path, task, caps=caps, now=datetime(2026, 11, 23, 5, 0, tzinfo=UTC)) as house:
        found = await agenda_of(house)
    assert told(found.entries) == [
        ("2026-11-23T06:00", "report", Effect.RUN),
        ("2026-11-23T12:00", "report", Effect.RUN),
        ("2026-11-23T18:00", "report", Effect.REFUSED),
        ("2026-11-24T00:00", "report", Effect.RUN),
    ]
    assert found.entries[2].room is Room.FULL
    assert "daily_units is reached: 100.0 held + 0.0 spent of 120.0" in found.entries[2].why


async def test_a_raise_counts_in_its_period_only(tmp_path: Path) -> None:
    caps = replace(CAPS, daily_runs=1, time_zone="UTC")
    task = a_task(schedule="0 */12 * * *", window="slot")
    async with engine_at(tmp_path, task, caps=caps, now=datetime(2026, 11, 23, 0, 0, tzinfo=UTC)) as house:
        await house.engine.operations.raise_cap(Cap.DAILY_RUNS, 1, task=None, by=BY, reason="a test")
        await house.launch("report", date="20261101T0000Z")
        found = await agenda_of(house, hours=48)
    effects = [entry.effect for entry in found.entries]
    assert effects == [Effect.RUN, Effect.RUN, Effect.REFUSED, Effect.RUN]


async def test_a_launch_that_can_never_fit_is_refused_for_good(tmp_path: Path) -> None:
    async with engine_at(tmp_path, a_task(schedule="0 3 * * *", budget=3_000_000)) as house:
        (entry,) = (await agenda_of(house)).entries
    assert entry.effect is Effect.REFUSED
    assert entry.why.startswith("never fits: this task's budget (3000.0) is larger than daily_units (2000.0)")


async def test_slots_are_free_again_when_the_runs_before_must_have_ended(tmp_path: Path) -> None:
    caps = replace(CAPS, concurrent_runs=1)
    tasks = (
        a_task("long", schedule="0 3 * * *", max_ms=7_200_000),
        a_task("inside", schedule="0 4 * * *"),
        a_task("after", schedule="0 6 * * *"),
    )
    async with engine_at(tmp_path, *tasks, caps=caps) as house:
        found = await agenda_of(house)
    assert [(entry.task, entry.room) for entry in found.entries] == [
        ("long", Room.FITS),
        ("inside", Room.FULL),
        ("after", Room.FITS),
    ]


@pytest.mark.parametrize(
    ("now", "marks"),
    [
        # The first of both passes of the repeated hour is before the change, the skipped time is after it.
        (datetime(2026, 10, 24, 12, 0, tzinfo=UTC), [False, True]),
        (datetime(2027, 3, 27, 12, 0, tzinfo=UTC), [True, False]),
    ],
)
async def test_both_clock_changes_are_marked(tmp_path: Path, now: datetime, marks: list[bool]) -> None:
    task = a_task(schedule="30 2 * * *", time_zone="Europe/Berlin")
    async with engine_at(tmp_path, task, now=now) as house:
        found = await agenda_of(house, hours=48)
    assert [entry.shifts for entry in found.entries] == marks


async def test_a_failed_run_that_is_tried_again_is_in_the_agenda(tmp_path: Path) -> None:
    task = replace(HOURLY, guardrails=Guardrails(max_ms=60_000, budget=50_000, max_attempts=2))
    use = replace(scheduling(task), rollout=RolloutRules(demote_on=()))
    clock, provider = ManualClock(NOW), FakeProvider(lambda agent: setattr(agent, "status", "failed"))
    async with engine_harness(tmp_path, provider, replace(use, schedules=False), clock=clock) as house:
        await promote(house, Stage.UNATTENDED)
    async with engine_harness(tmp_path, provider, use, clock=clock) as house:
        await house.next_tick()
        clock.advance(3600)

        async def failed() -> bool:
            return bool([run for run in (await house.engine.queries.snapshot()).recent if run.retry_at_ms is not None])

        await until(failed)
        (run,) = (await house.engine.queries.snapshot()).recent
        found = await agenda_of(house, hours=1)
    assert [(entry.retry_of, entry.effect) for entry in found.entries] == [(run.id, Effect.RUN), (None, Effect.RUN)]
    assert not found.nobody_schedules


async def test_an_agenda_has_bounds(tmp_path: Path) -> None:
    async with engine_at(tmp_path, a_task(schedule="* * * * *", window="slot")) as house:
        found = await agenda_of(house, hours=MOST_HOURS)
        assert (len(found.entries), found.is_cut) == (MOST_ENTRIES, True)
        for hours in (0, MOST_HOURS + 1):
            with pytest.raises(ValueError, match=f"1 to {MOST_HOURS} hours"):
                await agenda_of(house, hours=hours)


async def test_the_demand_of_a_day_counts_keys_retries_and_caps_and_what_others_take(tmp_path: Path) -> None:
    tasks = (
        a_task("hourly", schedule="0 * * * *", window="slot", budget=50_000),
        a_task("daily", schedule="*/5 * * * *", budget=10_000),
        a_task("monday", schedule="0 1 * * 1", guardrails=Guardrails(max_ms=60_000, budget=20_000, max_attempts=3)),
        a_task("hand"),
    )
    async with engine_at(tmp_path, *tasks) as house:
        demands = {task.name: await house.engine.rollout.demand(task.name) for task in tasks}
    hourly, daily, monday = demands["hourly"], demands["daily"], demands["monday"]
    assert demands["hand"] is None
    assert hourly is not None
    assert daily is not None
    assert monday is not None
    assert (hourly.runs, hourly.units, hourly.others, hourly.left) == (24, 1_200_000, 70_000, 1_930_000)
    assert (daily.runs, daily.units) == (1, 10_000)
    assert (monday.runs, monday.units, monday.fits) == (3, 60_000, True)
    assert hourly.lines()[0].startswith("By its schedule at most 24 runs a day: 1200 units, ")
    assert "daily_units is 2000; other schedules can hold 70 of it: 1930 left." in hourly.lines()[1]
