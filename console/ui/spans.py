"""Lines of text whose pieces have a meaning (`Tone`) in place of a colour, and how they are fitted into cells.

Pure functions build spans; only a theme knows what a tone looks like."""

from __future__ import annotations

import re
from collections.abc import Iterable
from enum import StrEnum
from typing import NamedTuple

from rich.cells import cell_len, chop_cells, set_cell_size, split_text

from console.domain.text import sanitize

VARIATION_SELECTORS = str.maketrans("", "", "\ufe0e\ufe0f")
"""Removed from all text, because they change the width of a character on some terminals only."""


class Tone(StrEnum):
    """The meaning of a piece of text. Every theme gives each tone a style; no meaning is shown by colour alone."""

    PLAIN = "plain"
    MUTED = "muted"
    """Labels, ended runs, details."""
    FAINT = "faint"
    """Rules, and the empty part of gauges."""
    STRONG = "strong"
    """The name of the selected thing."""
    KEY = "key"
    """A key to press."""
    PICK = "pick"
    """The choice that Enter takes."""
    WAIT = "wait"
    """Proposed or claimed: nothing was sent yet."""
    BUSY = "busy"
    """Running, and the filled part of gauges."""
    HELD = "held"
    """Units that are reserved in a cap and not used yet."""
    OK = "ok"
    WARN = "warn"
    """Near a limit, stopping, stalled."""
    BAD = "bad"
    """Cut off, failed or refused."""
    LOUD = "loud"
    """Needs a person now: an unconfirmed run, paused launches, a stop without proof."""
    BAR1 = "bar1"
    """The largest part of a stacked bar; `bar2` to `bar6` are the next ones in size."""
    BAR2 = "bar2"
    BAR3 = "bar3"
    BAR4 = "bar4"
    BAR5 = "bar5"
    BAR6 = "bar6"


class Span(NamedTuple):
    """A piece of text in one tone."""

    text: str
    tone: Tone = Tone.PLAIN


Line = tuple[Span, ...]
"""One line of the screen from left to right, without newlines."""


def line(*pieces: Span | str) -> Line:
    """A line of these pieces; plain strings get the tone PLAIN, empty pieces are left out."""
    spans = (piece if isinstance(piece, Span) else Span(piece) for piece in pieces)
    return tuple(span for span in spans if span.text)


def merged(spans: Iterable[Span]) -> Line:
    """The same line with as few spans as possible: each costs time whenever it is painted."""
    pieces: list[Span] = []
    for span in spans:
        if pieces and pieces[-1].tone is span.tone:
            pieces[-1] = Span(pieces[-1].text + span.text, span.tone)
        else:
            pieces.append(span)
    return tuple(pieces)


def sanitize_cell(text: str, *, limit: int = 400) -> str:
    """Text from outside as one line without control characters, at most `limit` characters long."""
    return sanitize(text.translate(VARIATION_SELECTORS), limit=limit)


def width(spans: Iterable[Span]) -> int:
    """The number of cells that the spans take."""
    return sum(cell_len(span.text) for span in spans)


def cell_width(text: str) -> int:
    """The number of cells that a text takes."""
    return cell_len(text)


def clip(text: str, cells: int, ellipsis: str = "…") -> str:
    """`text` in at most `cells`; it ends in the ellipsis if it was cut."""
    if cell_len(text) <= cells:
        return text
    if cells <= cell_len(ellipsis):
        return set_cell_size(text, cells)
    return set_cell_size(text, cells - cell_len(ellipsis)).rstrip() + ellipsis


def middle(text: str, cells: int, ellipsis: str = "…") -> str:
    """`text` in at most `cells`, with its middle left out if it was cut: ids differ at both ends."""
    if cell_len(text) <= cells or cells <= 3:
        return clip(text, cells, ellipsis)
    head = (cells - len(ellipsis)) // 2
    tail = cells - len(ellipsis) - head
    return set_cell_size(text, head) + ellipsis + split_text(text, cell_len(text) - tail)[1]


def left(text: str, cells: int, ellipsis: str = "…") -> str:
    """`text` in exactly `cells`, aligned to the left."""
    return set_cell_size(clip(text, cells, ellipsis), cells)


def right(text: str, cells: int, ellipsis: str = "…") -> str:
    """`text` in exactly `cells`, aligned to the right."""
    clipped = clip(text, cells, ellipsis)
    return " " * (cells - cell_len(clipped)) + clipped


def fit(spans: Line, cells: int, ellipsis: str = "…") -> Line:
    """The line in exactly `cells`: cut with an ellipsis, or padded with blanks."""
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
    """`text` in pieces of at most `cells`, broken at blanks where possible."""
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


_WORDS = re.compile(r" +|[^ ]+")


def wrap(spans: Line, cells: int, *, indent: int = 0) -> list[Line]:
    """The line in pieces of at most `cells`, broken at blanks where possible; later pieces begin with `indent` blanks.

    Blanks at the ends of pieces are left out.
    """
    indent = indent if indent < cells - 8 else 0
    pieces: list[list[Span]] = [[]]
    room = cells
    for text, tone in spans:
        for word in _WORDS.findall(text):
            size = cell_len(word)
            if size > room and (pieces[-1] or word.isspace()):
                pieces.append([])
                room = cells - indent
                if word.isspace():
                    continue
            *full, last = chop_cells(word, room) if size > room else [word]
            for part in full:
                pieces[-1].append(Span(part, tone))
                pieces.append([])
                room = cells - indent
            pieces[-1].append(Span(last, tone))
            room -= cell_len(last)
    lines = [_without_end(piece) for piece in pieces]
    return [each if not number or not indent else (Span(" " * indent), *each) for number, each in enumerate(lines)]


def wrap_facts(lines: Iterable[Line], cells: int) -> list[Line]:
    """The lines in pieces of exactly `cells`; the later pieces of one begin below what follows its label.

    A label is a first span that is padded with blanks. The ends of facts matter as much as their beginnings: they are
    wrapped where tables are cut.
    """
    pieces: list[Line] = []
    for each in lines:
        pieces += wrap(each, cells, indent=_hanging(each)) if width(each) > cells else [each]
    return [fit(piece, cells) for piece in pieces]


def _hanging(spans: Line) -> int:
    """The cells of the label, or of the blanks with which the line begins."""
    first = spans[0].text
    is_label = len(spans) > 1 and first.endswith(" ")
    return cell_len(first) if is_label else len(first) - len(first.lstrip())


def _without_end(spans: list[Span]) -> Line:
    """The line without blanks at its end."""
    kept = list(merged(spans))
    while kept and not kept[-1].text.rstrip():
        kept.pop()
    if kept:
        kept[-1] = Span(kept[-1].text.rstrip(), kept[-1].tone)
    return tuple(kept)
