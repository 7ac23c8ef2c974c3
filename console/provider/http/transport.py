"""The transport of a client that has one connection: httpx without its pool, over `AsyncioNetwork`.

A pool looks through its connections and its waiting requests before and after every request; here there is one of
each. Kept apart because everything that a service answers or refuses passes it.
"""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterable, AsyncIterator
from dataclasses import dataclass

import httpcore
import httpx

from console.provider.http.network import AsyncioNetwork

_HTTPX_ERRORS: dict[type[Exception], type[httpx.TransportError]] = {
    httpcore.TimeoutException: httpx.TimeoutException,
    httpcore.ConnectTimeout: httpx.ConnectTimeout,
    httpcore.ReadTimeout: httpx.ReadTimeout,
    httpcore.WriteTimeout: httpx.WriteTimeout,
    httpcore.PoolTimeout: httpx.PoolTimeout,
    httpcore.NetworkError: httpx.NetworkError,
    httpcore.ConnectError: httpx.ConnectError,
    httpcore.ReadError: httpx.ReadError,
    httpcore.WriteError: httpx.WriteError,
    httpcore.ProxyError: httpx.ProxyError,
    httpcore.UnsupportedProtocol: httpx.UnsupportedProtocol,
    httpcore.ProtocolError: httpx.ProtocolError,
    httpcore.LocalProtocolError: httpx.LocalProtocolError,
    httpcore.RemoteProtocolError: httpx.RemoteProtocolError,
}
"""The exception of httpx for each of httpcore, by its exact class."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Proxy:
    """An HTTP proxy through which https services are reached."""

    url: str
    tls: ssl.SSLContext | None
    """For the connection to the proxy itself, where its URL begins with https."""


class OneConnection(httpx.AsyncBaseTransport):
    """Sends requests over one connection, one at a time; it is opened anew where it was closed or has been idle."""

    def __init__(self, tls: ssl.SSLContext, *, keep_s: float, proxy: Proxy | None = None) -> None:
        """`keep_s`: seconds for which an idle connection is kept."""
        self._tls = tls
        self._keep_s = keep_s
        self._proxy = proxy
        self._opened: httpcore.AsyncHTTPConnection | httpcore.AsyncHTTPProxy | None = None

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send one request. Raises the exceptions of httpx; the body of the reply is still to be read."""
        url = request.url
        raw = httpcore.Request(
            request.method,
            httpcore.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path),
            headers=request.headers.raw,
            content=request.stream,
            extensions=request.extensions,
        )
        try:
            opened = await self._usable(raw.url.origin)
            reply = await opened.handle_async_request(raw)
        except Exception as error:
            raise _of_httpx(error) from error
        return httpx.Response(
            reply.status, headers=reply.headers, stream=_Body(reply.stream), extensions=reply.extensions
        )

    async def aclose(self) -> None:
        """Close the connection. It may be used again, and is opened anew then."""
        opened, self._opened = self._opened, None
        if opened is not None:
            await opened.aclose()

    async def _usable(self, origin: httpcore.Origin) -> httpcore.AsyncHTTPConnection | httpcore.AsyncHTTPProxy:
        opened = self._opened
        if isinstance(opened, httpcore.AsyncHTTPConnection) and (opened.is_closed() or opened.has_expired()):
            await self.aclose()
        if self._opened is None:
            self._opened = self._connection(origin) if self._proxy is None else self._tunnel(self._proxy)
        return self._opened

    def _connection(self, origin: httpcore.Origin) -> httpcore.AsyncHTTPConnection:
        return httpcore.AsyncHTTPConnection(
            origin, ssl_context=self._tls, keepalive_expiry=self._keep_s, network_backend=AsyncioNetwork()
        )

    def _tunnel(self, proxy: Proxy) -> httpcore.AsyncHTTPProxy:
        """A pool of one connection: only a pool of httpcore opens tunnels."""
        return httpcore.AsyncHTTPProxy(
            proxy.url,
            ssl_context=self._tls,
            proxy_ssl_context=proxy.tls,
            max_connections=1,
            max_keepalive_connections=1,
            keepalive_expiry=self._keep_s,
            network_backend=AsyncioNetwork(),
        )


class _Body(httpx.AsyncByteStream):
    """The body of a reply, with the exceptions of httpx."""

    def __init__(self, stream: object) -> None:
        self._stream = stream

    async def __aiter__(self) -> AsyncIterator[bytes]:
        if not isinstance(self._stream, AsyncIterable):
            raise TypeError("the reply cannot be read asynchronously")
        try:
            async for part in self._stream:
                yield part
        except Exception as error:
            raise _of_httpx(error) from error

    async def aclose(self) -> None:
        close = getattr(self._stream, "aclose", None)
        if close is not None:
            await close()


def _of_httpx(error: Exception) -> Exception:
    """Return the exception of httpx for one of httpcore, and any other as it is."""
    known = _HTTPX_ERRORS.get(type(error))
    return error if known is None else known(str(error))
