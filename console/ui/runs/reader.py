"""A text of many lines that is searched, followed and wrapped, above its own line of what is on.

It knows lines of spans only: its screen makes them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence

from textual import on
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.message import Message

from console.ui.filtering.line import FilterLine
from console.ui.glyphs import Glyphs
from console.ui.spans import Line, Span, Tone, fit, line, sanitize_cell
from console.ui.widgets.lines import ScrollLines


class SearchGrammar:
    """Any text is a search for itself."""

    def __init__(self, glyphs: Glyphs) -> None:
        self._glyphs = glyphs

    def parse(self, text: str) -> str:
        """The text that is searched for, without blanks at its ends."""
        return text.strip()

    def is_same(self, one: str, other: str) -> bool:
        """True for the same text; large and small letters are the same."""
        return one.lower() == other.lower()

    def without_unfinished(self, text: str) -> str:
        """The whole text: a search applies with each letter."""
        return text

    def complete(self, text: str) -> str:
        """The text as it is: there is nothing to complete."""
        return text

    def help(self, text: str, trouble: str, cells: int) -> Line:
        """The keys that a search has."""
        keys = line(
            Span("   enter", Tone.KEY),
            " to the text, then ",
            Span("n", Tone.KEY),
            " next, ",
            Span("N", Tone.KEY),
            " previous   ",
            Span("esc", Tone.KEY),
            " clear",
        )
        return fit(keys, cells, self._glyphs.ellipsis)


def plain(spans: Iterable[Span]) -> str:
    """The text of a line without its tones."""
    return "".join(span.text for span in spans)


def highlighted(spans: Line, found: re.Pattern[str]) -> Line:
    """The line with everything that the pattern finds in the tone of a picked entry."""
    places = [match.span() for match in found.finditer(plain(spans))]
    pieces: list[Span] = []
    start = 0
    for span in spans:
        end, at = start + len(span.text), start
        for first, last in places:
            begin, stop = max(at, first), min(end, last)
            if begin < stop:
                pieces += [Span(span.text[at - start : begin - start], span.tone)]
                pieces += [Span(span.text[begin - start : stop - start], Tone.PICK)]
                at = stop
        pieces.append(Span(span.text[at - start :], span.tone))
        start = end
    return tuple(piece for piece in pieces if piece.text)


class Reader(Vertical):
    """A line for the search, and the text. While `follows` is set, the last line stays in view."""

    class Changed(Message):
        """What is on has changed: the search, its place, or whether the end is followed."""

    def __init__(self, glyphs: Glyphs, source: Callable[[], Sequence[Line]], *, id: str) -> None:
        """`source` makes the text. While `is_searching` it should cut nothing, so that all of it can be found."""
        super().__init__(id=id)
        self._glyphs = glyphs
        self._source = source
        self._lines: tuple[Line, ...] = ()
        self._pattern: re.Pattern[str] | None = None
        self._matches: tuple[int, ...] = ()
        self._current: int | None = None
        """The number of the line that the search has gone to."""
        self._from = 0
        """The first line in view when the search began: each letter searches from there again."""
        self.follows = False

    def compose(self) -> ComposeResult:
        yield FilterLine(
            SearchGrammar(self._glyphs), id="filter", changed=self._search_changed, closed=self._search_closed
        )
        yield ScrollLines(id="whole")

    @property
    def search(self) -> FilterLine[str]:
        """The line with the search."""
        return self.query_one(FilterLine)

    @property
    def text(self) -> ScrollLines:
        """The text."""
        return self.query_one(ScrollLines)

    @property
    def is_searching(self) -> bool:
        """True while there is something that is searched for."""
        return self._pattern is not None

    def status(self) -> str:
        """What is on, for the line above: `match 2 of 7`, `no match`, `following`."""
        said = []
        if self._pattern is not None:
            at = self._matches.index(self._current) + 1 if self._current in self._matches else None
            lines = f"{len(self._matches)} line" + ("" if len(self._matches) == 1 else "s")
            found = f"{lines} with" if at is None else f"line {at} of {len(self._matches)} with"
            said.append(f"{found if self._matches else 'no line with'} {sanitize_cell(self.search.wanted, limit=20)}")
        return ", ".join([*said, *(["following"] if self.follows else [])])

    def reload(self) -> None:
        """Make the text again. The place stays, or the end where it is followed."""
        self._read()
        self._paint()
        if self.follows:
            self.text.scroll_to(y=max(0, len(self._lines) - self.text.size.height), animate=False)

    def follow(self, on: bool) -> None:
        """Keep the last line in view from now on, or no longer."""
        self.follows = on
        if on:
            self.text.scroll_to(y=max(0, len(self._lines) - self.text.size.height), animate=False)
        self.post_message(self.Changed())

    def scroll_rows(self, rows: int) -> None:
        """Scroll by rows; upwards ends following."""
        if rows < 0 and self.follows:
            self.follow(False)
        self.text.scroll_relative(y=rows, animate=False)

    def scroll_pages(self, pages: int) -> None:
        """Scroll by pages; upwards ends following."""
        self.scroll_rows(pages * max(1, self.text.size.height - 1))

    def scroll_edge(self, side: int) -> None:
        """Scroll to the top, which ends following, or to the end."""
        if side < 0 and self.follows:
            self.follow(False)
        self.text.scroll_to(y=0 if side < 0 else len(self._lines), animate=False)

    def next_match(self, step: int) -> bool:
        """Go to the next line that has the text, or to the previous one; behind the last one the first one follows.

        False if that went around.
        """
        if not self._matches:
            return True
        here = self._current if self._current is not None else self.text.scroll_offset.y - (1 if step > 0 else 0)
        ahead = [at for at in self._matches if (at > here if step > 0 else at < here)]
        wanted = ahead or list(self._matches)
        self._go_to(wanted[0] if step > 0 else wanted[-1])
        return bool(ahead)

    def _go_to(self, index: int) -> None:
        self.follows = False
        self._current = index
        top, height = self.text.scroll_offset.y, max(1, self.text.size.height)
        if not top <= index < top + height:
            self.text.scroll_to(y=max(0, index - height // 2), animate=False)
        self._paint()
        self.post_message(self.Changed())

    def _read(self) -> None:
        self._lines = tuple(self._source())
        pattern = self._pattern
        self._matches = tuple(at for at, spans in enumerate(self._lines) if pattern and pattern.search(plain(spans)))
        if self._current not in self._matches:
            self._current = None

    def _paint(self) -> None:
        lines = self._lines
        if self._pattern is not None:
            found = frozenset(self._matches)
            lines = tuple(highlighted(each, self._pattern) if at in found else each for at, each in enumerate(lines))
        self.text.show(lines, cursor=self._current)

    def _search_changed(self, is_other: bool) -> None:
        if not is_other:
            return
        wanted = self.search.wanted
        if self._pattern is None:
            self._from = self.text.scroll_offset.y
        self._pattern = re.compile(re.escape(wanted), re.IGNORECASE) if wanted else None
        self._current = None
        self._read()
        if self._matches:
            self._go_to(next((at for at in self._matches if at >= self._from), self._matches[0]))
        else:
            self._paint()
            self.post_message(self.Changed())

    def _search_closed(self) -> None:
        self.screen.set_focus(self.text)

    @on(ScrollLines.ScrolledUp)
    def _scrolled_up(self, event: ScrollLines.ScrolledUp) -> None:
        event.stop()
        if self.follows:
            self.follow(False)
