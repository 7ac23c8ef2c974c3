"""Widgets that show lines of spans, and the only place where a tone becomes a style.

Styles come straight from the theme and not from the style sheet: as rules of the sheet the tones would be matched again
for every widget at every change of the screen. Only lines that changed are painted, so an idle screen sends nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache

from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.geometry import Region, Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.strip import Strip
from textual.widget import Widget

from console.ui.spans import Line


def paint(widget: Widget, spans: Line, cells: int, *, cursor: bool = False) -> Strip:
    """The spans as a strip of exactly `cells`, on the background of the widget or, with `cursor`, of the cursor."""
    theme_variables = widget.app.theme_variables
    base = widget.rich_style
    if cursor:
        base += Style.parse(theme_variables["paint-cursor"])
    if cursor and theme_variables["cursor-tones"] == "drop":
        segments = [Segment(text, base) for text, _ in spans]
    else:
        segments = [Segment(text, _style(base, theme_variables[f"paint-{tone}"])) for text, tone in spans]
    return Strip(segments).adjust_cell_length(cells, base)


@lru_cache(maxsize=512)
def _style(base: Style, paint: str) -> Style:
    return base + Style.parse(paint)


def repaint(screen: Widget) -> None:
    """Paint everything on the screen again, because the theme has changed."""
    for node in screen.walk_children(Widget, with_self=True):
        node.refresh()


class Lines(Widget):
    """Shows lines. Its height follows the number of lines where the style sheet says `auto`."""

    def __init__(
        self, lines: Sequence[Line] = (), *, id: str | None = None, on_paint: Callable[[], None] | None = None
    ) -> None:
        """`on_paint` is called whenever the first line is painted."""
        super().__init__(id=id)
        self._lines: tuple[Line, ...] = tuple(lines)
        self._on_paint = on_paint

    @property
    def lines(self) -> tuple[Line, ...]:
        """The lines that are shown."""
        return self._lines

    def show(self, lines: Sequence[Line]) -> None:
        """Replace the lines, and paint those that differ."""
        old, self._lines = self._lines, tuple(lines)
        if len(old) != len(self._lines):
            self.refresh(layout=True)
            return
        changed = [
            Region(0, y, self.size.width, 1) for y, (a, b) in enumerate(zip(old, self._lines, strict=True)) if a != b
        ]
        if changed:
            self.refresh(*changed)

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:
        """One row for each line."""
        return len(self._lines)

    def render_line(self, y: int) -> Strip:
        """The line at `y`; blank below the last line."""
        if y == 0 and self._on_paint is not None:
            self._on_paint()
        return paint(self, self._lines[y] if y < len(self._lines) else (), self.size.width)


class ScrollLines(ScrollView, can_focus=True, inherit_bindings=False):
    """Shows lines that can be scrolled. The keys are those of its screen."""

    class ScrolledUp(Message):
        """The wheel of a mouse scrolled up."""

    def __init__(self, *, id: str | None = None, classes: str | None = None) -> None:
        super().__init__(id=id, classes=classes)
        self._lines: tuple[Line, ...] = ()
        self._cursor: int | None = None

    @property
    def lines(self) -> tuple[Line, ...]:
        """The lines that are shown, in view or not."""
        return self._lines

    def show(self, lines: Sequence[Line], *, cursor: int | None = None) -> None:
        """Replace the lines and keep the scroll position; line number `cursor` is painted as the selected one."""
        old, old_cursor, self._lines, self._cursor = self._lines, self._cursor, tuple(lines), cursor
        if len(old) != len(self._lines):
            self.virtual_size = Size(0, len(self._lines))
            self.refresh(layout=True)
            return
        top, height = self.scroll_offset.y, self.size.height
        changed = [
            Region(0, y - top, self.scrollable_content_region.width, 1)
            for y in range(top, min(top + height, len(old)))
            if old[y] != self._lines[y] or (y == old_cursor) != (y == cursor)
        ]
        if changed:
            self.refresh(*changed)

    def on_mouse_scroll_up(self, event: events.MouseScrollUp) -> None:
        """Report it; the scrolling itself is done by the base."""
        self.post_message(self.ScrolledUp())

    def render_line(self, y: int) -> Strip:
        """The line that is scrolled to `y`."""
        y += self.scroll_offset.y
        spans = self._lines[y] if y < len(self._lines) else ()
        return paint(self, spans, self.scrollable_content_region.width, cursor=y == self._cursor)
