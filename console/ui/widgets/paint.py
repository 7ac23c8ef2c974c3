"""The only place where a tone becomes a style: straight from the theme, past the style sheet.

As rules of the sheet the tones would be matched anew for every widget at every change of the screen, which was a
good part of the time until it is shown.
"""

from __future__ import annotations

from rich.segment import Segment
from rich.style import Style
from textual.strip import Strip
from textual.widget import Widget

from console.ui.spans import Line


def paint(widget: Widget, spans: Line, cells: int, *, cursor: bool = False) -> Strip:
    """The spans as a strip of exactly `cells`, on the widget's background or, with `cursor`, on the cursor's."""
    worn = widget.app.theme_variables
    base = widget.rich_style
    if cursor:
        base += Style.parse(worn["paint-cursor"])
    if cursor and worn["cursor-tones"] == "drop":
        segments = [Segment(text, base) for text, _ in spans]
    else:
        segments = [Segment(text, base + Style.parse(worn[f"paint-{tone}"])) for text, tone in spans]
    return Strip(segments).adjust_cell_length(cells, base)


def repaint(screen: Widget) -> None:
    """Everything on the screen anew: what was painted wears another theme."""
    for node in screen.walk_children(Widget, with_self=True):
        node.refresh()
