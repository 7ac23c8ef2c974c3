"""The error with which a simulated call is refused.

Kept apart because both the state and every face of it raise this error; a face decides how its body is written.
"""

from __future__ import annotations

from collections.abc import Mapping


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
        form: str | None = None,
    ) -> None:
        """`code`: the word for the error; None is the usual one of the HTTP status.

        `retry_delay_s`: a pause that the body asks for. `form`: how the face writes the body; None is its usual form.
        """
        super().__init__(message)
        self.http_status = http_status
        self.code = code
        self.headers = dict(headers or {})
        self.retry_delay_s = retry_delay_s
        self.form = form
