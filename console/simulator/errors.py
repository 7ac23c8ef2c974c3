"""The error with which a simulated call is refused.

Kept apart because both the state and every face of it raise this error; a face decides how its body is written.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum


class ErrorForm(StrEnum):
    """How the body of an error is written. A face has a form of its own, and may know some of the others."""

    OWN = "own"
    NEW = "new"
    OLD = "old"
    ARRAY = "array"
    """The old form in an array."""
    HTML = "html"
    EMPTY = "empty"


class ApiError(Exception):
    """A refused call; `str()` is the message for the client."""

    def __init__(
        self,
        http_status: int,
        message: str,
        *,
        code: str | None = None,
        headers: Mapping[str, str] | None = None,
        retry_delay_s: float | None = None,
        form: ErrorForm = ErrorForm.OWN,
    ) -> None:
        """`code`: the word for the error; None is the usual one of the HTTP status.

        `retry_delay_s`: a pause that the body asks for. `form`: how the face writes the body.
        """
        super().__init__(message)
        self.http_status = http_status
        self.code = code
        self.headers = dict(headers or {})
        self.retry_delay_s = retry_delay_s
        self.form = form
