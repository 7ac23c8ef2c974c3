"""The API key. It is read from an environment variable or from a file that nobody else can read.

It never shows in a repr, a message or a pickle; only the transport reveals it, in a request header.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import NoReturn

from console.domain.text import sanitize

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
        return "Secret(***)"

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
