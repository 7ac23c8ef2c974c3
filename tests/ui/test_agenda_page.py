"""`5` shows the agenda over any screen, at every width, and the question of a promotion says what it can cost."""

from __future__ import annotations

from dataclasses import replace

import pytest

from console.ui.dialogs.help import TextPage
from console.ui.glyphs import ASCII, UNICODE
from console.ui.pages.agenda import MOST_LINES, agenda_lines
from tests.driver import console
from tests.ui import samples
from tests.ui.fake_engine import FakeEngine


@pytest.mark.parametrize("size", [(60, 20), (80, 24), (120, 36), (200, 60)])
async def test_the_agenda_shows_each_time_with_its_effect_and_reason(busy: FakeEngine, size: tuple[int, int]) -> None:
    async with console(busy, busy.clock, size=size) as screen:
        await screen.press("5")
        assert isinstance(screen.app.screen, TextPage)
        text = screen.text()
        for word in ("05:00 CET", "nightly-rep", "run", "fits", "proposal", "likely", "skipped"):
            assert word in text
        assert "the clocks change before it, to CET" in text
        assert ("04:00" in text) == (size[0] >= 100), "UTC has a column where there is room"
        await screen.press("q")
        assert not isinstance(screen.app.screen, TextPage)
    assert ("agenda", "24") in busy.asked


async def test_the_agenda_is_plain_ascii_where_the_terminal_is(busy: FakeEngine) -> None:
    async with console(busy, busy.clock, glyphs=ASCII) as screen:
        await screen.press("5")
        assert screen.text().isascii()


async def test_an_agenda_that_cannot_be_read_is_one_notice(busy: FakeEngine) -> None:
    async with console(busy, busy.clock) as screen:
        busy.broken = ValueError("the store is busy")
        await screen.press("5")
        assert "the store is busy" in screen.bottom()


async def test_a_promotion_says_what_the_schedule_can_take_in_a_day(busy: FakeEngine) -> None:
    async with console(busy, busy.clock) as screen:
        await screen.press("3", "p")
        text = " ".join(screen.dialog.split())
        assert "at most 5 runs a day: 400 units, 21.00 USD." in text
        assert "daily_units is 2000; other schedules can hold 300 of it: 1700 left." in text


def test_a_page_that_would_take_long_is_cut_and_says_so() -> None:
    agenda = samples.agenda()
    many = replace(agenda, entries=agenda.entries[:1] * (MOST_LINES + 1))
    shown = agenda_lines(many, 80, UNICODE)
    assert len(shown) == MOST_LINES + 2
    assert shown[-1][0].text == f"only the first {MOST_LINES}: `nightdesk next` lists more"
