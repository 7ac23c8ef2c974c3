"""A launch is one POST on its own connection and never raises for a network failure."""

from __future__ import annotations

import asyncio
import gzip
import json
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime

import httpx
import pytest

from console.provider.contract import Launched, NotSent, Provider, RateLimited, Rejected, Unknown, Verdict
from console.provider.gemini.adapter import GeminiProvider
from console.provider.http.secret import Secret
from tests.provider.examples import (
    HOST,
    KEY,
    PROMPT,
    answering,
    error_new,
    error_old,
    interaction,
    order,
    provider,
    quick,
)
from tests.provider.test_verdict import PROVEN_NOT_SENT, exceptions_of_httpx, made
from tests.waiting import until


class Transport(httpx.AsyncBaseTransport):
    """Records requests and closes."""

    def __init__(self, answer: Callable[[], httpx.Response], closing: Callable[[], None] = lambda: None) -> None:
        self.requests: list[httpx.Request] = []
        self.closed = 0
        self._answer = answer
        self._closing = closing

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        return self._answer()

    async def aclose(self) -> None:
        self.closed += 1
        self._closing()


class Pieces(httpx.AsyncByteStream):
    """A body that arrives in pieces."""

    def __init__(self, *pieces: bytes | Exception, closing: Exception | None = None) -> None:
        self._pieces = pieces
        self._closing = closing
        self.taken = 0

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for piece in self._pieces:
            self.taken += 1
            if isinstance(piece, Exception):
                raise piece
            yield piece

    async def aclose(self) -> None:
        if self._closing is not None:
            raise self._closing


BODY = json.dumps(interaction()).encode()


async def created(transport: httpx.AsyncBaseTransport, **bounds: float) -> Verdict:
    adapter = GeminiProvider(base_url=HOST, secret=Secret(KEY), bounds=quick(**bounds), transport=lambda: transport)
    return await adapter.create(order())


def test_it_implements_the_port() -> None:
    port: Provider = provider(answering(200))
    assert repr(port) == f"GeminiProvider({HOST}/v1beta)"


async def test_the_request() -> None:
    transport = Transport(lambda: httpx.Response(200, json=interaction(environment_id="e1")))
    assert await created(transport) == Launched(remote_id="v1_Chd", status="in_progress", prepared_id="e1")
    [request] = transport.requests
    assert request.method == "POST"
    assert str(request.url) == f"{HOST}/v1beta/interactions"
    assert request.headers["x-goog-api-key"] == KEY
    assert request.headers["content-type"] == "application/json"
    assert request.headers["connection"] == "close"
    assert "authorization" not in request.headers
    assert KEY not in str(request.url)
    body = json.loads(await request.aread())
    assert (body["background"], body["store"], body["input"]) == (True, True, PROMPT)
    assert transport.closed == 1


async def test_the_version_of_the_api_is_a_setting() -> None:
    transport = Transport(lambda: httpx.Response(200, json=interaction()))
    adapter = GeminiProvider(base_url=HOST, secret=Secret(KEY), api_version="v1", transport=lambda: transport)
    await adapter.create(order())
    assert str(transport.requests[0].url) == f"{HOST}/v1/interactions"


async def test_each_create_has_a_transport_of_its_own() -> None:
    made_transports: list[Transport] = []

    def fresh() -> Transport:
        made_transports.append(Transport(lambda: httpx.Response(200, json=interaction())))
        return made_transports[-1]

    adapter = GeminiProvider(base_url=HOST, secret=Secret(KEY), transport=fresh)
    for _ in range(3):
        await adapter.create(order())
    assert [(len(one.requests), one.closed) for one in made_transports] == [(1, 1)] * 3


@pytest.mark.parametrize("name", sorted(exceptions_of_httpx()))
async def test_no_exception_causes_a_second_post_or_is_raised(name: str) -> None:
    def fail() -> httpx.Response:
        raise made(exceptions_of_httpx()[name])

    transport = Transport(fail)
    verdict = await created(transport)
    assert type(verdict) is (NotSent if name in PROVEN_NOT_SENT else Unknown)
    assert (len(transport.requests), transport.closed) == (1, 1)


@pytest.mark.parametrize("error", [OSError("x"), RuntimeError("x"), ValueError("x"), KeyError("x"), MemoryError()])
async def test_any_other_exception_proves_nothing(error: Exception) -> None:
    def fail() -> httpx.Response:
        raise error

    assert isinstance(await created(Transport(fail)), Unknown)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_is_not_followed(status: int) -> None:
    transport = Transport(lambda: httpx.Response(status, headers={"location": "https://evil.example/x"}))
    assert await created(transport) == Unknown(why=f"HTTP {status} without a readable error")
    assert len(transport.requests) == 1


async def test_a_refusal_and_a_rate_limit() -> None:
    assert await provider(answering(400, error_new("parameter_unknown", "No field x."))).create(order()) == Rejected(
        why="HTTP 400: parameter_unknown: No field x.", http_status=400
    )
    limited = await provider(answering(429, error_old(429), {"retry-after": "3"})).create(order())
    assert limited == RateLimited(why="HTTP 429: INVALID_ARGUMENT: It was refused.", retry_after_s=3.0)


