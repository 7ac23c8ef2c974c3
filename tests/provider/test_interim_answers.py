"""Connections to a service that sends what no service should: nothing else of the process waits for them."""

from __future__ import annotations

import asyncio
from asyncio import StreamReader as Reader
from asyncio import StreamWriter as Writer
from contextlib import suppress

import httpcore
import pytest

from console.provider.http.network import MOST_INTERIM, AsyncioNetwork

INTERIM = b"HTTP/1.1 100 Continue\r\n\r\n"
FINAL = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"
LAG_S = 1.0


async def _answer_of(interim: int | None, line_end: bytes = b"\r\n") -> bytes:
    """The body that comes after so many interim answers; None: they never end."""
    piece = INTERIM.replace(b"\r\n", line_end)

    async def serve(reader: Reader, writer: Writer) -> None:
        with suppress(ConnectionError):
            await reader.readuntil(b"\r\n\r\n")
            if interim is None:
                while True:
                    writer.write(piece * 1_000)
                    await writer.drain()
            writer.write(piece * interim + FINAL)
            await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server, httpcore.AsyncConnectionPool(network_backend=AsyncioNetwork()) as pool:
        port = server.sockets[0].getsockname()[1]
        return (await pool.request("GET", f"http://127.0.0.1:{port}/")).content


@pytest.mark.parametrize("line_end", [b"\r\n", b"\n"])
async def test_interim_answers_without_end_neither_block_the_loop_nor_are_waited_for(line_end: bytes) -> None:
    loop = asyncio.get_running_loop()
    asked = asyncio.create_task(_answer_of(None, line_end))
    longest = 0.0
    while not asked.done():
        before = loop.time()
        await asyncio.sleep(0.01)
        longest = max(longest, loop.time() - before)
    with pytest.raises(httpcore.RemoteProtocolError, match="interim answers"):
        await asked
    assert longest < LAG_S


async def test_a_few_interim_answers_are_passed_over() -> None:
    assert await _answer_of(MOST_INTERIM) == b"{}"
