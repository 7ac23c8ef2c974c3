"""Replies with faults, and the raw connection that they need.

Nothing here depends on a face of the service: a face performs the call and writes refusals.
"""

from __future__ import annotations

import asyncio
import json
import socket
import struct
import time
from collections.abc import Awaitable, Callable, Mapping
from email.utils import formatdate
from typing import Any

from starlette.responses import Response
from starlette.types import Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

from console.simulator.errors import ApiError
from console.simulator.faults import Fault, ReplyFault

Action = Callable[[], Awaitable[Response]]
"""Performs a call and returns the reply; raises ApiError if the call is refused."""
Refuse = Callable[[ApiError], Response]
"""Writes a refusal."""
ELSEWHERE = "/_sim/elsewhere"
"""The target of redirects. Calls that arrive there are counted."""
GARBAGE_PAGE = b"<!DOCTYPE html><html><body><h1>Welcome to hotel WiFi</h1>Please accept the terms.</body></html>"
GARBAGE_BYTES = b"\x16\x03\x01\x02\x00\x01\x00garbage\xff\xfe\r\n\r\n"
WITHOUT_EFFECT = frozenset(
    {
        ReplyFault.DROPPED,
        ReplyFault.RESET_BEFORE,
        ReplyFault.SILENCE_BEFORE,
        ReplyFault.STATUS,
        ReplyFault.RETRY_AFTER,
        ReplyFault.RETRY_AFTER_MS,
        ReplyFault.RETRY_AFTER_DATE,
        ReplyFault.RETRY_INFO,
        ReplyFault.RETRY_BARE,
    }
)
"""The faults of calls that have no effect."""
_TRANSPORT = "simulator.transport"
_JSON_HEADERS = {"content-type": "application/json"}


def json_reply(data: object, status: int = 200) -> Response:
    """Return a reply with a JSON body."""
    return Response(json.dumps(data), status_code=status, media_type="application/json")


async def reply_with_fault(action: Action, fault: Fault | None, refuse: Refuse) -> Response:
    """Return the reply to a call, changed by the fault. `action` is performed only if the call takes effect."""
    if fault is None:
        return await _reply(action, refuse)
    match fault.kind:
        case ReplyFault.LATE:
            await asyncio.sleep(fault.value)
            return await _reply(action, refuse)
        case ReplyFault.SLOW:
            reply = await _reply(action, refuse)
            await asyncio.sleep(fault.value)
            return reply
    intended = Response() if fault.kind in WITHOUT_EFFECT else await _reply(action, refuse)
    refusal = _refusal(fault)
    if refusal is not None:
        return refuse(refusal)
    return _wrong_body(fault, intended) or BrokenReply(fault, intended)


async def _reply(action: Action, refuse: Refuse) -> Response:
    try:
        return await action()
    except ApiError as error:
        return refuse(error)


def _refusal(fault: Fault) -> ApiError | None:
    seconds = fault.value
    exhausted = "Resource has been exhausted (e.g. check quota)."
    match fault.kind:
        case ReplyFault.STATUS | ReplyFault.STATUS_BUT_DONE:
            headers = {"location": ELSEWHERE} if fault.status < 400 else {}
            return ApiError(fault.status, f"Simulated answer {fault.status}.", headers=headers)
        case ReplyFault.RETRY_AFTER:
            return ApiError(429, exhausted, headers={"retry-after": f"{seconds:g}"})
        case ReplyFault.RETRY_AFTER_MS:
            return ApiError(429, exhausted, headers={"retry-after-ms": f"{seconds * 1000:g}"})
        case ReplyFault.RETRY_AFTER_DATE:
            return ApiError(429, exhausted, headers={"retry-after": formatdate(time.time() + seconds, usegmt=True)})
        case ReplyFault.RETRY_INFO:
            return ApiError(429, exhausted, retry_delay_s=seconds)
        case ReplyFault.RETRY_BARE:
            return ApiError(429, exhausted)
        case _:
            return None


def _wrong_body(fault: Fault, intended: Response) -> Response | None:
    match fault.kind:
        case ReplyFault.GARBAGE:
            return Response(GARBAGE_PAGE, media_type="text/html")
        case ReplyFault.EMPTY:
            return Response(b"", media_type="application/json")
        case ReplyFault.NO_ID:
            return json_reply(_without_id(bytes(intended.body)))
        case _:
            return None


