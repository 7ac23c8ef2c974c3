"""TLS on real sockets: whom a call trusts, what a broken connection proves, and the way through a proxy."""

from __future__ import annotations

import asyncio
import contextlib
import json
import ssl
from asyncio import StreamReader as Reader
from asyncio import StreamWriter as Writer
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from console.provider.contract import Launched, NotSent, Unavailable, Unknown, Unreachable
from console.provider.gemini.adapter import GeminiProvider
from console.provider.http.clients import Route
from console.provider.http.secret import Secret
from tests.provider import servers
from tests.provider.examples import KEY, PROMPT, interaction, order, quick

WHOLE = servers.response(200, interaction())


def certificate(folder: Path, *names: x509.GeneralName) -> Path:
    """Make a certificate for the names that is its own authority; the file has its key, too."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "test")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = folder / f"{made.serial_number}.pem"
    plain = serialization.NoEncryption()
    pem = serialization.Encoding.PEM
    path.write_bytes(
        made.public_bytes(pem) + key.private_bytes(pem, serialization.PrivateFormat.TraditionalOpenSSL, plain)
    )
    return path


@pytest.fixture
def loopback(tmp_path: Path) -> Path:
    """A certificate for 127.0.0.1."""
    return certificate(tmp_path, x509.IPAddress(ip_address("127.0.0.1")))


def server_side(path: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path)
    return context


def adapter(url: str, trusted: Path, proxy: str | None = None, **bounds: float) -> GeminiProvider:
    route = Route(ca_file=trusted, proxy=proxy)
    return GeminiProvider(base_url=url, secret=Secret(KEY), bounds=quick(**bounds), route=route)


async def answer_all(reader: Reader, writer: Writer) -> None:
    """Answer every request, and keep the connection."""
    while True:
        await servers.read_request(reader)
        writer.write(servers.response(200, interaction(), connection="keep-alive"))


async def test_calls_over_tls_share_a_connection_and_a_launch_has_its_own(loopback: Path) -> None:
    async with servers.serving(answer_all, server_side(loopback)) as server:
        one = adapter(server.url, loopback)
        assert isinstance(await one.create(order()), Launched)
        for _ in range(3):
            assert (await one.get("v1_Chd")).status == "in_progress"
        assert (await one.cancel("v1_Chd")).accepted
        assert server.connections == 3
        await one.aclose()


async def test_a_large_reply_arrives_whole(loopback: Path) -> None:
    """More than the connection keeps unread, and an agent's text that is long."""
    steps = [{"type": "model_output", "content": [{"type": "text", "text": "ä" * 2_000_000}]}]
    large = servers.response(200, interaction(status="completed", steps=steps))

    async def behave(reader: Reader, writer: Writer) -> None:
        await servers.read_request(reader)
        writer.write(large)
        await writer.drain()

    async with servers.serving(behave, server_side(loopback)) as server:
        one = adapter(server.url, loopback)
        assert (await one.get("v1_Chd")).result.endswith("ä" * 100)
        await one.aclose()


async def test_a_stream_over_tls(loopback: Path) -> None:
    async def behave(reader: Reader, writer: Writer) -> None:
        await servers.read_request(reader)
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n")
        for total in (10, 20, 30):
            stop = {"event_type": "step.stop", "index": 0, "usage": {"total_tokens": total}}
            writer.write(f"event: step.stop\ndata: {json.dumps(stop)}\n\n".encode())
            await writer.drain()

    async with servers.serving(behave, server_side(loopback)) as server:
        one = adapter(server.url, loopback)
        async with contextlib.aclosing(one.follow("v1_Chd")) as events:
            assert [event.usage.total async for event in events if event.usage is not None] == [10, 20, 30]
        await one.aclose()


@pytest.mark.parametrize("named", ["another host", "an unknown authority"])
async def test_a_server_that_is_not_verified_gets_nothing(named: str, loopback: Path, tmp_path: Path) -> None:
    other = certificate(tmp_path, x509.DNSName("agents.example"))
    shown = other if named == "another host" else loopback
    received: list[bytes] = []

    async def behave(reader: Reader, writer: Writer) -> None:
        received.append(await reader.read())

    async with servers.serving(behave, server_side(shown)) as server:
        one = adapter(server.url, other)
        assert isinstance(await one.create(order()), NotSent)
        with pytest.raises(Unreachable):
            await one.get("v1_Chd")
        await one.aclose()
    assert b"".join(received) == b""


@pytest.mark.parametrize("sent", [0, 20, len(WHOLE) - 10])
async def test_a_connection_that_is_cut_proves_nothing(sent: int, loopback: Path) -> None:
    """Without the end that TLS announces, as a middlebox cuts it."""

    async def behave(reader: Reader, writer: Writer) -> None:
        await servers.read_request(reader)
        writer.write(WHOLE[:sent])
        await writer.drain()
        writer.transport.abort()

    async with servers.serving(behave, server_side(loopback)) as server:
        one = adapter(server.url, loopback)
        assert isinstance(await one.create(order()), Unknown)
        with pytest.raises(Unavailable):
            await one.get("v1_Chd")
        await one.aclose()


async def test_a_kept_connection_that_the_server_closed_fails_no_cancel(loopback: Path) -> None:
    """A cancel is sent once: it must not go to a connection of which the end has arrived."""
    closed = asyncio.Event()

    async def behave(reader: Reader, writer: Writer) -> None:
        await servers.read_request(reader)
        writer.write(servers.response(200, interaction(), connection="keep-alive"))
        await writer.drain()
        writer.close()
        closed.set()

    async with servers.serving(behave, server_side(loopback)) as server:
        one = adapter(server.url, loopback)
        for count in range(1, 4):
            assert (await one.cancel("v1_Chd")).accepted
            await closed.wait()
            closed.clear()
            assert server.connections == count
        await one.aclose()


@asynccontextmanager
async def tunnelling(tls: ssl.SSLContext | None) -> AsyncIterator[tuple[servers.Heard, list[bytes]]]:
    """A proxy that opens every tunnel that it is asked for, and what passed it on the way to the service."""
    passed: list[bytes] = []

    async def pump(reader: Reader, writer: Writer, note: list[bytes] | None = None) -> None:
        while piece := await reader.read(65536):
            if note is not None:
                note.append(piece)
            writer.write(piece)
            await writer.drain()
        writer.close()

    async def behave(reader: Reader, writer: Writer) -> None:
        head = await servers.read_request(reader)
        heard.requests.append(head)
        port = int(head.split()[1].rpartition(b":")[2])
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        await asyncio.gather(pump(reader, far_writer, passed), pump(far_reader, writer))

    async with servers.serving(behave, tls) as heard:
        yield heard, passed


@pytest.mark.parametrize("is_secure", [False, True], ids=["a plain proxy", "a proxy behind TLS"])
async def test_a_service_is_reached_through_a_proxy(is_secure: bool, loopback: Path) -> None:
    context = server_side(loopback)
    async with servers.serving(answer_all, context) as server, tunnelling(context if is_secure else None) as through:
        proxy, passed = through
        one = adapter(server.url, loopback, proxy=proxy.url)
        assert isinstance(await one.create(order()), Launched)
        for _ in range(3):
            assert (await one.get("v1_Chd")).status == "in_progress"
        await one.aclose()
        assert (server.connections, proxy.connections) == (2, 2)
    seen = b"".join((*proxy.requests, *passed))
    assert KEY.encode() not in seen
    assert PROMPT.encode() not in seen
