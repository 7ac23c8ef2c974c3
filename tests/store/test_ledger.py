"""The books: held before it is spent, spent as it was, freed when the window ends, and raised only for one window."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from console.domain.guardrails import Cap
from console.domain.run import Outcome
from console.domain.task import Guardrails
from tests.store.building import BUDGET, BY, CAPS, Bench, a_task

MIDNIGHT_IN_BERLIN = int(datetime(2026, 11, 23, 23, tzinfo=UTC).timestamp() * 1000)
MONTH_ENDS_IN_BERLIN = int(datetime(2026, 11, 30, 23, tzinfo=UTC).timestamp() * 1000)


async def test_an_empty_store_has_every_cap_free_and_says_when_it_frees(bench: Bench) -> None:
    standings = await bench.store.ledger.standings(CAPS, bench.now, bench.task)
    assert [standing.cap for standing in standings] == list(Cap)
    assert {(standing.held, standing.spent) for standing in standings} == {(0, 0)}
    frees = {standing.cap: standing.frees_at_ms for standing in standings}
    assert frees == {
        Cap.TASK_DAILY_RUNS: MIDNIGHT_IN_BERLIN,
        Cap.TASK_DAILY_UNITS: MIDNIGHT_IN_BERLIN,
        Cap.DAILY_RUNS: MIDNIGHT_IN_BERLIN,
        Cap.DAILY_UNITS: MIDNIGHT_IN_BERLIN,
        Cap.MONTHLY_UNITS: MONTH_ENDS_IN_BERLIN,
        Cap.CONCURRENT_RUNS: None,
    }
    overall = await bench.store.ledger.standings(CAPS, bench.now)
    assert [standing.cap for standing in overall] == list(Cap)[2:]


async def test_held_becomes_spent_and_a_released_hold_counts_for_nothing(bench: Bench) -> None:
    running = await bench.running()
    await bench.ended(Outcome.NOT_SENT, date="2026-11-24")
    await bench.ended(Outcome.OK, date="2026-11-25", used=7_000)
    units, runs = await bench.standing(Cap.DAILY_UNITS), await bench.standing(Cap.DAILY_RUNS)
    assert (units.held, units.spent) == (BUDGET, 7_000)
    assert (runs.held, runs.spent) == (1, 1)
    assert (await bench.standing(Cap.CONCURRENT_RUNS)).held == 1
    await bench.settle(running, used=9_000)
    units = await bench.standing(Cap.MONTHLY_UNITS)
    assert (units.held, units.spent) == (0, 16_000)


async def test_slots_are_taken_by_what_an_engine_works_on(bench: Bench) -> None:
    for number, kind in enumerate((bench.claimed, bench.sending, bench.running, bench.stopping, bench.unconfirmed)):
        await kind(date=f"2026-12-{10 + number}")
    assert (await bench.standing(Cap.CONCURRENT_RUNS)).held == 4


async def test_each_task_has_its_own_sums(bench: Bench) -> None:
    other = a_task("other", guardrails=Guardrails(max_ms=1, budget=3_000, daily_units=10_000, daily_runs=5))
    await bench.running()
    await bench.running(other)
    units, runs = await bench.standing(Cap.TASK_DAILY_UNITS, other), await bench.standing(Cap.TASK_DAILY_RUNS, other)
    assert (units.held, units.limit, runs.held, runs.limit) == (3_000, 10_000, 1, 5)
    assert (await bench.standing(Cap.DAILY_UNITS)).held == BUDGET + 3_000


async def test_a_new_day_and_a_new_month_begin_empty_but_an_open_hold_stays_where_it_was(bench: Bench) -> None:
    run = await bench.running()
    bench.clock.set_wall(datetime(2026, 11, 23, 23, 30, tzinfo=UTC))
    assert (await bench.standing(Cap.DAILY_UNITS)).held == 0
    assert (await bench.standing(Cap.MONTHLY_UNITS)).held == BUDGET
    assert (await bench.standing(Cap.CONCURRENT_RUNS)).held == 1
    await bench.settle(run, used=5_000)
    assert (await bench.standing(Cap.DAILY_UNITS)).spent == 0, "spent on the day it was held"
    bench.clock.set_wall(datetime(2026, 12, 1, 0, 30, tzinfo=UTC))
    assert (await bench.standing(Cap.MONTHLY_UNITS)).spent == 0


async def test_a_clock_set_back_does_not_open_yesterdays_cap(bench: Bench) -> None:
    bench.caps = replace(CAPS, daily_runs=1)
    await bench.ended(Outcome.OK)
    bench.clock.step_wall(-86_400)
    answer = await bench.claim(date="2026-11-24")
    assert answer.refusal is not None
    assert answer.refusal.standing is not None
    assert answer.refusal.standing.cap is Cap.DAILY_RUNS
    bench.caps = CAPS
    assert (await bench.claimed(date="2026-11-24")).day == "2026-11-23", "the day never goes back"


async def test_a_refused_launch_moves_no_day(bench: Bench) -> None:
    bench.caps = replace(CAPS, daily_runs=0)
    bench.clock.step_wall(86_400 * 30)
    assert (await bench.claim()).refusal is not None
    bench.clock.step_wall(-86_400 * 30)
    bench.caps = CAPS
    assert (await bench.claimed(date="2026-11-24")).day == "2026-11-23"


async def test_a_raise_counts_in_its_window_only_and_is_audited(bench: Bench) -> None:
    ledger = bench.store.ledger
    for cap, amount in ((Cap.DAILY_UNITS, 7_500), (Cap.MONTHLY_UNITS, 1_000), (Cap.CONCURRENT_RUNS, 2)):
        await ledger.raise_cap(cap, task=None, amount=amount, caps=CAPS, by="anna", reason="month end", now=bench.now)
    await ledger.raise_cap(Cap.DAILY_UNITS, task=None, amount=500, caps=CAPS, by="anna", reason="more", now=bench.now)
    assert (await bench.standing(Cap.DAILY_UNITS)).limit == 1_008_000
    assert (await bench.standing(Cap.CONCURRENT_RUNS)).limit == 10
    assert [row.amount for row in await ledger.raises(CAPS, bench.now)] == [7_500, 1_000, 2, 500]
    note = (await bench.records())[0]
    told = {name: note.fields[name] for name in ("event", "cap", "amount", "window", "by", "why")}
    assert told == {
        "event": "raise",
        "cap": "daily_units",
        "amount": "7.5",
        "window": "2026-11-23",
        "by": "anna",
        "why": "month end",
    }
    bench.clock.advance(86_400)
    assert (await bench.standing(Cap.DAILY_UNITS)).limit == CAPS.daily_units
    assert (await bench.standing(Cap.MONTHLY_UNITS)).limit == 10_001_000
    bench.clock.advance(86_400 * 10)
    assert (await bench.standing(Cap.MONTHLY_UNITS)).limit == CAPS.monthly_units


async def test_a_raise_of_a_tasks_cap_is_for_that_task(bench: Bench) -> None:
    rails = Guardrails(max_ms=1, budget=BUDGET, daily_runs=1, daily_units=BUDGET)
    one, two = a_task("one", guardrails=rails), a_task("two", guardrails=rails)
    await bench.store.ledger.raise_cap(
        Cap.TASK_DAILY_RUNS, task="one", amount=1, caps=CAPS, by=BY, reason="r", now=bench.now
    )
    assert (await bench.standing(Cap.TASK_DAILY_RUNS, one)).limit == 2
    assert (await bench.standing(Cap.TASK_DAILY_RUNS, two)).limit == 1


async def test_unlimited_stays_unlimited(bench: Bench) -> None:
    bench.caps = replace(CAPS, daily_units=None, monthly_units=None, daily_runs=None, concurrent_runs=None)
    await bench.store.ledger.raise_cap(Cap.DAILY_RUNS, task=None, amount=1, caps=CAPS, by=BY, reason="r", now=bench.now)
    standings = await bench.store.ledger.standings(bench.caps, bench.now)
    assert {standing.limit for standing in standings} == {None}
    await bench.claimed()


@pytest.mark.parametrize(
    ("cap", "task", "amount"),
    [(Cap.DAILY_UNITS, None, 0), (Cap.DAILY_UNITS, "report", 1), (Cap.TASK_DAILY_RUNS, None, 1)],
)
async def test_a_raise_that_makes_no_sense_is_refused(bench: Bench, cap: Cap, task: str | None, amount: int) -> None:
    with pytest.raises(ValueError, match=r"cap is raised|task"):
        await bench.store.ledger.raise_cap(cap, task=task, amount=amount, caps=CAPS, by=BY, reason="r", now=bench.now)