def _without_id(body: bytes) -> dict[str, object]:
    try:
        data = json.loads(body)
    except ValueError:
        data = None
    return {name: value for name, value in data.items() if name != "id"} if isinstance(data, dict) else {}


class BrokenReply(Response):
    """A reply that does not arrive as intended."""

    def __init__(self, fault: Fault, intended: Response) -> None:
        """`intended` is the reply without the fault."""
        super().__init__()
        self._fault, self._intended = fault, intended

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send what the fault leaves of the reply. Raises TypeError for a fault that does not break the connection."""
        connection = RawConnection(scope, receive, send)
        body = bytes(self._intended.body)
        match self._fault.kind:
            case ReplyFault.LOST_REPLY | ReplyFault.DROPPED:
                await connection.hang_up()
            case ReplyFault.RESET | ReplyFault.RESET_BEFORE:
                await connection.reset()
            case ReplyFault.SILENCE | ReplyFault.SILENCE_BEFORE:
                await connection.disconnected()
            case ReplyFault.HALF_HEADERS:
                await connection.hang_up(b"HTTP/1.1 200 OK\r\ncontent-type: applic")
            case ReplyFault.GARBAGE_BYTES:
                await connection.hang_up(GARBAGE_BYTES)
            case ReplyFault.HALF_BODY:
                await connection.open(self._intended.status_code, {"content-length": str(max(len(body), 2))})
                await connection.write(body[: len(body) // 2])
                await connection.hang_up()
            case ReplyFault.DRIP:
                await connection.open(self._intended.status_code, _JSON_HEADERS)
                await connection.drip(body, self._fault.value)
                await connection.finish()
            case ReplyFault.HUGE:
                await connection.open(self._intended.status_code, _JSON_HEADERS)
                await self._pad(connection)
                await connection.write(body)
                await connection.finish()
            case _:
                raise TypeError(f"{self._fault.name} does not break the connection")

    async def _pad(self, connection: RawConnection) -> None:
        """Send megabytes of blanks, with which JSON may begin."""
        left = int(self._fault.value * 1_000_000)
        while left > 0:
            await connection.write(b" " * min(left, 65_536))
            left -= 65_536


class RawConnectionProtocol(H11Protocol):
    """uvicorn's HTTP protocol, with the transport in the ASGI state of each request for `RawConnection`."""

    def connection_made(  # type: ignore[override]  # uvicorn narrows the base class's argument in the same way
        self, transport: asyncio.Transport
    ) -> None:
        """Store the transport before the first request."""
        self.app_state = {**self.app_state, _TRANSPORT: transport}
        super().connection_made(transport)


class RawConnection:
    """The connection to the client of one request, below ASGI: it can be dropped without any reply.

    The server must use `RawConnectionProtocol`.
    """

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        asgi_state: Mapping[str, Any] = scope["state"]
        self._transport: asyncio.Transport = asgi_state[_TRANSPORT]
        self._receive, self._send = receive, send

    async def open(self, status: int, headers: Mapping[str, str]) -> None:
        """Send the status line and the headers."""
        raw = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()]
        await self._send({"type": "http.response.start", "status": status, "headers": raw})

    async def write(self, data: bytes) -> None:
        """Send a part of the body. Does nothing if the client has disconnected."""
        await self._send({"type": "http.response.body", "body": data, "more_body": True})

    async def finish(self) -> None:
        """End the body."""
        await self._send({"type": "http.response.body", "body": b"", "more_body": False})

    async def drip(self, data: bytes, pause_s: float) -> None:
        """Send a part of the body byte by byte, until the client disconnects."""
        for byte in data:
            if self._transport.is_closing():
                return
            await self.write(bytes([byte]))
            await asyncio.sleep(pause_s)

    async def disconnected(self) -> None:
        """Wait until the connection is closed."""
        while (await self._receive())["type"] != "http.disconnect":
            pass

    async def hang_up(self, last_bytes: bytes = b"") -> None:
        """Send raw bytes and close the connection, whatever length was announced."""
        self._transport.write(last_bytes)
        self._transport.close()
        await self.disconnected()

    async def reset(self) -> None:
        """Close the connection with a TCP reset."""
        raw: socket.socket = self._transport.get_extra_info("socket")
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._transport.abort()
        await self.disconnected()
