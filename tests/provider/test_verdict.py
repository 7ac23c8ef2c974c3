"""The verdicts for every exception of httpx, every status, and every form of body."""

from __future__ import annotations

import inspect
import ssl
from collections.abc import Callable

import httpx
import pytest

from console.provider.contract import Launched, NotSent, RateLimited, Rejected, Unknown, Verdict
from console.provider.gemini import adapter
from console.provider.gemini.replies import parse_error, read_launched
from console.provider.http.errors import ErrorReader
from console.provider.http.exchange import FailureKind, Reply, UnsupportedReply, classify_failure
from console.provider.http.verdict import verdict_of_failure, verdict_of_reply
from tests.provider.examples import error_new, error_old, interaction

PROVEN_NOT_SENT = {"ConnectError", "ConnectTimeout", "PoolTimeout", "ProxyError"}

UNKNOWN = {
    "CloseError",
    "CookieConflict",
    "DecodingError",
    "HTTPError",
    "HTTPStatusError",
    "InvalidURL",
    "LocalProtocolError",
    "NetworkError",
    "ProtocolError",
    "ReadError",
    "ReadTimeout",
    "RemoteProtocolError",
    "RequestError",
    "RequestNotRead",
    "ResponseNotRead",
    "StreamClosed",
    "StreamConsumed",
    "StreamError",
    "TimeoutException",
    "TooManyRedirects",
    "TransportError",
    "UnsupportedProtocol",
    "WriteError",
    "WriteTimeout",
}
"""Reviewed one by one: each may be raised after the first byte of the request."""

FORMS: dict[str, Callable[[int], bytes]] = {
    "old": error_old,
    "new": lambda _: error_new(),
    "array": lambda status: b"[" + error_old(status) + b"]",
    "a message alone": lambda _: b'{"error":{"message":"It was refused."}}',
    "a word alone": lambda _: b'{"error":{"code":"invalid_request"}}',
    "a number alone": lambda status: b'{"error":{"code":%d}}' % status,
    "a status alone": lambda _: b'{"error":{"status":"RESOURCE_EXHAUSTED"}}',
    "a code of null": lambda _: b'{"error":{"code":null,"message":"It was refused."}}',
}

SAID = {"a word alone": "invalid_request", "a number alone": "4", "a status alone": "RESOURCE_EXHAUSTED"}
"""What is quoted of a form without a message."""

NO_WORD_OF_THE_SERVICE = [
    b"",
    b"<html><body>Bad request</body></html>",
    b"null",
    b"{}",
    b"[]",
    b"[1]",
    b'"error"',
    b'{"error":"refused"}',
    b'{"error":{}}',
    b'{"error":{"code":"","message":""}}',
    b'{"error":{"code":true}}',
    b'{"error":{"code":null,"message":7}}',
    b'{"error":{"code":400,"message":"cut',
    b"\xff\xfe",
    b"[" * 100_000,
]


ERRORS = ErrorReader(parse_error, str)


def verdict_of(reply: Reply) -> Verdict:
    """Return the verdict by the rules of the Gemini adapter."""
    return verdict_of_reply(reply, ERRORS, adapter.REFUSALS, read_launched)


def exceptions_of_httpx() -> dict[str, type[Exception]]:
    """Return every exception class that httpx defines, exported or not."""
    found: dict[str, type[Exception]] = {}
    ancestors: list[type[BaseException]] = [BaseException]
    while ancestors:
        for child in ancestors.pop().__subclasses__():
            ancestors.append(child)
            if child.__module__.partition(".")[0] == "httpx" and issubclass(child, Exception):
                found[child.__name__] = child
    exported = {name for name, value in vars(httpx).items() if inspect.isclass(value) and issubclass(value, Exception)}
    assert exported <= found.keys()
    return found


def made(kind: type[Exception]) -> Exception:
    """Return an instance; some of the classes require more than a message."""
    error = kind.__new__(kind)
    Exception.__init__(error, "what httpx said")
    return error


def test_each_exception_of_httpx_is_classified() -> None:
    """A release that adds an exception fails here until it has been reviewed."""
    assert exceptions_of_httpx().keys() == PROVEN_NOT_SENT | UNKNOWN


