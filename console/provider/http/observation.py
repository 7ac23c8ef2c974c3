"""What a caller may observe of each HTTP exchange: its form, its status and the clock of the service.

Ids are left out of the form, and no header but the date is kept, so that an observation can be shown to anybody.
Kept apart because the config and the drill name these types without loading the HTTP library.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from email.utils import parsedate_to_datetime

_NAMES = re.compile(r"v\d[a-z0-9]{0,15}|[a-z_]{2,24}", re.ASCII)
"""Segments of a path that name a version, a collection or an action; all others are ids."""
_VERB = re.compile(r"(?P<id>.*?)(?P<verb>:[a-zA-Z_]{2,24})?\Z", re.DOTALL)


@dataclass(frozen=True, slots=True, kw_only=True)
class ObservedCall:
    """One exchange with the service."""

    form: str
    """Method and path without ids: `POST /v1beta/interactions/{id}/cancel`."""
    status: int | None
    """None if no reply came."""
    skew_s: float | None
    """How far the clock of the service is ahead of this machine's, in seconds, to about a second; None if not told."""


Observe = Callable[[ObservedCall], None]


def call_form(method: str, path: str) -> str:
    """Return method and path with `{id}` in place of every id."""
    return f"{method} {'/'.join(map(_segment, path.split('/')))}"


def skew_s(date: str | None, sent_s: float, received_s: float) -> float | None:
    """Return how far the Date header of a reply is ahead of the middle of its exchange; None without a usable date.

    `sent_s` and `received_s` are Unix times. The header has whole seconds, cut off, so half a second is added.
    """
    if not date:
        return None
    try:
        told_s = parsedate_to_datetime(date).timestamp()
    except (ValueError, TypeError, OverflowError):
        return None
    return told_s + 0.5 - (sent_s + received_s) / 2


def _segment(segment: str) -> str:
    match = _VERB.match(segment)
    name, verb = (match["id"], match["verb"] or "") if match else (segment, "")
    return name + verb if not name or _NAMES.fullmatch(name) else f"{{id}}{verb}"
