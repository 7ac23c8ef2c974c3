"""Replies that go wrong, each in its own way, once or for ever."""

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

from console.simulator.faults import Fault, ReplyFault
from console.simulator.gemini.bodies import ApiError, ErrorForm, retry_info

Action = Callable[[], Awaitable[Response]]
"""Does a call; raises ApiError where it is refused."""
Refuse = Callable[[ApiError], Response]
"""Writes a refusal."""
ELSEWHERE = "/_sim/elsewhere"
"""Where a redirect leads; calls that arrive there are counted."""
GARBAGE_PAGE = b"<!DOCTYPE html><html><body><h1>Welcome to hotel WiFi</h1>Please accept the terms.</body></html>"
GARBAGE_BYTES = b"\x16\x03\x01\x02\x00\x01\x00garbage\xff\xfe\r\n\r\n"
_JSON = {"content-type": "application/json"}
UNDONE = frozenset(
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
"""Of these the call has no effect."""


def json_reply(data: object, status: int = 200) -> Response:
    """A reply as it should be."""
    return Response(json.dumps(data), status_code=status, media_type="application/json")


def error_reply(error: ApiError, form: ErrorForm) -> Response:
    """A refusal."""
    media_type = "text/html" if form is ErrorForm.HTML else "application/json"
    return Response(error.body(form), status_code=error.http_status, media_type=media_type, headers=error.headers)


async def reply_with_fault(act: Action, fault: Fault | None, refuse: Refuse) -> Response:
    """What `act` answers, or what the fault makes of it; `act` is called only where the call takes effect."""
    if fault is None:
        return await _said(act, refuse)
    match fault.kind:
        case ReplyFault.LATE:
            await asyncio.sleep(fault.value)
            return await _said(act, refuse)
        case ReplyFault.SLOW:
            said = await _said(act, refuse)
            await asyncio.sleep(fault.value)
            return said
    inner = Response() if fault.kind in UNDONE else await _said(act, refuse)
    refusal = _refusal(fault)
    if refusal is not None:
        return refuse(refusal)
    return _other_words(fault, inner) or BrokenReply(fault, inner)


async def _said(act: Action, refuse: Refuse) -> Response:
    try:
        return await act()
    except ApiError as error:
        return refuse(error)


def _refusal(fault: Fault) -> ApiError | None:
    seconds = fault.value
    busy = "Resource has been exhausted (e.g. check quota)."
    match fault.kind:
        case ReplyFault.STATUS | ReplyFault.STATUS_BUT_DONE:
            headers = {"location": ELSEWHERE} if fault.status < 400 else {}
            return ApiError(fault.status, f"Simulated answer {fault.status}.", headers=headers)
        case ReplyFault.RETRY_AFTER:
            return ApiError(429, busy, headers={"retry-after": f"{seconds:g}"})
        case ReplyFault.RETRY_AFTER_MS:
            return ApiError(429, busy, headers={"retry-after-ms": f"{seconds * 1000:g}"})
        case ReplyFault.RETRY_AFTER_DATE:
            return ApiError(429, busy, headers={"retry-after": formatdate(time.time() + seconds, usegmt=True)})
        case ReplyFault.RETRY_INFO:
            return ApiError(429, busy, details=(retry_info(seconds),))
        case ReplyFault.RETRY_BARE:
            return ApiError(429, busy)
        case _:
            return None


def _other_words(fault: Fault, inner: Response) -> Response | None:
    match fault.kind:
        case ReplyFault.GARBAGE:
            return Response(GARBAGE_PAGE, media_type="text/html")
        case ReplyFault.EMPTY:
            return Response(b"", media_type="application/json")
        case ReplyFault.NO_ID:
            return json_reply(_without_id(bytes(inner.body)))
        case _:
            return None


class BrokenReply(Response):
    """A reply that does not arrive as it should."""

    def __init__(self, fault: Fault, inner: Response) -> None:
        """`inner` is what should have been said."""
        super().__init__()
        self._fault, self._inner = fault, inner

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Breaks the line. Raises TypeError for a fault that breaks none."""
        line = RawConnection(scope, receive, send)
        body = bytes(self._inner.body)
        match self._fault.kind:
            case ReplyFault.LOST_REPLY | ReplyFault.DROPPED:
                await line.hang_up()
            case ReplyFault.RESET | ReplyFault.RESET_BEFORE:
                await line.reset()
            case ReplyFault.SILENCE | ReplyFault.SILENCE_BEFORE:
                await line.left()
            case ReplyFault.HALF_HEADERS:
                await line.hang_up(b"HTTP/1.1 200 OK\r\ncontent-type: applic")
            case ReplyFault.GARBAGE_BYTES:
                await line.hang_up(GARBAGE_BYTES)
            case ReplyFault.HALF_BODY:
                await line.open(self._inner.status_code, {"content-length": str(max(len(body), 2))})
                await line.write(body[: len(body) // 2])
                await line.hang_up()
            case ReplyFault.DRIP:
                await line.open(self._inner.status_code, _JSON)
                await line.drip(body, self._fault.value)
                await line.finish()
            case ReplyFault.HUGE:
                await line.open(self._inner.status_code, _JSON)
                await self._pad(line)
                await line.write(body)
                await line.finish()
            case _:
                raise TypeError(f"{self._fault.name} breaks no line")

    async def _pad(self, line: RawConnection) -> None:
        """JSON may begin with any amount of white space."""
        left = int(self._fault.value * 1_000_000)
        while left > 0:
            await line.write(b" " * min(left, 65_536))
            left -= 65_536


def _without_id(body: bytes) -> dict[str, object]:
    try:
        data = json.loads(body)
    except ValueError:
        data = None
    return {name: value for name, value in data.items() if name != "id"} if isinstance(data, dict) else {}


_TRANSPORT = "simulator.transport"


class RawConnectionProtocol(H11Protocol):
    """uvicorn's own protocol, whose requests know their transport."""

    def connection_made(  # type: ignore[override]  # uvicorn narrows the base class's argument in the same way
        self, transport: asyncio.Transport
    ) -> None:
        """Every request of this connection carries the transport in its ASGI state."""
        self.app_state = {**self.app_state, _TRANSPORT: transport}
        super().connection_made(transport)


class RawConnection:
    """One request's way back to its client."""

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        asgi_state: Mapping[str, Any] = scope["state"]
        self._transport: asyncio.Transport = asgi_state[_TRANSPORT]
        self._receive, self._send = receive, send

    async def open(self, status: int, headers: Mapping[str, str]) -> None:
        """Sends status line and headers."""
        raw = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()]
        await self._send({"type": "http.response.start", "status": status, "headers": raw})

    async def write(self, data: bytes) -> None:
        """Sends a piece of the body; says nothing where the client has left."""
        await self._send({"type": "http.response.body", "body": data, "more_body": True})

    async def finish(self) -> None:
        """Ends the body."""
        await self._send({"type": "http.response.body", "body": b"", "more_body": False})

    async def drip(self, data: bytes, pause_s: float) -> None:
        """Sends a piece of the body byte by byte, until the client has left."""
        for byte in data:
            if self._transport.is_closing():
                return
            await self.write(bytes([byte]))
            await asyncio.sleep(pause_s)

    async def left(self) -> None:
        """Waits until the connection is gone."""
        while (await self._receive())["type"] != "http.disconnect":
            pass

    async def hang_up(self, last_words: bytes = b"") -> None:
        """Sends raw bytes and closes the connection, whatever was announced before."""
        self._transport.write(last_words)
        self._transport.close()
        await self.left()

    async def reset(self) -> None:
        """Closes the connection with a TCP reset."""
        raw: socket.socket = self._transport.get_extra_info("socket")
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._transport.abort()
        await self.left()