@pytest.mark.parametrize("name", sorted(PROVEN_NOT_SENT))
def test_these_prove_that_nothing_was_sent(name: str) -> None:
    verdict = verdict_of_failure(classify_failure(made(exceptions_of_httpx()[name])), ERRORS)
    assert verdict == NotSent(why=f"no connection: {name}: what httpx said")


@pytest.mark.parametrize("name", sorted(UNKNOWN))
def test_every_other_exception_of_httpx_proves_nothing(name: str) -> None:
    assert isinstance(verdict_of_failure(classify_failure(made(exceptions_of_httpx()[name])), ERRORS), Unknown)


@pytest.mark.parametrize(
    "error",
    [
        OSError(111, "x"),
        ssl.SSLError("x"),
        TimeoutError(),
        RuntimeError(),
        UnsupportedReply("x"),
        EOFError("x"),
        ExceptionGroup("x", [OSError()]),
    ],
)
def test_exceptions_from_elsewhere_prove_nothing(error: Exception) -> None:
    assert isinstance(verdict_of_failure(classify_failure(error), ERRORS), Unknown)


def test_a_subclass_proves_nothing() -> None:
    class Later(httpx.ConnectError):
        pass

    assert classify_failure(Later("x")).kind is FailureKind.BROKEN


def _reply(status: int, body: bytes, **headers: str) -> Reply:
    return Reply(status=status, headers=headers, body=body)


@pytest.mark.parametrize("form", sorted(FORMS))
def test_each_status_with_a_parsed_error(form: str) -> None:
    for status in [*range(100, 200), *range(300, 600)]:
        verdict = verdict_of(_reply(status, FORMS[form](status)))
        if status in {400, 401, 402, 403, 404, 413, 416, 422}:
            assert isinstance(verdict, Rejected)
            assert verdict.http_status == status
            assert verdict.why.startswith(f"HTTP {status}: ")
            assert SAID.get(form, "It was refused.") in verdict.why
        elif status == 429:
            assert isinstance(verdict, RateLimited)
        else:
            assert isinstance(verdict, Unknown), status


@pytest.mark.parametrize("body", NO_WORD_OF_THE_SERVICE, ids=lambda body: repr(body[:30]))
def test_no_status_proves_anything_without_a_parsed_error(body: bytes) -> None:
    for status in range(100, 600):
        assert isinstance(verdict_of(_reply(status, body)), Unknown), status


@pytest.mark.parametrize("status", range(200, 300))
def test_a_success_with_an_id_is_a_launch(status: int) -> None:
    body = b'{"id":"v1_A/b=","status":"queued","environment_id":"3f6e0c"}'
    assert verdict_of(_reply(status, body)) == Launched(remote_id="v1_A/b=", status="queued", prepared_id="3f6e0c")


@pytest.mark.parametrize(
    "bad_id",
    [
        "null",
        "7",
        '""',
        '"."',
        '".."',
        '"a b"',
        '"a\\nb"',
        '"\\u001b[2J"',
        '"\\u202e"',
        '"\\ud800"',
        "[]",
        '"' + "x" * 1025 + '"',
    ],
)
def test_a_success_without_a_usable_id_is_unknown(bad_id: str) -> None:
    body = f'{{"id":{bad_id},"status":"in_progress"}}'.encode()
    assert verdict_of(_reply(200, body)) == Unknown(why="HTTP 200 without an id")


def test_the_id_alone_is_enough() -> None:
    launched = verdict_of(_reply(200, b'{"id":"v1_A","environment_id":5}'))
    assert launched == Launched(remote_id="v1_A", status="", prepared_id=None)


def test_a_status_word_is_kept_raw() -> None:
    body = str(interaction(status="dreaming")).replace("'", '"').encode()
    launched = verdict_of(_reply(200, body))
    assert isinstance(launched, Launched)
    assert launched.status == "dreaming"


def test_a_rate_limit_has_the_requested_wait() -> None:
    limited = verdict_of(_reply(429, error_new("rate_limit_exceeded"), **{"retry-after": "7"}))
    assert isinstance(limited, RateLimited)
    assert limited.retry_after_s == 7.0
