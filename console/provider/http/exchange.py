"""One HTTP exchange, bounded in time and size, that returns a `Reply` or a `TransportFailure`.

Exceptions of the HTTP library never leave this module: their frames hold the key and the prompt, which a crash report
with local variables would print. A cancellation passes through without those frames.
"""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from enum import StrEnum

import httpx

from console.provider.http.client import Client


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """A complete HTTP reply."""

    status: int
    headers: Mapping[str, str]
    """Names in lower case."""
    body: bytes = field(repr=False)

    @property
    def is_success(self) -> bool:
        """True for a 2xx status."""
        return 200 <= self.status < 300


class _Body:
    """The body of a reply, decompressed up to a limit: a few kilobytes of gzip can expand to gigabytes."""

    def __init__(self, encoding: str, limit: int) -> None:
        self._inflate = zlib.decompressobj(wbits=47) if encoding == "gzip" else None
        self._limit = limit
        self._whole = bytearray()

    def add(self, chunk: bytes) -> None:
        """Add bytes as received. Raises UnsupportedReply above the limit, and zlib.error for invalid gzip."""
        if self._inflate is not None:
            chunk = self._inflate.decompress(chunk, self._limit - len(self._whole) + 1)
        self._whole += chunk
        if len(self._whole) > self._limit:
            raise UnsupportedReply(f"an answer of more than {self._limit} bytes")

    def whole(self) -> bytes:
        """Return the whole body. Raises EOFError if the gzip stream is incomplete."""
        if self._inflate is not None and not self._inflate.eof:
            raise EOFError("a gzip body that was cut")
        return bytes(self._whole)


@asynccontextmanager
async def raw_chunks(response: httpx.Response) -> AsyncIterator[AsyncIterator[bytes]]:
    """Give an iterator over the undecoded bytes of the body, and close it at the end of the block.

    `aiter_raw` is not used because it closes the connection too, and a failing close would lose the body.
    """
    chunks = aiter(_read_before(response) if response.is_stream_consumed else _open_stream(response))
    try:
        yield chunks
    finally:
        if isinstance(chunks, AsyncGenerator):
            await chunks.aclose()


def _open_stream(response: httpx.Response) -> httpx.AsyncByteStream:
    if not isinstance(response.stream, httpx.AsyncByteStream):
        raise TypeError("the reply cannot be read asynchronously")
    return response.stream


async def _read_before(response: httpx.Response) -> AsyncIterator[bytes]:
    """Yield the body of a reply that the transport has already read and decoded."""
    yield response.content


async def read_reply(response: httpx.Response, limit: int) -> Reply:
    """Read the whole reply. Raises UnsupportedReply, and whatever httpx raises."""
    encoding = "" if response.is_stream_consumed else response.headers.get("content-encoding", "").strip().lower()
    if encoding not in ("", "identity", "gzip"):
        raise UnsupportedReply("a content encoding that was not asked for")
    body = _Body(encoding, limit)
    async with raw_chunks(response) as chunks:
        async for chunk in chunks:
            body.add(chunk)
    headers = {name.lower(): value for name, value in response.headers.items()}
    return Reply(status=response.status_code, headers=headers, body=body.whole())


async def exchange(
    opened: AbstractAsyncContextManager[Client],
    request: httpx.Request,
    *,
    deadline_s: float,
    limit: int,
) -> Reply | TransportFailure:
    """Send `request` once and read the whole reply; `deadline_s` covers everything up to closing the connection.

    A reply that was read is returned even if closing the connection fails. Raises only CancelledError.
    """
    reply: Reply | None = None
    try:
        async with asyncio.timeout(deadline_s), opened as client:
            response = await client.send(request)
            try:
                reply = await read_reply(response, limit)
            finally:
                await response.aclose()
                # Its stream refers to it: a cycle, and work for the garbage collector at every poll.
                response.stream = httpx.ByteStream(b"")
    except asyncio.CancelledError as cancelled:
        raise cancelled.with_traceback(None) from None
    except TimeoutError:
        failure = TransportFailure(kind=FailureKind.SILENT, why=f"no complete reply within {deadline_s:.3g} s")
    except Exception as error:
        failure = classify_failure(error)
    return reply if reply is not None else failure


@asynccontextmanager
async def opened_stream(
    client: Client, request: httpx.Request, *, deadline_s: float
) -> AsyncIterator[httpx.Response | TransportFailure]:
    """Give the response with its body unread, within `deadline_s`. It and `client` are closed after the block."""
    response: httpx.Response | None = None
    failure = TransportFailure(kind=FailureKind.SILENT, why=f"no reply within {deadline_s:.3g} s")
    try:
        try:
            async with asyncio.timeout(deadline_s):
                response = await client.send(request)
        except asyncio.CancelledError as cancelled:
            raise cancelled.with_traceback(None) from None
        except TimeoutError:
            pass
        except Exception as error:
            failure = classify_failure(error)
        yield response if response is not None else failure
    finally:
        if response is not None:
            await response.aclose()
        await client.aclose()


BEFORE_THE_FIRST_BYTE: frozenset[type[Exception]] = frozenset(
    {httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.ProxyError}
)
"""Connection refused, DNS, TLS, connect timeout, pool timeout, tunnel refused by the proxy (httpx 0.28.1).

A proxy is used only for https, so a ProxyError comes from the CONNECT request that opens the tunnel, before any byte
of the request itself.

Only these exact classes count, since a subclass added later would prove nothing.
"""


class FailureKind(StrEnum):
    """How an exchange failed."""

    NOT_CONNECTED = "not connected"
    """It is proven that no byte of the request left this machine."""
    SILENT = "silent"
    """A deadline passed."""
    UNUSABLE = "unusable"
    """The reply is of a kind that is not read; a second attempt would not help."""
    BROKEN = "broken"
    """Anything else between the first byte of the request and the last byte of the reply."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TransportFailure:
    """An exchange without a complete reply. Keeps no exception, whose frames would hold the key and the prompt."""

    kind: FailureKind
    why: str
    """The reason, raw."""


class UnsupportedReply(Exception):
    """The reply is too large, or has a content encoding that was not requested."""


def classify_failure(error: Exception) -> TransportFailure:
    """Return the failure for an exception of the HTTP library."""
    why = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    if type(error) in BEFORE_THE_FIRST_BYTE:
        return TransportFailure(kind=FailureKind.NOT_CONNECTED, why=why)
    if isinstance(error, httpx.TimeoutException | TimeoutError):
        return TransportFailure(kind=FailureKind.SILENT, why=f"no reply in time: {why}")
    if isinstance(error, UnsupportedReply):
        return TransportFailure(kind=FailureKind.UNUSABLE, why=str(error))
    return TransportFailure(kind=FailureKind.BROKEN, why=why)
