"""Text with a meaning instead of a colour: pure functions make spans, only a theme knows what a tone looks like."""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum
from typing import NamedTuple

from rich.cells import cell_len, chop_cells, set_cell_size, split_text

from console.domain.text import sanitize

VARIATION_SELECTORS = str.maketrans("", "", "\ufe0e\ufe0f")
"""They change a character's width on some terminals and not on others, so they never get on the screen."""


class Tone(StrEnum):
    """What a piece of text means. Every theme gives each a style, and no meaning rests on colour alone."""

    PLAIN = "plain"
    MUTED = "muted"
    """Labels, what is over, what may be skipped."""
    FAINT = "faint"
    """Rules and the empty part of gauges."""
    STRONG = "strong"
    """The name of the thing that is looked at."""
    KEY = "key"
    """Something to press."""
    PICK = "pick"
    """What Enter would take."""
    WAIT = "wait"
    """Proposed, claimed: nothing has left yet."""
    BUSY = "busy"
    """Running, and the filled part of gauges."""
    HELD = "held"
    """Units that are taken from a cap but not spent."""
    OK = "ok"
    WARN = "warn"
    """Nears a limit, stopping, stalled."""
    BAD = "bad"
    """Cut off, failed, refused."""
    LOUD = "loud"
    """Needs a person now: unconfirmed, paused, a stop without proof."""
    BAR1 = "bar1"
    """The largest part of a stacked bar; `bar2` to `bar6` are the next ones."""
    BAR2 = "bar2"
    BAR3 = "bar3"
    BAR4 = "bar4"
    BAR5 = "bar5"
    BAR6 = "bar6"


class Span(NamedTuple):
    """A piece of one line."""

    text: str
    tone: Tone = Tone.PLAIN


Line = tuple[Span, ...]
"""One line of the screen, left to right; no newlines."""


def line(*pieces: Span | str) -> Line:
    """A line of spans; bare strings are plain, empty pieces are left out."""
    spans = (piece if isinstance(piece, Span) else Span(piece) for piece in pieces)
    return tuple(span for span in spans if span.text)


def sanitize_cell(text: str, *, limit: int = 400) -> str:
    """Text from outside, one line of it, harmless and of a width that every terminal agrees on."""
    return sanitize(text.translate(VARIATION_SELECTORS), limit=limit)


def width(spans: Iterable[Span]) -> int:
    """Cells that the spans take."""
    return sum(cell_len(span.text) for span in spans)


def clip(text: str, cells: int, ellipsis: str = "…") -> str:
    """`text` within `cells`; where it was cut it ends in the ellipsis."""
    if cell_len(text) <= cells:
        return text
    if cells <= cell_len(ellipsis):
        return set_cell_size(text, cells)
    return set_cell_size(text, cells - cell_len(ellipsis)).rstrip() + ellipsis


def middle(text: str, cells: int, ellipsis: str = "…") -> str:
    """`text` within `cells` with the middle left out: ids differ at both ends."""
    if cell_len(text) <= cells or cells <= 3:
        return clip(text, cells, ellipsis)
    head = (cells - len(ellipsis)) // 2
    tail = cells - len(ellipsis) - head
    return set_cell_size(text, head) + ellipsis + split_text(text, cell_len(text) - tail)[1]


def left(text: str, cells: int, ellipsis: str = "…") -> str:
    """`text` in exactly `cells`, at the left."""
    return set_cell_size(clip(text, cells, ellipsis), cells)


def right(text: str, cells: int, ellipsis: str = "…") -> str:
    """`text` in exactly `cells`, at the right."""
    clipped = clip(text, cells, ellipsis)
    return " " * (cells - cell_len(clipped)) + clipped


def fit(spans: Line, cells: int, ellipsis: str = "…") -> Line:
    """The line in exactly `cells`: cut with an ellipsis, or filled up with blanks."""
    room = cells
    kept: list[Span] = []
    for index, span in enumerate(spans):
        size = cell_len(span.text)
        if size > room or (size == room and width(spans[index + 1 :]) > 0):
            return (*kept, Span(left(span.text + " " * (room + 1), room, ellipsis), span.tone)) if room else tuple(kept)
        kept.append(span)
        room -= size
    return (*kept, Span(" " * room)) if room else tuple(kept)


def spread(start: Line, end: Line, cells: int, ellipsis: str = "…") -> Line:
    """One line of exactly `cells` with `start` at the left and `end` at the right; `start` is cut first."""
    room = max(0, cells - width(end))
    return (*fit(start, room, ellipsis), *fit(end, cells - room, ellipsis))


def wrapped(text: str, cells: int) -> list[str]:
    """`text` in pieces of at most `cells`, broken at blanks where there are any."""
    pieces: list[str] = []
    current = ""
    for word in text.split(" "):
        longer = f"{current} {word}" if current else word
        if cell_len(longer) <= cells:
            current = longer
            continue
        if current:
            pieces.append(current)
        *full, current = chop_cells(word, cells) or [""]
        pieces.extend(full)
    return [*pieces, current] if current or not pieces else pieces
