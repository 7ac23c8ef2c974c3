"""What each kind of line adds to which day, and that a hold stays open until the ending of its run."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from console.domain.log_record import LogRecord, format_line
from console.domain.usage_stats import Bucket, UsageTotals, sum_totals
from console.journal.daily_totals import DailyTotals
from tests.journal.lines import logs

DAY = "2026-11-23"
RUN = "01kar9j1t099cbf4ezdbrxgred"


def line(status: str, *, units: int = 0, ms: int = 0, **fields: str) -> LogRecord:
    usual = {"task": "fix", "run": RUN, "stage": "semi", "day": DAY, "cost": "-", "currency": "-", "hold": "50.0"}
    return LogRecord(
        ev=1, at_ms=1000, key="9f2c51ab03de7714", status=status, elapsed_ms=ms, units=units, fields={**usual, **fields}
    )


def folded(*records: LogRecord) -> DailyTotals:
    series = DailyTotals()
    for record in records:
        series.add(record)
    return series


def test_an_ending_counts_on_the_day_of_its_hold() -> None:
    late = LogRecord(
        ev=1, at_ms=10**12, key="-", status="ok", units=5, fields={"day": DAY, "task": "t", "stage": "semi"}
    )
    series = folded(late)
    assert series.days() == (DAY,)
    assert series.day(DAY) == (
        Bucket(day=DAY, task="t", stage="semi", outcome="ok", totals=UsageTotals(runs=1, units=5, unpriced=1)),
    )
    assert series.day("2026-11-22") == ()


@pytest.mark.parametrize("outcome", ["ok", "failed", "incomplete", "budget", "timeout", "cancelled", "written_off"])
def test_entries_with_a_launched_agent_are_runs(outcome: str) -> None:
    series = folded(line(outcome, units=38_200, ms=412_300, cost="0.91", currency="USD"))
    figures = UsageTotals(runs=1, units=38_200, ms=412_300, cost=(("USD", 910_000),))
    assert [(bucket.outcome, bucket.totals) for bucket in series.day(DAY)] == [(outcome, figures)]


@pytest.mark.parametrize("outcome", ["rejected", "not_sent", "declined", "expired", "skipped", "refused"])
def test_entries_without_an_agent_are_no_runs_and_have_no_unknown_cost(outcome: str) -> None:
    (bucket,) = folded(line(outcome)).day(DAY)
    assert bucket.totals == UsageTotals(unlaunched=1)


@pytest.mark.parametrize("status", ["launched", "unconfirmed", "note", "unheard_of"])
def test_lines_that_are_no_endings_add_nothing(status: str) -> None:
    assert folded(line(status, units=5)).days() == ()


@pytest.mark.parametrize("day", ["-", "", "2026-11-23T00:00", "today"])
def test_an_ending_without_a_day_adds_nothing(day: str) -> None:
    assert folded(line("ok", units=5, day=day)).days() == ()


def test_money_is_summed_by_currency_and_unpriced_runs_are_counted() -> None:
    series = folded(
        line("ok", units=1, cost="0.10", currency="USD"),
        line("ok", units=1, cost="0.000001", currency="USD"),
        line("ok", units=1, cost="7", currency="EUR"),
        line("ok", units=1, cost="lots", currency="EUR"),
        line("ok", units=1, cost="1.0", currency="-"),
        line("ok", units=0),
    )
    figures = sum_totals(series.buckets())
    assert figures.cost == (("EUR", 7_000_000), ("USD", 100_001))
    assert (figures.runs, figures.unpriced) == (6, 2)


def test_a_hold_is_open_until_the_ending() -> None:
    series = folded(line("launched"))
    (hold,) = series.holds()
    assert (hold.run, hold.task, hold.stage, hold.day, hold.units) == (RUN, "fix", "semi", DAY, 50_000)
    assert (hold.since_ms, hold.confirmed) == (1000, True)
    series.add(line("note", event="stall"))
    assert len(series.holds()) == 1
    series.add(line("ok"))
    assert series.holds() == ()


def test_an_unconfirmed_run_has_a_hold_marked_as_such() -> None:
    series = folded(line("unconfirmed"))
    assert [hold.confirmed for hold in series.holds()] == [False]
    series.add(line("not_sent"))
    assert series.holds() == ()


def test_a_refused_approval_leaves_the_run_free_to_launch() -> None:
    series = folded(line("refused", reason="cap"), line("launched"))
    assert len(series.holds()) == 1


def test_a_launch_read_after_its_ending_holds_nothing() -> None:
    assert folded(line("ok"), line("launched")).holds() == ()


def test_the_memory_for_early_endings_is_bounded() -> None:
    series = folded(*(line("rejected", run=f"r{number}") for number in range(2000)))
    series.add(line("launched", run="r0"))
    series.add(line("launched", run="r1999"))
    assert [hold.run for hold in series.holds()] == ["r0"]


def test_holds_are_sorted_by_age_and_an_unreadable_amount_is_zero() -> None:
    series = folded(line("launched", run="b"), line("launched", run="a", hold="much"))
    assert [(hold.run, hold.units) for hold in series.holds()] == [("a", 0), ("b", 50_000)]


def test_a_range_of_days_includes_both_ends() -> None:
    series = folded(*(line("ok", day=f"2026-11-2{number}") for number in range(5)))
    assert [bucket.day for bucket in series.buckets("2026-11-21", "2026-11-23")] == [
        "2026-11-21",
        "2026-11-22",
        "2026-11-23",
    ]
    assert len(series.buckets()) == 5


def test_only_a_changed_day_is_built_anew() -> None:
    series = folded(line("ok", day="2026-11-22"), line("ok"))
    yesterday, today = series.day("2026-11-22"), series.day(DAY)
    series.add(line("ok"))
    assert series.day("2026-11-22") is yesterday
    assert series.day(DAY) != today
    assert today[0].totals.runs == 1


@given(logs())
def test_every_ending_of_a_day_is_in_exactly_one_bucket(records: list[LogRecord]) -> None:
    series = folded(*records)
    entries = Counter[tuple[str, str]]()
    for bucket in series.buckets():
        entries[bucket.day, bucket.outcome] += bucket.totals.runs + bucket.totals.unlaunched
    told = Counter(
        (record.fields["day"], record.status)
        for record in records
        if record.fields.get("day") in ("2026-11-22", DAY)
        and record.status not in ("launched", "unconfirmed", "note", "unheard_of")
    )
    assert entries == told
    endings = [record for record in records if (record.fields.get("day", ""), record.status) in told]
    assert sum_totals(series.buckets()).units == sum(record.units for record in endings)


_runs = st.lists(st.sampled_from([b"run=a", b"run=b", b"run=c", b"run=d"]), max_size=6)


@given(stretches=st.lists(st.tuples(_runs, _runs), max_size=5))
def test_following_in_bulk_equals_opening_and_closing_one_by_one(
    stretches: list[tuple[list[bytes], list[bytes]]],
) -> None:
    """Runs may end twice, end before their launch, or be launched again."""
    at_once, one_by_one = DailyTotals(), DailyTotals()
    for number, (launched, closed) in enumerate(stretches):
        lines = {
            run: format_line(
                LogRecord(ev=number, at_ms=number, key="-", status="launched", fields={"run": run[4:].decode()})
            )
            for run in launched
        }
        at_once.follow(lines, closed)
        for run, line in lines.items():
            one_by_one.open(run, line)
        one_by_one.close(closed)
        assert at_once.holds() == one_by_one.holds()
