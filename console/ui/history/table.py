"""The table of the history. Its cursor is an entry, not a row. Rows that are not in memory are read and drawn later."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from textual import events
from textual.binding import BindingType
from textual.geometry import Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.strip import Strip

from console.domain.run import RunId
from console.ui.glyphs import Glyphs
from console.ui.history.lines import head, row
from console.ui.history.pages import Entry, PageCache, Rows, Viewport
from console.ui.runs.table import RunTable
from console.ui.spans import Line, Span, Tone
from console.ui.state.view_state import ViewState
from console.ui.widgets.lines import paint

HEAD = 1
"""Rows of the header, which does not scroll."""


class HistoryTable(ScrollView, can_focus=True, inherit_bindings=False):
    """The entries, newest first."""

    BINDINGS: ClassVar[list[BindingType]] = [*RunTable.BINDINGS]

    @dataclass
    class Moved(Message):
        """Another entry is selected, or other rows are in view."""

    def __init__(self, glyphs: Glyphs, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._glyphs = glyphs
        self._rows = Rows(PageCache())
        self._view: ViewState | None = None
        self._other_attempts: tuple[Entry, ...] = ()
        self._entry: Entry | None = None
        self._index = 0
        self._painted: tuple[Line, ...] = ()

    @property
    def cursor(self) -> Entry | None:
        """The selected entry; None while it is not in memory."""
        return self._entry

    @property
    def rows(self) -> Rows:
        """The rows that are shown."""
        return self._rows

    @property
    def viewport(self) -> Viewport:
        """The rows in view, and the row of the cursor."""
        top = self.scroll_offset.y
        last = max(top + max(1, self.size.height - HEAD), self._index + 1)
        return Viewport(self._rows.place(min(top, self._index)), self._rows.place(last), is_top=top == 0)

    def show(self, pages: PageCache, view: ViewState) -> None:
        """Show these pages. The cursor stays on its entry, or goes to the first one if its entry is not among them."""
        is_new = pages is not self._rows.pages
        self._rows, self._view = Rows(pages, self._rows.head, self._other_attempts), view
        if is_new:
            self._found_again()
        entry = self._rows.entry(self._index)
        if self._entry is None or (entry is not None and entry.run.id == self._entry.run.id):
            self._take(entry)
        self.virtual_size = Size(0, len(self._rows) + HEAD)
        self._repaint()

    def unfold(self, head: RunId | None, below: tuple[Entry, ...] = ()) -> None:
        """Show these attempts below the run `head`, and no others.

        A cursor whose row disappears goes to the run above.
        """
        selected = self._entry.run.id if self._entry is not None else None
        before, self._other_attempts = self._rows.head, below
        self._rows = Rows(self._rows.pages, head, below)
        index = self._rows.index(selected)
        self._go(index if index is not None else self._rows.index(before) or 0)
        self.virtual_size = Size(0, len(self._rows) + HEAD)

    def _found_again(self) -> None:
        index = self._rows.index(self._entry.run.id) if self._entry is not None else 0
        self._index = index or 0
        if index is None:
            self._take(None)
        if self._index < self.scroll_offset.y or index is None:
            self.scroll_to(y=0, animate=False)

    def forget(self) -> None:
        """Forget the rows, because other entries are wanted; the cursor goes to the first one."""
        self._entry, self._index = None, 0
        self._rows, self._other_attempts = Rows(self._rows.pages), ()
        self.scroll_to(y=0, animate=False)

    def action_move(self, rows: int) -> None:
        """Move the cursor by `rows`."""
        self._go(self._index + rows)

    def action_page(self, pages: int) -> None:
        """Move the cursor by whole pages."""
        self.action_move(pages * max(1, self.size.height - HEAD - 1))

    def action_edge(self, side: int) -> None:
        """Move the cursor to the newest entry, or to the oldest known one."""
        self._go(0 if side < 0 else len(self._rows) - 1)

    def on_click(self, event: events.Click) -> None:
        """Move the cursor to the clicked row, and do nothing else."""
        if event.y >= HEAD:
            self._go(event.y - HEAD + self.scroll_offset.y)

    def watch_scroll_y(self, old: float, new: float) -> None:
        """Report that other rows came into view."""
        super().watch_scroll_y(old, new)
        if round(old) != round(new):
            self.post_message(self.Moved())

    def on_resize(self) -> None:
        self.post_message(self.Moved())
        self.refresh()

    def _go(self, index: int) -> None:
        index = max(0, min(index, len(self._rows) - 1))
        self._index = index
        self._take(self._rows.entry(index))
        top, room = self.scroll_offset.y, max(1, self.size.height - HEAD)
        if index < top:
            self.scroll_to(y=index, animate=False)
        elif index >= top + room:
            self.scroll_to(y=index - room + 1, animate=False)
        self._repaint()
        self.post_message(self.Moved())

    def _take(self, entry: Entry | None) -> None:
        if entry != self._entry:
            self._entry = entry
            self.post_message(self.Moved())

    def _repaint(self) -> None:
        lines = tuple(self._line(y)[0] for y in range(self.size.height))
        if lines != self._painted:
            self._painted = lines
            self.refresh()

    def render_line(self, y: int) -> Strip:
        """The header, then the rows that are scrolled into view."""
        line, is_cursor = self._line(y)
        return paint(self, line, self.scrollable_content_region.width, cursor=is_cursor)

    def _line(self, y: int) -> tuple[Line, bool]:
        cells = self.scrollable_content_region.width - 2
        if y < HEAD:
            return (Span("  "), *head(cells)), False
        index = y - HEAD + self.scroll_offset.y
        if self._view is None or index >= len(self._rows):
            return (), False
        entry = self._rows.entry(index)
        here = index == self._index
        sign = Span(f"{self._glyphs.cursor if here else ' '} ", Tone.KEY)
        if entry is None:
            return (sign, Span(self._glyphs.ellipsis, Tone.FAINT)), here
        below = self._rows.is_below(index)
        return (sign, *row(entry, self._view, cells, self._glyphs, below=below)), here
