"""The fast path gives the sums of the strict parser to the last digit, whatever the log contains."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from console.domain.log_record import LogParseError, LogRecord, format_line, parse_line
from console.domain.usage_stats import Group, sum_totals, totals_by_day
from console.journal.aggregate import LogAggregator
from console.journal.daily_totals import DailyTotals
from console.journal.log_reader import IntervalSet
from tests.journal.lines import logs

SEED = 20_261_123


def strictly(block: bytes) -> tuple[DailyTotals, int, int, tuple[tuple[int, int], ...]]:
    """Parse line by line and return totals, foreign lines, duplicates and gaps."""
    series, seen, foreign, doubles = DailyTotals(), IntervalSet(), 0, 0
    for line in filter(None, block.split(b"\n")):
        try:
            record = parse_line(line)
        except LogParseError:
            foreign += 1
            continue
        if seen.add(record.ev):
            series.add(record)
        else:
            doubles += 1
    return series, foreign, doubles, seen.gaps()


def check_same(block: bytes, *, blocks: int = 1) -> LogAggregator:
    fold = LogAggregator()
    lines = block.splitlines(keepends=True)
    for number in range(blocks):
        fold.add(b"".join(lines[len(lines) * number // blocks : len(lines) * (number + 1) // blocks]))
    series, foreign, doubles, holes = strictly(block)
    assert fold.totals.buckets() == series.buckets()
    assert fold.totals.holds() == series.holds()
    assert (fold.foreign, fold.duplicates, fold.seen.gaps()) == (foreign, doubles, holes)
    return fold


@given(logs(), st.integers(1, 3))
def test_a_log_is_summed_as_the_strict_parser_sums_it(records: list[LogRecord], blocks: int) -> None:
    check_same(b"".join(map(format_line, records)), blocks=blocks)


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    """Draw a log with lines torn, run together, repeated, swapped, changed or foreign."""
    lines = [format_line(record) for record in draw(logs(max_size=40))]
    for _ in range(draw(st.integers(1, 4))):
        if not lines:
            break
        at = draw(st.integers(0, len(lines) - 1))
        line = lines[at]
        match draw(st.sampled_from(["tear", "glue", "double", "swap", "change", "foreign", "lose", "blank"])):
            case "tear":
                lines[at] = line[: draw(st.integers(0, len(line)))].rstrip(b"\n") + b"\n"
            case "glue":
                lines[at] = line[: draw(st.integers(0, len(line)))].rstrip(b"\n")
            case "double":
                lines.insert(draw(st.integers(0, len(lines))), line)
            case "swap":
                lines.append(lines.pop(at))
            case "change":
                position = draw(st.integers(0, max(0, len(line) - 2)))
                lines[at] = line[:position] + bytes([draw(st.integers(32, 126))]) + line[position + 1 :]
            case "foreign":
                lines.insert(at, draw(st.binary(max_size=120)).replace(b"\n", b"") + b"\n")
            case "lose":
                del lines[at]
            case "blank":
                lines.insert(at, b"\n")
    return b"".join(lines).replace(b"\r", b"")


@given(damaged(), st.integers(1, 2))
def test_a_damaged_log_is_summed_as_the_strict_parser_sums_it(block: bytes, blocks: int) -> None:
    check_same(block if block.endswith(b"\n") else block + b"\n", blocks=blocks)


def night(count: int, *, first: int = 1) -> list[LogRecord]:
    """Return `count` records of launches and endings as the store writes them, some with quoted values."""
    source, records = random.Random(SEED), []
    for number in range(count // 2):
        run = f"01kar9j1t099cbf4ezdbrx{number:04d}"
        common = {"task": source.choice(["fix", "report"]), "run": run, "attempt": "1", "stage": "semi"}
        common |= {"origin": "schedule", "reason": "-", "day": f"2026-11-{10 + number % 9}"}
        launch = {**common, "tokens": "0", "cost": "-", "currency": "-", "hold": "50.0", "remote": source.choice("ab ")}
        ending = {**common, "tokens": "5", "cost": f"{source.randrange(10**7) / 10**6:.6f}", "currency": "USD"}
        if number % 5 == 0:
            ending |= {"provider": "research"}
        units, elapsed_ms = source.randrange(10**6), source.randrange(10**7)
        records.append(LogRecord(ev=0, at_ms=number, key="9f2c51ab03de7714", status="launched", fields=launch))
        records.append(
            replace(records[-1], status="ok", units=units, elapsed_ms=elapsed_ms, fields={**ending, "hold": "50.0"})
        )
    return [replace(record, ev=first + number) for number, record in enumerate(records)]


def test_a_long_log_is_summed_exactly() -> None:
    records = night(6000, first=9_500)
    fold = check_same(b"".join(map(format_line, records)), blocks=7)
    figures = sum_totals(fold.totals.buckets())
    assert figures.runs == 3000
    assert figures.units == sum(record.units for record in records)
    assert fold.totals.holds() == ()


def test_each_provider_is_summed_for_itself() -> None:
    endings = [record for record in night(2000) if record.status == "ok"]
    numbered = (replace(record, ev=1000 + number) for number, record in enumerate(endings))
    fold = check_same(b"".join(map(format_line, numbered)))
    by_provider = totals_by_day(fold.totals.buckets(), Group.PROVIDER)
    runs = Counter({name: 0 for name in ("default", "research")})
    for members in by_provider.values():
        runs.update({name: totals.runs for name, totals in members.items()})
    assert runs == {"default": 800, "research": 200}
    assert fold.one_by_one < 10, "the lines of both are summed in bulk"


@pytest.mark.parametrize("damage", [b"", b"ts=torn", b"\xff\x00"])
def test_an_irregular_line_slows_down_only_itself(damage: bytes) -> None:
    lines = [format_line(record) for record in night(2000)]
    lines[777] = damage + b"\n"
    fold = check_same(b"".join(lines))
    assert fold.seen.gaps() == ((778, 778),)
    assert fold.foreign == (1 if damage else 0)


def _with_units(record: LogRecord) -> LogRecord:
    return replace(record, units=10**15 + 1)


def _with_time(record: LogRecord) -> LogRecord:
    return replace(record, elapsed_ms=10**15 + 100)


def _with_cost(record: LogRecord) -> LogRecord:
    return replace(record, fields={**record.fields, "cost": "1000000000000.000001"})


@pytest.mark.parametrize("enlarged", [_with_units, _with_time, _with_cost])
def test_figures_too_large_for_floats_are_exact(enlarged: Callable[[LogRecord], LogRecord]) -> None:
    records = [enlarged(record) if record.status == "ok" else record for record in night(100)]
    check_same(b"".join(map(format_line, records)))


def test_a_quoted_value_cannot_forge_the_fields_that_follow_it() -> None:
    forged = "x day=2020-01-01 tokens=0 cost=900.0 currency=USD hold=0.0 run=a"
    records = [replace(record, fields={**record.fields, "reason": forged}) for record in night(40)]
    fold = check_same(b"".join(map(format_line, records)))
    assert all(bucket.day.startswith("2026-11-1") for bucket in fold.totals.buckets())
    assert max(dict(bucket.totals.cost).get("USD", 0) for bucket in fold.totals.buckets()) < 900_000_000


def test_a_log_with_another_order_of_fields_is_summed_correctly() -> None:
    records = [replace(record, fields=dict(reversed(list(record.fields.items())))) for record in night(200)]
    assert sum_totals(check_same(b"".join(map(format_line, records))).totals.buckets()).runs == 100


def test_clearing_the_cache_changes_no_sum() -> None:
    block = b"".join(map(format_line, night(2000)))
    fold = LogAggregator(max_forms=1)
    for line in range(0, len(block), 20_000):
        fold.add(block[block.rfind(b"\n", 0, line) + 1 : block.rfind(b"\n", 0, line + 20_000) + 1])
    assert fold.totals.buckets() == strictly(block)[0].buckets()
