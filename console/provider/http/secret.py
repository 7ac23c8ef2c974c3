"""The API key, and its removal from texts that come back from outside.

A `Secret` is read from an environment variable or from a file that nobody else can read. It never shows in a repr, a
message or a pickle; only the transport reveals it, in a request header. A `Redactor` masks the key and the prompts in
error texts.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NoReturn

from console.domain.text import sanitize

MASK = "***"
"""Replaces every redacted passage."""

MAX_LENGTH = 4096
"""Maximum characters of a key."""

_FORM = re.compile(r"[\x21-\x7e]+")
"""Characters allowed in a header. The HTTP library would quote any other value in its error."""


class Secret:
    """A value that only `reveal` returns. Raises ValueError, without quoting it, if it cannot be sent in a header."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        value = value.strip()
        if not value:
            raise ValueError("the API key is empty")
        if len(value) > MAX_LENGTH or _FORM.fullmatch(value) is None:
            raise ValueError(f"the API key must be 1 to {MAX_LENGTH} printable ASCII characters without spaces")
        self._value = value

    @classmethod
    def from_env(cls, name: str, environment: Mapping[str, str]) -> Secret:
        """Read the key from the variable `name`. Raises ValueError if it is not set or is no key."""
        if name not in environment:
            raise ValueError(f"the environment variable {name} with the API key is not set")
        try:
            return cls(environment[name])
        except ValueError as error:
            raise ValueError(f"{name}: {error}") from None

    @classmethod
    def from_file(cls, path: Path) -> Secret:
        """Read the key from a file of ours with mode 0600 or stricter. Raises ValueError with one line."""
        path = path.expanduser()
        shown = sanitize(str(path))
        try:
            # Without O_NONBLOCK, opening a named pipe at this path would block.
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY)
        except OSError as error:
            raise ValueError(f"the API key file {shown} cannot be read: {error.strerror}") from None
        try:
            _refuse_exposed(shown, os.fstat(descriptor))
            content = os.read(descriptor, MAX_LENGTH + 2)
        finally:
            os.close(descriptor)
        try:
            return cls(content.decode("ascii"))
        except UnicodeDecodeError:
            raise ValueError(f"{shown}: the API key must be printable ASCII") from None
        except ValueError as error:
            raise ValueError(f"{shown}: {error}") from None

    def reveal(self) -> str:
        """Return the value. Only the transport and the redactor call this."""
        return self._value

    def __repr__(self) -> str:
        return f"Secret({MASK})"

    __str__ = __repr__

    def __format__(self, spec: str) -> str:
        return repr(self)

    def __reduce__(self) -> NoReturn:
        raise TypeError("a secret cannot be pickled")


def _refuse_exposed(path: str, status: os.stat_result) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise ValueError(f"the API key file {path} is not a regular file")
    if status.st_uid not in (os.geteuid(), 0):
        raise ValueError(f"the API key file {path} belongs to another user")
    if status.st_mode & 0o077:
        mode = stat.S_IMODE(status.st_mode)
        raise ValueError(f"the API key file {path} can be read by others (mode {mode:04o}); do: chmod 600 {path}")


KEY_WINDOW = 12
"""Characters of the key in a row that are masked: part of a key is already a leak."""
PROMPT_WINDOW = 24
"""Characters of a prompt in a row that are masked; a shorter phrase is not specific to the prompt."""

SHORTEST_HIDDEN = 8
"""Shorter texts are not masked: masking a prompt such as `hi` would garble every message."""

REDACTED_LENGTH = 8_000
"""Characters of a text that are kept; the comparison takes time in proportion to them and to the prompts."""

MAX_HIDDEN = 256
"""Prompts that a redactor knows; beyond this the oldest is dropped."""

_CACHED = 1024
"""Redacted texts that are kept, since services repeat the same few words."""


class Redactor:
    """Masks the key, and passages of prompts, in texts from outside."""

    __slots__ = ("_cache", "_hidden", "_secret")

    def __init__(self, secret: Secret, hidden: Iterable[str] = ()) -> None:
        """`hidden` are prompts and system instructions."""
        self._secret = secret
        self._hidden: dict[str, None] = {}
        self._cache: dict[str, str] = {}
        self.remember(*hidden)

    def __call__(self, text: str) -> str:
        """Return `text`, cut to REDACTED_LENGTH, with `***` in place of each secret passage."""
        found = self._cache.get(text)
        if found is None:
            found = _mask(text[:REDACTED_LENGTH], self._secret.reveal(), KEY_WINDOW)
            for hidden in self._hidden:
                found = _mask(found, hidden, PROMPT_WINDOW)
            if len(self._cache) >= _CACHED:
                self._cache.clear()
            self._cache[text] = found
        return found

    def remember(self, *texts: str) -> None:
        """Mask `texts` too from now on."""
        for text in texts:
            if len(text) >= SHORTEST_HIDDEN and text not in self._hidden:
                self._hidden[text] = None
                self._cache.clear()
        while len(self._hidden) > MAX_HIDDEN:
            del self._hidden[next(iter(self._hidden))]

    def also_redacting(self, *texts: str) -> Redactor:
        """Return a redactor that masks `texts` too; this one if it knows them already."""
        if all(len(text) < SHORTEST_HIDDEN or text in self._hidden for text in texts):
            return self
        return Redactor(self._secret, (*self._hidden, *texts))

    def __repr__(self) -> str:
        return f"Redactor({MASK})"


def _mask(text: str, hidden: str, window: int) -> str:
    """Mask every passage of `window` characters (or of all of a shorter `hidden`) that `text` shares with `hidden`."""
    width = min(window, len(hidden))
    if width < SHORTEST_HIDDEN or len(text) < width:
        return text
    # Every passage of `width` characters contains a whole block of half that size at a multiple of that size.
    block = width // 2
    covered = bytearray(len(text))
    for at in range(0, len(text) - block + 1, block):
        if text[at : at + block] not in hidden:
            continue
        for start in range(max(0, at + block - width), min(at, len(text) - width) + 1):
            if text[start : start + width] in hidden:
                covered[start : start + width] = b"\1" * width
    if not any(covered):
        return text
    pieces = []
    for position, character in enumerate(text):
        if not covered[position]:
            pieces.append(character)
        elif position == 0 or not covered[position - 1]:
            pieces.append(MASK)
    return "".join(pieces)
