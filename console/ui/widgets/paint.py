"""The only place where a tone becomes a style. Widgets that draw lines declare `TONES` as component classes."""

from __future__ import annotations

from rich.segment import Segment
from rich.style import Style
from textual.strip import Strip
from textual.widget import Widget

from console.ui.spans import Line, Tone

CURSOR = "tone--cursor"
TONES = frozenset({CURSOR, *(f"tone--{tone}" for tone in Tone)})
"""Component classes; `app.tcss` gives them their style from the theme."""


def paint(widget: Widget, spans: Line, cells: int, *, cursor: bool = False) -> Strip:
    """The spans as a strip of exactly `cells`, on the widget's background or, with `cursor`, on the cursor's."""
    base = widget.rich_style
    if cursor:
        base += widget.get_component_rich_style(CURSOR, partial=True)
    one_style = cursor and widget.app.theme_variables.get("cursor-tones") == "drop"
    segments = [Segment(text, base if one_style else base + _tone(widget, tone)) for text, tone in spans]
    return Strip(segments).adjust_cell_length(cells, base)


def _tone(widget: Widget, tone: Tone) -> Style:
    return widget.get_component_rich_style(f"tone--{tone}", partial=True)
