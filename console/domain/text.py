"""Neutralise text from outside: every character that a terminal could act on becomes a visible escape.

Agent output, task names, error bodies and status words are untrusted until they have passed `sanitize`.
"""

from __future__ import annotations

import re
import unicodedata

UNSAFE_CATEGORIES = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
"""Controls, formats (bidi, zero-width, tags), surrogates, private use, unassigned, line separators."""

MAX_COMBINING = 3
"""Combining marks kept after a base character; longer stacks would overflow into neighbouring rows."""

_COMBINING = frozenset({"Mn", "Me"})
"""Matched by category because many marks that stack (in Thai, for example) have the combining class 0."""


_UNSPACED = re.compile(
    "[\u0e00-\u0eff\u1000-\u109f\u1100-\u11ff\u1780-\u17ff\u2e80-\u2fdf\u3005-\u3007\u3021-\u3029\u3031-\u3035\u303b"
    "\u3040-\u318f\u31a0-\u31bf\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\ua960-\ua97f\uaa60-\uaa7f\uac00-\ud7ff\uf900-\ufaff"
    "\uff66-\uffdc\U0001b000-\U0001b16f\U00020000-\U0003ffff]"
)
"""Characters of scripts that are written without blanks between words, or with few of them: Han, Hiragana, Katakana,
Bopomofo, Hangul, Thai, Lao, Burmese and Khmer."""
_EMOJI = re.compile("[\u2600-\u27bf\u2b00-\u2bff\U0001f000-\U0001faff]")
"""Characters that are no letters and yet are searched for."""


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
    first = text if limit is None else text[: limit + 1]
    cleaned = first if newlines else first.replace("\t", " ").replace("\n", " ")
    if not (cleaned.isascii() and cleaned.isprintable()):
        cleaned = _escape(text, limit, newlines)
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


def to_index_text(text: str) -> str:
    """Return `text` as it is searched for words.

    Scripts without blanks between words get blanks around each character, so a word is found as a sequence of its
    characters. An emoji becomes a word of letters and digits: its code.
    """
    if text.isascii():
        return text
    return _EMOJI.sub(lambda found: f" u{ord(found[0]):x} ", _UNSPACED.sub(r" \g<0> ", text))


def words_of(text: str) -> list[str]:
    """Return the words of `text` without their case, cut at everything that is neither letter nor digit."""
    return "".join(each if each.isalnum() else " " for each in to_index_text(text).lower()).split()
