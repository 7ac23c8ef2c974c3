"""A receiver of POSTs on loopback that can hang, refuse, and flood."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from console.listening import stop_listening

FLOOD = b"x" * 65536


class ReplyMode(StrEnum):
    """How the receiver answers."""

    TAKES = "takes"
    HANGS = "hangs"
    """Reads and never answers."""
    REFUSES = "refuses"
    """Answers 400."""
    BREAKS = "breaks"
    """Answers 503."""
    REDIRECTS = "redirects"
    FLOODS = "floods"
    """Answers 200 and then sends without end."""
    CLOSES = "closes"
    """Closes the connection instead of answering."""


@dataclass(slots=True)
class Receiver:
    """What arrived, and how the next request is answered."""

    mode: ReplyMode = ReplyMode.TAKES
    decode: Callable[[bytes], Any] = json.loads
    answer: bytes = b""
    """The body of an answer 200."""
    bodies: list[Any] = field(default_factory=list)
    heads: list[str] = field(default_factory=list)
    connections: int = 0
    port: int = 0
    _open: set[asyncio.Task[Any]] = field(default_factory=set)

    @property
    def url(self) -> str:
        """Its address, with a secret in it."""
        return f"http://127.0.0.1:{self.port}/hook/canary-token?key=canary-query"

    @property
    def kinds(self) -> list[str]:
        """The kinds of the messages that arrived."""
        return [body["kind"] for body in self.bodies]

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one connection."""
        self.connections += 1
        task = asyncio.current_task()
        assert task is not None
        self._open.add(task)
        try:
            await self._receive(reader, writer)
        finally:
            writer.close()
            with suppress(ConnectionError):
                await writer.wait_closed()
            self._open.discard(task)

    async def close(self) -> None:
        """End all connections."""
        for task in self._open:
            task.cancel()
        await asyncio.gather(*self._open, return_exceptions=True)

    async def _receive(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            length = next(int(line[15:]) for line in head.lower().split("\r\n") if line.startswith("content-length:"))
            body = self.decode(await reader.readexactly(length))
            self.heads.append(head)
            self.bodies.append(body)
            await self._answer(reader, writer)

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        match self.mode:
            case ReplyMode.CLOSES:
                return
            case ReplyMode.HANGS:
                await reader.read()
            case ReplyMode.FLOODS:
                writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
                while True:
                    writer.write(FLOOD)
                    await writer.drain()
            case _:
                status = {ReplyMode.REFUSES: "400 Bad", ReplyMode.BREAKS: "503 No", ReplyMode.REDIRECTS: "302 Away"}
                words = status.get(self.mode, "200 OK")
                content = self.answer if words == "200 OK" else b""
                head = f"HTTP/1.1 {words}\r\nlocation: /other\r\ncontent-length: {len(content)}\r\n\r\n"
                writer.write(head.encode() + content)
                await writer.drain()


@asynccontextmanager
async def receiving(
    mode: ReplyMode = ReplyMode.TAKES, *, decode: Callable[[bytes], Any] = json.loads
) -> AsyncIterator[Receiver]:
    """A receiver on the running event loop."""
    receiver = Receiver(mode, decode)
    server = await asyncio.start_server(receiver.serve, "127.0.0.1", 0)
    receiver.port = server.sockets[0].getsockname()[1]
    try:
        yield receiver
    finally:
        await stop_listening(server)
        await receiver.close()


@contextmanager
def receiving_in_thread(
    mode: ReplyMode = ReplyMode.TAKES, *, decode: Callable[[bytes], Any] = json.loads
) -> Iterator[Receiver]:
    """A receiver with an event loop of its own, for tests that have none."""
    receiver, ready, loop = Receiver(mode, decode), threading.Event(), asyncio.new_event_loop()

    async def begin() -> asyncio.Server:
        server = await asyncio.start_server(receiver.serve, "127.0.0.1", 0)
        receiver.port = server.sockets[0].getsockname()[1]
        ready.set()
        return server

    def work() -> None:
        server = loop.run_until_complete(begin())
        loop.run_forever()
        loop.run_until_complete(stop_listening(server))
        loop.run_until_complete(receiver.close())
        loop.close()

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    assert ready.wait(10)
    try:
        yield receiver
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
