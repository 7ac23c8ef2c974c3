"""Drives the console in a test as an operator does: keys go in, the text of the screen comes out."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from unittest.mock import patch

from textual.css.model import RuleSet
from textual.css.stylesheet import Stylesheet
from textual.css.types import CSSLocation
from textual.pilot import Pilot

from console.domain.run import RunId
from console.domain.timestamps import Clock
from console.ui.app import ConsoleApp
from console.ui.context import Context, Contexts, ExitResult, Leave, SessionInfo
from console.ui.dialogs.dialog import Dialog
from console.ui.glyphs import UNICODE, Glyphs
from console.ui.ports import EnginePort
from console.ui.runs.table import RunTable
from console.ui.state.preferences import Preferences
from console.ui.theme import load_themes
from tests.waiting import until

SIZE = (120, 36)
MOST_DRAWINGS = 50
"""How often the screen may be drawn anew after a key until nothing changes any more."""
MOST_TURNS = 500
"""How many turns of the event loop the messages of one key may take until the screen is drawn all the same."""


class Console:
    """A page object over Textual's pilot."""

    def __init__(self, app: ConsoleApp, pilot: Pilot[ExitResult]) -> None:
        self.app = app
        self._pilot = pilot

    async def press(self, *keys: str) -> None:
        """Presses keys one after the other; returns once all that they started is done."""
        for key in keys:
            await self.app._press_keys([key])
            await self.settle()
            # Keys come faster here than anybody types; one after the other they are no burst all the same.
            self.app.key_queue.forget_arrivals()

    async def press_only(self, key: str) -> None:
        """Presses a key and does not wait for what it starts."""
        await self._pilot.press(key)

    async def type(self, text: str) -> None:
        """Types text into the input that has the focus."""
        await self._pilot.press(*("space" if character == " " else character for character in text))
        await self.settle()

    async def tick(self) -> None:
        """Refreshes the screen from the engine, as the timer does every second."""
        await self.app.refresh_view()
        await self.settle()

    async def settle(self) -> None:
        """Waits until all pending work is done and drawn."""
        for _ in range(MOST_DRAWINGS):
            # A layout tells widgets of their new size; what they do about it asks for another drawing.
            await self._until_idle()
            if not self.app.is_running:
                return
            await until(self._may_draw, within=30, what="Textual draws again after a change of screen")
            # Empty queues say nothing of a message that is being handled: after the pause all have been.
            await self._pilot.pause(0)
            if not self.app.is_running or (self._is_idle() and self._is_drawn()):
                return
        raise AssertionError(f"the screen still changes after {MOST_DRAWINGS} drawings")

    async def _until_idle(self) -> None:
        """Waits until no key, no message and no background work is left."""
        for _ in range(MOST_TURNS):
            await asyncio.sleep(0)
            if not self.app.is_running:
                return
            await until(self._has_taken_every_key, within=30, what="every key is taken")
            await self.app.background.wait()
            await self.app.animator.wait_until_complete()
            if self._is_idle():
                return

    def _may_draw(self) -> bool:
        return self.app._batch_count == 0 or not self.app.is_running

    def _is_drawn(self) -> bool:
        """True when the screen has nothing to lay out or to paint."""
        screen = self.app.screen
        to_draw = screen._layout_required or screen._scroll_required or screen._repaint_required
        return not (to_draw or screen._dirty_widgets or screen._callbacks)

    def _is_idle(self) -> bool:
        """True when no widget has a message to handle."""
        nodes = (self.app, *self.app.screen.walk_children(with_self=True))
        return all(node.message_queue_size == 0 and not node._next_callbacks for node in nodes)

    def _has_taken_every_key(self) -> bool:
        return self.app.key_queue.is_idle or not self.app.is_running

    async def resize(self, width: int, height: int) -> None:
        """Gives the terminal another size."""
        await self._pilot.resize_terminal(width, height)
        await self.settle()

    async def click(self, x: int, y: int) -> None:
        """Clicks on a cell of the screen."""
        await self._pilot.click(offset=(x, y))
        await self.settle()

    async def select(self, run_id: RunId) -> None:
        """Moves the cursor to a run with keys. Fails where it has no row."""
        rows = self.table.order
        assert run_id in rows, f"{run_id} is not in the table"
        await self.press("g", *["j"] * rows.index(run_id))
        assert self.cursor == run_id

    @property
    def table(self) -> RunTable:
        """The table of live runs, also while a dialog covers it."""
        return next(iter(screen.query_one(RunTable) for screen in self.app.screen_stack if screen.query(RunTable)))

    @property
    def cursor(self) -> RunId | None:
        """The run under the cursor."""
        return self.table.cursor

    def lines(self) -> list[str]:
        """The lines of the screen, without trailing blanks."""
        strips = self.app.screen._compositor.render_strips(self.app.size)
        return ["".join(segment.text for segment in strip).rstrip() for strip in strips]

    def text(self) -> str:
        """The screen as one text."""
        return "\n".join(self.lines())

    def row(self, run_id: RunId) -> str:
        """The line of a run in the table."""
        top, index = self.table.region.y + 1, self.table._order.ids.index(run_id)
        return self.lines()[top + index - self.table.scroll_offset.y]

    def bottom(self) -> str:
        """The bottom line."""
        return self.lines()[-1].strip()

    @property
    def dialog(self) -> str:
        """The text of the open dialog. Fails where there is none."""
        screen = self.app.screen
        assert isinstance(screen, Dialog), f"no dialog is open, but {screen}"
        return "\n".join("".join(span.text for span in line).rstrip() for line in screen.text)

    @property
    def asks(self) -> bool:
        """True while a dialog is open."""
        return isinstance(self.app.screen, Dialog)


