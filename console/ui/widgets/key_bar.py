"""The line at the bottom: the keys that work here, or until the next key what came of the last one."""

from __future__ import annotations

from dataclasses import dataclass

from textual import events
from textual.message import Message
from textual.reactive import reactive
from textual.strip import Strip
from textual.widget import Widget

from console.ui.keys import Hint, bar, beside
from console.ui.spans import Span
from console.ui.widgets.paint import paint


class KeyBar(Widget):
    """One line."""

    @dataclass
    class Clicked(Message):
        """A key was clicked instead of pressed."""

        action: str

    hints: reactive[tuple[Hint, ...]] = reactive(())
    notice: reactive[Span | None] = reactive(None)

    def __init__(self, ellipsis: str, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._ellipsis = ellipsis

    def on_click(self, event: events.Click) -> None:
        """A click on a hint is its key."""
        if self.notice is None:
            _, places = bar(self.hints, self.size.width, self._ellipsis)
            for start, end, action in places:
                if start <= event.x < end:
                    self.post_message(self.Clicked(action))

    def render_line(self, y: int) -> Strip:
        """The notice while there is one, with the way to the help beside it, else the hints."""
        cells = self.size.width
        if self.notice is not None:
            return paint(self, beside(self.notice, self.hints, cells, self._ellipsis), cells)
        return paint(self, bar(self.hints, cells, self._ellipsis)[0], cells)
