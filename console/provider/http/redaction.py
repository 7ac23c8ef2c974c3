"""Mask the API key and passages of prompts in texts from outside, also where they come back encoded.

A text is compared as it is, and once more by its letters and digits alone, after escapes (JSON, URL, HTML) are decoded:
so line breaks, blanks, quotation marks and capitals do not matter. Words in base64 or hexadecimal are decoded.
"""

from __future__ import annotations

import binascii
import re
from base64 import b64decode
from collections.abc import Iterable, Iterator

from console.provider.http.secret import Secret

MASK = "***"
"""Replaces every redacted passage."""

KEY_WINDOW = 12
"""Characters of the key in a row that are masked: part of a key is already a leak."""
PROMPT_WINDOW = 24
"""Characters of a prompt in a row that are masked; a shorter phrase is not specific to the prompt."""
PROMPT_LETTERS = 20
"""The same in letters and digits: as many as 24 characters usually have."""

SHORTEST_HIDDEN = 8
"""Shorter texts are not masked: masking a prompt such as `hi` would garble every message."""

REDACTED_LENGTH = 8_000
"""Characters of a text that are kept; the comparison takes time in proportion to them and to the prompts."""

MAX_HIDDEN = 256
"""Prompts that a redactor knows; beyond this the oldest is dropped."""

_CACHED = 1024
"""Redacted texts that are kept, since services repeat the same few words."""

_ESCAPE = re.compile(
    r"(?P<url>(?:%[0-9a-fA-F]{2})+)|\\+u(?P<unicode>[0-9a-fA-F]{4})|\\+x(?P<byte>[0-9a-fA-F]{2})|\\+[a-z\"'/]"
    r"|&\#(?P<decimal>[0-9]{1,7});|&\#[xX](?P<hexadecimal>[0-9a-fA-F]{1,6});|&[a-z]{2,6};"
)
_BASE64 = re.compile(r"[A-Za-z0-9+/_-]{12,}")
_HEXADECIMAL = re.compile(r"(?:[0-9a-fA-F]{2}){8,}")


class Redactor:
    """Masks the key, and passages of prompts, in texts from outside."""

    __slots__ = ("_cache", "_hidden", "_key", "_secret")

    def __init__(self, secret: Secret, hidden: Iterable[str] = ()) -> None:
        """`hidden` are prompts and system instructions."""
        self._secret = secret
        self._key = _Hidden(secret.reveal(), KEY_WINDOW, KEY_WINDOW)
        self._hidden: dict[str, _Hidden] = {}
        self._cache: dict[str, str] = {}
        self.remember(*hidden)

    def __call__(self, text: str) -> str:
        """Return `text`, cut to REDACTED_LENGTH, with `***` in place of each secret passage."""
        found = self._cache.get(text)
        if found is None:
            found = self._mask(text[:REDACTED_LENGTH])
            if len(self._cache) >= _CACHED:
                self._cache.clear()
            self._cache[text] = found
        return found

    def remember(self, *texts: str) -> None:
        """Mask `texts` too from now on."""
        for text in texts:
            if len(text) >= SHORTEST_HIDDEN and text not in self._hidden:
                self._hidden[text] = _Hidden(text, PROMPT_WINDOW, PROMPT_LETTERS)
                self._cache.clear()
        while len(self._hidden) > MAX_HIDDEN:
            del self._hidden[next(iter(self._hidden))]

    def also_redacting(self, *texts: str) -> Redactor:
        """Return a redactor that masks `texts` too; this one if it knows them already."""
        if all(len(text) < SHORTEST_HIDDEN or text in self._hidden for text in texts):
            return self
        more = Redactor(self._secret)
        more._hidden = dict(self._hidden)
        more.remember(*texts)
        return more

    def __repr__(self) -> str:
        return f"Redactor({MASK})"

    def _mask(self, text: str) -> str:
        if len(text) < SHORTEST_HIDDEN:
            return text
        hidden = (self._key, *self._hidden.values())
        covered = bytearray(len(text))
        for start, end in _secret_parts(text, hidden):
            covered[start:end] = b"\1" * (end - start)
        if not any(covered):
            return text
        pieces = []
        for position, character in enumerate(text):
            if not covered[position]:
                pieces.append(character)
            elif position == 0 or not covered[position - 1]:
                pieces.append(MASK)
        return "".join(pieces)


