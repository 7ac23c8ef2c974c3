"""Refusals of the service and the body formats that are live at once: a client must read them all.

Sources: the public api-errors page (new form); python-genai#1971 and discuss.ai.google.dev thread 143098 (old form).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from enum import StrEnum

_CODES: Mapping[int, tuple[str, str]] = {
    400: ("invalid_request", "INVALID_ARGUMENT"),
    401: ("authentication", "UNAUTHENTICATED"),
    402: ("payment_required", "FAILED_PRECONDITION"),
    403: ("permission_denied", "PERMISSION_DENIED"),
    404: ("not_found", "NOT_FOUND"),
    408: ("deadline_exceeded", "DEADLINE_EXCEEDED"),
    409: ("aborted", "ABORTED"),
    413: ("invalid_request", "INVALID_ARGUMENT"),
    416: ("out_of_range", "OUT_OF_RANGE"),
    422: ("invalid_request", "INVALID_ARGUMENT"),
    429: ("rate_limit_exceeded", "RESOURCE_EXHAUSTED"),
    499: ("cancelled", "CANCELLED"),
    500: ("api_error", "INTERNAL"),
    501: ("unimplemented", "UNIMPLEMENTED"),
    502: ("api_error", "UNAVAILABLE"),
    503: ("service_unavailable", "UNAVAILABLE"),
    504: ("deadline_exceeded", "DEADLINE_EXCEEDED"),
}
"""HTTP status: code of the new form, status word of the old form."""


class ErrorForm(StrEnum):
    """How an error body is written."""

    NEW = "new"
    OLD = "old"
    ARRAY = "array"
    HTML = "html"
    EMPTY = "empty"


class ApiError(Exception):
    """A refusal; `str()` is its message."""

    def __init__(
        self,
        http_status: int,
        message: str,
        *,
        code: str | None = None,
        details: tuple[Mapping[str, object], ...] = (),
        headers: Mapping[str, str] | None = None,
        form: ErrorForm = ErrorForm.NEW,
    ) -> None:
        super().__init__(message)
        self.http_status = http_status
        self.code = code or _CODES.get(http_status, ("api_error", "UNKNOWN"))[0]
        """Of the new form."""
        self.details = details
        self.form = form
        """How it is written where no switch says otherwise."""
        self.headers = dict(headers or {})

    def body(self, form: ErrorForm) -> bytes:
        """The error in one of the forms."""
        match form:
            case ErrorForm.NEW:
                inner: dict[str, object] = {"code": self.code, "message": str(self)}
                if self.details:
                    inner["details"] = list(self.details)
                return json.dumps({"error": inner}).encode()
            case ErrorForm.OLD:
                return json.dumps({"error": self._old()}).encode()
            case ErrorForm.ARRAY:
                return json.dumps([{"error": self._old()}]).encode()
            case ErrorForm.HTML:
                return f"<!DOCTYPE html><html><title>Error {self.http_status}</title></html>".encode()
            case ErrorForm.EMPTY:
                return b""

    def _old(self) -> dict[str, object]:
        word = _CODES.get(self.http_status, ("api_error", "UNKNOWN"))[1]
        old: dict[str, object] = {"code": self.http_status, "message": str(self), "status": word}
        if self.details:
            old["details"] = list(self.details)
        return old


def method_not_found() -> ApiError:
    """What an address answers that names no method; seen live in the old form."""
    return ApiError(404, "Method not found.", form=ErrorForm.OLD)


def retry_info(seconds: float) -> Mapping[str, object]:
    """The detail with which a 429 names its pause (python-genai#1875)."""
    return {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": f"{seconds:g}s"}
