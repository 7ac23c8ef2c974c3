"""Charts as text, at the widths of real terminals. `python -m tests.ui.test_usage_chart` writes the pictures anew."""

from __future__ import annotations

import re
from datetime import date, timedelta
from functools import cache
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from console.domain.usage_stats import Group, Measure
from console.engine.usage import UsageQuery
from console.ui.spans import Line, Tone, width
from console.ui.usage.chart import (
    OTHERS,
    PATTERNS,
    SERIES,
    Chart,
    ChartStyle,
    amount,
    columns,
    drawn_members,
    month_course,
)
from console.ui.usage.lines import lines, printed
from tests.ui.samples import usage_report

PICTURES = Path(__file__).parent / "charts"
TODAY = date(2026, 11, 23)
PLAIN = ChartStyle(patterned=True)
SIZES = ((80, 24), (120, 36), (200, 60))


def text(drawn: list[Line]) -> str:
    return "".join("".join(span.text for span in line).rstrip() + "\n" for line in drawn)


def days(count: int) -> list[str]:
    return [(TODAY - timedelta(days=back)).isoformat() for back in range(count - 1, -1, -1)]


def chart(count: int, members: int = 3, **more: object) -> Chart:
    """Members of falling size, rising slowly."""
    names = [f"task-{number}" for number in range(members)]
    bars = {
        day: {name: (at % 30 + 10) * 1_000 // (number + 1) for number, name in enumerate(names)}
        for at, day in enumerate(days(count))
    }
    return Chart(days=days(count), bars=bars, members=names, **more)  # type: ignore[arg-type]  # fields of Chart


@cache
def pictures() -> dict[str, str]:
    """By file name: the screen and the shell at each width, a year, and one without Unicode."""
    found = {}
    for cells, rows in SIZES:
        report = usage_report(UsageQuery(days=30))
        found[f"screen-{cells}.txt"] = text(lines(report, cells, rows - 4, PLAIN))
        found[f"shell-{cells}.txt"] = text(printed(report, cells, PLAIN))
        year = chart(365, 8, cap=100_000, held=20_000)
        found[f"year-{cells}.txt"] = text(columns(year, cells, 16, PLAIN, scale="units"))
    ascii_only = ChartStyle(patterned=True, ascii_only=True)
    found["ascii-80.txt"] = text(columns(chart(30, cap=50_000), 80, 16, ascii_only, scale="units"))
    return found


@pytest.mark.parametrize("name", sorted(pictures()))
def test_a_chart_looks_as_recorded(name: str) -> None:
    assert pictures()[name] == (PICTURES / name).read_text(encoding="utf-8")


@settings(max_examples=60, deadline=None)
@given(
    count=st.integers(1, 365),
    members=st.integers(0, 9),
    cells=st.integers(1, 220),
    rows=st.integers(1, 60),
    cap=st.none() | st.integers(0, 10**12),
    held=st.integers(0, 10**9),
    patterned=st.booleans(),
)
def test_every_line_is_as_wide_as_the_screen(
    count: int, members: int, cells: int, rows: int, cap: int | None, held: int, patterned: bool
) -> None:
    drawn = columns(
        chart(count, members, cap=cap, held=held), cells, rows, ChartStyle(patterned=patterned), scale="units"
    )
    assert len(drawn) <= rows
    assert {width(line) for line in drawn} <= {cells}


def test_no_spike_is_lost_where_days_share_a_column() -> None:
    bars = {day: {"a": 1_000} for day in days(365)}
    spike = days(365)[123]
    bars[spike] = {"a": 100_000}
    made = Chart(days=days(365), bars=bars, members=["a"], marked=frozenset({spike}))
    drawn = columns(made, 80, 20, ChartStyle(patterned=False), scale="units")
    assert "█" in "".join(span.text for span in drawn[1])
    assert text(drawn).count("▲") == 1


def test_what_is_beyond_six_members_is_one() -> None:
    names = [f"m{number}" for number in range(9)]
    assert drawn_members(names) == (*names[:5], OTHERS)
    assert drawn_members(names[:6]) == tuple(names[:6])
    assert len(PATTERNS) == len(SERIES) == len(set(PATTERNS))


def test_the_cap_is_a_line_and_holds_are_on_top() -> None:
    drawn = columns(chart(7, cap=60_000, held=30_000), 60, 20, ChartStyle(patterned=False), scale="units")
    capped = [line for line in drawn if any("╌" in span.text for span in line)]
    assert len(capped) == 1
    assert any(span.tone is Tone.HELD for line in drawn for span in line)


@pytest.mark.parametrize(
    ("value", "scale", "shown"),
    [
        (38_200, "units", "38.2"),
        (0, "units", "0"),
        (12_345_678, "units", "12.3k"),
        (910_000, "cost", "0.91"),
        (42, "runs", "42"),
        (95_000, "seconds", "95s"),
        (7_200_000, "seconds", "2.0h"),
    ],
)
def test_amounts_are_short(value: int, scale: str, shown: str) -> None:
    assert amount(value, scale) == shown
    assert len(shown) <= 7


@pytest.mark.parametrize("measure", Measure)
@pytest.mark.parametrize("group", Group)
@pytest.mark.parametrize(("cells", "rows"), [*SIZES, (40, 10)])
def test_every_page_fits(measure: Measure, group: Group, cells: int, rows: int) -> None:
    report = usage_report(UsageQuery(days=30, measure=measure, group=group))
    drawn = lines(report, cells, rows, PLAIN)
    assert len(drawn) <= max(rows, 12)
    assert all(width(line) <= cells for line in drawn)


if __name__ == "__main__":
    PICTURES.mkdir(exist_ok=True)
    for name, picture in pictures().items():
        (PICTURES / name).write_text(picture, encoding="utf-8")


@pytest.mark.parametrize(("last_day", "cells"), [(30, 60), (31, 48), (28, 36)])
def test_the_course_of_the_month_names_whole_days(last_day: int, cells: int) -> None:
    *_, axis, days = (each[0].text for each in month_course([10_000] * 20, 900_000, last_day, cells, 9))
    named = [int(day) for day in days.split()]
    assert named[0] == 1
    assert named[-1] == last_day
    assert named == sorted(set(named))
    for day, at in zip(re.finditer(r"\d+", days), re.finditer("┬", axis), strict=True):
        assert day.start() <= at.start() <= day.end()


def test_the_axis_of_a_period_without_usage_has_one_zero() -> None:
    empty = Chart(days=days(7), bars={}, members=["report"])
    labels = [row.split()[0] for row in text(columns(empty, 80, 16, PLAIN, scale="units")).splitlines() if row.strip()]
    assert labels.count("0") == 1