@asynccontextmanager
async def console(
    engine: EnginePort,
    clock: Clock,
    *,
    size: tuple[int, int] = SIZE,
    theme: str = "night",
    glyphs: Glyphs = UNICODE,
    read_only: bool = False,
    liftable: bool = False,
    leave: Leave | None = None,
    leave_scheduler: Leave | None = None,
    session: SessionInfo | None = None,
    contexts: Contexts | None = None,
    in_tmux: bool = False,
    slow: bool = False,
    preferences: Preferences | None = None,
) -> AsyncIterator[Console]:
    """A console over `engine`, without a terminal."""
    context = Context(
        engine=engine,
        clock=clock,
        glyphs=glyphs,
        by="alice tty=yes",
        read_only=read_only,
        liftable=liftable,
        leave=leave,
        leave_scheduler=leave_scheduler,
        in_tmux=in_tmux,
        session=session or SessionInfo(user="ops", host="web1"),
        contexts=contexts or Contexts(),
        is_locked=read_only and not liftable,
        preferences=preferences or Preferences(),
    )
    app = ConsoleApp(context, themes=load_themes(), theme=theme, slow=slow)
    # Keys arrive as fast as from a terminal; `press` waits for their effect, not the pilot after each key.
    # A style sheet costs more than all else of a start, and is the same in each.
    with (
        patch("textual.app.wait_for_idle", _no_pause),
        patch("textual.css.stylesheet.Stylesheet._parse_rules", _parsed_once),
    ):
        async with app.run_test(size=size) as pilot:
            driver = Console(app, pilot)
            await driver.settle()
            yield driver


_PARSED: dict[object, list[RuleSet]] = {}
_parse_rules = Stylesheet._parse_rules


def _parsed_once(sheet: Stylesheet, css: str, read_from: CSSLocation, **details: Any) -> list[RuleSet]:
    """`Stylesheet._parse_rules`, which every app keeps the rules of for itself."""
    key = (css, read_from, *details.items(), *sheet._variables.items())
    if key not in _PARSED:
        _PARSED[key] = _parse_rules(sheet, css, read_from, **details)
    return _PARSED[key]


async def _no_pause(_: float = 0) -> None:
    await asyncio.sleep(0)
