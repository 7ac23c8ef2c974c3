"""The page is shown on loopback only, and no client holds the process up."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from console.metrics.endpoint import MOST_CONNECTIONS, MetricsEndpoint, parse_address
from tests.waiting import until


@asynccontextmanager
async def showing(page: bytes = b"nightdesk_paused 0\n") -> AsyncIterator[tuple[MetricsEndpoint, int]]:
    endpoint = MetricsEndpoint()
    endpoint.page = page
    port = await endpoint.start("127.0.0.1", 0)
    try:
        yield endpoint, port
    finally:
        await endpoint.close()


async def ask(port: int, request: bytes) -> bytes:
    """Send a request and return everything that comes back."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(request)
        return await reader.read()
    except ConnectionError:
        return b""
    finally:
        writer.close()


@pytest.mark.parametrize(
    ("request_line", "begins", "ends"),
    [
        (b"GET /metrics HTTP/1.1", b"HTTP/1.1 200 OK\r\ncontent-type: text/plain; version=0.0.4", b"paused 0\n"),
        (b"GET /metrics?x=1 HTTP/1.1", b"HTTP/1.1 200 ", b"paused 0\n"),
        (b"HEAD /metrics HTTP/1.1", b"HTTP/1.1 200 ", b"\r\n\r\n"),
        (b"GET / HTTP/1.1", b"HTTP/1.1 404 ", b"/metrics\n"),
        (b"POST /metrics HTTP/1.1", b"HTTP/1.1 405 ", b"only\n"),
        (b"nonsense", b"HTTP/1.1 405 ", b"only\n"),
    ],
)
async def test_one_page_is_shown(request_line: bytes, begins: bytes, ends: bytes) -> None:
    async with showing() as (_, port):
        answer = await ask(port, request_line + b"\r\nhost: x\r\n\r\n")
    assert answer.startswith(begins)
    assert answer.endswith(ends)


async def test_before_anything_was_read_there_is_no_page() -> None:
    async with showing(b"") as (_, port):
        assert (await ask(port, b"GET /metrics HTTP/1.1\r\n\r\n")).startswith(b"HTTP/1.1 503 ")


async def test_a_head_without_end_is_dropped() -> None:
    async with showing() as (_, port):
        assert await ask(port, b"GET /metrics HTTP/1.1\r\n" + b"x: y\r\n" * 10_000) == b""
        assert (await ask(port, b"GET /metrics HTTP/1.1\r\n\r\n")).startswith(b"HTTP/1.1 200 ")


async def test_clients_that_say_nothing_take_a_bounded_number_of_places() -> None:
    async with showing() as (_, port):
        silent = [await asyncio.open_connection("127.0.0.1", port) for _ in range(MOST_CONNECTIONS)]

        async def is_full() -> bool:
            return await ask(port, b"GET /metrics HTTP/1.1\r\n\r\n") == b""

        await until(is_full)
        for _, writer in silent:
            writer.close()

        async def is_free() -> bool:
            return (await ask(port, b"GET /metrics HTTP/1.1\r\n\r\n")).startswith(b"HTTP/1.1 200 ")

        await until(is_free)


@pytest.mark.parametrize(
    "text", ["0.0.0.0:9402", "192.0.2.1:1", "localhost:9402", "9402", "127.0.0.1", "127.0.0.1:70000"]
)
def test_only_loopback_addresses_are_taken(text: str) -> None:
    with pytest.raises(ValueError, match=r"accepted: 127\.0\.0\.1:PORT"):
        parse_address(text)


def test_both_families_of_addresses_are_taken() -> None:
    assert parse_address("127.0.0.1:9402") == ("127.0.0.1", 9402)
    assert parse_address("[::1]:9402") == ("::1", 9402)
