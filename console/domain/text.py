"""Text from outside never acts on a terminal: every character that could is turned into a visible escape.

Agent output, task names, error bodies and provider words are hostile until they passed `safe`.
"""

from __future__ import annotations

import unicodedata

UNSAFE_CATEGORIES = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
"""Controls, formats (bidi, zero-width, tags), surrogates, private use, unassigned, line separators."""

MAX_COMBINING = 3
"""A base character keeps at most this many combining marks; stacks of them overflow neighbouring rows."""

_COMBINING = frozenset({"Mn", "Me"})
"""By category: many marks that stack, Thai ones among them, have the combining class 0."""


def is_unsafe(character: str) -> bool:
    """True for a character that must not reach a terminal as it is."""
    return unicodedata.category(character) in UNSAFE_CATEGORIES


def _visible(character: str) -> str:
    code = ord(character)
    if code < 0x20:
        return chr(0x2400 + code)
    if code == 0x7F:
        return "\u2421"
    if code <= 0xFF:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"


def sanitize(text: str, *, limit: int | None = None, newlines: bool = False) -> str:
    """`text` with nothing in it that a terminal would obey.

    Tabs become a space; newlines stay only where `newlines` is true. `limit` is in characters of the
    result, which then ends in `…`; None is unlimited.
    """
    cleaned = text if text.isascii() and text.isprintable() else _cleaned(text, limit, newlines)
    if limit is None or len(cleaned) <= limit:
        return cleaned
    return cleaned[: limit - 1] + "…" if limit > 0 else ""


def is_sanitized(text: str, *, newlines: bool = False) -> bool:
    """True where `safe` would change nothing."""
    return sanitize(text, newlines=newlines) == text


def _cleaned(text: str, limit: int | None, newlines: bool) -> str:
    """All of it, or enough to be longer than `limit`: megabytes of agent text are shown in one line."""
    pieces: list[str] = []
    length = marks = 0
    for character in text:
        category = unicodedata.category(character)
        marks = marks + 1 if category in _COMBINING else 0
        if marks > MAX_COMBINING:
            continue
        if character == "\t" or (character == "\n" and not newlines):
            piece = " "
        elif category in UNSAFE_CATEGORIES and character != "\n":
            piece = _visible(character)
        else:
            piece = character
        pieces.append(piece)
        length += len(piece)
        if limit is not None and length > limit:
            break
    return "".join(pieces)
