"""What the terminal should show and what it was sent, cell by cell. Only the difference goes out, grouped by style.

A frame that was overtaken is never sent at all, so a slow line shows less often and never late.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from rich.cells import split_graphemes

Cell = tuple[str, str]
"""Text of one column and its SGR parameters; the right half of a wide character has no text."""

BLANK: Cell = (" ", "")
"""What an erased screen consists of."""

BRIDGE = 3
"""Unchanged cells that are cheaper to send again than to jump over."""

_CERTAIN = (range(0x20, 0x7F), range(0x2500, 0x25A0), range(0x2800, 0x2900))
"""Characters that take one cell on every terminal: ASCII, boxes and blocks, braille."""


class Run(NamedTuple):
    """Cells of one style beside each other."""

    y: int
    x: int
    text: str
    cells: int


class Grid:
    """Rows of cells, all blank at first."""

    def __init__(self, width: int, height: int) -> None:
        self.width = width
        self.height = height
        self.rows: list[list[Cell]] = [[BLANK] * width for _ in range(height)]

    def put(self, x: int, y: int, text: str, style: str) -> int:
        """Writes `text` (no controls) and returns the column behind it; what does not fit is lost, as with no wrap."""
        if not 0 <= y < self.height:
            return x
        if text.isascii():
            end = min(x + len(text), self.width)
            if x < end:
                self._cut(y, x, end)
                self.rows[y][x:end] = [(character, style) for character in text[: end - x]]
            return x + len(text)
        spans, _ = split_graphemes(text)
        for start, stop, cells in spans:
            self._put_grapheme(x, y, text[start:stop], cells, style)
            x += cells
        return x

    def _put_grapheme(self, x: int, y: int, grapheme: str, cells: int, style: str) -> None:
        if cells == 0 or x + cells > self.width:
            return
        self._cut(y, x, x + cells)
        self.rows[y][x] = (grapheme, style)
        if cells == 2:
            self.rows[y][x + 1] = ("", style)

    def _cut(self, y: int, start: int, end: int) -> None:
        """A wide character that loses one half leaves a blank in the other, as terminals do it."""
        row = self.rows[y]
        if not row[start][0] and start > 0:
            row[start - 1] = (" ", row[start - 1][1])
        if end < self.width and not row[end][0]:
            row[end] = (" ", row[end][1])

    def resized(self, width: int, height: int) -> Grid:
        """The same cells as far as they fit."""
        other = Grid(width, height)
        for y in range(min(height, self.height)):
            kept = self.rows[y][:width]
            other.rows[y][: len(kept)] = kept
            if width < self.width and not self.rows[y][width][0]:
                other.rows[y][width - 1] = BLANK
        return other

    def copy(self) -> Grid:
        """Another grid with the same cells."""
        return self.resized(self.width, self.height)


def changes(wanted: Grid, sent: Grid) -> dict[str, list[Run]]:
    """The runs of `wanted` that differ from `sent` (of the same size), by style, top to bottom."""
    by_style: dict[str, list[Run]] = {}
    for y, (row, old) in enumerate(zip(wanted.rows, sent.rows, strict=True)):
        if row != old:
            for style, run in _row_changes(y, row, old):
                by_style.setdefault(style, []).append(run)
    return by_style


def _row_changes(y: int, row: list[Cell], old: list[Cell]) -> Iterator[tuple[str, Run]]:
    x, width = 0, len(row)
    while x < width:
        if row[x] == old[x] and not (x + 1 < width and not row[x + 1][0] and row[x + 1] != old[x + 1]):
            x += 1
            continue
        start = x if row[x][0] else x - 1
        end = _run_end(row, old, start)
        yield row[start][1], Run(y, start, "".join(text for text, _ in row[start:end]), end - start)
        x = end


def _run_end(row: list[Cell], old: list[Cell], start: int) -> int:
    """The column behind the run that starts at `start`: one style, bridges over little that did not change."""
    style, end, x = row[start][1], start + 1, start + 1
    while x < len(row) and row[x][1] == style and x - end <= BRIDGE:
        x += 1
        if row[x - 1] != old[x - 1] or not row[x - 1][0]:
            end = x
    return end


class Pen:
    """Turns runs into the bytes of a terminal, moving and styling as little as it can."""

    def __init__(self, width: int) -> None:
        self._width = width
        self._style: str | None = None
        self._at: tuple[int, int] | None = None

    def forget(self) -> None:
        """The terminal may have been written to by others."""
        self._style = self._at = None

    def frame(self, by_style: dict[str, list[Run]], cursor: tuple[int, int]) -> str:
        """The sequences for all runs, ending with the cursor at `cursor` (column, row); empty for no runs."""
        pieces: list[str] = []
        for style, runs in by_style.items():
            if style != self._style:
                pieces.append(f"\x1b[0;{style}m" if style else "\x1b[m")
                self._style = style
            pieces.append(self._drawn(runs))
        if pieces and self._at != cursor:
            # In full: whatever a terminal drew wider than we think, the next frame begins where it should.
            pieces.append(f"\x1b[{cursor[1] + 1};{cursor[0] + 1}H")
            self._at = cursor
        return "".join(pieces)

    def _drawn(self, runs: list[Run]) -> str:
        """The runs row by row, or column by column where that is shorter: columns of figures that tick."""
        start = self._at
        across = "".join(self._move(run.x, run.y) + self._text(run) for run in runs)
        end, self._at = self._at, start
        down = "".join(self._move(run.x, run.y) + self._text(run) for run in sorted(runs, key=lambda run: run.x))
        if len(down) < len(across):
            return down
        self._at = end
        return across

    def _move(self, x: int, y: int) -> str:
        """The shortest way from where the cursor is, if that is known."""
        if self._at == (x, y):
            return ""
        there = f"\x1b[{y + 1};{x + 1}H"
        if self._at is None:
            return there
        beside = x - self._at[0]
        below = y - self._at[1]
        return min(_vertically(below) + _horizontally(beside, moved=below != 0), there, key=len)

    def _text(self, run: Run) -> str:
        """The run's text; the place is asked for anew behind each character that some terminals draw wider."""
        if run.text.isascii():
            self._at = self._behind(run.x + run.cells, run.y)
            return run.text
        pieces: list[str] = []
        spans, _ = split_graphemes(run.text)
        x, sure = run.x, True
        for start, stop, cells in spans:
            if not sure:
                pieces.append(f"\x1b[{run.y + 1};{x + 1}H")
            pieces.append(run.text[start:stop])
            x += cells
            sure = stop - start == 1 and any(ord(run.text[start]) in certain for certain in _CERTAIN)
        self._at = self._behind(x, run.y) if sure else None
        return "".join(pieces)

    def _behind(self, x: int, y: int) -> tuple[int, int] | None:
        """Where the cursor is behind a run. At the right edge terminals differ in where that is."""
        return (x, y) if x < self._width else None


def _vertically(cells: int) -> str:
    if cells == 0:
        return ""
    return f"\x1b[{_count(abs(cells))}{'B' if cells > 0 else 'A'}"


def _horizontally(cells: int, *, moved: bool) -> str:
    """A backspace only stands behind a move to another line, where it cannot have come from any text."""
    if cells == 0:
        return ""
    if cells == -1 and moved:
        return "\b"
    return f"\x1b[{_count(abs(cells))}{'C' if cells > 0 else 'D'}"


def _count(cells: int) -> str:
    """One is what a terminal takes for no number."""
    return "" if cells == 1 else str(cells)