class _Hidden:
    """A secret text, and its letters and digits, which are worked out when they are first needed."""

    __slots__ = ("_letters", "_letters_window", "_text", "_window")

    def __init__(self, text: str, window: int, letters_window: int) -> None:
        self._text = text
        self._window = window
        self._letters: str | None = None
        self._letters_window = letters_window

    def passages(self, text: str) -> Iterator[tuple[int, int]]:
        """Yield where `text` shares a passage with this one as it is."""
        return _shared(text, self._text, self._window)

    def passages_of_letters(self, letters: str) -> Iterator[tuple[int, int]]:
        """Yield where `letters`, as `_letters_of` returns them, share a passage with the letters of this text."""
        if self._letters is None:
            self._letters = "".join(filter(str.isalnum, _ESCAPE.sub(_decoded, self._text).casefold()))
        return _shared(letters, self._letters, self._letters_window)


def _secret_parts(text: str, hidden: tuple[_Hidden, ...]) -> Iterator[tuple[int, int]]:
    """Yield beginning and end of each part of `text` that is to be masked. They may overlap."""
    letters, spans = _letters_of(text)
    for each in hidden:
        yield from each.passages(text)
        for start, end in each.passages_of_letters(letters):
            yield spans[start][0], spans[end - 1][1]
    for start, end, decoded in _decoded_words(text):
        found, _ = _letters_of(decoded)
        if any(next(each.passages_of_letters(found), None) is not None for each in hidden):
            yield start, end


def _shared(text: str, hidden: str, window: int) -> Iterator[tuple[int, int]]:
    """Yield each passage of `window` characters (or of all of a shorter `hidden`) that `text` shares with `hidden`."""
    width = min(window, len(hidden))
    if width < SHORTEST_HIDDEN or len(text) < width:
        return
    # Every passage of `width` characters contains a whole block of half that size at a multiple of that size.
    block = width // 2
    for at in range(0, len(text) - block + 1, block):
        if text[at : at + block] not in hidden:
            continue
        for start in range(max(0, at + block - width), min(at, len(text) - width) + 1):
            if text[start : start + width] in hidden:
                yield start, start + width


def _letters_of(text: str) -> tuple[str, list[tuple[int, int]]]:
    """Return the letters and digits of `text` without their case, and for each its place, or that of its escape."""
    letters: list[str] = []
    spans: list[tuple[int, int]] = []
    for start, end, character in _characters(text):
        for letter in character.casefold():
            if letter.isalnum():
                letters.append(letter)
                spans.append((start, end))
    return "".join(letters), spans


def _characters(text: str) -> Iterator[tuple[int, int, str]]:
    """Yield each character of `text` with its place, and for each escape what it stands for."""
    at = 0
    for escape in _ESCAPE.finditer(text):
        yield from ((place, place + 1, text[place]) for place in range(at, escape.start()))
        place = escape.start()
        for character in _decoded(escape):
            # The bytes of a URL are escaped one by one.
            width = 3 * len(character.encode("utf-8", "replace")) if escape["url"] else len(escape[0])
            yield place, min(place + width, escape.end()), character
            place = min(place + width, escape.end() - 1)
        at = escape.end()
    yield from ((place, place + 1, text[place]) for place in range(at, len(text)))


def _decoded(escape: re.Match[str]) -> str:
    """Return what an escape stands for; a blank for a line break, a quotation mark and the like."""
    if escape["url"]:
        return bytes.fromhex(escape["url"].replace("%", "")).decode("utf-8", "replace")
    digits = escape["unicode"] or escape["byte"] or escape["hexadecimal"]
    code = int(digits, 16) if digits else int(escape["decimal"] or 32)
    return chr(code) if code <= 0x10FFFF else " "


def _decoded_words(text: str) -> Iterator[tuple[int, int, str]]:
    """Yield the place and the content of each word of `text` that could be base64 or hexadecimal."""
    for word in _HEXADECIMAL.finditer(text):
        yield word.start(), word.end(), bytes.fromhex(word[0]).decode("utf-8", "replace")
    for word in _BASE64.finditer(text):
        digits = word[0].replace("-", "+").replace("_", "/")
        # The code may follow a prefix without a blank, so each alignment is tried.
        for skipped in range(4):
            usable = digits[skipped : skipped + (len(digits) - skipped) // 4 * 4]
            try:
                yield word.start(), word.end(), b64decode(usable).decode("utf-8", "replace")
            except binascii.Error:
                continue
