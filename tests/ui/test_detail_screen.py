"""The full screen of one run: search, the newest step in view, whole steps, wrapped lines."""

from __future__ import annotations

from dataclasses import replace

import pytest

from console.domain.run import Outcome, Run, RunId, StepRecord
from console.engine.models import RunDetail
from console.ui.runs.detail import DetailScreen
from console.ui.spans import Span, Tone, wrap
from tests.driver import Console, console
from tests.ui import samples
from tests.ui.fake_engine import FakeEngine

LONG = "reads " + " and ".join(f"part-{number}" for number in range(30)) + " LAST"


def with_steps(of: Run, count: int) -> RunDetail:
    """The details of a run with so many steps; the last one is longer than a line."""
    steps = [
        StepRecord(index=at, kind="tool", text=f"step number {at}", at_ms=samples.NOW.wall_ms, units=at, done=True)
        for at in range(count - 1)
    ]
    last = StepRecord(index=count - 1, kind="tool", text=LONG, at_ms=samples.NOW.wall_ms, units=count, done=False)
    return replace(samples.detail(of), steps=(*steps, last))


async def opened(screen: Console, engine: FakeEngine, monkeypatch: pytest.MonkeyPatch, counts: list[int]) -> None:
    """Open the detail of the fourth run, which has `counts[0]` steps at each read."""
    detail = engine.queries.detail

    async def many(run_id: RunId) -> RunDetail | None:
        found = await detail(run_id)
        return replace(with_steps(found.run, counts[0]), attempts=found.attempts) if found is not None else None

    monkeypatch.setattr(engine.queries, "detail", many)
    await screen.select(engine.live[3].id)
    await screen.press("enter")
    await screen.tick()


async def test_f_keeps_the_newest_step_in_view_until_somebody_scrolls_up(
    busy: FakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    counts = [60]
    async with console(busy, busy.clock, size=(80, 24)) as screen:
        await opened(screen, busy, monkeypatch, counts)
        assert "step number 58" not in screen.text()
        await screen.press("f")
        assert "step number 58" in screen.text()
        assert "following" in screen.text()
        counts[0] = 90
        await screen.tick()
        assert "step number 88" in screen.text()
        await screen.press("k")
        assert "following" not in screen.text()
        counts[0] = 120
        await screen.tick()
        assert "step number 118" not in screen.text()
        await screen.press("f")
        assert "step number 118" in screen.text()
        await screen.resize(120, 36)
        assert "step number 118" in screen.text()


async def test_following_an_ended_run_says_why_not(busy: FakeEngine) -> None:
    async with console(busy, busy.clock) as screen:
        await screen.select(busy.live[3].id)
        await screen.press("enter")
        busy.end(busy.live[3].id, Outcome.OK)
        await screen.tick()
        await screen.press("f")
        assert "it has ended: nothing to follow" in screen.bottom()


async def test_a_search_goes_from_match_to_match_and_esc_clears_it(
    busy: FakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with console(busy, busy.clock, size=(80, 24)) as screen:
        await opened(screen, busy, monkeypatch, [60])
        await screen.press("slash")
        await screen.type("Number 4")
        await screen.press("enter")
        assert "line 1 of 11 with Number 4" in screen.text()
        assert "step number 4" in screen.text()
        await screen.press("n")
        assert "line 2 of 11" in screen.text()
        assert "step number 40" in screen.text()
        await screen.press("N", "N")
        assert "line 11 of 11" in screen.text()
        assert "step number 49" in screen.text()
        assert "the search went on at the end" in screen.bottom()
        await screen.press("escape")
        assert isinstance(screen.app.screen, DetailScreen)
        assert "of 11" not in screen.text()
        await screen.press("n")
        assert "press / to search first" in screen.bottom()
        await screen.press("escape")
        assert not isinstance(screen.app.screen, DetailScreen)


async def test_a_search_finds_also_what_has_no_room_on_the_line(
    busy: FakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with console(busy, busy.clock, size=(60, 20)) as screen:
        await opened(screen, busy, monkeypatch, [3])
        await screen.press("slash")
        await screen.type("part-29")
        assert "line 1 of 1 with part-29" in screen.text()
        assert "part-29 LAST" in screen.text()
        await screen.press("escape", "escape")
        assert "part-29" not in screen.text()


async def test_letters_of_a_search_act_on_nothing(busy: FakeEngine) -> None:
    async with console(busy, busy.clock) as screen:
        await screen.select(busy.live[3].id)
        await screen.press("enter", "slash", "x", "f", "w")
        assert busy.asked == []
        assert "no line with xfw" in screen.text()


async def test_enter_shows_steps_with_their_whole_text_and_w_wraps_the_other_lines(
    busy: FakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with console(busy, busy.clock, size=(80, 24)) as screen:
        await opened(screen, busy, monkeypatch, [3])
        await screen.press("G")
        assert "part-1 " in screen.text()
        assert "LAST" not in screen.text()
        await screen.press("enter", "G")
        assert "LAST" in screen.text()
        assert "whole steps" in screen.text()
        await screen.press("enter", "g")
        busy.change(replace(busy.live[3], trouble=" ".join(f"reason-{number}" for number in range(36))))
        await screen.tick()
        assert "reason-35" not in screen.text()
        await screen.press("w")
        assert "reason-35" in screen.text()
        assert "wrapped" in screen.text()
        assert max(map(len, screen.lines())) <= 80


def test_wrapping_keeps_every_word_and_tone_and_no_piece_is_too_wide() -> None:
    line = (Span("label      ", Tone.MUTED), Span("one two three 日本語 "), Span("x" * 30, Tone.BAD), Span(" end"))
    for cells in (10, 12, 20, 33, 100):
        pieces = wrap(line, cells, indent=4)
        texts = ["".join(span.text for span in piece) for piece in pieces]
        assert "".join("".join(texts).split()) == "labelonetwothree日本語" + "x" * 30 + "end"
        assert all(sum(2 if ord(c) > 0x2E80 else 1 for c in text) <= cells for text in texts)
        assert "".join(span.text for piece in pieces for span in piece if span.tone is Tone.BAD) == "x" * 30
