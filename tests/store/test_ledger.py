"""Holds, spending and caps: what is held, spent and freed, and how a cap is raised for one window."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from console.domain.caps import Cap
from console.domain.run import Outcome
from console.domain.task import Guardrails
from console.domain.timestamps import Timestamp
from console.store.ledger import day_ends_ms, day_of, month_ends_ms, month_of
from console.store.progress import Progress
from console.store.rows import fetch_all
from console.store.transaction import Transaction
from tests.store.harness import BUDGET, BY, CAPS, StoreHarness, a_task, record_progress

MIDNIGHT_IN_BERLIN = int(datetime(2026, 11, 23, 23, tzinfo=UTC).timestamp() * 1000)
MONTH_ENDS_IN_BERLIN = int(datetime(2026, 11, 30, 23, tzinfo=UTC).timestamp() * 1000)


async def test_an_empty_store_has_every_cap_free_and_says_when_it_frees(harness: StoreHarness) -> None:
    cap_usages = await harness.store.ledger.cap_usages(CAPS, harness.now, harness.task)
    assert [cap_usage.cap for cap_usage in cap_usages] == list(Cap)
    assert {(cap_usage.held, cap_usage.spent) for cap_usage in cap_usages} == {(0, 0)}
    frees = {cap_usage.cap: cap_usage.frees_at_ms for cap_usage in cap_usages}
    assert frees == {
        Cap.TASK_DAILY_RUNS: MIDNIGHT_IN_BERLIN,
        Cap.TASK_DAILY_UNITS: MIDNIGHT_IN_BERLIN,
        Cap.DAILY_RUNS: MIDNIGHT_IN_BERLIN,
        Cap.DAILY_UNITS: MIDNIGHT_IN_BERLIN,
        Cap.MONTHLY_UNITS: MONTH_ENDS_IN_BERLIN,
        Cap.CONCURRENT_RUNS: None,
    }
    overall = await harness.store.ledger.cap_usages(CAPS, harness.now)
    assert [cap_usage.cap for cap_usage in overall] == list(Cap)[2:]


async def test_held_becomes_spent_and_a_released_hold_counts_for_nothing(harness: StoreHarness) -> None:
    running = await harness.running()
    await harness.ended(Outcome.NOT_SENT, date="2026-11-24")
    await harness.ended(Outcome.OK, date="2026-11-25", used=7_000)
    units, runs = await harness.cap_usage(Cap.DAILY_UNITS), await harness.cap_usage(Cap.DAILY_RUNS)
    assert (units.held, units.spent) == (BUDGET, 7_000)
    assert (runs.held, runs.spent) == (1, 1)
    assert (await harness.cap_usage(Cap.CONCURRENT_RUNS)).held == 1
    await harness.settle(running, used=9_000)
    units = await harness.cap_usage(Cap.MONTHLY_UNITS)
    assert (units.held, units.spent) == (0, 16_000)


async def test_an_open_hold_counts_what_its_run_has_used_beyond_it(harness: StoreHarness) -> None:
    other = a_task("other")
    run = await harness.running()
    await harness.running(other)
    await record_progress(harness.store.runs, run, Progress(used=BUDGET - 1, usage_known=True), harness.now)
    assert (await harness.cap_usage(Cap.DAILY_UNITS)).held == 2 * BUDGET
    run = await record_progress(harness.store.runs, run, Progress(used=3 * BUDGET, usage_known=True), harness.now)
    for cap in (Cap.DAILY_UNITS, Cap.MONTHLY_UNITS):
        assert (await harness.cap_usage(cap)).held == 4 * BUDGET
    assert (await harness.cap_usage(Cap.TASK_DAILY_UNITS)).held == 3 * BUDGET
    assert (await harness.cap_usage(Cap.TASK_DAILY_UNITS, other)).held == BUDGET
    harness.caps = replace(CAPS, daily_units=5 * BUDGET - 1)
    refused = await harness.claim(date="2026-11-24")
    assert refused.refusal is not None
    assert refused.refusal.cap_usage is not None
    assert refused.refusal.cap_usage.cap is Cap.DAILY_UNITS
    await harness.settle(run, used=2 * BUDGET)
    units = await harness.cap_usage(Cap.DAILY_UNITS)
    assert (units.held, units.spent) == (BUDGET, 2 * BUDGET)


async def test_the_excess_counts_on_the_day_of_the_hold(harness: StoreHarness) -> None:
    run = await harness.running()
    await record_progress(harness.store.runs, run, Progress(used=2 * BUDGET, usage_known=True), harness.now)
    harness.clock.advance(86_400)
    assert (await harness.cap_usage(Cap.DAILY_UNITS)).held == 0
    assert (await harness.cap_usage(Cap.MONTHLY_UNITS)).held == 2 * BUDGET


async def test_a_slot_is_taken_until_the_run_has_ended(harness: StoreHarness) -> None:
    for number, kind in enumerate(
        (harness.claimed, harness.sending, harness.running, harness.stopping, harness.unconfirmed)
    ):
        await kind(date=f"2026-12-{10 + number}")
    assert (await harness.cap_usage(Cap.CONCURRENT_RUNS)).held == 5
    await harness.proposed(date="2026-12-20", task=a_task("other"))
    assert (await harness.cap_usage(Cap.CONCURRENT_RUNS)).held == 5


async def test_each_task_has_its_own_sums(harness: StoreHarness) -> None:
    other = a_task("other", guardrails=Guardrails(max_ms=1, budget=3_000, daily_units=10_000, daily_runs=5))
    await harness.running()
    await harness.running(other)
    units, runs = (
        await harness.cap_usage(Cap.TASK_DAILY_UNITS, other),
        await harness.cap_usage(Cap.TASK_DAILY_RUNS, other),
    )
    assert (units.held, units.limit, runs.held, runs.limit) == (3_000, 10_000, 1, 5)
    assert (await harness.cap_usage(Cap.DAILY_UNITS)).held == BUDGET + 3_000


async def test_a_new_day_and_a_new_month_begin_empty_but_an_open_hold_stays_where_it_was(harness: StoreHarness) -> None:
    run = await harness.running()
    harness.clock.set_wall(datetime(2026, 11, 23, 23, 30, tzinfo=UTC))
    assert (await harness.cap_usage(Cap.DAILY_UNITS)).held == 0
    assert (await harness.cap_usage(Cap.MONTHLY_UNITS)).held == BUDGET
    assert (await harness.cap_usage(Cap.CONCURRENT_RUNS)).held == 1
    await harness.settle(run, used=5_000)
    assert (await harness.cap_usage(Cap.DAILY_UNITS)).spent == 0, "spent on the day it was held"
    harness.clock.set_wall(datetime(2026, 12, 1, 0, 30, tzinfo=UTC))
    assert (await harness.cap_usage(Cap.MONTHLY_UNITS)).spent == 0


async def test_a_clock_set_back_does_not_open_yesterdays_cap(harness: StoreHarness) -> None:
    harness.caps = replace(CAPS, daily_runs=1)
    await harness.ended(Outcome.OK)
    harness.clock.step_wall(-86_400)
    answer = await harness.claim(date="2026-11-24")
    assert answer.refusal is not None
    assert answer.refusal.cap_usage is not None
    assert answer.refusal.cap_usage.cap is Cap.DAILY_RUNS
    harness.caps = CAPS
    assert (await harness.claimed(date="2026-11-24")).day == "2026-11-23", "the day never goes back"


@pytest.mark.parametrize("years", [1, 30])
async def test_a_clock_that_was_far_ahead_does_not_keep_the_caps_on_its_day(harness: StoreHarness, years: int) -> None:
    harness.caps = replace(CAPS, daily_runs=1)
    await harness.ended(Outcome.OK, date="2026-11-22")
    harness.clock.step_wall(86_400 * 365 * years)
    await harness.ended(Outcome.OK, date="2026-11-23")
    harness.clock.step_wall(-86_400 * 365 * years)
    assert (await harness.claim(date="2026-11-24")).refusal is not None, "what was launched today still counts"
    harness.clock.step_wall(86_400)
    assert (await harness.claimed(date="2026-11-24")).day == "2026-11-24"
    harness.clock.step_wall(-86_400)
    assert (await harness.claim(date="2026-11-25")).refusal is not None, "this day does not open again either"


@pytest.mark.parametrize("value", ["9999-12-31", "3026-11-23"])
async def test_a_day_that_cannot_be_does_not_count(harness: StoreHarness, value: str) -> None:
    await harness.ended(Outcome.OK)

    async def unit(tx: Transaction) -> None:
        await fetch_all(tx, "update meta set value = :value where name = 'last_day'", {"value": value})

    await harness.store.database.transaction(unit)
    assert (await harness.cap_usage(Cap.DAILY_RUNS)).spent == 1
    assert (await harness.claimed(date="2026-11-24")).day == "2026-11-23"


async def test_a_refused_launch_moves_no_day(harness: StoreHarness) -> None:
    harness.caps = replace(CAPS, daily_runs=0)
    harness.clock.step_wall(86_400 * 30)
    assert (await harness.claim()).refusal is not None
    harness.clock.step_wall(-86_400 * 30)
    harness.caps = CAPS
    assert (await harness.claimed(date="2026-11-24")).day == "2026-11-23"


async def test_a_raise_counts_in_its_window_only_and_is_audited(harness: StoreHarness) -> None:
    ledger = harness.store.ledger
    for cap, amount in ((Cap.DAILY_UNITS, 7_500), (Cap.MONTHLY_UNITS, 1_000), (Cap.CONCURRENT_RUNS, 2)):
        await ledger.raise_cap(cap, task=None, amount=amount, caps=CAPS, by="anna", reason="month end", now=harness.now)
    await ledger.raise_cap(Cap.DAILY_UNITS, task=None, amount=500, caps=CAPS, by="anna", reason="more", now=harness.now)
    assert (await harness.cap_usage(Cap.DAILY_UNITS)).limit == 1_008_000
    assert (await harness.cap_usage(Cap.CONCURRENT_RUNS)).limit == 10
    note = (await harness.records())[0]
    told = {name: note.fields[name] for name in ("event", "cap", "amount", "window", "by", "why")}
    assert told == {
        "event": "raise",
        "cap": "daily_units",
        "amount": "7.5",
        "window": "2026-11-23",
        "by": "anna",
        "why": "month end",
    }
    harness.clock.advance(86_400)
    assert (await harness.cap_usage(Cap.DAILY_UNITS)).limit == CAPS.daily_units
    assert (await harness.cap_usage(Cap.MONTHLY_UNITS)).limit == 10_001_000
    harness.clock.advance(86_400 * 10)
    assert (await harness.cap_usage(Cap.MONTHLY_UNITS)).limit == CAPS.monthly_units


async def test_a_raise_of_a_tasks_cap_is_for_that_task(harness: StoreHarness) -> None:
    rails = Guardrails(max_ms=1, budget=BUDGET, daily_runs=1, daily_units=BUDGET)
    one, two = a_task("one", guardrails=rails), a_task("two", guardrails=rails)
    await harness.store.ledger.raise_cap(
        Cap.TASK_DAILY_RUNS, task="one", amount=1, caps=CAPS, by=BY, reason="r", now=harness.now
    )
    assert (await harness.cap_usage(Cap.TASK_DAILY_RUNS, one)).limit == 2
    assert (await harness.cap_usage(Cap.TASK_DAILY_RUNS, two)).limit == 1


async def test_unlimited_stays_unlimited(harness: StoreHarness) -> None:
    harness.caps = replace(CAPS, daily_units=None, monthly_units=None, daily_runs=None, concurrent_runs=None)
    await harness.store.ledger.raise_cap(
        Cap.DAILY_RUNS, task=None, amount=1, caps=CAPS, by=BY, reason="r", now=harness.now
    )
    cap_usages = await harness.store.ledger.cap_usages(harness.caps, harness.now)
    assert {cap_usage.limit for cap_usage in cap_usages} == {None}
    await harness.claimed()


@pytest.mark.parametrize(
    ("cap", "task", "amount"),
    [
        (Cap.DAILY_UNITS, None, 0),
        (Cap.DAILY_UNITS, None, 10**15 + 1),
        (Cap.DAILY_RUNS, None, 100_001),
        (Cap.DAILY_UNITS, "report", 1),
        (Cap.TASK_DAILY_RUNS, None, 1),
    ],
)
async def test_a_raise_that_makes_no_sense_is_refused(
    harness: StoreHarness, cap: Cap, task: str | None, amount: int
) -> None:
    with pytest.raises(ValueError, match=r"cap is raised|task"):
        await harness.store.ledger.raise_cap(
            cap, task=task, amount=amount, caps=CAPS, by=BY, reason="r", now=harness.now
        )


ZONES = (
    "UTC",
    "Europe/Berlin",
    "America/New_York",
    "Asia/Kolkata",
    "Australia/Lord_Howe",  # half an hour of summer time
    "America/Santiago",  # changes at midnight, which then does not exist
    "Asia/Beirut",  # changes at midnight too
    "Pacific/Apia",  # left out a whole day in 2011
    "Africa/Cairo",
)


def _moment(wall_ms: int) -> Timestamp:
    return Timestamp(wall_ms=wall_ms, boot_ms=0, boot_id="b")


@given(st.sampled_from(ZONES), st.integers(min_value=946_684_800_000, max_value=2_140_000_000_000))
def test_a_day_ends_where_the_next_one_begins(zone_name: str, wall_ms: int) -> None:
    zone, now = ZoneInfo(zone_name), _moment(wall_ms)
    day = day_of(now, zone, None)
    ends = day_ends_ms(day, zone)
    assert ends > now.wall_ms
    assert day_of(_moment(ends - 1), zone, None) == day
    assert day_of(_moment(ends), zone, None) > day
    month = month_ends_ms(day, zone)
    assert month >= ends
    assert month_of(day_of(_moment(month - 1), zone, None)) == month_of(day)
    assert month_of(day_of(_moment(month), zone, None)) > month_of(day)


@pytest.mark.parametrize(
    ("zone", "day", "ends"),
    [
        ("Europe/Berlin", "2026-03-29", "2026-03-29T22:00"),
        ("Europe/Berlin", "2026-10-25", "2026-10-25T23:00"),
        ("America/Santiago", "2026-09-05", "2026-09-06T04:00"),
        ("Pacific/Apia", "2011-12-29", "2011-12-30T10:00"),
        ("UTC", "2026-12-31", "2027-01-01T00:00"),
    ],
)
def test_the_days_on_which_clocks_change(zone: str, day: str, ends: str) -> None:
    instant = datetime.fromisoformat(ends).replace(tzinfo=UTC)
    assert day_ends_ms(day, ZoneInfo(zone)) == int(instant.timestamp() * 1000)


@given(st.dates(min_value=date(2000, 1, 1), max_value=date(2100, 1, 1)))
def test_a_clock_set_back_opens_no_second_day(last: date) -> None:
    now = _moment(int(datetime(2026, 11, 23, tzinfo=UTC).timestamp() * 1000))
    # Unless it was ahead by more than a month: the caps must not wait for that day.
    expected = "2026-11-23" if last > date(2026, 12, 24) else max(last.isoformat(), "2026-11-23")
    assert day_of(now, ZoneInfo("UTC"), last.isoformat()) == expected


@pytest.mark.parametrize(("day", "ends"), [("2026-02-28", "2026-03-01"), ("2026-12-31", "2027-01-01")])
def test_a_month_ends_with_its_last_day(day: str, ends: str) -> None:
    instant = datetime.fromisoformat(ends).replace(tzinfo=UTC)
    assert month_ends_ms(day, ZoneInfo("UTC")) == int(instant.timestamp() * 1000)
