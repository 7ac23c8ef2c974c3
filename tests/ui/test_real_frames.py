"""A recorded session: the output by difference shows what Textual drew, and holds nothing else."""

from __future__ import annotations

import asyncio
import re
from typing import Any

import pytest
from textual.app import App
from textual.driver import Driver
from textual.pilot import Pilot

from console.domain.run import Outcome
from console.ui.app import ConsoleApp
from console.ui.context import Context
from console.ui.glyphs import UNICODE
from console.ui.terminal.renderer import DiffRenderer
from console.ui.theme import load_themes
from tests.ui import samples
from tests.ui.emulator import TerminalEmulator
from tests.ui.fake_engine import FakeEngine

WIDTH, HEIGHT = 100, 30
KNOWN = re.compile(r"\x1b\[[\d;]*m|\x1b\[\d+;\d+H|[^\x00-\x1f\x7f-\x9f]+|\n|\x07|\x1b\[\?2026[hl]|\x1b\]22;[a-z]+\x07")
"""Everything that Textual 8.2.8 writes while an app runs. Another version may write more, which must then be reviewed.
The last one sets the shape of the mouse pointer, which is not passed on."""


class RecordingDriver(Driver):
    """Records every frame as the terminal would get it from Textual's own driver."""

    frames: list[str]

    def __init__(
        self, app: App[Any], *, debug: bool = False, mouse: bool = True, size: tuple[int, int] | None = None
    ) -> None:
        super().__init__(app, debug=debug, mouse=mouse, size=size)
        self.frames = []

    def write(self, data: str) -> None:
        self.frames.append(data)

    def start_application_mode(self) -> None:
        pass

    def disable_input(self) -> None:
        pass

    def stop_application_mode(self) -> None:
        pass


class Comparison:
    """The plain output and the output by difference, each in an emulator of its own."""

    def __init__(self) -> None:
        self.plain, self.diffed = TerminalEmulator(WIDTH, HEIGHT), TerminalEmulator(WIDTH, HEIGHT)
        self.painter = DiffRenderer(WIDTH, HEIGHT)
        self.plain_bytes = self.diffed_bytes = 0

    def take(self, frames: list[str]) -> None:
        for frame in frames:
            assert KNOWN.sub("", frame) == "", f"Textual wrote something new: {KNOWN.sub('', frame)!r}"
            self.plain.feed(frame)
            self.painter.feed(frame)
            self.plain_bytes += len(frame.encode())
        frames.clear()
        sent = self.painter.frame()
        self.diffed_bytes += len(sent.encode())
        self.diffed.feed(sent)
        assert self.diffed.cells() == self.plain.cells()


async def test_a_refresh_of_forty_rows_costs_few_bytes_and_an_idle_one_none(idle: FakeEngine) -> None:
    idle.live = [samples.run(number, of=samples.TASKS[number % 5], sent_ago=7 * number + 5) for number in range(40)]
    context = Context(engine=idle, clock=idle.clock, glyphs=UNICODE, by="alice tty=yes")
    app = ConsoleApp(context, themes=load_themes(), theme="night", driver_class=RecordingDriver)
    ticks: list[int] = []
    painter = DiffRenderer(120, 60)

    async def watch(pilot: Pilot[object]) -> None:
        driver = app._driver
        assert isinstance(driver, RecordingDriver)
        await pilot.pause()
        for second in range(14):
            if second < 12:
                idle.clock.advance(1)
            await app.refresh_view()
            await pilot.pause()
            for frame in driver.frames:
                painter.feed(frame)
            driver.frames.clear()
            ticks.append(len(painter.frame().encode()))
        app.exit()

    await asyncio.wait_for(app.run_async(auto_pilot=watch, size=(120, 60)), 60)
    steady = sorted(ticks[2:12])
    assert steady[len(steady) // 2] <= 600, ticks
    assert max(steady) < 2000, ticks
    assert ticks[-1] == 0, "nothing changed and nothing is sent"


SHIFT = (
    *("j", "j", "j", "space", "space", "x", "escape", "enter", "pagedown", "escape"),
    *("question_mark", "j", "escape", "colon", "t", "h", "escape", "l", "n", "enter", "escape", "X", "right", "escape"),
    *("G", "pageup", "g", "x", "q", "escape"),
)


@pytest.mark.parametrize("theme", ["night", pytest.param("mono", marks=pytest.mark.proofs)])
async def test_a_session_is_drawn_the_same_with_and_without_the_diff(busy: FakeEngine, theme: str) -> None:
    busy.live += [samples.run(100 + number, of=samples.TASKS[number % 5], used=number) for number in range(12)]
    context = Context(engine=busy, clock=busy.clock, glyphs=UNICODE, by="alice tty=yes")
    app = ConsoleApp(context, themes=load_themes(), theme=theme, driver_class=RecordingDriver)
    comparison = Comparison()

    async def shift(pilot: Pilot[object]) -> None:
        driver = app._driver
        assert isinstance(driver, RecordingDriver)
        await pilot.pause()
        for key in SHIFT:
            await pilot.press(key)
            await app.background.wait()
            await pilot.pause()
            comparison.take(driver.frames)
        for second in range(8):
            busy.clock.advance(1)
            if second == 4:
                busy.end(busy.live[5].id, Outcome.FAILED)
            await app.refresh_view()
            await pilot.pause()
            comparison.take(driver.frames)
        app.exit()

    await asyncio.wait_for(app.run_async(auto_pilot=shift, size=(WIDTH, HEIGHT)), 60)
    assert comparison.diffed_bytes < comparison.plain_bytes / 3
