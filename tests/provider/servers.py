"""Loopback servers that misbehave on purpose: a mocked transport has no resets and no slow bytes."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import ssl
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from console.listening import stop_listening

Behaviour = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@dataclass
class Heard:
    """What a server received."""

    url: str = ""
    connections: int = 0
    requests: list[bytes] = field(default_factory=list)
    """Head and body of each complete request."""
    bytes_received: int = 0


async def read_request(reader: asyncio.StreamReader) -> bytes:
    """Read head and body of a request."""
    head = await reader.readuntil(b"\r\n\r\n")
    length = next((int(h.partition(b":")[2]) for h in head.lower().splitlines() if h.startswith(b"content-length")), 0)
    return head + await reader.readexactly(length)


def response(status: int, body: object = b"", **headers: str) -> bytes:
    """Return a complete HTTP/1.1 reply; a body that is not bytes is sent as JSON."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    fields = {"content-length": str(len(content)), "connection": "close", **headers}
    lines = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in fields.items())
    return f"HTTP/1.1 {status} x\r\n{lines}\r\n".encode() + content


def reset(writer: asyncio.StreamWriter) -> None:
    """Close the connection with RST instead of FIN."""
    sock = writer.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


async def until_the_client_leaves(reader: asyncio.StreamReader) -> None:
    """Wait without answering until the client closes the connection."""
    with contextlib.suppress(ConnectionError):
        while await reader.read(65536):
            pass


_RESERVED: list[socket.socket] = []
"""Bound and not listening, until the end of the process."""


def refusing_port() -> int:
    """Return a port that refuses connections, and that no server of another test can get meanwhile."""
    reserved = socket.socket()
    reserved.bind(("127.0.0.1", 0))
    _RESERVED.append(reserved)
    port: int = reserved.getsockname()[1]
    return port


@asynccontextmanager
async def serving(behaviour: Behaviour, tls: ssl.SSLContext | None = None) -> AsyncIterator[Heard]:
    """Run a server on a loopback port that handles each connection with `behaviour`, behind TLS if it is given."""
    heard = Heard()
    tasks: set[asyncio.Task[None]] = set()

    async def meet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.connections += 1
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        try:
            with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
                await behaviour(reader, writer)
        finally:
            writer.close()
            with contextlib.suppress(ConnectionError, asyncio.CancelledError):
                await writer.wait_closed()

    server = await asyncio.start_server(meet, "127.0.0.1", 0, ssl=tls)
    heard.url = f"{'http' if tls is None else 'https'}://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield heard
    finally:
        await stop_listening(server)
        await server.wait_closed()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


@asynccontextmanager
async def answering(*answers: bytes, after: Behaviour | None = None) -> AsyncIterator[Heard]:
    """Run a server that reads a request, writes the next reply (at the end always the last), and then runs `after`."""
    left = list(answers)
    served: list[Heard] = []

    async def behave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        served[0].requests.append(await read_request(reader))
        writer.write(left.pop(0) if len(left) > 1 else left[0])
        await writer.drain()
        if after is not None:
            await after(reader, writer)

    async with serving(behave) as heard:
        served.append(heard)
        yield heard
