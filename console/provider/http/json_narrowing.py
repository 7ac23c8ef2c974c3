"""Narrowing of JSON from outside: whatever stands there, these give a value of the wanted kind or nothing."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from console.domain.text import is_sanitized

MAX_COUNT = 2**53
"""Beyond this a JSON number is not exact everywhere; no token figure is that large."""

MAX_ID = 1024


def parsed(body: bytes | str) -> object:
    """The JSON value. Raises ValueError for anything else, nesting too deep included."""
    try:
        value: object = json.loads(body)
    except RecursionError:
        raise ValueError("JSON nested too deep") from None
    return value


def members(value: object) -> Mapping[str, object]:
    """The object's members; empty for anything but an object."""
    return value if isinstance(value, dict) else {}


def elements(value: object) -> Sequence[object]:
    """The array's elements; empty for anything but an array."""
    return value if isinstance(value, list) else ()


def text(value: object, limit: int) -> str:
    """A string of at most `limit` characters, the last being `…` where it was cut; empty for anything else.

    Lone surrogates are replaced: they can be neither stored nor printed.
    """
    if not isinstance(value, str):
        return ""
    shown = value if len(value) <= limit else value[: limit - 1] + "…"
    return shown.encode("utf-8", "replace").decode("utf-8")


def count(value: object) -> int | None:
    """A plausible count: an integer, or a string of one, from 0 to 2^53; None for anything else."""
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) <= 16:
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int):
        return None
    return value if 0 <= value <= MAX_COUNT else None


def opaque_id(value: object) -> str | None:
    """An id that can be kept in a line and sent back in a URL; None for anything else.

    One with a control character or a space could forge a line in the launch journal, which is not worth having.
    """
    if not isinstance(value, str) or not value.strip(".") or len(value) > MAX_ID:
        return None
    return value if is_sanitized(value) and not any(character.isspace() for character in value) else None


def compact(value: object, limit: int) -> str:
    """A JSON value on one line, cut to `limit`; `…` where it is nested too deep to be written."""
    try:
        return text(json.dumps(value, ensure_ascii=False, separators=(",", ":")), limit)
    except RecursionError:
        return "…"
