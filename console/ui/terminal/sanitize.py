"""The last filter before the terminal: no control character and no invisible one passes, whatever a widget draws.

A module of its own, because the app installs it and nothing else of the terminal depends on it."""

from __future__ import annotations

import re

from rich.cells import cell_len, set_cell_size
from rich.segment import Segment
from textual.color import Color
from textual.filter import LineFilter

from console.domain.text import is_unsafe

_ANY_BUT_ASCII = re.compile(r"[^\x20-\x7e]")
_ALIKE = str.maketrans(
    {
        **dict.fromkeys("\u2581\u2582\u2583\u2584\u2585\u2586\u2587", " "),
        **dict.fromkeys("\u2500\u2501\u254c\u254d\u2574\u2578", "-"),
        **dict.fromkeys("\u2502\u2503\u250a\u2588", "|"),
        **dict.fromkeys("\u256d\u256e\u2570\u256f\u250c\u2510\u2514\u2518\u251c\u2524\u252c\u2534", "+"),
        "\u2026": "~",
        "\u2192": ">",
        "\u00b7": ".",
        "\u2013": "-",
    }
)
"""ASCII characters in place of the frames, scrollbars and signs of Textual and of charts."""


class SanitizingFilter(LineFilter):
    """Replaces unsafe characters in every segment and keeps its width; with `ascii_only` the rest becomes ASCII too."""

    def __init__(self, *, ascii_only: bool = False) -> None:
        super().__init__()
        self._ascii_only = ascii_only

    def apply(self, segments: list[Segment], background: Color) -> list[Segment]:
        """The same cells with safe text; control segments are left out."""
        return [
            segment if self._is_fine(segment.text) else Segment(self._cleaned(segment.text), segment.style)
            for segment in segments
            if segment.control is None
        ]

    def _is_fine(self, text: str) -> bool:
        return text.isprintable() and (text.isascii() or not self._ascii_only)

    def _cleaned(self, text: str) -> str:
        harmless = "".join("?" * cell_len(each) if is_unsafe(each) else each for each in text)
        if self._ascii_only:
            harmless = _ANY_BUT_ASCII.sub(lambda found: "?" * cell_len(found[0]), harmless.translate(_ALIKE))
        # Removing a joiner makes one character two; the rest of the line must stay in its cells.
        return set_cell_size(harmless, cell_len(text))
