"""Colour for people at a terminal, and for nobody else: words carry the meaning, colour only repeats it."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TextIO

from console import tables
from console.domain.text import sanitize


class Tone(StrEnum):
    """What a colour says, as the parameters of its control sequence (SGR, ECMA-48)."""

    PLAIN = ""
    STRONG = "1"
    FAINT = "2"
    GOOD = "32"
    WATCH = "33"
    BAD = "31"


class Style:
    """Paints, or does not."""

    def __init__(self, *, enabled: bool) -> None:
        self.enabled = enabled

    @classmethod
    def choose(cls, wish: str, stream: TextIO, environment: Mapping[str, str]) -> Style:
        """`wish` is auto, always or never. NO_COLOR counts where it is not empty (no-color.org)."""
        if wish != "auto":
            return cls(enabled=wish == "always")
        dumb = environment.get("TERM", "dumb") in ("", "dumb")
        return cls(enabled=stream.isatty() and not dumb and not environment.get("NO_COLOR"))

    def paint(self, text: str, tone: Tone) -> str:
        """`text`, already cleaned, in that tone."""
        if not self.enabled or tone is Tone.PLAIN or not text:
            return text
        return f"\x1b[{tone}m{text}\x1b[0m"


GAP = "  "
LEAST = 8
"""Cells that a column keeps when it gives way."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """The head of a column."""

    title: str
    right: bool = False
    """Aligned to the right, for numbers."""
    gives: int = 0
    """Columns with the highest figure give way first where the terminal is narrow; 0 never does."""


@dataclass(frozen=True, slots=True)
class Cell:
    """One value. Its text may come from anywhere: it is cleaned when it is laid out."""

    text: str
    tone: Tone = Tone.PLAIN


def render_table(
    columns: Sequence[Column], rows: Sequence[Sequence[Cell]], style: Style, width: int | None
) -> list[str]:
    """The lines of a table, the head first; `width` in cells, None is unlimited."""
    texts = [[sanitize(cell.text) for cell in row] for row in rows]
    natural = [
        max([cells(column.title), *(cells(row[place]) for row in texts)]) for place, column in enumerate(columns)
    ]
    placed = tables.layout_columns(
        [
            tables.Column(
                name=str(place), least=min(LEAST, most) if column.gives else most, most=most, turn=column.gives
            )
            for place, (column, most) in enumerate(zip(columns, natural, strict=True))
        ],
        width,
        gap=len(GAP),
    )
    widths = [column.cells for column in placed]
    head = _line([column.title for column in columns], columns, widths, [Tone.STRONG] * len(columns), style)
    body = [
        _line(row, columns, widths, [cell.tone for cell in source], style)
        for row, source in zip(texts, rows, strict=True)
    ]
    return [head, *body]


def _line(
    texts: Sequence[str], columns: Sequence[Column], widths: Sequence[int], tones: Sequence[Tone], style: Style
) -> str:
    pieces = []
    for text, column, width, tone in zip(texts, columns, widths, tones, strict=True):
        shown = clipped(text, width)
        padding = " " * (width - cells(shown))
        painted = style.paint(shown, tone)
        pieces.append(padding + painted if column.right else painted + padding)
    return GAP.join(pieces).rstrip()


def cells(text: str) -> int:
    """How many cells of a terminal `text` (cleaned) takes: wide characters take two, marks none."""
    return sum(_cells_of(character) for character in text)


def _cells_of(character: str) -> int:
    if unicodedata.category(character) in ("Mn", "Me"):
        return 0
    return 2 if unicodedata.east_asian_width(character) in ("W", "F") else 1


def clipped(text: str, width: int) -> str:
    """`text` in at most `width` cells, with `…` at its end where it was longer."""
    if cells(text) <= width:
        return text
    kept, used = [], 0
    for character in text:
        used += _cells_of(character)
        if used > width - 1:
            break
        kept.append(character)
    return "".join(kept) + "…"
