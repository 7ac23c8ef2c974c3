"""Connections for httpcore on the transports of asyncio, through the port that httpcore has for this.

Its own connections go through anyio, which starts and stops the selector for every read, and makes a cancel scope and a
timer for each read and write. With a thousand live runs that takes a tenth of the CPU time of the process.
"""

from __future__ import annotations

import asyncio
import select
import ssl
from collections.abc import Iterable
from contextlib import suppress
from ipaddress import ip_address
from typing import Any, cast

import httpcore

HIGH_WATER = 256 << 10
"""Received bytes that nobody has read, at which reading from the socket pauses."""
LOW_WATER = 64 << 10
"""Where it goes on."""
MOST_INTERIM = 20
"""Answers of 1xx before the one that counts. A service that sends more is given up: parsing them takes time."""
NEXT_ANSWER = b"\nHTTP/1."
"""Begins another answer to one request. No line of JSON or of an event stream begins like this."""
HAPPY_EYEBALLS_S = 0.25
"""Seconds after which the next address of a host is tried as well (RFC 8305)."""


class _Received(asyncio.Protocol):
    """What a connection has received, and who waits for it: one reader and one writer at a time."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self.transport: asyncio.Transport | None = None
        """The transport in use: TLS puts another one in the place of the first."""
        self.error: Exception | None = None
        """Why the connection was lost."""
        self.is_lost = False
        self._buffer = bytearray()
        self._has_ended = False
        self._is_paused = False
        self._interim = 0
        """Interim answers since something was written."""
        self._reader: asyncio.Future[None] | None = None
        self._may_write = asyncio.Event()
        self._may_write.set()

    @property
    def is_readable(self) -> bool:
        """True where a read would return without waiting."""
        return bool(self._buffer) or self._has_ended or self.is_lost

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self.transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        """Keep what came; with much that nobody has read, let the service wait."""
        self._buffer += data
        if len(self._buffer) > HIGH_WATER and not self._is_paused and self.transport is not None:
            self._is_paused = True
            self.transport.pause_reading()
        self._wake_reader()

    def eof_received(self) -> bool:
        """The service sends no more. A plain connection stays open for what is still written; TLS cannot do that."""
        self._has_ended = True
        self._wake_reader()
        return self.transport is not None and self.transport.get_extra_info("ssl_object") is None

    def connection_lost(self, exc: Exception | None) -> None:
        """Wake those who wait."""
        self.is_lost, self.error = True, exc
        self._wake_reader()
        self._may_write.set()

    def pause_writing(self) -> None:
        """Let the writer wait: the service takes less than is sent."""
        self._may_write.clear()

    def resume_writing(self) -> None:
        """Let it go on."""
        self._may_write.set()

    async def read(self, most: int, timeout_s: float | None) -> bytes:
        """Return what came, at least one byte and at most `most`; nothing at the end. Raises httpcore's errors."""
        if not self.is_readable:
            await self._wait_readable(timeout_s)
        elif self._buffer:
            # A service that sends faster than its answer is parsed must not keep the loop from anything else.
            await asyncio.sleep(0)
        if self._buffer:
            taken = self._take(most)
            self._interim += taken.count(NEXT_ANSWER)
            if self._interim > MOST_INTERIM:
                raise httpcore.RemoteProtocolError(f"more than {MOST_INTERIM} interim answers to one request")
            return taken
        if self.error is not None:
            raise httpcore.ReadError(str(self.error)) from self.error
        return b""

    def begin(self) -> None:
        """A request is sent: what comes from here on answers it."""
        self._interim = 0

    async def drained(self) -> None:
        """Wait until more may be written."""
        await self._may_write.wait()

    def _take(self, most: int) -> bytes:
        taken = bytes(self._buffer[:most])
        del self._buffer[:most]
        if self._is_paused and len(self._buffer) <= LOW_WATER and self.transport is not None:
            self._is_paused = False
            self.transport.resume_reading()
        return taken

    async def _wait_readable(self, timeout_s: float | None) -> None:
        if self._reader is not None:
            raise httpcore.ReadError("two readers at one connection")
        waiter = self._reader = self._loop.create_future()
        timer = None if timeout_s is None else self._loop.call_later(timeout_s, _expire, waiter)
        try:
            await waiter
        finally:
            self._reader = None
            if timer is not None:
                timer.cancel()

    def _wake_reader(self) -> None:
        if self._reader is not None and not self._reader.done():
            self._reader.set_result(None)


