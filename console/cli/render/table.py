"""Tables for a terminal, fitted to its width, and whole when piped. Colour only repeats what the words say."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TextIO

from console import tables
from console.domain.text import sanitize


class Tone(StrEnum):
    """The meaning of a colour, as parameters of SGR (ECMA-48)."""

    PLAIN = ""
    STRONG = "1"
    FAINT = "2"
    GOOD = "32"
    WATCH = "33"
    BAD = "31"


class Style:
    """Adds colour to text, if enabled."""

    def __init__(self, *, enabled: bool) -> None:
        self.enabled = enabled

    @classmethod
    def choose(cls, wish: str, stream: TextIO, environment: Mapping[str, str]) -> Style:
        """`wish` is auto, always or never. With auto, NO_COLOR turns colour off unless it is empty (no-color.org)."""
        if wish != "auto":
            return cls(enabled=wish == "always")
        dumb = environment.get("TERM", "dumb") in ("", "dumb")
        return cls(enabled=stream.isatty() and not dumb and not environment.get("NO_COLOR"))

    def paint(self, text: str, tone: Tone) -> str:
        """Return `text`, already sanitized, in the colour of `tone`."""
        if not self.enabled or tone is Tone.PLAIN or not text:
            return text
        return f"\x1b[{tone}m{text}\x1b[0m"


GAP = "  "
MIN_CELLS = 8
"""Cells that a column keeps when it is narrowed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """A column and its header."""

    title: str
    right: bool = False
    """True for figures, which are aligned to the right."""
    shrink_order: int = 0
    """On a narrow terminal columns with the highest number are narrowed first; 0: never narrowed."""


@dataclass(frozen=True, slots=True)
class Cell:
    """One value. Its text is sanitized when the table is rendered."""

    text: str
    tone: Tone = Tone.PLAIN


def render_table(
    columns: Sequence[Column], rows: Sequence[Sequence[Cell]], style: Style, width: int | None
) -> list[str]:
    """Return the lines of a table, the header first; `width` is in cells, None is unlimited."""
    texts = [[sanitize(cell.text) for cell in row] for row in rows]
    natural = [
        max([cells(column.title), *(cells(row[place]) for row in texts)]) for place, column in enumerate(columns)
    ]
    placed = tables.layout_columns(
        [
            tables.Column(
                name=str(place),
                least=min(MIN_CELLS, most) if column.shrink_order else most,
                most=most,
                turn=column.shrink_order,
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
        shown = clip(text, width)
        padding = " " * (width - cells(shown))
        painted = style.paint(shown, tone)
        pieces.append(padding + painted if column.right else painted + padding)
    return GAP.join(pieces).rstrip()


_PIECES = re.compile(r"`[^`]*`\S*|\S+| +")


def folded(lines: Iterable[str], width: int | None) -> list[str]:
    """The lines of text, already sanitized and without colour, in pieces of at most `width` cells; None is unlimited.

    They are broken at blanks, not within the backquotes of a command, and go on below the last column that begins in
    the left half.
    """
    return [piece for each in lines for piece in _fold(each, width)]


def _fold(text: str, width: int | None) -> list[str]:
    if width is None or cells(text) <= width:
        return [text]
    starts = [found.end() for found in re.finditer(r"^ +| {2,}", text) if found.end() <= width // 2]
    indent = " " * (starts[-1] if starts else 0)
    pieces, current = [], text[: len(indent)]
    for piece in _PIECES.findall(text[len(indent) :]):
        if len(current) > len(indent) and cells(current + piece) > width and not piece.isspace():
            pieces.append(current.rstrip())
            current = indent
        if current != indent or not piece.isspace():
            current += piece
    return [*pieces, current.rstrip()]


def cells(text: str) -> int:
    """Return how many cells `text`, already sanitized, takes: wide characters two, combining marks none."""
    return sum(_cells_of(character) for character in text)


def _cells_of(character: str) -> int:
    if unicodedata.category(character) in ("Mn", "Me"):
        return 0
    return 2 if unicodedata.east_asian_width(character) in ("W", "F") else 1


def clip(text: str, width: int) -> str:
    """Return `text` in at most `width` cells, ending with `…` if it was cut."""
    if cells(text) <= width:
        return text
    kept, used = [], 0
    for character in text:
        used += _cells_of(character)
        if used > width - 1:
            break
        kept.append(character)
    return "".join(kept) + "…"
