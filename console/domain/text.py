"""Text from outside never acts on a terminal: every character that could is turned into a visible escape.

Agent output, task names, error bodies and provider words are hostile until they passed `safe`.
"""

from __future__ import annotations

import unicodedata

UNSAFE_CATEGORIES = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
"""Controls, formats (bidi, zero-width, tags), surrogates, private use, unassigned, line separators."""

MAX_COMBINING = 3
"""A base character keeps at most this many combining marks; stacks of them overflow neighbouring rows."""


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


def safe(text: str, *, limit: int | None = None, newlines: bool = False) -> str:
    """`text` with nothing in it that a terminal would obey.

    Tabs become a space; newlines stay only where `newlines` is true. `limit` is in characters of the
    result, which then ends in `…`; None is unlimited.
    """
    pieces: list[str] = []
    length = combining = 0
    for character in text:
        if character == "\t" or (character == "\n" and not newlines):
            piece = " "
        elif character == "\n":
            piece = character
        elif unicodedata.combining(character):
            combining += 1
            if combining > MAX_COMBINING:
                continue
            piece = character
        elif is_unsafe(character):
            piece = _visible(character)
        else:
            piece = character
        if not unicodedata.combining(character):
            combining = 0
        if limit is not None and length + len(piece) > limit:
            return "".join(pieces)[: max(0, limit - 1)] + "…"
        pieces.append(piece)
        length += len(piece)
    return "".join(pieces)


def is_safe(text: str, *, newlines: bool = False) -> bool:
    """True where `safe` would change nothing but tabs."""
    return not any(is_unsafe(c) and not (newlines and c == "\n") for c in text)
