"""The usage screen over a fake engine: each key asks for another report, and errors are shown in its place."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

import pytest

from console.domain.usage_stats import Measure
from console.engine.settings import ServiceSettings
from console.engine.usage import MemberTotal, UsageQuery, UsageReport
from console.ui.glyphs import ASCII
from console.ui.spans import Line
from console.ui.usage.chart import ChartStyle
from console.ui.usage.lines import last_start, table
from console.ui.usage.lines import lines as page
from tests.driver import console
from tests.ui import samples
from tests.ui.fake_engine import FakeEngine


async def test_the_page_says_what_was_used_who_grew_and_what_was_edited(busy: FakeEngine) -> None:
    async with console(busy, busy.clock) as screen:
        await screen.press("4")
        text = screen.text()
        for word in ("units a day by task, last 30 days", "cap 600", "log-digest", "share", "usually about 40"):
            assert word in text
        assert "changed: model: gemini-3.8-flash -> gemini-9-huge" in text
        assert "the cap will be reached on Nov 28" in text
        assert "4 usage" in screen.lines()[1]


@pytest.mark.parametrize(
    ("key", "asked"),
    [
        ("t", [("90", "units", "task"), ("365", "units", "task"), ("7", "units", "task"), ("30", "units", "task")]),
        ("u", [("30", "cost", "task"), ("30", "runs", "task"), ("30", "seconds", "task"), ("30", "units", "task")]),
        ("g", [("30", "units", "day"), ("30", "units", "outcome"), ("30", "units", "stage"), ("30", "units", "task")]),
    ],
)
async def test_each_key_goes_round(busy: FakeEngine, key: str, asked: list[tuple[str, str, str]]) -> None:
    async with console(busy, busy.clock) as screen:
        await screen.press("4")
        busy.asked.clear()
        for days, measure, group in asked:
            await screen.press(key)
            assert f"{measure} a day by {group}" in screen.text().replace("cost in USD", "cost")
            assert f"last {days} days" in screen.text()
    assert [each[1:] for each in busy.asked] == asked


async def test_providers_are_a_group_where_there_are_several(busy: FakeEngine) -> None:
    services = (ServiceSettings(), ServiceSettings(name="research"))
    busy.settings = replace(busy.settings, services=services)
    async with console(busy, busy.clock) as screen:
        await screen.press("4")
        for _ in range(4):
            await screen.press("g")
        assert "units a day by provider" in screen.text()
        await screen.press("g")
        assert "units a day by task" in screen.text()


async def test_an_unreadable_log_is_reported_and_recovers(busy: FakeEngine) -> None:
    async with console(busy, busy.clock) as screen:
        await screen.press("4")
        busy.broken = ValueError("the log is a directory")
        await screen.press("u")
        assert "the log is a directory" in screen.text()
        busy.broken = None
        await screen.press("u")
        assert "runs a day by task" in screen.text()


async def test_an_idle_screen_reads_the_log_no_more_often_than_it_must(busy: FakeEngine) -> None:
    async with console(busy, busy.clock) as screen:
        await screen.press("4")
        busy.asked.clear()
        for _ in range(4):
            busy.clock.advance(1)
            await screen.tick()
        assert busy.asked == []
        busy.clock.advance(1)
        await screen.tick()
        assert len(busy.asked) == 1


@pytest.mark.parametrize("size", [(80, 24), (120, 36), (200, 60), (40, 10)])
async def test_it_fits_every_terminal(busy: FakeEngine, size: tuple[int, int]) -> None:
    async with console(busy, busy.clock, size=size) as screen:
        await screen.press("4")
        assert "units a day" in screen.text()
        assert len(screen.lines()) == size[1]


async def test_members_differ_without_colour_and_without_unicode(busy: FakeEngine) -> None:
    async with console(busy, busy.clock, theme="mono") as screen:
        await screen.press("4")
        assert "▓ nightly-report" in screen.text()
    async with console(busy, busy.clock, glyphs=ASCII) as screen:
        await screen.press("4")
        assert "% nightly-report" in screen.text()
        assert screen.text().isascii()


def test_the_month_is_asked_for_by_default() -> None:
    assert UsageQuery().days == 30


def many(count: int, *, unpriced: int = 0) -> UsageReport:
    report = samples.usage_report(UsageQuery(measure=Measure.COST))
    members = tuple(
        MemberTotal(
            member=f"task-{number:02d}",
            value=0 if number < unpriced else 1_000_000 * (count - number),
            share=1 / count,
            before=0,
            runs=1,
            unpriced=int(number < unpriced),
        )
        for number in range(count)
    )
    return replace(report, members=members)


def text_of(lines: Sequence[Line]) -> list[str]:
    return ["".join(span.text for span in each).rstrip() for each in lines]


PEN = ChartStyle(patterned=False)


@pytest.mark.parametrize(("cells", "rows"), [(60, 17), (80, 21), (120, 33)])
def test_a_long_table_scrolls_with_its_header_and_total_and_counts_what_is_hidden(cells: int, rows: int) -> None:
    report = many(36)
    seen: set[str] = set()
    for first in range(last_start(report) + 1):
        shown = text_of(page(report, cells, rows, PEN, first))
        assert len(shown) <= rows
        assert any(each.lstrip().startswith("task ") for each in shown)
        assert any(each.strip().startswith("total") for each in shown)
        assert any("more below" in each or "above" in each for each in shown)
        seen |= {name for each in shown for name in re.findall(r"task-[0-9]+", each)}
    assert seen == {member.member for member in report.members}


def test_members_that_share_a_colour_are_listed_under_their_name() -> None:
    shown = text_of(table(many(9), 60, PEN))
    at = next(number for number, each in enumerate(shown) if "others, drawn as one:" in each)
    assert "task-05" in shown[at + 1]


def test_a_cost_that_is_not_known_is_never_shown_as_nothing() -> None:
    shown = text_of(table(many(3, unpriced=1), 60, PEN))
    row = next(each for each in shown if "task-00" in each)
    assert "unknown" in row
    assert "0.00" not in row
    assert "-" in row.split()[-2:]
    total = next(each for each in shown if "total" in each)
    assert ">3" in total, "what is known is a lower bound"


async def test_keys_scroll_the_table(busy: FakeEngine) -> None:
    async with console(busy, busy.clock, size=(60, 20)) as screen:
        await screen.press("4", "j", "end", "k", "home")
        assert "total" in screen.text()
