"""The last filter before the terminal."""

from __future__ import annotations

import random

import pytest
from rich.cells import cell_len
from rich.segment import ControlType, Segment
from rich.style import Style
from textual.color import Color

from console.domain.text import is_unsafe
from console.ui.glyphs import ASCII
from console.ui.terminal.sanitize import SanitizingFilter
from tests.driver import console
from tests.ui.fake_engine import FakeEngine

BLACK = Color(0, 0, 0)
SEED = 8


def through(text: str, *, ascii_only: bool = False) -> str:
    return "".join(
        segment.text for segment in SanitizingFilter(ascii_only=ascii_only).apply([Segment(text, Style())], BLACK)
    )


@pytest.mark.parametrize(
    "payload",
    ["\x1b[2J", "\x1b]52;c;eA==\x07", "\x9b31m", "\x9d0;t\x9c", "\x00\x0e\x0f\x7f", "\u202e\u200b\u2066\ufeff"],
)
def test_no_control_or_invisible_character_passes(payload: str) -> None:
    passed = through(f"a{payload}b")
    assert passed.isprintable()
    assert passed[0] + passed[-1] == "ab"


def test_harmless_text_passes_as_it_is() -> None:
    for text in ("plain", "毎日 café", "━╸●◇", "no\u00a0break"):
        assert through(text) == text


def test_random_text_comes_out_printable_and_of_the_same_width() -> None:
    chance = random.Random(SEED)
    for _ in range(3000):
        text = "".join(
            chr(chance.choice([chance.randrange(0x20), chance.randrange(0x3000), 0x1F600])) for _ in range(9)
        )
        passed = through(text)
        assert not any(map(is_unsafe, passed))
        assert "\x1b" not in passed
        assert cell_len(passed) == cell_len(text), f"seed {SEED}: {text!r}"


def test_with_ascii_only_frames_are_drawn_alike_and_the_rest_is_a_question_mark_of_its_width() -> None:
    assert through("a毎é●\x1bz", ascii_only=True) == "a????z"
    assert through("╭──╮│x…│╰→─╯▆", ascii_only=True) == "+--+|x~|+>-+ "


def test_control_segments_are_left_out() -> None:
    control = Segment("", None, [(ControlType.CLEAR,)])
    assert SanitizingFilter().apply([control, Segment("a")], BLACK) == [Segment("a")]


async def test_every_widget_goes_through_it(idle: FakeEngine) -> None:
    async with console(idle, idle.clock, glyphs=ASCII) as screen:
        screen.app.notice = None
        await screen.press("colon")
        await screen.type("x")
        assert screen.text().isascii(), "borders and inputs of Textual's own too"
