"""Output by difference: a grid with what the terminal should show, a grid with what it was sent, and the sequences
that turn the second into the first, grouped by style.

`DiffRenderer` reads what Textual writes. Text, moves and styles go into the grid, a short list of other sequences goes
to the terminal, and everything else is dropped, so a control sequence that slipped into a text ends here. A frame that
was overtaken is never sent: a slow terminal is updated less often, and never late.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import repeat
from typing import NamedTuple

from rich.cells import split_graphemes

Cell = tuple[str, str]
"""The text of one cell and its SGR parameters. The right half of a wide character has no text."""

BLANK: Cell = (" ", "")
"""A cell of an erased screen."""

BRIDGE = 3
"""So many unchanged cells are cheaper to send again than to jump over."""

_CERTAIN = (range(0x20, 0x7F), range(0x2500, 0x25A0), range(0x2800, 0x2900))
"""Characters that take one cell on every terminal: ASCII, box drawing and blocks, braille."""


class CellSpan(NamedTuple):
    """Adjacent cells of one style."""

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
        """Write `text`, which holds no controls, and return the column behind it.

        Text beyond the right edge is lost.
        """
        if not 0 <= y < self.height:
            return x
        if text.isascii():
            end = min(x + len(text), self.width)
            if x < end:
                self._cut(y, x, end)
                self.rows[y][x:end] = zip(text[: end - x], repeat(style))
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
        """Put a blank in place of the other half of a wide character that loses one half, as terminals do."""
        row = self.rows[y]
        if not row[start][0] and start > 0:
            row[start - 1] = (" ", row[start - 1][1])
        if end < self.width and not row[end][0]:
            row[end] = (" ", row[end][1])

    def resized(self, width: int, height: int) -> Grid:
        """A grid of another size with the cells that fit."""
        other = Grid(width, height)
        for y in range(min(height, self.height)):
            kept = self.rows[y][:width]
            other.rows[y][: len(kept)] = kept
            if width < self.width and not self.rows[y][width][0]:
                other.rows[y][width - 1] = BLANK
        return other

    def copy(self) -> Grid:
        """A copy of the grid."""
        return self.resized(self.width, self.height)


def changes(wanted: Grid, sent: Grid) -> dict[str, list[CellSpan]]:
    """The spans of `wanted` that differ from `sent`, which has the same size, by style and from top to bottom."""
    by_style: dict[str, list[CellSpan]] = {}
    for y, (row, old) in enumerate(zip(wanted.rows, sent.rows, strict=True)):
        if row != old:
            for style, run in _row_changes(y, row, old):
                by_style.setdefault(style, []).append(run)
    return by_style


def _row_changes(y: int, row: list[Cell], old: list[Cell]) -> Iterator[tuple[str, CellSpan]]:
    x, width = 0, len(row)
    while x < width:
        if row[x] == old[x] and not (x + 1 < width and not row[x + 1][0] and row[x + 1] != old[x + 1]):
            x += 1
            continue
        start = x if row[x][0] else x - 1
        end = _run_end(row, old, start)
        yield row[start][1], CellSpan(y, start, "".join(text for text, _ in row[start:end]), end - start)
        x = end


def _run_end(row: list[Cell], old: list[Cell], start: int) -> int:
    """The column behind the span that starts at `start`: cells of one style, with short unchanged gaps included."""
    style, end, x = row[start][1], start + 1, start + 1
    while x < len(row) and row[x][1] == style and x - end <= BRIDGE:
        x += 1
        if row[x - 1] != old[x - 1] or not row[x - 1][0]:
            end = x
    return end


class AnsiWriter:
    """Turns spans into control sequences with as few moves and changes of style as possible."""

    def __init__(self, width: int) -> None:
        self._width = width
        self._style: str | None = None
        self._at: tuple[int, int] | None = None

    def forget(self) -> None:
        """Forget style and cursor position, because another program may have written to the terminal."""
        self._style = self._at = None

    def frame(self, by_style: dict[str, list[CellSpan]], cursor: tuple[int, int]) -> str:
        """The sequences for all spans, which leave the cursor at `cursor` (column, row); empty for no spans."""
        pieces: list[str] = []
        for style, runs in by_style.items():
            if style != self._style:
                pieces.append(f"\x1b[0;{style}m" if style else "\x1b[m")
                self._style = style
            pieces.append(self._drawn(runs))
        if pieces and self._at != cursor:
            # An absolute move, because a terminal may have drawn a character wider than expected.
            pieces.append(f"\x1b[{cursor[1] + 1};{cursor[0] + 1}H")
            self._at = cursor
        return "".join(pieces)

    def _drawn(self, runs: list[CellSpan]) -> str:
        """The spans row by row, or column by column if that is shorter, as it is for columns of countdowns."""
        start = self._at
        across = "".join(self._move(run.x, run.y) + self._text(run) for run in runs)
        end, self._at = self._at, start
        down = "".join(self._move(run.x, run.y) + self._text(run) for run in sorted(runs, key=lambda run: run.x))
        if len(down) < len(across):
            return down
        self._at = end
        return across

    def _move(self, x: int, y: int) -> str:
        """The shortest move from the present position of the cursor, if that is known."""
        if self._at == (x, y):
            return ""
        there = f"\x1b[{y + 1};{x + 1}H"
        if self._at is None:
            return there
        beside = x - self._at[0]
        below = y - self._at[1]
        return min(_vertically(below) + _horizontally(beside, moved=below != 0), there, key=len)

    def _text(self, run: CellSpan) -> str:
        """The text of the span, with an absolute move behind each character that some terminals draw wider."""
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
        """The position of the cursor behind a span; None at the right edge, where terminals differ."""
        return (x, y) if x < self._width else None


def _vertically(cells: int) -> str:
    if cells == 0:
        return ""
    return f"\x1b[{_count(abs(cells))}{'B' if cells > 0 else 'A'}"


def _horizontally(cells: int, *, moved: bool) -> str:
    """The move to the left or right.

    A backspace is used only behind a move to another line, where it cannot be text.
    """
    if cells == 0:
        return ""
    if cells == -1 and moved:
        return "\b"
    return f"\x1b[{_count(abs(cells))}{'C' if cells > 0 else 'D'}"


def _count(cells: int) -> str:
    """The number of a move; 1 is left out, because it is the default."""
    return "" if cells == 1 else str(cells)


_TOKEN = re.compile(
    r"\x1b\[(?P<private>[<-?]?)(?P<numbers>[\d;:]*)(?P<middle>[ -/]*)(?P<final>[@-~])"
    r"|\x1b\](?P<osc>[^\x07\x1b\x9c]*)(?:\x07|\x1b\\)"
    r"|(?P<text>[^\x00-\x1f\x7f-\x9f]+)"
    r"|(?P<single>[\n\r\x07])",
)

SYNC = "2026"
"""The mode in which a terminal shows a frame in one piece; frames are wrapped in it if the terminal has it."""

ERASE = "\x1b[m\x1b[2J"

KEEP_TITLE, RESTORE_TITLE = "\x1b[22;2t", "\x1b]2;\x07\x1b[23;2t"
"""Save and restore the terminal's own title. A terminal that cannot do that is left without a title."""
_TITLE = re.compile(r"2;nightdesk(?: [A-Za-z0-9._-]{1,64})?(?:: [a-z ]{1,40})?")
"""The only titles that are sent: the name of the host or of the ledger, and fixed words of lower-case letters."""


