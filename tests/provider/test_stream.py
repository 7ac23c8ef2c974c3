"""A stream ends without an error however it ends; only one that cannot be opened raises."""

from __future__ import annotations

import asyncio
import json
from asyncio import StreamReader as Reader
from asyncio import StreamWriter as Writer
from collections.abc import AsyncIterator
from contextlib import aclosing

import httpx
import pytest

from console.domain.usage import Usage
from console.provider.contract import Denied, NotFound, ProviderError, Step, StreamEvent, Unavailable, Unreachable
from console.provider.gemini.adapter import GeminiProvider
from console.provider.http.secret import Secret
from tests.provider import servers
from tests.provider.examples import KEY, answering, error_new, error_old, provider, quick
from tests.waiting import until


def event(event_type: str, **payload: object) -> bytes:
    return f"event: {event_type}\ndata: {json.dumps({'event_type': event_type, **payload})}\n\n".encode()


CREATED = event("interaction.created", interaction={"id": "v1_Chd", "status": "in_progress"})
STEP = event("step.start", index=0, step={"type": "thought", "summary": "hm"})
STOP = event("step.stop", index=0, usage={"total_tokens": 7})
COMPLETED = event("interaction.completed", interaction={"id": "v1_Chd", "status": "completed"})
DONE = b"event: done\ndata: [DONE]\n\n"

HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"


def chunk(content: bytes) -> bytes:
    return f"{len(content):x}\r\n".encode() + content + b"\r\n"


async def followed(adapter: GeminiProvider) -> list[StreamEvent]:
    return [one async for one in adapter.follow("v1_Chd")]


def streaming(*pieces: bytes) -> GeminiProvider:
    return provider(lambda _: httpx.Response(200, stream=Body(*pieces)))


class Body(httpx.AsyncByteStream):
    """A body that ends in a broken connection if its last piece is empty."""

    def __init__(self, *pieces: bytes) -> None:
        self.pieces = pieces
        self.closed = False

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for piece in self.pieces:
            if piece == BROKEN:
                raise httpx.RemoteProtocolError("peer closed connection")
            yield piece

    async def aclose(self) -> None:
        self.closed = True


BROKEN = b"broken"

TOLD = [
    StreamEvent(status="in_progress"),
    StreamEvent(step=Step(index=0, kind="thought", text="hm")),
    StreamEvent(step=Step(index=0, kind="thought", text="hm", done=True), usage=Usage(total=7)),
]


@pytest.mark.parametrize(
    "ending",
    [
        [COMPLETED, DONE],
        [DONE],
        [],
        [BROKEN],
        [event("error", error={"code": "gateway_timeout", "message": "x"})],
        [b'[{"error":{"code":503,"message":"x","status":"UNAVAILABLE"}}]'],
        [b'{"error":{"code":"prohibited_content","message":"x"}}\n', BROKEN],
        [b": only a comment\n\n", b"<html>\n\xff\n"],
        [event("novel.event", x=1), b"data: {broken\n\n"],
    ],
)
async def test_no_ending_of_a_stream_is_an_error(ending: list[bytes]) -> None:
    events = await followed(streaming(b"\xef\xbb\xbf" + CREATED, STEP + STOP[:5], STOP[5:], *ending))
    assert events[:3] == TOLD
    assert events[3:] in ([], [StreamEvent(status="completed")])


async def test_nothing_is_read_after_the_last_event() -> None:
    never = event("interaction.status_update", status="never")
    assert await followed(streaming(COMPLETED + never, never)) == [StreamEvent(status="completed")]


async def test_the_request() -> None:
    asked: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        return httpx.Response(200, content=DONE)

    assert await followed(provider(answer)) == []
    [request] = asked
    assert request.url.raw_path == b"/v1beta/interactions/v1_Chd?stream=true"
    assert request.headers["accept"] == "text/event-stream"
    assert request.headers["accept-encoding"] == "identity"
    assert request.headers["x-goog-api-key"] == KEY


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (404, NotFound),
        (410, NotFound),
        (401, Denied),
        (403, Denied),
        (400, Unavailable),
        (429, Unavailable),
        (503, Unavailable),
        (307, Unavailable),
        (204, Unavailable),
    ],
)
async def test_a_stream_that_is_refused(status: int, kind: type[ProviderError]) -> None:
    with pytest.raises(kind, match=f"HTTP {status}"):
        await followed(provider(answering(status, error_old(status))))


