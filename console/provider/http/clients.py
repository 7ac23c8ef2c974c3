"""Clients."""

from __future__ import annotations

import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass
from email.utils import formatdate

import httpx

from console import __version__
from console.provider.http.secret import Secret

KEY_HEADER = "x-goog-api-key"


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """How long and how much. Seconds and bytes."""

    connect_s: float = 10.0
    """DNS, TCP and TLS together at most this each."""
    create_s: float = 60.0
    """The outer deadline of the create POST; when it passes, nobody knows what was launched."""
    call_s: float = 30.0
    """The outer deadline of every other call, its repetitions included, and of opening a stream."""
    silence_s: float = 120.0
    """A stream that says nothing for so long has ended; no heartbeat is documented."""
    stream_s: float = 3600.0
    """A stream is left after this, so that one that only drips comments holds nothing for ever."""
    body_bytes: int = 16 << 20
    """An answer beyond this is not read. A finished interaction may have 1.3 MB (BIGAGI in the wire notes), with images
    more; one that is never read could never be proven to have ended."""
    attempts: int = 3
    """Tries of a harmless call whose connection broke."""
    pause_s: float = 0.1
    """Before the second try; later pauses are longer."""


TransportFactory = Callable[[], httpx.AsyncBaseTransport]
"""A fresh transport at each call: no connection in it has been used before."""


class KeyedTransport(httpx.AsyncBaseTransport):
    """Adds the key to a copy of each request, so that no request that anybody else holds has it."""

    def __init__(self, inner: httpx.AsyncBaseTransport, secret: Secret, wall: Callable[[], float]) -> None:
        self._inner = inner
        self._secret = secret
        self._wall = wall

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """As the inner transport; an answer without a date gets that of its receipt (RFC 9110, 6.6.1)."""
        headers = httpx.Headers(request.headers)
        headers[KEY_HEADER] = self._secret.reveal()
        keyed = httpx.Request(
            request.method, request.url, headers=headers, stream=request.stream, extensions=request.extensions
        )
        response = await self._inner.handle_async_request(keyed)
        response.headers.setdefault("date", formatdate(self._wall(), usegmt=True))
        return response

    async def aclose(self) -> None:
        """Closes the inner transport."""
        await self._inner.aclose()


class Clients:
    """Makes HTTP clients that send the key to one place, follow nothing and believe nothing of the environment."""

    def __init__(
        self,
        root: str,
        secret: Secret,
        bounds: Bounds,
        transport: TransportFactory | None = None,
        wall: Callable[[], float] = time.time,
    ) -> None:
        """`root` is what `address.service_root` gave; `wall` gives seconds since the Unix epoch."""
        self._is_plain = root.startswith("http:")
        self._secret = secret
        self._wall = wall
        self._bounds = bounds
        self._given = transport
        self._context: ssl.SSLContext | None = None

    def fresh(self, *, read_s: float) -> httpx.AsyncClient:
        """A client of its own for one request: no kept connection, so that none can be stale."""
        return self._client(httpx.Limits(max_connections=1, max_keepalive_connections=0), read_s)

    def shared(self) -> httpx.AsyncClient:
        """A client that keeps connections, for the polls."""
        limits = httpx.Limits(max_connections=64, max_keepalive_connections=8, keepalive_expiry=30.0)
        return self._client(limits, self._bounds.call_s)

    def _client(self, limits: httpx.Limits, read_s: float) -> httpx.AsyncClient:
        inner = self._given() if self._given is not None else self._transport(limits)
        timeout = httpx.Timeout(read_s, connect=self._bounds.connect_s, pool=self._bounds.connect_s)
        headers = {"user-agent": f"nightdesk/{__version__}", "accept": "application/json", "accept-encoding": "gzip"}
        return httpx.AsyncClient(
            transport=KeyedTransport(inner, self._secret, self._wall),
            trust_env=False,
            follow_redirects=False,
            timeout=timeout,
            headers=headers,
        )

    def _transport(self, limits: httpx.Limits) -> httpx.AsyncHTTPTransport:
        return httpx.AsyncHTTPTransport(
            verify=self.tls(), http1=True, http2=False, trust_env=False, retries=0, limits=limits
        )

    def tls(self) -> ssl.SSLContext:
        """Verification on, from the certificates that come with us; made once, since loading them takes 35 ms.

        For plain http on loopback, where no TLS is spoken, it trusts nobody.
        """
        if self._context is None and self._is_plain:
            self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        elif self._context is None:
            self._context = httpx.create_ssl_context(verify=True, trust_env=False)
        return self._context
