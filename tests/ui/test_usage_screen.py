"""The usage screen over a fake engine: each key asks for another report, and errors are shown in its place."""

from __future__ import annotations

import pytest

from console.engine.usage import UsageQuery
from console.ui.glyphs import ASCII
from tests.driver import console
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