async def test_a_wait_until_a_date_counts_from_the_receipt_of_an_undated_reply() -> None:
    headers = {"retry-after": "Mon, 23 Nov 2026 03:01:30 GMT"}
    adapter = GeminiProvider(
        base_url=HOST,
        secret=Secret(KEY),
        transport=lambda: httpx.MockTransport(answering(429, error_new("quota_exceeded"), headers)),
        wall=datetime(2026, 11, 23, 3, 1, tzinfo=UTC).timestamp,
    )
    limited = await adapter.create(order())
    assert isinstance(limited, RateLimited)
    assert limited.retry_after_s == 30.0


async def test_a_refusal_that_quotes_key_and_prompt_is_redacted() -> None:
    said = f"API key {KEY} may not ask: {PROMPT}"
    verdict = await provider(answering(403, error_old(403, said))).create(order(system_instruction="s" * 40))
    assert verdict == Rejected(why="HTTP 403: INVALID_ARGUMENT: API key *** may not ask: ***", http_status=403)


async def test_an_order_that_cannot_be_json_is_not_sent() -> None:
    transport = Transport(lambda: httpx.Response(200, json=interaction()))
    adapter = GeminiProvider(base_url=HOST, secret=Secret(KEY), transport=lambda: transport)
    assert isinstance(await adapter.create(order(prompt="\ud800")), NotSent)
    assert isinstance(await adapter.create(order(tools=("{",))), NotSent)
    assert transport.requests == []


@pytest.mark.parametrize(
    ("headers", "pieces", "verdict"),
    [
        ({}, [BODY[:9], BODY[9:]], Launched),
        ({"content-encoding": "gzip"}, [gzip.compress(BODY)], Launched),
        ({"content-encoding": "identity"}, [BODY], Launched),
        ({"content-encoding": "gzip"}, [gzip.compress(BODY)[:-9]], Unknown),
        ({"content-encoding": "gzip"}, [BODY], Unknown),
        ({"content-encoding": "br"}, [BODY], Unknown),
        ({}, [BODY[:9]], Unknown),
        ({}, [BODY, httpx.ReadError("reset")], Unknown),
        ({}, [], Unknown),
    ],
)
async def test_only_a_complete_body_names_a_run(
    headers: dict[str, str], pieces: list[bytes | Exception], verdict: type[Verdict]
) -> None:
    transport = Transport(lambda: httpx.Response(200, headers=headers, stream=Pieces(*pieces)))
    assert type(await created(transport)) is verdict


async def test_an_endless_reply_is_abandoned() -> None:
    body = Pieces(*[b"x" * 1000] * 1000)
    assert isinstance(await created(Transport(lambda: httpx.Response(200, stream=body)), body_bytes=5000), Unknown)
    assert body.taken < 10


async def test_a_small_reply_that_expands_endlessly_is_abandoned() -> None:
    bomb = gzip.compress(b"x" * (50 << 20))
    headers = {"content-encoding": "gzip"}
    transport = Transport(lambda: httpx.Response(200, headers=headers, stream=Pieces(bomb)))
    verdict = await created(transport, body_bytes=5000)
    assert isinstance(verdict, Unknown)
    assert "more than 5000 bytes" in verdict.why


def _raise(error: Exception) -> None:
    raise error


async def test_a_reply_that_was_read_counts_even_if_closing_fails() -> None:
    """A failing close must not lose the id."""
    broken_body = Transport(lambda: httpx.Response(200, stream=Pieces(BODY, closing=httpx.CloseError("x"))))
    assert isinstance(await created(broken_body), Launched)
    broken_pool = Transport(lambda: httpx.Response(200, stream=Pieces(BODY)), lambda: _raise(OSError("x")))
    assert isinstance(await created(broken_pool), Launched)


class Hanging(httpx.AsyncBaseTransport):
    """Never answers, or never closes."""

    def __init__(self, response: httpx.Response | None = None) -> None:
        self.asked = asyncio.Event()
        self._response = response

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self.asked.set()
        if self._response is None:
            await asyncio.Event().wait()
        assert self._response is not None
        return self._response

    async def aclose(self) -> None:
        if self._response is not None:
            await asyncio.Event().wait()


async def test_silence_is_bounded_by_the_outer_deadline() -> None:
    verdict = await created(Hanging(), create_s=0.05)
    assert verdict == Unknown(why="no complete reply within 0.05 s")


async def test_closing_is_bounded_by_the_outer_deadline_and_loses_no_id() -> None:
    transport = Hanging(httpx.Response(200, stream=Pieces(BODY)))
    assert isinstance(await created(transport, create_s=0.5), Launched)


async def test_a_cancelled_create_ends_as_cancelled() -> None:
    transport = Hanging()
    task = asyncio.create_task(created(transport))
    await until(transport.asked.is_set)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
