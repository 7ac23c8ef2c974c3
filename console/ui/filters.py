"""The last gate before the terminal: whatever a widget draws, no control or invisible character passes."""

from __future__ import annotations

import re

from rich.cells import cell_len, set_cell_size
from rich.segment import Segment
from textual.color import Color
from textual.filter import LineFilter

from console.domain.text import is_unsafe

_ANY_BUT_ASCII = re.compile(r"[^\x20-\x7e]")


class OnlyText(LineFilter):
    """Drops unsafe characters from every segment, keeping its width; with `ascii_only` all but ASCII becomes `?`."""

    def __init__(self, *, ascii_only: bool = False) -> None:
        super().__init__()
        self._ascii_only = ascii_only

    def apply(self, segments: list[Segment], background: Color) -> list[Segment]:
        """The same cells with harmless text; control segments are left out."""
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
            harmless = _ANY_BUT_ASCII.sub(lambda found: "?" * cell_len(found[0]), harmless)
        # A joiner that went had made two characters one; the cells of the rest of the line must not move.
        return set_cell_size(harmless, cell_len(text))
