"""Reads what Textual would send to a terminal: text, moves and styles into a grid, a short list of others through.

Whatever is on no list is dropped: an escape sequence that slipped into a text ends here.
"""

from __future__ import annotations

import re

from console.ui.grid import Grid, Pen, changes
from console.ui.news import QUIET_TITLE, TITLES

_TOKEN = re.compile(
    r"\x1b\[(?P<private>[<-?]?)(?P<numbers>[\d;:]*)(?P<middle>[ -/]*)(?P<final>[@-~])"
    r"|\x1b\](?P<osc>[^\x07\x1b\x9c]*)(?:\x07|\x1b\\)"
    r"|(?P<text>[^\x00-\x1f\x7f-\x9f]+)"
    r"|(?P<single>[\n\r\x07])",
)

SYNC = "2026"
"""Frames that a terminal shows in one piece; each of ours is wrapped in it where the terminal knows it."""

ERASE = "\x1b[m\x1b[2J"

KEEP_TITLE, RESTORE_TITLE = "\x1b[22;2t", "\x1b]2;\x07\x1b[23;2t"
"""The terminal's own title, put aside and back; where the terminal cannot do that, no title is left."""
OUR_TITLES = frozenset({QUIET_TITLE, *TITLES.values()})


class Painter:
    """Feeds on Textual's stream, gives the bytes that make the terminal follow."""

    def __init__(self, width: int, height: int) -> None:
        self._wanted = Grid(width, height)
        self._sent: Grid | None = None
        self._pen = Pen(width)
        self._style = ""
        self._x = self._y = 0
        self._through: list[str] = []
        self._synchronised = False
        self.entitled = False
        """True once a title of ours was sent."""

    def resize(self, width: int, height: int) -> None:
        """The terminal has another size; what it shows is not known any more."""
        self._wanted = self._wanted.resized(width, height)
        self._pen = Pen(width)
        self.forget()

    def forget(self) -> None:
        """What the terminal shows is not known any more: the next frame is a whole one."""
        self._sent = None
        self._pen.forget()

    def feed(self, data: str) -> None:
        """Takes up a piece of the stream; a sequence is never split over two pieces."""
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
        """Copying to the clipboard, which an operator asked for with a key, and the few titles that are ours."""
        if re.fullmatch(r"52;c;[A-Za-z0-9+/=]*", content):
            self._through.append(f"\x1b]{content}\x07")
        elif content.startswith("2;") and content[2:] in OUR_TITLES:
            if not self.entitled:
                self.entitled = True
                self._through.append(KEEP_TITLE)
            self._once(f"\x1b]{content}\x07")

    def _once(self, sequence: str) -> None:
        """A terminal that has not read for hours gets it once, not once for each time."""
        if sequence in self._through:
            self._through.remove(sequence)
        self._through.append(sequence)

    def frame(self) -> str:
        """All that the terminal must get now; from here on it counts as sent. Empty when nothing changed."""
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
