"""A proxy before a database server that lets commits pass, loses their answers or loses them.

It sees the messages of the protocol as they are: there is no TLS before it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from enum import Enum
from pathlib import Path

COMMIT = b"Q\x00\x00\x00\x0bcommit\x00"
"""The message that ends a transaction, https://www.postgresql.org/docs/current/protocol-message-formats.html"""
SOCKET = ".s.PGSQL.5432"


class Strike(Enum):
    """What becomes of a commit."""

    PASSES = "it passes"
    LOST = "it never reaches the server, and the line is cut"
    ANSWER_LOST = "it reaches the server, and the line is cut before the answer"
    SILENT = "it reaches the server, and nothing comes back on a line that stays"


@asynccontextmanager
async def cutting_proxy(server: Path, folder: Path, strike: Callable[[], Strike]) -> AsyncIterator[str]:
    """Listens in `folder` for the server whose socket is in `server`, until the block ends; yields the URL.

    `strike` is asked at every commit.
    """

    lines: list[asyncio.Task[None]] = []

    def accept(client: asyncio.StreamReader, to_client: asyncio.StreamWriter) -> None:
        lines.append(asyncio.create_task(serve(client, to_client)))

    async def serve(client: asyncio.StreamReader, to_client: asyncio.StreamWriter) -> None:
        answers, to_server = await asyncio.open_unix_connection(server / SOCKET)
        fate = Strike.PASSES

        async def ask() -> None:
            nonlocal fate
            while data := await client.read(65_536):
                if data == COMMIT:
                    fate = strike()
                if fate is Strike.LOST:
                    return
                to_server.write(data)
                await to_server.drain()

        async def answer() -> None:
            while data := await answers.read(65_536):
                if fate is Strike.ANSWER_LOST:
                    return
                if fate is Strike.PASSES:
                    to_client.write(data)
                    await to_client.drain()

        ways = [asyncio.create_task(ask()), asyncio.create_task(answer())]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)
            for writer in (to_client, to_server):
                writer.close()
                with suppress(OSError):
                    await writer.wait_closed()

    listening = await asyncio.start_unix_server(accept, folder / SOCKET)
    try:
        yield f"postgresql://nightdesk@/postgres?host={folder}"
    finally:
        listening.close()
        for line in lines:
            line.cancel()
        await asyncio.gather(*lines, return_exceptions=True)
