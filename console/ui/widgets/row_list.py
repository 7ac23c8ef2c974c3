"""A short list. Its cursor is a name, not a row, so a key acts on the selected entry even if rows have moved."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from textual import events
from textual.binding import Binding, BindingType
from textual.geometry import Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.strip import Strip

from console.ui.spans import Line, Span, Tone
from console.ui.widgets.lines import paint


class RowList(ScrollView, can_focus=True, inherit_bindings=False):
    """A header and one line for each name."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("down,j", "move(1)", "down", id="list.down", tooltip="To the next entry", show=False),
        Binding("up,k", "move(-1)", "up", id="list.up", tooltip="To the entry above", show=False),
        Binding("home,g", "edge(-1)", "first", id="list.first", tooltip="To the first entry", show=False),
        Binding("end,G", "edge(1)", "last", id="list.last", tooltip="To the last entry", show=False),
    ]

    @dataclass
    class CursorMoved(Message):
        """Another entry is selected."""

        name: str | None

    def __init__(self, cursor_sign: str, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._sign = cursor_sign
        self._head: Line = ()
        self._rows: tuple[tuple[str, Line], ...] = ()
        self.cursor: str | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """The names from top to bottom."""
        return tuple(name for name, _ in self._rows)

    def show(self, head: Line, rows: Sequence[tuple[str, Line]]) -> None:
        """Replace the lines. The cursor stays on its name, or goes to the first entry if its name has gone."""
        if (self._head, self._rows) == (head, tuple(rows)):
            return
        self._head, self._rows = head, tuple(rows)
        self.virtual_size = Size(0, len(self._rows) + 1)
        if self.cursor not in self.names:
            self._go(self.names[0] if self.names else None)
        self.refresh()

    def action_move(self, rows: int) -> None:
        """Move the cursor by `rows`."""
        names = self.names
        if names:
            index = names.index(self.cursor) if self.cursor in names else 0
            self._go(names[min(len(names) - 1, max(0, index + rows))])

    def action_edge(self, side: int) -> None:
        """Move the cursor to the first or the last entry."""
        self.action_move(side * len(self._rows))

    def on_click(self, event: events.Click) -> None:
        """Move the cursor to the clicked entry, and do nothing else."""
        index = event.y - 1 + self.scroll_offset.y
        if event.y >= 1 and 0 <= index < len(self._rows):
            self._go(self._rows[index][0])

    def _go(self, name: str | None) -> None:
        if name == self.cursor:
            return
        self.cursor = name
        if name is not None:
            index, top, room = self.names.index(name), self.scroll_offset.y, max(1, self.size.height - 1)
            if not top <= index < top + room:
                self.scroll_to(y=max(0, index - room + 1), animate=False)
        self.refresh()
        self.post_message(self.CursorMoved(name))

    def render_line(self, y: int) -> Strip:
        """The header, then the rows that are scrolled into view."""
        cells = self.scrollable_content_region.width
        if y == 0:
            return paint(self, (Span(" "), *self._head), cells)
        index = y - 1 + self.scroll_offset.y
        if index >= len(self._rows):
            return paint(self, (), cells)
        name, row = self._rows[index]
        here = name == self.cursor
        return paint(self, (Span(self._sign if here else " ", Tone.KEY), *row), cells, cursor=here)
