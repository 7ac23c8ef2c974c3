"""Turn error replies and failed exchanges into provider errors.

Only a body in a form that the service is known to use counts as its word; any other may come from a machine in between.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime

from console.domain.text import sanitize
from console.provider.contract import Denied, NotFound, ProviderError, Unavailable, Unreachable
from console.provider.http.exchange import FailureKind, Reply, TransportFailure
from console.provider.http.json_narrowing import parsed

ERROR_LENGTH = 200
"""Characters of one error line."""

Redact = Callable[[str], str]
"""Masks secrets in a text from outside."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorBody:
    """A parsed error body, raw: it may quote the key. At least one of `code` and `message` is not empty."""

    code: str = field(repr=False)
    """The service's word for the kind of error."""
    message: str = field(repr=False)
    retry_after_s: float | None = None
    """A wait that the body asks for, in seconds."""


ParseError = Callable[[object], ErrorBody | None]
"""Parses the JSON of an error body in the forms of one service; None for anything else."""


class TransientError(Unavailable):
    """A failure that an immediate second attempt may cure: a broken connection, 500, 502, 503 or 504."""


@dataclass(frozen=True, slots=True)
class ErrorReader:
    """Turns the error replies of one service, and failed exchanges, into sanitized lines and exceptions."""

    parse: ParseError
    redact: Redact

    def body(self, reply: Reply) -> ErrorBody | None:
        """Return the parsed error body; None if the body is not in a form of the service."""
        try:
            return self.parse(parsed(reply.body))
        except ValueError:
            return None

    def explain(self, reply: Reply) -> str:
        """Describe the error in a reply in one sanitized line: `HTTP 404: not_found: …`."""
        error = self.body(reply)
        if error is None:
            return f"HTTP {reply.status} without a readable error"
        told = [self.redact(part) for part in (error.code, error.message) if part]
        return cleaned(": ".join((f"HTTP {reply.status}", *told)))

    def retry_after(self, reply: Reply) -> float | None:
        """Return the wait in seconds that the service asked for, never negative; None if it asked for none.

        Read from `retry-after-ms`, `Retry-After` as seconds or as a date, or the error body, in this order. A date is
        relative to the `Date` of the reply, so that a wrong local clock does not matter.
        """
        milliseconds = seconds_of(reply.headers.get("retry-after-ms", ""))
        if milliseconds is not None:
            return milliseconds / 1000
        header = reply.headers.get("retry-after", "")
        seconds = seconds_of(header)
        if seconds is None and header:
            seconds = _until(header, reply.headers.get("date", ""))
        if seconds is None and (error := self.body(reply)) is not None:
            seconds = error.retry_after_s
        return seconds

    def exception(self, reply: Reply) -> ProviderError:
        """Return the exception for a reply, to any call but `create`, that is not a success."""
        line = self.explain(reply)
        wait = self.retry_after(reply)
        match reply.status:
            case 404 | 410:
                return NotFound(line)
            case 401 | 402 | 403:
                return Denied(line)
            case 500 | 502 | 503 | 504 if wait is None:
                return TransientError(line)
            case _:
                return Unavailable(line, retry_after_s=wait)

    def explain_failure(self, failure: TransportFailure) -> str:
        """Describe an exchange without a complete reply in one sanitized line."""
        why = self.redact(failure.why)
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

    def failure_exception(self, failure: TransportFailure) -> ProviderError:
        """Return the exception for an exchange without a complete reply."""
        line = self.explain_failure(failure)
        match failure.kind:
            case FailureKind.NOT_CONNECTED:
                return Unreachable(line)
            case FailureKind.SILENT | FailureKind.UNUSABLE:
                return Unavailable(line)
            case FailureKind.BROKEN:
                return TransientError(line)


_SECONDS = re.compile(r"\d{1,9}(\.\d{1,9})?", re.ASCII)


def seconds_of(value: str) -> float | None:
    """Parse a plain decimal number of seconds; None for anything else."""
    value = value.strip()
    return float(value) if _SECONDS.fullmatch(value) else None


def _until(date: str, now: str) -> float | None:
    try:
        seconds = (parsedate_to_datetime(date) - parsedate_to_datetime(now)).total_seconds()
    except (ValueError, TypeError, OverflowError):
        return None
    return max(0.0, seconds) if math.isfinite(seconds) else None


def cleaned(line: str) -> str:
    """Return `line` sanitized and cut to ERROR_LENGTH characters."""
    return sanitize(line, limit=ERROR_LENGTH)