def _expire(waiter: asyncio.Future[None]) -> None:
    if not waiter.done():
        waiter.set_exception(httpcore.ReadTimeout())


class AsyncioStream(httpcore.AsyncNetworkStream):
    """One connection. Its methods raise the exceptions of httpcore, and `CancelledError`."""

    def __init__(self, received: _Received, transport: asyncio.Transport) -> None:
        self._received = received
        self._transport = transport

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ASYNC109  # httpcore's name
        """Return at least one byte, nothing at the end. Raises ReadTimeout, ReadError."""
        return await self._received.read(max_bytes, timeout)

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ASYNC109  # httpcore's name
        """Hand `buffer` to the connection; waits only while much is unsent. Raises WriteTimeout, WriteError."""
        if not buffer:
            return
        self._demand_open()
        self._received.begin()
        self._transport.write(buffer)
        try:
            async with asyncio.timeout(timeout):
                await self._received.drained()
        except TimeoutError as error:
            raise httpcore.WriteTimeout(str(error)) from error
        self._demand_open()

    def _demand_open(self) -> None:
        if self._received.is_lost or self._transport.is_closing():
            raise httpcore.WriteError(str(self._received.error or "the connection is closed"))

    async def aclose(self) -> None:
        """Close the connection; what is still unsent has one turn of the loop, as nobody waits for its answer."""
        self._transport.close()
        try:
            await asyncio.sleep(0)
        finally:
            self._transport.abort()

    async def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,  # noqa: ASYNC109  # httpcore's name
    ) -> httpcore.AsyncNetworkStream:
        """Return the connection with TLS, once the other side is verified. Raises ConnectTimeout, ConnectError.

        This stream is not used any more afterwards, and closed after an error.
        """
        try:
            async with asyncio.timeout(timeout):
                secured = await asyncio.get_running_loop().start_tls(
                    self._transport, self._received, ssl_context, server_hostname=server_hostname
                )
        except BaseException as error:
            self._transport.abort()
            raise _connect_error(error) from error
        if secured is None:
            raise httpcore.ConnectError("the connection was closed in the TLS handshake")
        self._received.transport = secured
        return AsyncioStream(self._received, secured)

    def get_extra_info(self, info: str) -> Any:
        """Return what httpcore asks for: `is_readable`, `ssl_object`, the addresses or the socket."""
        if info == "is_readable":
            return self._received.is_readable or _is_readable(self._transport.get_extra_info("socket"))
        names = {"client_addr": "sockname", "server_addr": "peername"}
        return self._transport.get_extra_info(names.get(info, info))


def _is_readable(sock: Any) -> bool:
    """Return whether bytes or the end of a connection wait in the kernel, which the loop has not seen yet."""
    if sock is None or sock.fileno() < 0:
        return True
    poll = select.poll()
    poll.register(sock.fileno(), select.POLLIN)
    return bool(poll.poll(0))


def _connect_error(error: BaseException) -> BaseException:
    """Return the error of httpcore for one that ended the opening of a connection, and any other as it is."""
    if isinstance(error, TimeoutError) and not isinstance(error, ssl.SSLError) and error.errno is None:
        return httpcore.ConnectTimeout(str(error))
    return httpcore.ConnectError(str(error)) if isinstance(error, OSError) else error


def _is_literal(host: str) -> bool:
    """True for an IP address, which has no other to try."""
    with suppress(ValueError):
        ip_address(host)
        return True
    return False


class AsyncioNetwork(httpcore.AsyncNetworkBackend):
    """Opens connections on the running event loop."""

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109  # httpcore's name
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """Return a connection without Nagle's delay. Raises ConnectTimeout, ConnectError."""
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(timeout):
                transport, received = await loop.create_connection(
                    _Received,
                    host,
                    port,
                    # Where connections race, asyncio forgets one that is made in the moment of a cancellation.
                    happy_eyeballs_delay=None if _is_literal(host) else HAPPY_EYEBALLS_S,
                    local_addr=None if local_address is None else (local_address, 0),
                )
        except Exception as error:
            raise _connect_error(error) from error
        for option in socket_options or ():
            transport.get_extra_info("socket").setsockopt(*option)
        return AsyncioStream(received, transport)

    async def sleep(self, seconds: float) -> None:
        """Wait."""
        await asyncio.sleep(seconds)