async def test_a_refusal_is_reported_in_the_words_of_the_service() -> None:
    with pytest.raises(NotFound, match=r"HTTP 404: not_found: No such interaction\."):
        await followed(provider(answering(404, error_new("not_found", "No such interaction."))))
    broken = provider(lambda _: httpx.Response(404, stream=Body(b"{", BROKEN)))
    with pytest.raises(NotFound, match="HTTP 404 without a readable error"):
        await followed(broken)


async def test_a_stream_that_cannot_be_opened() -> None:
    def refuse(_: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("refused")

    with pytest.raises(Unreachable, match="no connection: ConnectError: refused"):
        await followed(provider(refuse))


async def test_leaving_a_stream_closes_it() -> None:
    body = Body(CREATED, STEP, STOP)
    async with aclosing(provider(lambda _: httpx.Response(200, stream=body)).follow("v1_Chd")) as events:
        assert await anext(events) == TOLD[0]
    assert body.closed


def real(url: str, **bounds: float) -> GeminiProvider:
    return GeminiProvider(base_url=url, secret=Secret(KEY), bounds=quick(**bounds))


async def test_each_event_is_yielded_at_once() -> None:
    """The server goes on only after the client has received the event."""
    heard = asyncio.Event()

    async def behave(reader: Reader, writer: Writer) -> None:
        await servers.read_request(reader)
        writer.write(HEAD + chunk(CREATED[:-1]) + chunk(CREATED[-1:]))
        await heard.wait()
        writer.write(chunk(STEP + COMPLETED) + b"0\r\n\r\n")
        await servers.until_the_client_leaves(reader)

    async with servers.serving(behave) as server:
        told = []
        async for one in real(server.url).follow("v1_Chd"):
            told.append(one)
            heard.set()
    assert told == [*TOLD[:2], StreamEvent(status="completed")]


async def test_silence_ends_a_stream() -> None:
    async def behave(reader: Reader, writer: Writer) -> None:
        await servers.read_request(reader)
        writer.write(HEAD + chunk(CREATED))
        await servers.until_the_client_leaves(reader)

    async with servers.serving(behave) as server, asyncio.timeout(10):
        assert await followed(real(server.url, silence_s=1.0)) == TOLD[:1]


async def test_a_stream_of_comments_is_closed_in_the_end() -> None:
    async def behave(reader: Reader, writer: Writer) -> None:
        await servers.read_request(reader)
        writer.write(HEAD + chunk(CREATED))
        while not writer.is_closing():
            writer.write(chunk(b": still here\n\n"))
            await writer.drain()
            await asyncio.sleep(0.02)

    async with servers.serving(behave) as server, asyncio.timeout(10):
        assert await followed(real(server.url, stream_s=1.0)) == TOLD[:1]


async def test_a_reset_ends_a_stream() -> None:
    async def behave(reader: Reader, writer: Writer) -> None:
        await servers.read_request(reader)
        writer.write(HEAD + chunk(CREATED) + chunk(b"x" * 10))
        await writer.drain()
        go.set()
        await heard.wait()
        servers.reset(writer)

    go, heard = asyncio.Event(), asyncio.Event()
    async with servers.serving(behave) as server:
        told = []
        async for one in real(server.url).follow("v1_Chd"):
            told.append(one)
            heard.set()
    assert told == TOLD[:1]


async def test_a_stream_that_never_answers_is_unavailable() -> None:
    async def behave(reader: Reader, _: Writer) -> None:
        await servers.until_the_client_leaves(reader)

    async with servers.serving(behave) as server:
        with pytest.raises(Unavailable, match=r"no reply within 0\.2 s"):
            await followed(real(server.url, call_s=0.2))


async def test_a_follower_that_is_cancelled_leaves_no_connection() -> None:
    left = asyncio.Event()

    async def behave(reader: Reader, writer: Writer) -> None:
        await servers.read_request(reader)
        writer.write(HEAD + chunk(CREATED))
        await servers.until_the_client_leaves(reader)
        left.set()

    async with servers.serving(behave) as server:
        told: list[StreamEvent] = []

        async def follow() -> None:
            async for one in real(server.url).follow("v1_Chd"):
                told.append(one)

        task = asyncio.create_task(follow())
        await until(lambda: told)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await until(left.is_set)
