"""The live table. Its cursor is a run, not a row, so a key acts on the selected run even if rows have moved."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from textual import events
from textual.binding import Binding, BindingType
from textual.geometry import Region, Size
from textual.message import Message
from textual.reactive import var
from textual.scroll_view import ScrollView
from textual.strip import Strip

from console.domain.run import Run, RunId
from console.tables import PlacedColumn
from console.ui.glyphs import Glyphs
from console.ui.runs.arrangement import ENDS, Arrangement, budget_in_ms
from console.ui.runs.cells import ColumnName, header, placed_columns, row
from console.ui.spans import Line, Span, Tone
from console.ui.state.row_order import SEPARATOR, RowOrder, marked_in_order
from console.ui.state.view_state import ViewState
from console.ui.widgets.lines import paint

HEADER = 1
"""Rows of the header, which does not scroll."""
LINGER_MS = 2_000
"""A selected run that ends stays in its row for this long; then the cursor goes to its neighbour."""
SETTLE_MS = 1_500
"""For this long after the cursor moved by itself no key cancels: it may have been meant for the run before."""


@dataclass(frozen=True, slots=True)
class _Ended:
    """A run that ended under the cursor."""

    run_id: RunId
    row: int
    at_ms: int
    """Boot time."""


class RunTable(ScrollView, can_focus=True, inherit_bindings=False):
    """Live runs above recent ones. Only rows that changed are painted again."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("down,j", "move(1)", "down", id="table.down", tooltip="To the next run", show=False),
        Binding("up,k", "move(-1)", "up", id="table.up", tooltip="To the run above", show=False),
        Binding("pagedown", "page(1)", "page down", id="table.page_down", tooltip="One page down", show=False),
        Binding("pageup", "page(-1)", "page up", id="table.page_up", tooltip="One page up", show=False),
        Binding("home,g", "edge(-1)", "first", id="table.first", tooltip="To the first run", show=False),
        Binding("end,G", "edge(1)", "last", id="table.last", tooltip="To the last run", show=False),
    ]

    @dataclass
    class CursorMoved(Message):
        """Another run is selected; None if the row of the selected run has gone."""

        run_id: RunId | None

    @dataclass
    class MarksChanged(Message):
        """Runs were marked or unmarked."""

        marks: tuple[RunId, ...]

    # Not `reactive`, which would paint all rows again.
    view: var[ViewState | None] = var(None)
    frozen: var[bool] = var(False)
    """True while a dialog is open: no row moves."""
    cursor: var[RunId | None] = var(None)
    marks: var[frozenset[RunId]] = var(frozenset())

    def __init__(self, glyphs: Glyphs, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.arrangement = Arrangement()
        self._glyphs = glyphs
        self._order = RowOrder()
        self._runs: dict[RunId, Run] = {}
        self._shown: dict[int, tuple[Line, bool]] = {}
        self._made: dict[int, Line] = {}
        """Rows by index, without their gutters, for the present view and columns."""
        self._made_for: tuple[PlacedColumn[ColumnName], ...] = ()
        self._last_row = 0
        self._had_cursor = False
        self._live: frozenset[RunId] = frozenset()
        """The runs that were live at the last refresh."""
        self._ended: _Ended | None = None
        self._moved_ms: int | None = None
        """Boot time at which the cursor last moved by itself."""

    @property
    def _cells(self) -> int:
        """The width of a row without the scrollbar."""
        return self.scrollable_content_region.width

    @property
    def order(self) -> tuple[RunId, ...]:
        """The runs from top to bottom."""
        return tuple(each for each in self._order.ids if each != SEPARATOR)

    @property
    def marked(self) -> tuple[RunId, ...]:
        """The marked runs from top to bottom."""
        return marked_in_order(self._order, self.marks)

    def watch_view(self, view: ViewState | None) -> None:
        if view is None:
            return
        snapshot = view.snapshot
        self._made.clear()
        self._watch_for_end(view)
        live, recent = self.arrangement.live(view), self.arrangement.recent(view)
        self._order = RowOrder.of_rows(
            [run.id for run in live], [run.id for run in recent], self._order, frozen=self.frozen
        )
        if self._ended is not None and not self.frozen:
            self._order = self._order.keeping(self._ended.run_id, self._ended.row)
        shown = frozenset(self._order.ids)
        self._runs = {run.id: run for run in (*snapshot.live, *snapshot.recent) if run.id in shown}
        gone = self.marks - self._runs.keys()
        if gone:
            self.marks = self.marks - gone
        if not self._had_cursor:
            self.cursor = self._order.first()
        elif self.cursor not in self._runs:
            self.cursor = None
        index = self._order.index(self.cursor)
        self._last_row = self._last_row if index is None else index
        self._set_height(len(self._order.ids) + HEADER)
        self._repaint_changed()

    def rearrange(self, arrangement: Arrangement) -> None:
        """Show other rows or another order. The cursor stays on its run, or goes to the first one if that is hidden."""
        self.arrangement = arrangement
        self.watch_view(self.view)
        if self.cursor is None:
            self.cursor = self._order.first()

    @property
    def counts(self) -> tuple[int, int]:
        """How many runs have a row, and how many there are."""
        snapshot = self.view.snapshot if self.view is not None else None
        return len(self.order), len(snapshot.live) + len(snapshot.recent) if snapshot is not None else 0

    def _watch_for_end(self, view: ViewState) -> None:
        """Keep a selected run in its row for a moment when it ends; then move the cursor to a run that is live."""
        now_ms, live = view.now.boot_ms, frozenset(run.id for run in view.snapshot.live)
        cursor, ended = self.cursor, self._ended
        if ended is None and cursor is not None and cursor in self._live - live:
            row = self._order.index(cursor)
            if row is not None and any(run.id == cursor for run in view.snapshot.recent):
                self._ended = _Ended(cursor, row, now_ms)
        elif ended is not None and cursor != ended.run_id:
            self._ended = None
        elif ended is not None and now_ms - ended.at_ms >= LINGER_MS and not self.frozen:
            self._ended = None
            left = [each for each in self._order.live() if each in live]
            if left:
                self._moved_ms = now_ms
                self.cursor = left[min(ended.row, len(left) - 1)]
        self._live = live

    @property
    def moved_by_itself(self) -> bool:
        """True for a moment after the cursor went from a run that ended to another one."""
        now_ms = self.view.now.boot_ms if self.view is not None else 0
        return self._moved_ms is not None and now_ms - self._moved_ms < SETTLE_MS

    def watch_cursor(self, cursor: RunId | None) -> None:
        index = self._order.index(cursor)
        if index is not None:
            self._had_cursor = True
            self._last_row = index
            self._bring_into_view(index)
        self._repaint_changed()
        self.post_message(self.CursorMoved(cursor))

    def watch_marks(self) -> None:
        self._repaint_changed()
        self.post_message(self.MarksChanged(self.marked))

    def watch_frozen(self, frozen: bool) -> None:
        if not frozen:
            self.watch_view(self.view)

    def toggle_mark(self) -> None:
        """Mark or unmark the selected run and move the cursor down."""
        if self.cursor is not None:
            self.marks = self.marks ^ {self.cursor}
            self.action_move(1)

    def action_move(self, rows: int) -> None:
        """Move the cursor by `rows`."""
        self.cursor = self._order.moved(self.cursor, rows, from_row=self._last_row)

    def action_page(self, pages: int) -> None:
        """Move the cursor by whole pages."""
        self.action_move(pages * max(1, self.size.height - HEADER - 1))

    def action_edge(self, side: int) -> None:
        """Move the cursor to the first or the last run."""
        self.action_move(side * len(self._order.ids))

    def on_click(self, event: events.Click) -> None:
        """Move the cursor to the clicked row, and do nothing else."""
        index = event.y - HEADER + self.scroll_offset.y
        if 0 <= index < len(self._order.ids) and event.y >= HEADER and self._order.ids[index] != SEPARATOR:
            self.cursor = self._order.ids[index]

    def on_resize(self) -> None:
        self._shown.clear()
        self._made.clear()
        self.refresh()

    def _set_height(self, height: int) -> None:
        """Set the number of rows, the header included.

        Textual lays out the whole screen then, which takes longer than painting it. While the table is longer than its
        place before and after, nothing moves but the scrollbar.
        """
        if height == self.virtual_size.height:
            return
        if not (self.show_vertical_scrollbar and height > self.container_size.height):
            self.virtual_size = Size(0, height)
            return
        self.set_reactive(RunTable.virtual_size, Size(0, height))
        self.vertical_scrollbar.window_virtual_size = height
        self.scroll_y = self.validate_scroll_y(self.scroll_y)

    def _bring_into_view(self, index: int) -> None:
        top, room = self.scroll_offset.y, max(1, self.size.height - HEADER)
        if index < top:
            self.scroll_to(y=index if index > 1 else 0, animate=False)
        elif index >= top + room:
            self.scroll_to(y=index - room + 1, animate=False)

    def _repaint_changed(self) -> None:
        """Have the visible rows painted again that differ from what was painted last."""
        top, width = self.scroll_offset.y, self._cells
        placed = placed_columns(width)
        changed = [
            Region(0, y, width, 1)
            for y in range(HEADER, self.size.height)
            if self._shown.get(y) != self._line(y - HEADER + top, placed)
        ]
        if changed:
            self.refresh(*changed)

    def render_line(self, y: int) -> Strip:
        """The header, then the rows that are scrolled into view."""
        width = self._cells
        placed = placed_columns(width)
        if y < HEADER:
            return paint(self, (Span("  "), *header(placed, width)), width)
        spans, is_cursor = self._shown[y] = self._line(y - HEADER + self.scroll_offset.y, placed)
        return paint(self, spans, width, cursor=is_cursor)

    def _line(self, index: int, placed: tuple[PlacedColumn[ColumnName], ...]) -> tuple[Line, bool]:
        """The spans of one row, and whether the cursor is on it."""
        if placed != self._made_for:
            # The table is not told when a scrollbar appears or disappears.
            self._made_for = placed
            self._made.clear()
        view, ids = self.view, self._order.ids
        if view is None or index >= len(ids):
            return (), False
        run = self._runs.get(ids[index])
        if run is None:
            return self._separator(), False
        if index not in self._made:
            self._made[index] = row(
                run, view, placed, self._cells, self._glyphs, budget_ends=self._budget_ends(run, view)
            )
        is_cursor = run.id == self.cursor
        gutter = (
            Span(self._glyphs.cursor if is_cursor else " ", Tone.KEY),
            Span(self._glyphs.mark if run.id in self.marks else " ", Tone.KEY),
        )
        return (*gutter, *self._made[index]), is_cursor

    def _budget_ends(self, run: Run, view: ViewState) -> int | None:
        """The milliseconds until the budget ends the run, where rows are sorted by that and it comes first."""
        reached = budget_in_ms(run, view) if self.arrangement.order is ENDS else None
        if reached is None or (run.deadline_ms is not None and view.now_ms + reached >= run.deadline_ms):
            return None
        return reached

    def _separator(self) -> Line:
        rule = self._glyphs.rule
        title = "  recent "
        return Span(title, Tone.MUTED), Span(rule * max(0, self._cells - len(title)), Tone.FAINT)
