"""What is said when the screen itself fails: where, never with the values of variables, which may hold a key."""

from __future__ import annotations

import traceback

from console.domain.text import safe

MOST = 6000
"""Characters."""


def crash_text(error: BaseException) -> str:
    """The traceback without locals, cleaned line by line, its end kept where it is long."""
    frames = traceback.TracebackException.from_exception(error, capture_locals=False)
    return safe("".join(frames.format())[-MOST:].rstrip(), newlines=True)
