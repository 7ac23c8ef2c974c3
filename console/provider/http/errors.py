"""What an HTTP answer that is no success says: parsed in each form that is live, and turned into our errors.

Only a body in one of three forms is the service's own word; anything else may come from a machine in between.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from email.utils import parsedate_to_datetime

from console.domain.text import sanitize
from console.provider.contract import Denied, NotFound, ProviderError, Unavailable, Unreachable
from console.provider.http.exchange import Reply
from console.provider.http.json_narrowing import elements, members, parsed, text

ERROR_LENGTH = 200
"""Characters of one error line."""

Redact = Callable[[str], str]


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorBody:
    """A parsed error body, raw."""

    code: str
    message: str
    retry_delay: str = ""
    """`53s`, from a RetryInfo detail; empty where there is none."""


class TransientError(Unavailable):
    """Unavailable in a way that a second try at once may cure: a broken connection, 500, 502, 503, 504."""


def error_body(body: bytes) -> ErrorBody | None:
    """The error in `body`: `{"error": {code, message}}` with a word or a number as code, or that in an array."""
    try:
        value = parsed(body)
    except ValueError:
        return None
    return error_value(value)


def error_value(value: object) -> ErrorBody | None:
    """As `error_body`, of a JSON value."""
    if isinstance(value, list):
        value = value[0] if value else None
    error = members(members(value).get("error"))
    code, message = error.get("code"), error.get("message")
    if isinstance(code, bool) or not isinstance(code, str | int) or code == "" or not isinstance(message, str):
        return None
    details = [members(detail) for detail in elements(error.get("details"))]
    delays = [text(d.get("retryDelay"), 32) for d in details if text(d.get("@type"), 100).endswith("RetryInfo")]
    word = error.get("status") if isinstance(code, int) else code
    return ErrorBody(
        code=text(word, 64) or f"{code}"[:20], message=text(message, 1000), retry_delay=next(filter(None, delays), "")
    )


_SECONDS = re.compile(r"\d{1,9}(\.\d{1,9})?")


def _seconds(value: str) -> float | None:
    value = value.strip()
    return float(value) if _SECONDS.fullmatch(value) and value.isascii() else None


def retry_after(reply: Reply) -> float | None:
    """Seconds the service asked us to wait, never negative; None where it asked for nothing readable.

    From `retry-after-ms`, `Retry-After` as seconds or as a date, or a RetryInfo detail, in this order. A date counts
    from the answer's own `Date`, so that a wrong clock here does not matter where the service tells one.
    """
    milliseconds = _seconds(reply.headers.get("retry-after-ms", ""))
    if milliseconds is not None:
        return milliseconds / 1000
    header = reply.headers.get("retry-after", "")
    seconds = _seconds(header)
    if seconds is None and header:
        seconds = _until(header, reply.headers.get("date", ""))
    if seconds is None and (error := error_body(reply.body)) is not None and error.retry_delay.endswith("s"):
        seconds = _seconds(error.retry_delay[:-1])
    return seconds


def _until(date: str, now: str) -> float | None:
    try:
        seconds = (parsedate_to_datetime(date) - parsedate_to_datetime(now)).total_seconds()
    except (ValueError, TypeError, OverflowError):
        return None
    return max(0.0, seconds) if math.isfinite(seconds) else None


def cleaned(line: str) -> str:
    """`line` as an error text: one line, safe to show, capped."""
    return sanitize(line, limit=ERROR_LENGTH)


def explained(reply: Reply, redact: Redact) -> str:
    """`HTTP 404: not_found: …`, safe to show."""
    error = error_body(reply.body)
    if error is None:
        return f"HTTP {reply.status} without a readable error"
    return cleaned(f"HTTP {reply.status}: {redact(error.code)}: {redact(error.message)}")


def is_unknown_route(reply: Reply) -> bool:
    """Whether the answer is about the call, and not about the thing: `Method not found.` (python-genai#1971)."""
    if reply.status == 405:
        return True
    error = error_body(reply.body)
    return reply.status == 404 and error is not None and "method not found" in error.message.lower()


def provider_error(reply: Reply, redact: Redact) -> ProviderError:
    """What to raise for an answer, other than to create, that is no success."""
    line = explained(reply, redact)
    wait = retry_after(reply)
    match reply.status:
        case 404 | 410:
            return NotFound(line)
        case 401 | 402 | 403:
            return Denied(line)
        case 500 | 502 | 503 | 504 if wait is None:
            return TransientError(line)
        case _:
            return Unavailable(line, retry_after_s=wait)


def unreachable(why: str) -> Unreachable:
    """No connection."""
    return Unreachable(cleaned(f"no connection: {why}"))
