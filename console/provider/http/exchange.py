"""One HTTP exchange: bounded in time and size, and never letting go of an exception of the HTTP library.

The frames of such an exception hold the key and the prompt, and a crash report that prints local variables would
show both. So an exchange gives a `Reply` or a `Fault`; a cancellation passes through without those frames.
"""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from enum import StrEnum

import httpx


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """A whole HTTP answer."""

    status: int
    headers: Mapping[str, str]
    """Names in lower case."""
    body: bytes = field(repr=False)

    @property
    def is_success(self) -> bool:
        """2xx."""
        return 200 <= self.status < 300


class _Body:
    """The bytes of an answer, unpacked within a bound: a few kilobytes of gzip can hold gigabytes."""

    def __init__(self, encoding: str, limit: int) -> None:
        self._inflate = zlib.decompressobj(wbits=47) if encoding == "gzip" else None
        self._limit = limit
        self._whole = bytearray()

    def take(self, chunk: bytes) -> None:
        """Raises Unusable, or zlib.error for what is no gzip."""
        if self._inflate is not None:
            chunk = self._inflate.decompress(chunk, self._limit - len(self._whole) + 1)
        self._whole += chunk
        if len(self._whole) > self._limit:
            raise UnsupportedReply(f"an answer of more than {self._limit} bytes")

    def whole(self) -> bytes:
        """All of it. Raises EOFError where the gzip stream was cut."""
        if self._inflate is not None and not self._inflate.eof:
            raise EOFError("a gzip body that was cut")
        return bytes(self._whole)


@asynccontextmanager
async def raw_chunks(response: httpx.Response) -> AsyncIterator[AsyncIterator[bytes]]:
    """The undecoded bytes of the body. Left half way, their generator is closed here and not by the collector.

    Not `aiter_raw`: that closes the connection too, and a close that fails would take the body with it.
    """
    chunks = aiter(_read_before(response) if response.is_stream_consumed else _open_stream(response))
    try:
        yield chunks
    finally:
        if isinstance(chunks, AsyncGenerator):
            await chunks.aclose()


def _open_stream(response: httpx.Response) -> httpx.AsyncByteStream:
    if not isinstance(response.stream, httpx.AsyncByteStream):
        raise TypeError("an answer that cannot be read asynchronously")
    return response.stream


async def _read_before(response: httpx.Response) -> AsyncIterator[bytes]:
    """A transport may hand over an answer that is whole, and decoded, already."""
    yield response.content


async def read_reply(response: httpx.Response, limit: int) -> Reply:
    """The whole answer. Raises Unusable, and what httpx raises."""
    encoding = "" if response.is_stream_consumed else response.headers.get("content-encoding", "").strip().lower()
    if encoding not in ("", "identity", "gzip"):
        raise UnsupportedReply("a content encoding that was not asked for")
    body = _Body(encoding, limit)
    async with raw_chunks(response) as chunks:
        async for chunk in chunks:
            body.take(chunk)
    headers = {name.lower(): value for name, value in response.headers.items()}
    return Reply(status=response.status_code, headers=headers, body=body.whole())


async def exchange(
    opened: AbstractAsyncContextManager[httpx.AsyncClient],
    request: httpx.Request,
    *,
    deadline_s: float,
    limit: int,
) -> Reply | TransportFailure:
    """Sends `request` once and reads the answer whole, within `deadline_s` from here to the closed connection.

    An answer that was read counts, whatever happens while its connection is closed. Raises only CancelledError.
    """
    reply: Reply | None = None
    try:
        async with asyncio.timeout(deadline_s), opened as client:
            response = await client.send(request, stream=True)
            try:
                reply = await read_reply(response, limit)
            finally:
                await response.aclose()
    except asyncio.CancelledError as cancelled:
        raise cancelled.with_traceback(None) from None
    except TimeoutError:
        fault = TransportFailure(kind=FailureKind.SILENT, why=f"nothing whole within {deadline_s:g} s")
    except Exception as error:
        fault = classify_failure(error)
    return reply if reply is not None else fault


@asynccontextmanager
async def opened_stream(
    client: httpx.AsyncClient, request: httpx.Request, *, deadline_s: float
) -> AsyncIterator[httpx.Response | TransportFailure]:
    """The response with its body unread, within `deadline_s`; closed, with the client, at the end of the block."""
    response: httpx.Response | None = None
    fault = TransportFailure(kind=FailureKind.SILENT, why=f"no answer within {deadline_s:g} s")
    try:
        try:
            async with asyncio.timeout(deadline_s):
                response = await client.send(request, stream=True)
        except asyncio.CancelledError as cancelled:
            raise cancelled.with_traceback(None) from None
        except TimeoutError:
            pass
        except Exception as error:
            fault = classify_failure(error)
        yield response if response is not None else fault
    finally:
        if response is not None:
            await response.aclose()
        await client.aclose()


BEFORE_THE_FIRST_BYTE: frozenset[type[Exception]] = frozenset(
    {httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout}
)
"""Refused, DNS, TLS, connect timeout, pool timeout (httpx 0.28.1). Exact classes: a new subclass proves nothing."""


class FailureKind(StrEnum):
    """How an exchange failed."""

    NOT_CONNECTED = "not connected"
    """Proven: no byte of the request left this machine."""
    SILENT = "silent"
    """A deadline passed."""
    UNUSABLE = "unusable"
    """The answer is of a kind that we do not read; a second try would bring the same."""
    BROKEN = "broken"
    """Anything else, between the first byte of the request and the last one of the answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TransportFailure:
    """An exchange without a whole answer. Holds no exception: its frames would hold the key and the prompt."""

    kind: FailureKind
    why: str
    """Raw."""


class UnsupportedReply(Exception):
    """The answer is too large, or packed in a way that was not asked for."""


def classify_failure(error: Exception) -> TransportFailure:
    """Which kind of fault an exception of the HTTP library is."""
    why = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    if type(error) in BEFORE_THE_FIRST_BYTE:
        return TransportFailure(kind=FailureKind.NOT_CONNECTED, why=why)
    if isinstance(error, httpx.TimeoutException | TimeoutError):
        return TransportFailure(kind=FailureKind.SILENT, why=why)
    if isinstance(error, UnsupportedReply):
        return TransportFailure(kind=FailureKind.UNUSABLE, why=str(error))
    return TransportFailure(kind=FailureKind.BROKEN, why=why)
