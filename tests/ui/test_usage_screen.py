"""The usage screen over a fake engine: each key asks for another report, and errors are shown in its place."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

import pytest

from console.domain.month_projection import MonthProjection
from console.domain.usage_stats import Measure
from console.engine.settings import ServiceSettings
from console.engine.usage import MemberTotal, UsageQuery, UsageReport
from console.ui.filtering.line import FilterLine
from console.ui.glyphs import ASCII
from console.ui.spans import Line
from console.ui.usage.chart import ChartStyle
from console.ui.usage.lines import Selection, month_forecast, table
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
    for member in report.members:
        shown = text_of(page(report, cells, rows, PEN, Selection(member=member.member)))
        assert any(each.startswith(f"▌█ {member.member}") or each.startswith(f"▌  {member.member}") for each in shown)
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


async def test_the_cursor_of_the_table_moves_and_leaves_at_its_top(busy: FakeEngine) -> None:
    async with console(busy, busy.clock, size=(80, 24)) as screen:
        await screen.press("4", "j")
        assert "▌█ log-digest" in screen.text()
        await screen.press("end")
        assert "▌█ nightly-report" in screen.text()
        await screen.press("home", "k")
        assert "▌" not in screen.text()
        assert "total" in screen.text()


@pytest.mark.parametrize(
    ("keys", "wanted"),
    [
        (("enter",), "since:2026-11-01 until:2026-11-23"),
        (("left", "enter"), "since:2026-11-23 until:2026-11-23"),
        (("left", "left", "right", "right", "enter"), "since:2026-11-01 until:2026-11-23"),
        (("left", "left", "down", "enter"), "task:log-digest since:2026-11-22 until:2026-11-22"),
        (("down", "down", "left", "escape", "enter"), "since:2026-11-01 until:2026-11-23"),
    ],
)
async def test_enter_shows_the_history_behind_the_bar_and_the_row(
    busy: FakeEngine, keys: tuple[str, ...], wanted: str
) -> None:
    async with console(busy, busy.clock) as screen:
        await screen.press("4", *keys)
        assert "2 history" in screen.text()
        assert screen.app.current_mode == "history"
        assert screen.app.screen.query_one(FilterLine).text == wanted
        await screen.press("4", "enter")
        assert screen.app.current_mode == "history"


async def test_the_day_under_the_cursor_is_marked_and_its_figure_shown(busy: FakeEngine) -> None:
    async with console(busy, busy.clock) as screen:
        await screen.press("4", "left")
        assert "Mon 23 Nov: 51 units" in screen.text()
        assert "◆" in screen.text()
        await screen.press("u")
        assert "cost in USD" in screen.text()
        assert "Mon 23 Nov: 0.05 USD" in screen.text(), "money has its currency"


@pytest.mark.parametrize(
    ("keys", "wanted"),
    [
        # Another measure and another period keep what is selected; another group has other rows.
        (("down", "left", "u"), "task:log-digest since:2026-11-23 until:2026-11-23"),
        (("down", "left", "g"), "since:2026-11-23 until:2026-11-23"),
        # Ten days back is not in a week.
        (("down", *["left"] * 10, "t", "t", "t"), "task:log-digest since:2026-11-17 until:2026-11-23"),
    ],
)
async def test_what_is_not_on_the_screen_is_not_selected(busy: FakeEngine, keys: tuple[str, ...], wanted: str) -> None:
    async with console(busy, busy.clock) as screen:
        await screen.press("4", *keys, "enter")
        assert screen.app.screen.query_one(FilterLine).text == wanted


def test_money_is_in_every_line_where_money_is_the_measure() -> None:
    report = samples.usage_report(UsageQuery(measure=Measure.COST))
    projection = MonthProjection(
        so_far=41_200_000, expected=88_000_000, low=75_100_000, high=101_000_000, per_day=1, last_day="2026-11-30"
    )
    report = replace(report, projection=projection, month_unpriced=2)
    assert text_of(month_forecast(report))[0] == (
        " November: 41.2 USD so far, about 88 USD at its end (75.1 to 101 USD)"
        "; not included: 2 runs without a known price"
    )
    shown = text_of(page(report, 120, 60, PEN))
    assert any("cost in USD of November by day" in each for each in shown)
    assert [each for each in shown if "usually about" in each and each.count("USD") >= 2]
    assert [each for each in shown if "USD" in each and "share" in each]
