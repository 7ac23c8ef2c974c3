"""Idempotency keys: one task type, one target and one date make one key, and one key is launched once.

The date comes from the time at which the run was due, never from the current time.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

DAY_FORM = "2026-11-23"
SLOT_FORM = "20261123T0200Z"
MAX_TARGET = 1024
TARGET_ACCEPTED = f"one line of 1 to {MAX_TARGET} characters that neither starts nor ends with a blank"
"""What `check_target` accepts, for messages and help texts."""
_LINE_BREAKING = frozenset({"Cc", "Cs", "Zl", "Zp"})
"""Unicode categories that a target must not contain: controls, surrogates, line and paragraph separators."""
_DAY = re.compile(r"\d{4}-\d{2}-\d{2}\Z", re.ASCII)
_SLOT = re.compile(r"\d{8}T\d{4}Z\Z", re.ASCII)


def key_of(task_type: str, target: str, date_text: str) -> str:
    """Return the first 16 hex digits of the SHA-256 of `type:target:date`.

    The text is unambiguous because `task_type` has no colon and the date has a fixed form without one. Raises
    ValueError for a type with a colon, and for text that is not Unicode (a broken byte in a shell argument).
    """
    if ":" in task_type:
        raise ValueError(f"a type has no colon: {task_type!r}")
    try:
        text = f"{task_type}:{target}:{date_text}".encode()
    except UnicodeEncodeError:
        raise ValueError(f"a type and a target are valid Unicode text, unlike {task_type!r}, {target!r}") from None
    return hashlib.sha256(text).hexdigest()[:16]


def check_target(text: str) -> str:
    """Return `text` if it may be the target of a run, wherever it comes from: config file, option or elsewhere.

    Raises ValueError with a complaint that completes a sentence starting with the name of the value: `is empty`.
    """
    if not text:
        raise ValueError("is empty")
    if len(text) > MAX_TARGET:
        raise ValueError(f"has {len(text)} characters")
    if any(unicodedata.category(character) in _LINE_BREAKING for character in text):
        raise ValueError("contains a line break or another control character")
    if text != text.strip():
        raise ValueError("starts or ends with a blank")
    return text


def day_date(instant: datetime, zone: ZoneInfo) -> str:
    """Return the calendar day of the aware `instant` in `zone`, as `2026-11-23`."""
    return instant.astimezone(zone).date().isoformat()


def slot_date(instant: datetime) -> str:
    """Return the minute of the aware `instant` in UTC, as `20261123T0200Z`."""
    return f"{instant.astimezone(UTC):%Y%m%dT%H%MZ}"


def parse_date(text: str, window: str) -> str:
    """Return `text` if it is a well-formed date for `window` (`day` or `slot`); past and future dates are allowed.

    Raises ValueError with a one-line message that names the accepted form.
    """
    accepted = DAY_FORM if window == "day" else SLOT_FORM
    pattern = _DAY if window == "day" else _SLOT
    if not pattern.match(text):
        raise ValueError(f"date {text!r} is not of the form {accepted}")
    try:
        if window == "day":
            date.fromisoformat(text)
        else:
            datetime.strptime(text, "%Y%m%dT%H%MZ").replace(tzinfo=UTC)
    except ValueError:
        raise ValueError(f"date {text!r} does not exist; a date has the form {accepted}") from None
    return text


def is_key(text: str) -> bool:
    """True for 16 lower-case hex digits."""
    return re.fullmatch(r"[0-9a-f]{16}", text, re.ASCII) is not None
