"""Narrow untrusted JSON: each function returns a value of the wanted type, or an empty value or None."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence

from console.domain.text import is_sanitized

MAX_COUNT = 2**53
"""Larger JSON numbers are not exact everywhere; no token count is that large."""

_NUMBER = re.compile(r"-?\d{1,16}(\.\d{1,9})?([eE][+-]?\d{1,3})?\Z", re.ASCII)

MAX_LABELS = 64

MAX_ID = 1024
"""Characters of an id."""


def parsed(body: bytes | str) -> object:
    """Parse JSON. Raises ValueError for anything else, and for nesting that is too deep.

    What an agent can bring about in a reply is tolerated, since a run whose reply is not read cannot end: bytes that
    are no text are replaced, control characters within a text are kept, and an endless number becomes infinite.
    """
    if isinstance(body, bytes):
        body = body.decode(json.detect_encoding(body), "replace")
    try:
        value: object = _DECODER.decode(body)
    except RecursionError:
        raise ValueError("JSON nested too deep") from None
    return value


def _integer(digits: str) -> int | float:
    try:
        return int(digits)
    except ValueError:
        # Python refuses to convert thousands of digits; as a float they are infinite.
        return float(digits)


_DECODER = json.JSONDecoder(strict=False, parse_int=_integer)
"""Made once: `json.loads` makes one at every call, which takes longer than decoding an event of a stream."""


def members(value: object) -> Mapping[str, object]:
    """Return the members of a JSON object; empty for anything else."""
    return value if isinstance(value, dict) else {}


def elements(value: object) -> Sequence[object]:
    """Return the elements of a JSON array; empty for anything else."""
    return value if isinstance(value, list) else ()


def text(value: object, limit: int) -> str:
    """Return a string cut to `limit` characters, ending in `…` if it was cut; empty for anything but a string.

    Lone surrogates are replaced, since they can be neither stored nor printed.
    """
    if not isinstance(value, str):
        return ""
    shown = value if len(value) <= limit else value[: limit - 1] + "…"
    return shown if shown.isascii() else shown.encode("utf-8", "replace").decode("utf-8")


def count(value: object) -> int | None:
    """Return a plausible count from 0 to 2^53, rounded up; None for anything else.

    Accepts integers, floats, and strings of either.
    """
    number = _number(value)
    return math.ceil(number) if number is not None and 0 <= number <= MAX_COUNT else None


def _number(value: object) -> float | None:
    """Return a finite number, an integer as it is; None for anything else."""
    if isinstance(value, str) and _NUMBER.match(value):
        value = int(value) if value.removeprefix("-").isdigit() else float(value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return value if isinstance(value, int) or math.isfinite(value) else None


def opaque_id(value: object) -> str | None:
    """Return an id that fits into a log line and a URL; None for anything else.

    An id with a control character or a space is not accepted: it could forge a line in the launch journal.
    """
    if not isinstance(value, str) or not value.strip(".") or len(value) > MAX_ID:
        return None
    return value if is_sanitized(value) and value.split() == [value] else None


def labels_of(value: object) -> Mapping[str, str]:
    """Return the labels whose value is a string."""
    pairs = ((text(name, 64), text(label, 512)) for name, label in members(value).items() if isinstance(label, str))
    return dict(list(pairs)[:MAX_LABELS])


def compact(value: object, limit: int) -> str:
    """Return a JSON value as one line cut to `limit` characters; `…` if it is nested too deep to be written."""
    try:
        return text(json.dumps(value, ensure_ascii=False, separators=(",", ":")), limit)
    except RecursionError:
        return "…"
