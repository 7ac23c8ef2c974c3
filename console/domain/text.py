"""Neutralise text from outside: every character that a terminal could act on becomes a visible escape.

Agent output, task names, error bodies and status words are untrusted until they have passed `sanitize`.
"""

from __future__ import annotations

import unicodedata

UNSAFE_CATEGORIES = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
"""Controls, formats (bidi, zero-width, tags), surrogates, private use, unassigned, line separators."""

MAX_COMBINING = 3
"""Combining marks kept after a base character; longer stacks would overflow into neighbouring rows."""

_COMBINING = frozenset({"Mn", "Me"})
"""Matched by category because many marks that stack (in Thai, for example) have the combining class 0."""


def is_unsafe(character: str) -> bool:
    """True for a character that must not reach a terminal unescaped."""
    return unicodedata.category(character) in UNSAFE_CATEGORIES


def is_blank(text: str) -> bool:
    """True for a text in which nothing can be seen: it has blanks and unsafe characters only."""
    return all(character.isspace() or is_unsafe(character) for character in text)


def sanitize(text: str, *, limit: int | None = None, newlines: bool = False) -> str:
    """Return `text` with every control, format and unassigned character replaced by a visible escape.

    A tab becomes a space. Newlines are kept only with `newlines`. `limit` is the maximum length of the result
    in characters; a longer result is cut and ends in `…`. None means no limit.
    """
    cleaned = text if text.isascii() and text.isprintable() else _escape(text, limit, newlines)
    if limit is None or len(cleaned) <= limit:
        return cleaned
    return cleaned[: limit - 1] + "…" if limit > 0 else ""


def is_sanitized(text: str, *, newlines: bool = False) -> bool:
    """True if `sanitize` would return `text` unchanged."""
    return sanitize(text, newlines=newlines) == text


def _escape(text: str, limit: int | None, newlines: bool) -> str:
    """Escape the whole text, or just more than `limit` characters of it: agent output can be megabytes long."""
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


def _visible(character: str) -> str:
    code = ord(character)
    if code < 0x20:
        return chr(0x2400 + code)
    if code == 0x7F:
        return "\u2421"
    if code <= 0xFF:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"


def os_error_text(error: OSError) -> str:
    """What the operating system refused, in words, with the file: `No space left on device (/srv/nd/runs.log)`.

    Without the number of the error, which means something to programs only. Sanitized.
    """
    reason = error.strerror or str(error) or type(error).__name__
    return sanitize(f"{reason} ({error.filename})" if isinstance(error.filename, str) else reason, limit=300)
