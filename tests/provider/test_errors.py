"""Error bodies in three forms, requested waits in four, and sanitized error lines."""

from __future__ import annotations

import json

import pytest

from console.domain.text import is_sanitized
from console.provider.contract import Denied, NotFound, Unavailable
from console.provider.gemini.replies import is_unknown_route, parse_error
from console.provider.http.errors import ERROR_LENGTH, ErrorBody, ErrorReader, TransientError
from console.provider.http.exchange import Reply
from tests.provider.examples import error_new, error_old

ERRORS = ErrorReader(parse_error, str)


def _reply(status: int, body: bytes = b"", headers: dict[str, str] | None = None) -> Reply:
    return Reply(status=status, headers=headers or {}, body=body)


def test_the_forms_of_an_error_body() -> None:
    for body, parsed in (
        (error_new("not_found", "No."), ErrorBody(code="not_found", message="No.")),
        (error_old(404, "No.", "NOT_FOUND"), ErrorBody(code="NOT_FOUND", message="No.")),
        (b'{"error":{"code":404,"message":""}}', ErrorBody(code="404", message="")),
        (b"[" + error_old(503, "Cut.", "UNAVAILABLE") + b"]", ErrorBody(code="UNAVAILABLE", message="Cut.")),
        (b"<html>", None),
    ):
        assert ERRORS.body(_reply(404, body)) == parsed


def _retry_info(delay: object) -> bytes:
    detail = {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": delay}
    return json.dumps({"error": {"code": 429, "message": "x", "status": "X", "details": [7, {}, detail]}}).encode()


NOW = "Mon, 23 Nov 2026 03:00:00 GMT"


@pytest.mark.parametrize(
    ("headers", "body", "seconds"),
    [
        ({"retry-after": "7"}, b"", 7.0),
        ({"retry-after": " 0 "}, b"", 0.0),
        ({"retry-after": "1.5"}, b"", 1.5),
        ({"retry-after-ms": "250"}, b"", 0.25),
        ({"retry-after-ms": "250", "retry-after": "9"}, b"", 0.25),
        ({"retry-after": "Mon, 23 Nov 2026 03:01:30 GMT", "date": NOW}, b"", 90.0),
        ({"retry-after": "Mon, 23 Nov 2026 02:00:00 GMT", "date": NOW}, b"", 0.0),
        ({"retry-after": "Mon, 23 Nov 2026 03:01:30 GMT"}, b"", None),
        ({"retry-after": "Mon, 23 Nov 2026 03:01:30 -0000", "date": NOW}, b"", None),
        ({}, _retry_info("53s"), 53.0),
        ({}, _retry_info("0.5s"), 0.5),
        ({"retry-after": "2"}, _retry_info("53s"), 2.0),
        ({"retry-after": "soon"}, _retry_info("53s"), 53.0),
        ({}, _retry_info("53"), None),
        ({}, _retry_info(53), None),
        ({}, _retry_info("-5s"), None),
        ({"retry-after": "-5"}, b"", None),
        ({"retry-after": "nan"}, b"", None),
        ({"retry-after": "inf"}, b"", None),
        ({"retry-after": "1e9"}, b"", None),
        ({"retry-after": "9" * 400}, b"", None),
        ({"retry-after": "٣"}, b"", None),
        ({"retry-after": ""}, b"", None),
        ({}, b"", None),
    ],
)
def test_how_long_to_wait(headers: dict[str, str], body: bytes, seconds: float | None) -> None:
    assert ERRORS.retry_after(_reply(429, body, headers)) == seconds


def test_an_error_line_is_sanitized_and_short() -> None:
    line = ERRORS.explain(_reply(400, error_new("\x1b[2J", "a\r\nb\x9b31m\u202e" + "x" * 500)))
    assert is_sanitized(line)
    assert len(line) <= ERROR_LENGTH
    assert line.startswith("HTTP 400: ␛[2J: a")
    assert ERRORS.explain(_reply(502, b"<html>secret</html>")) == "HTTP 502 without a readable error"


@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        (404, error_old(404, "Method not found.", "NOT_FOUND"), True),
        (404, error_new("not_found", "METHOD NOT FOUND"), True),
        (405, b"", True),
        (404, error_new("not_found", "No interaction."), False),
        (404, b"<html>Method not found</html>", False),
        (400, error_new("x", "Method not found."), False),
        (200, b"{}", False),
    ],
)
def test_a_call_that_the_service_does_not_know(status: int, body: bytes, expected: bool) -> None:
    assert is_unknown_route(_reply(status, body), ERRORS) is expected


def test_which_exception_a_status_becomes() -> None:
    kinds = {status: type(ERRORS.exception(_reply(status))) for status in [*range(100, 200), *range(300, 600)]}
    assert {status for status, kind in kinds.items() if kind is NotFound} == {404, 410}
    assert {status for status, kind in kinds.items() if kind is Denied} == {401, 402, 403}
    assert {status for status, kind in kinds.items() if kind is TransientError} == {500, 502, 503, 504}
    assert set(kinds.values()) == {NotFound, Denied, TransientError, Unavailable}


def test_a_requested_wait_is_passed_on_and_prevents_a_retry() -> None:
    error = ERRORS.exception(_reply(503, b"", {"retry-after": "30"}))
    assert type(error) is Unavailable
    assert error.retry_after_s == 30.0
