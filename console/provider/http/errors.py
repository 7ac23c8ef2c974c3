"""Parse the error bodies of HTTP replies and turn them into provider errors.

Only a body in one of three known forms counts as the word of the service; anything else may come from a machine in
between.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from email.utils import parsedate_to_datetime

from console.domain.text import sanitize
from console.provider.contract import Denied, NotFound, ProviderError, Unavailable, Unreachable
from console.provider.http.exchange import FailureKind, Reply, TransportFailure
from console.provider.http.json_narrowing import elements, members, parsed, text

ERROR_LENGTH = 200
"""Characters of one error line."""

Redact = Callable[[str], str]
"""Masks secrets in a text from outside."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorBody:
    """A parsed error body, raw."""

    code: str
    message: str
    retry_delay: str = ""
    """Such as `53s`, from a RetryInfo detail; empty if there is none."""


class TransientError(Unavailable):
    """A failure that an immediate second attempt may cure: a broken connection, 500, 502, 503 or 504."""


def error_body(body: bytes) -> ErrorBody | None:
    """Parse `{"error": {code, message}}`, in which the code is a word or a number, or an array of that; else None."""
    try:
        value = parsed(body)
    except ValueError:
        return None
    return error_value(value)


def error_value(value: object) -> ErrorBody | None:
    """Parse an error as `error_body` does, from a JSON value."""
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
    """Return the wait in seconds that the service asked for, never negative; None if it asked for none.

    Read from `retry-after-ms`, `Retry-After` as seconds or as a date, or a RetryInfo detail, in this order. A date is
    relative to the `Date` of the reply, so that a wrong local clock does not matter.
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
    """Return `line` sanitized and cut to ERROR_LENGTH characters."""
    return sanitize(line, limit=ERROR_LENGTH)


def explained(reply: Reply, redact: Redact) -> str:
    """Describe the error in a reply in one sanitized line: `HTTP 404: not_found: …`."""
    error = error_body(reply.body)
    if error is None:
        return f"HTTP {reply.status} without a readable error"
    return cleaned(f"HTTP {reply.status}: {redact(error.code)}: {redact(error.message)}")


def is_unknown_route(reply: Reply) -> bool:
    """True if the service does not know the call itself, e.g. `Method not found.` (python-genai#1971)."""
    if reply.status == 405:
        return True
    error = error_body(reply.body)
    return reply.status == 404 and error is not None and "method not found" in error.message.lower()


def provider_error(reply: Reply, redact: Redact) -> ProviderError:
    """Return the exception for a reply, to any call but `create`, that is not a success."""
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


def describe_failure(failure: TransportFailure, redact: Redact) -> str:
    """Describe an exchange without a complete reply in one sanitized line."""
    why = redact(failure.why)
    match failure.kind:
        case FailureKind.NOT_CONNECTED:
            line = f"no connection: {why}"
        case FailureKind.SILENT:
            line = why
        case FailureKind.UNUSABLE:
            line = f"unusable reply: {why}"
        case FailureKind.BROKEN:
            line = f"connection lost before the reply was complete: {why}"
    return cleaned(line)


def failure_error(failure: TransportFailure, redact: Redact) -> ProviderError:
    """Return the exception for an exchange without a complete reply."""
    line = describe_failure(failure, redact)
    match failure.kind:
        case FailureKind.NOT_CONNECTED:
            return Unreachable(line)
        case FailureKind.SILENT | FailureKind.UNUSABLE:
            return Unavailable(line)
        case FailureKind.BROKEN:
            return TransientError(line)
