"""The raw line to one client, below ASGI: a dropped connection is really dropped, with no page that says 500.

`LineProtocol` puts the transport where a response finds it; whatever breaks a connection goes through `Line`.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Mapping
from typing import Any

from starlette.types import Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

_TRANSPORT = "simulator.transport"


class LineProtocol(H11Protocol):
    """uvicorn's own protocol, whose requests know their transport."""

    def connection_made(  # type: ignore[override]  # uvicorn narrows the base class's argument in the same way
        self, transport: asyncio.Transport
    ) -> None:
        """Every request of this connection carries the transport in its ASGI state."""
        self.app_state = {**self.app_state, _TRANSPORT: transport}
        super().connection_made(transport)


class Line:
    """One request's way back to its client."""

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        state: Mapping[str, Any] = scope["state"]
        self._transport: asyncio.Transport = state[_TRANSPORT]
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
