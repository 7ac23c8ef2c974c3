"""Shows a text at `/metrics` of a loopback address: bounded, so that no client can hold the process up.

It answers with what was made before, whatever the state store does, and reads no more of a request than its head.
"""

from __future__ import annotations

import asyncio
import re
from contextlib import suppress
from ipaddress import ip_address

from console.listening import stop_listening

MOST_CONNECTIONS = 16
"""Connections at once; further ones are closed."""
DEADLINE_S = 5.0
"""From accepting a connection until it is closed."""
MOST_HEAD = 8 << 10
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
ACCEPTED = "127.0.0.1:PORT or [::1]:PORT"


def parse_address(text: str) -> tuple[str, int]:
    """The host and port of `127.0.0.1:9402`. Raises ValueError for anything but a loopback address, with one line."""
    found = re.fullmatch(r"\[?([0-9a-fA-F.:]+?)\]?:(\d{1,5})", text)
    try:
        host = ip_address(found[1]) if found else None
    except ValueError:
        host = None
    if found is None or host is None or not host.is_loopback or int(found[2]) > 65_535:
        raise ValueError(f"{text[:60]!r} is not a loopback address with a port; accepted: {ACCEPTED}")
    return str(host), int(found[2])


class MetricsEndpoint:
    """An HTTP server of one page."""

    def __init__(self) -> None:
        self.page = b""
        """What is shown; empty before it was made."""
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.Task[None]] = set()

    async def start(self, host: str, port: int) -> int:
        """Listen and return the port; 0 takes a free one. Raises OSError."""
        self._server = await asyncio.start_server(self._serve, host, port, limit=MOST_HEAD)
        port = self._server.sockets[0].getsockname()[1]
        return port

    async def close(self) -> None:
        """Listen no more and end what is open."""
        if self._server is not None:
            await stop_listening(self._server)
        for task in self._open:
            task.cancel()
        await asyncio.gather(*self._open, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is None or len(self._open) >= MOST_CONNECTIONS:
            writer.close()
            return
        self._open.add(task)
        try:
            async with asyncio.timeout(DEADLINE_S):
                head = await reader.readuntil(b"\r\n\r\n")
                writer.write(self._answer(head.split(b"\r\n", 1)[0]))
                await writer.drain()
        except (TimeoutError, ConnectionError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            pass
        finally:
            self._open.discard(task)
            with suppress(ConnectionError):
                writer.close()

    def _answer(self, request: bytes) -> bytes:
        words = request.split(b" ")
        if len(words) != 3 or words[0] not in (b"GET", b"HEAD"):
            return _reply("405 Method Not Allowed", b"GET and HEAD only\n")
        if words[1].partition(b"?")[0] != b"/metrics":
            return _reply("404 Not Found", b"the metrics are at /metrics\n")
        if not self.page:
            return _reply("503 Service Unavailable", b"not read yet\n")
        reply = _reply("200 OK", self.page, CONTENT_TYPE)
        return reply if words[0] == b"GET" else reply.partition(b"\r\n\r\n")[0] + b"\r\n\r\n"


def _reply(status: str, body: bytes, kind: str = "text/plain; charset=utf-8") -> bytes:
    head = f"HTTP/1.1 {status}\r\ncontent-type: {kind}\r\ncontent-length: {len(body)}\r\nconnection: close\r\n\r\n"
    return head.encode("ascii") + body