class DiffRenderer:
    """Takes what Textual writes, and gives the sequences that bring the terminal up to date."""

    def __init__(self, width: int, height: int) -> None:
        self._wanted = Grid(width, height)
        self._sent: Grid | None = None
        self._pen = AnsiWriter(width)
        self._style = ""
        self._x = self._y = 0
        self._through: list[str] = []
        self._synchronised = False
        self.has_set_title = False
        """True once a title was sent."""

    def resize(self, width: int, height: int) -> None:
        """Take another size of the terminal; the next frame is a full one."""
        self._wanted = self._wanted.resized(width, height)
        self._pen = AnsiWriter(width)
        self.forget()

    def forget(self) -> None:
        """Send a full frame next, because it is unknown what the terminal shows."""
        self._sent = None
        self._pen.forget()

    def feed(self, data: str) -> None:
        """Take in a piece of Textual's output; Textual never splits a sequence over two pieces."""
        for token in _TOKEN.finditer(data):
            kind = token.lastgroup
            if kind == "text":
                self._x = self._wanted.put(self._x, self._y, token["text"], self._style)
            elif kind == "final":
                self._control(token["private"], token["numbers"], token["middle"], token["final"])
            elif kind == "osc":
                self._osc(token["osc"])
            elif token["single"] == "\x07":
                self._once("\x07")
            else:
                self._x = 0
                self._y += token["single"] == "\n"

    def _control(self, private: str, numbers: str, middle: str, final: str) -> None:
        if (private, middle, final) == ("", "", "m"):
            self._style = "" if numbers in ("", "0") else f"{self._style};{numbers}".lstrip(";")
        elif (private, middle, final) == ("", "", "H"):
            row, _, column = numbers.partition(";")
            self._y, self._x = max(0, int(row or 1) - 1), max(0, int(column or 1) - 1)
        elif private == "?" and numbers == SYNC:
            self._synchronised = True

    def _osc(self, content: str) -> None:
        """Keep copying to the clipboard, which an operator asked for with a key, and the fixed titles."""
        if re.fullmatch(r"52;c;[A-Za-z0-9+/=]*", content):
            self._through.append(f"\x1b]{content}\x07")
        elif _TITLE.fullmatch(content):
            if not self.has_set_title:
                self.has_set_title = True
                self._through.append(KEEP_TITLE)
            self._once(f"\x1b]{content}\x07")

    def _once(self, sequence: str) -> None:
        """Keep a sequence once, however often it was written, for a terminal that has not read for hours."""
        if sequence in self._through:
            self._through.remove(sequence)
        self._through.append(sequence)

    def frame(self) -> str:
        """Everything that the terminal must get now, which counts as sent from here on; empty if nothing changed."""
        through, self._through = "".join(self._through), []
        start = ""
        if self._sent is None:
            start = ERASE
            self._sent = Grid(self._wanted.width, self._wanted.height)
            self._pen.forget()
        drawn = self._pen.frame(changes(self._wanted, self._sent), self._cursor())
        for row, cells in zip(self._sent.rows, self._wanted.rows, strict=True):
            if row != cells:
                row[:] = cells
        picture = start + drawn
        if picture and self._synchronised:
            picture = f"\x1b[?{SYNC}h{picture}\x1b[?{SYNC}l"
        return through + picture

    def _cursor(self) -> tuple[int, int]:
        return min(self._x, self._wanted.width - 1), min(self._y, self._wanted.height - 1)
