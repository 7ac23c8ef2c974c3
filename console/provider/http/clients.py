"""HTTP clients that send the key to one place, follow no redirects and ignore the environment."""

from __future__ import annotations

import ssl
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from email.utils import formatdate
from pathlib import Path

import certifi
import httpx

from console import __version__
from console.domain.text import sanitize
from console.provider.http.client import Client
from console.provider.http.observation import Observe, ObservedCall, call_form, skew_s
from console.provider.http.secret import Secret
from console.provider.http.transport import OneConnection, Proxy


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """Limits in time and size: seconds and bytes."""

    connect_s: float = 10.0
    """Deadline of connecting (DNS, TCP and TLS)."""
    create_s: float = 60.0
    """Overall deadline of the launch request. When it passes, it is unknown whether an agent was launched."""
    call_s: float = 30.0
    """Overall deadline of every other call, retries included, and of opening a stream."""
    silence_s: float = 120.0
    """A stream counts as ended after this much silence; no heartbeat is documented."""
    stream_s: float = 3600.0
    """A stream is closed after this, so that one that sends nothing but comments does not stay open for ever."""
    body_bytes: int = 16 << 20
    """A larger reply is not read. The limit is generous, because a run whose reply cannot be read cannot be proven to
    have ended: replies of 1.3 MB were seen (BIGAGI in the wire notes), and images take more."""
    poll_connections: int = 64
    """Polls under way at once; further ones wait within their deadline."""
    control_connections: int = 64
    """Cancels, and requests for or against sandboxes, under way at once. They never wait behind polls."""
    attempts: int = 3
    """Attempts of a repeatable call whose connection broke."""
    pause_s: float = 0.1
    """Pause before the second attempt; later pauses are longer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """How the service is reached. The environment (HTTPS_PROXY, SSL_CERT_FILE, SSLKEYLOGFILE, …) is ignored."""

    proxy: str | None = None
    """URL of an HTTP proxy, used for https services only; None connects directly."""
    ca_file: Path | None = None
    """PEM file with the certificate authorities to trust; None trusts the bundled ones."""
    observe: Observe | None = None
    """Called with every exchange, if given; it must not raise."""


TransportFactory = Callable[[], httpx.AsyncBaseTransport]
"""Returns a new transport at each call, in which no connection has been used before."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceHeaders:
    """The headers that a service wants in every request."""

    key_header: str
    """The header that holds the key."""
    key_prefix: str = ""
    """What stands before the key, such as `Bearer `."""
    fixed: Mapping[str, str] = field(default_factory=dict)
    """Further headers, such as the version of the API."""


class KeyedTransport(httpx.AsyncBaseTransport):
    """Adds the key to a copy of each request, so that the request objects seen elsewhere never contain it."""

    def __init__(
        self,
        inner: httpx.AsyncBaseTransport,
        named: ServiceHeaders,
        secret: Secret,
        wall: Callable[[], float],
        observe: Observe | None = None,
    ) -> None:
        self._inner = inner
        self._named = named
        self._secret = secret
        self._wall = wall
        self._observe = observe

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send the request with the key. A reply without a date gets the time of its receipt (RFC 9110, 6.6.1)."""
        headers = httpx.Headers(request.headers)
        headers[self._named.key_header] = f"{self._named.key_prefix}{self._secret.reveal()}"
        keyed = httpx.Request(
            request.method, request.url, headers=headers, stream=request.stream, extensions=request.extensions
        )
        sent_s = self._wall()
        try:
            response = await self._inner.handle_async_request(keyed)
        except httpx.TransportError:
            self._note(request, None, sent_s)
            raise
        self._note(request, response, sent_s)
        if "date" not in response.headers:
            response.headers["date"] = formatdate(self._wall(), usegmt=True)
        return response

    def _note(self, request: httpx.Request, response: httpx.Response | None, sent_s: float) -> None:
        """Tell the observer of an exchange, without the headers and the ids in it."""
        if self._observe is None:
            return
        date = None if response is None else response.headers.get("date")
        self._observe(
            ObservedCall(
                form=call_form(request.method, request.url.path),
                status=None if response is None else response.status_code,
                skew_s=skew_s(date, sent_s, self._wall()),
            )
        )

    async def aclose(self) -> None:
        """Close the inner transport."""
        await self._inner.aclose()


KEPT_S = 30.0
"""Seconds for which an idle connection is kept."""


class ClientFactory:
    """Makes HTTP clients for one service."""

    def __init__(
        self,
        root: str,
        secret: Secret,
        bounds: Bounds,
        *,
        headers: ServiceHeaders,
        route: Route | None = None,
        transport: TransportFactory | None = None,
        wall: Callable[[], float] = time.time,
    ) -> None:
        """`root` comes from `address.service_root`; `headers` are sent with every request.

        `wall` returns Unix time in seconds. Tests pass a `transport` in place of the network. Raises ValueError for a
        CA file that cannot be used.
        """
        self._is_plain = root.startswith("http:")
        self._secret = secret
        self._headers = headers
        self._wall = wall
        self._bounds = bounds
        self._given = transport
        self._route = route or Route()
        self._context: ssl.SSLContext | None = None
        if self._route.ca_file is not None:
            # Checked at once: found out only at the launch, it would be a failure in the wrong place.
            self.tls()

    def fresh(self, *, read_s: float) -> Client:
        """Return a client for one request; its connection is new, so it cannot be stale."""
        return self._client(0.0, read_s)

    def kept(self) -> Client:
        """Return a client of one connection, which is kept open for a while between requests."""
        return self._client(KEPT_S, self._bounds.call_s)

    def _client(self, keep_s: float, read_s: float) -> Client:
        inner = (
            self._given() if self._given is not None else OneConnection(self.tls(), keep_s=keep_s, proxy=self._proxy())
        )
        own = {"user-agent": f"nightdesk/{__version__}", "accept": "application/json", "accept-encoding": "gzip"}
        return Client(
            KeyedTransport(inner, self._headers, self._secret, self._wall, self._route.observe),
            headers={**own, **self._headers.fixed},
            read_s=read_s,
            connect_s=self._bounds.connect_s,
        )

    def _proxy(self) -> Proxy | None:
        url = self._route.proxy
        if url is None or self._is_plain:
            return None
        return Proxy(url=url, tls=self.tls() if url.startswith("https:") else None)

    def tls(self) -> ssl.SSLContext:
        """Return the TLS context, which always verifies. Made once, as loading the certificates takes 35 ms.

        `ssl.create_default_context` is not used, because it writes the session keys to SSLKEYLOGFILE, and fails if it
        cannot. For plain http on loopback, where TLS is not used, the context contains no certificates. Raises
        ValueError if the CA file cannot be used.
        """
        if self._context is None:
            trusted = None if self._is_plain else self._route.ca_file or Path(certifi.where())
            self._context = tls_context(trusted)
        return self._context


def tls_context(ca_file: Path | None) -> ssl.SSLContext:
    """Return a context that verifies by the certificate authorities in `ca_file`; None contains none, for plain http.

    Raises ValueError if the file cannot be used.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if ca_file is None:
        return context
    try:
        context.load_verify_locations(cafile=ca_file)
    except OSError as error:
        # ssl.SSLError is an OSError too; its text is about OpenSSL's internals.
        why = error.strerror if not isinstance(error, ssl.SSLError) and error.strerror else "no valid certificates"
        raise ValueError(f"the CA file {sanitize(str(ca_file))} cannot be used: {why}") from None
    return context
