"""Each way in which a server can fail, on real sockets, for each call, with its POSTs counted."""

from __future__ import annotations

import asyncio
import sys
from asyncio import StreamReader as Reader
from asyncio import StreamWriter as Writer
from collections.abc import Awaitable, Callable
from pathlib import Path

import certifi
import pytest

from console.provider.contract import Launched, NotSent, ProviderError, Unavailable, Unknown, Unreachable, Verdict
from console.provider.gemini.adapter import GeminiProvider
from console.provider.http.clients import ClientFactory, Route, ServiceHeaders
from console.provider.http.secret import Secret
from tests.provider import servers
from tests.provider.examples import KEY, PROMPT, error_old, interaction, order, quick
from tests.tree import ROOT
from tests.waiting import until

WHOLE = servers.response(200, interaction())

NAMED = ServiceHeaders(key_header="x-key")


def adapter(url: str, **bounds: float) -> GeminiProvider:
    return GeminiProvider(base_url=url, secret=Secret(KEY), bounds=quick(**bounds))


async def reset_at_once(_: Reader, writer: Writer) -> None:
    servers.reset(writer)


async def closed_at_once(_: Reader, writer: Writer) -> None:
    writer.close()


async def reset_after_the_head(reader: Reader, writer: Writer) -> None:
    await reader.readuntil(b"\r\n\r\n")
    servers.reset(writer)


async def reset_after_the_request(reader: Reader, writer: Writer) -> None:
    await servers.read_request(reader)
    servers.reset(writer)


async def closed_after_the_request(reader: Reader, writer: Writer) -> None:
    await servers.read_request(reader)


def _part(content: bytes, *, hard: bool) -> servers.Behaviour:
    async def behave(reader: Reader, writer: Writer) -> None:
        await servers.read_request(reader)
        writer.write(content)
        await writer.drain()
        if hard:
            servers.reset(writer)

    return behave


async def silent(reader: Reader, _: Writer) -> None:
    await servers.until_the_client_leaves(reader)


async def dripping(reader: Reader, writer: Writer) -> None:
    """Send a byte every 20 ms, so that no read timeout expires."""
    await servers.read_request(reader)
    for byte in WHOLE + b" " * 100_000:
        writer.write(bytes([byte]))
        await writer.drain()
        await asyncio.sleep(0.02)


HEAD = WHOLE.index(b"\r\n\r\n") + 4

FAULTS: dict[str, servers.Behaviour] = {
    "reset at once": reset_at_once,
    "closed at once": closed_at_once,
    "reset after the head of the request": reset_after_the_head,
    "reset after the request": reset_after_the_request,
    "closed after the request": closed_after_the_request,
    "half of the head": _part(WHOLE[: HEAD // 2], hard=False),
    "reset in the head": _part(WHOLE[: HEAD // 2], hard=True),
    "the head alone": _part(WHOLE[:HEAD], hard=False),
    "reset after the head of the answer": _part(WHOLE[:HEAD], hard=True),
    "half of the body": _part(WHOLE[:-10], hard=False),
    "reset in the body": _part(WHOLE[:-10], hard=True),
    "no HTTP": _part(b"SSH-2.0-OpenSSH_9.2\r\n", hard=False),
    "a head without end": _part(b"HTTP/1.1 200 OK\r\n" + b"x: y\r\n" * 100_000, hard=False),
    "silent": silent,
    "dripping": dripping,
    "HTML 502": _part(servers.response(502, b"<html>Bad gateway</html>"), hard=False),
    "HTML 200": _part(servers.response(200, b"<html>Please log in</html>"), hard=False),
    "no id": _part(servers.response(200, {"object": "interaction"}), hard=False),
    "a redirect to itself": _part(servers.response(307, b"", location="/v1beta/interactions"), hard=False),
}

CALLS: dict[str, Callable[[GeminiProvider], Awaitable[object]]] = {
    "get": lambda one: one.get("v1_Chd"),
    "cancel": lambda one: one.cancel("v1_Chd"),
    "make": lambda one: one.prepare(order()),
    "delete": lambda one: one.discard("e1"),
}

ENDLESS = {"silent", "dripping"}

NO_FAULT = {
    ("HTML 200", "cancel"),
    ("HTML 200", "delete"),
    ("no id", "cancel"),
    ("no id", "delete"),
    ("no id", "exists"),
}
"""A success whose body does not matter to the call."""


@pytest.mark.parametrize("fault", FAULTS)
async def test_each_fault_of_a_create_is_unknown_and_sends_one_post(fault: str) -> None:
    async with servers.serving(FAULTS[fault]) as server:
        verdict = await adapter(server.url, create_s=0.3 if fault in ENDLESS else 10.0).create(order())
        assert isinstance(verdict, Unknown)
        assert server.connections == 1
        assert KEY not in verdict.why
        assert PROMPT not in verdict.why


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("fault", FAULTS)
async def test_each_fault_of_another_call_is_unavailable(fault: str, call: str) -> None:
    async with servers.serving(FAULTS[fault]) as server:
        one = adapter(server.url, call_s=0.3 if fault in ENDLESS else 10.0)
        if (fault, call) in NO_FAULT:
            await CALLS[call](one)
        else:
            with pytest.raises(Unavailable):
                await CALLS[call](one)
        most = 1 if call in ("cancel", "make") or fault in ENDLESS else 3
        assert 1 <= server.connections <= most
        await one.aclose()


async def test_a_refused_connection_was_not_sent() -> None:
    one = adapter(f"http://127.0.0.1:{servers.refusing_port()}")
    assert isinstance(await one.create(order()), NotSent)
    with pytest.raises(Unreachable):
        await one.get("v1_Chd")
    await one.aclose()


async def test_a_name_that_does_not_resolve_was_not_sent() -> None:
    verdict = await adapter("https://nothing.invalid").create(order())
    assert isinstance(verdict, NotSent)


async def test_a_tls_handshake_that_fails_was_not_sent() -> None:
    """The server does not use TLS, and receives nothing of the request."""
    seen: list[bytes] = []

    async def behave(reader: Reader, writer: Writer) -> None:
        seen.append(await reader.read(65536))
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        await writer.drain()

    async with servers.serving(behave) as server:
        verdict = await adapter(server.url.replace("http:", "https:")).create(order())
    assert isinstance(verdict, NotSent)
    assert len(seen) == 1
    assert KEY.encode() not in seen[0]
    assert PROMPT.encode() not in seen[0]


async def test_a_handshake_that_hangs_was_not_sent() -> None:
    async with servers.serving(silent) as server:
        one = adapter(server.url.replace("http:", "https:"), connect_s=0.2)
        assert isinstance(await one.create(order()), NotSent)


@pytest.mark.parametrize(("root", "trusts"), [("https://agents.example/v1", True), ("http://127.0.0.1:9/v1", False)])
def test_tls_is_always_verified(root: str, trusts: bool) -> None:
    context = ClientFactory(root, Secret(KEY), quick(), headers=NAMED).tls()
    assert context.check_hostname
    assert context.verify_mode.name == "CERT_REQUIRED"
    assert bool(context.get_ca_certs()) is trusts


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_to_another_origin_carries_nothing_there(status: int) -> None:
    async with servers.answering(WHOLE) as thief:
        moved = servers.response(status, b"", location=f"{thief.url}/v1beta/interactions")
        async with servers.answering(moved) as server:
            one = adapter(server.url)
            assert isinstance(await one.create(order()), Unknown)
            for call in CALLS.values():
                with pytest.raises(ProviderError):
                    await call(one)
            await one.aclose()
        assert thief.connections == 0


async def test_the_environment_cannot_lead_the_key_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """A proxy from the environment would see the key and the prompt of a plain http call."""
    async with servers.answering(WHOLE) as thief, servers.answering(WHOLE) as server:
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy", "HTTPS_PROXY"):
            monkeypatch.setenv(name, thief.url)
        for name in ("GOOGLE_GEMINI_BASE_URL", "GEMINI_NEXT_GEN_API_BASE_URL"):
            monkeypatch.setenv(name, thief.url)
        monkeypatch.setenv("NETRC", "/nonexistent")
        assert isinstance(await adapter(server.url).create(order()), Launched)
        assert (thief.connections, server.connections) == (0, 1)


def through(proxy: str, url: str = "https://agents.example") -> GeminiProvider:
    return GeminiProvider(base_url=url, secret=Secret(KEY), bounds=quick(), route=Route(proxy=proxy))


@pytest.mark.parametrize("status", [403, 407, 502])
async def test_a_proxy_that_refuses_the_tunnel_proves_that_nothing_was_sent(status: int) -> None:
    async with servers.answering(servers.response(status)) as proxy:
        one = through(proxy.url)
        assert isinstance(await one.create(order()), NotSent)
        with pytest.raises(Unreachable):
            await one.get("v1_Chd")
        await one.aclose()
    assert all(request.startswith(b"CONNECT agents.example:443 HTTP/1.1\r\n") for request in proxy.requests)
    assert KEY.encode() not in b"".join(proxy.requests)


async def test_a_proxy_that_is_not_there_proves_that_nothing_was_sent() -> None:
    assert isinstance(await through(f"http://127.0.0.1:{servers.refusing_port()}").create(order()), NotSent)


async def test_a_service_on_loopback_is_reached_without_the_proxy() -> None:
    async with servers.answering(WHOLE) as proxy, servers.answering(WHOLE) as server:
        assert isinstance(await through(proxy.url, server.url).create(order()), Launched)
        assert (proxy.connections, server.connections) == (0, 1)


def test_session_keys_are_written_nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSLKEYLOGFILE", str(tmp_path / "keys"))
    context = ClientFactory("https://agents.example/v1", Secret(KEY), quick(), headers=NAMED).tls()
    assert context.keylog_filename is None
    assert not (tmp_path / "keys").exists()


async def test_a_key_log_that_cannot_be_written_stops_no_launch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSLKEYLOGFILE", "/nonexistent/keys")
    monkeypatch.setenv("SSL_CERT_FILE", "/nonexistent/certificates")
    async with servers.serving(silent) as server:
        one = adapter(server.url.replace("http:", "https:"), connect_s=0.2)
        assert isinstance(await one.create(order()), NotSent)


@pytest.mark.parametrize("content", [b"", b"-----BEGIN CERTIFICATE-----\nnonsense\n-----END CERTIFICATE-----\n", None])
def test_an_unusable_ca_file_is_reported_at_once(tmp_path: Path, content: bytes | None) -> None:
    ca_file = tmp_path / "ca.pem"
    if content is not None:
        ca_file.write_bytes(content)
    with pytest.raises(ValueError, match=r"the CA file .* cannot be used: ") as caught:
        GeminiProvider(base_url="https://agents.example", secret=Secret(KEY), route=Route(ca_file=ca_file))
    assert "\n" not in str(caught.value)


def test_a_ca_file_replaces_the_bundled_certificates(tmp_path: Path) -> None:
    bundled = Path(certifi.where()).read_text(encoding="utf-8")
    first = bundled[bundled.index("-----BEGIN CERTIFICATE-----") :].split("-----END CERTIFICATE-----")[0]
    ca_file = tmp_path / "ca.pem"
    ca_file.write_text(f"{first}-----END CERTIFICATE-----\n", encoding="utf-8")
    factory = ClientFactory(
        "https://agents.example/v1",
        Secret(KEY),
        quick(),
        headers=NAMED,
        route=Route(ca_file=ca_file),
    )
    assert len(factory.tls().get_ca_certs()) == 1


async def test_a_repetition_is_silent_on_the_terminal() -> None:
    """Runs in its own process, since pytest attaches to every logger."""
    code = """
import asyncio
from tests.provider.examples import provider, answering
from console.provider.contract import Unavailable
try:
    asyncio.run(provider(answering(503)).get("x"))
except Unavailable as error:
    print(error)
"""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", code, cwd=ROOT, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    assert await process.communicate() == (b"HTTP 503 without a readable error\n", b"")


async def test_a_create_never_uses_a_kept_connection() -> None:
    """A server that keeps connections open gets a new one for each create, and one for all polls."""
    whole = servers.response(200, interaction(), connection="keep-alive")

    async def behave(reader: Reader, writer: Writer) -> None:
        while True:
            await servers.read_request(reader)
            writer.write(whole)

    async with servers.serving(behave) as server:
        one = adapter(server.url)
        await one.get("v1_Chd")
        await one.get("v1_Chd")
        assert server.connections == 1
        verdicts: list[Verdict] = [await one.create(order()) for _ in range(3)]
        assert all(isinstance(verdict, Launched) for verdict in verdicts)
        assert server.connections == 4
        await one.aclose()


async def test_a_stale_connection_does_not_fail_a_poll() -> None:
    """The server promises to keep each connection, answers once and resets it."""
    whole = servers.response(200, interaction(), connection="keep-alive")

    async def after(reader: Reader, writer: Writer) -> None:
        await reader.read(1)
        servers.reset(writer)

    async with servers.answering(whole, after=after) as server:
        one = adapter(server.url)
        for _ in range(3):
            assert (await one.get("v1_Chd")).status == "in_progress"
        await one.aclose()


async def test_no_cookie_is_sent_back() -> None:
    answer = servers.response(200, interaction(), connection="keep-alive", set_cookie="a=b; Path=/")

    async def behave(reader: Reader, writer: Writer) -> None:
        while True:
            requests.append(await servers.read_request(reader))
            writer.write(answer)

    requests: list[bytes] = []
    async with servers.serving(behave) as server:
        one = adapter(server.url)
        for _ in range(2):
            await one.get("v1_Chd")
        await one.aclose()
    assert len(requests) == 2
    assert b"cookie" not in b"".join(requests).lower()


async def test_a_long_prompt_is_sent_whole() -> None:
    prompt = "ß" * (1 << 19)
    async with servers.answering(WHOLE) as server:
        assert isinstance(await adapter(server.url).create(order(prompt=prompt)), Launched)
        [request] = server.requests
    assert prompt.encode() in request


async def test_an_early_refusal_of_a_long_request_is_no_proof() -> None:
    """The server answers and closes before it has read everything: the reply arrives, or the verdict is Unknown."""

    async def behave(reader: Reader, writer: Writer) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(servers.response(413, error_old(413)))
        await writer.drain()
        servers.reset(writer)

    async with servers.serving(behave) as server:
        verdict = await adapter(server.url).create(order(prompt="x" * (4 << 20)))
        assert type(verdict).__name__ in ("Unknown", "Rejected")
        assert server.connections == 1


class Held:
    """A server that keeps every request of one kind waiting until it is released, and answers all others at once."""

    def __init__(self, method: bytes) -> None:
        self.waiting = 0
        self.release = asyncio.Event()
        self._method = method

    async def __call__(self, reader: Reader, writer: Writer) -> None:
        while True:
            if (await servers.read_request(reader)).startswith(self._method):
                self.waiting += 1
                await self.release.wait()
            writer.write(servers.response(200, interaction(), connection="keep-alive"))


async def test_a_cancel_never_waits_behind_polls() -> None:
    held = Held(b"GET")
    async with servers.serving(held) as server:
        one = adapter(server.url, poll_connections=3)
        polls = [asyncio.ensure_future(one.get("v1_Chd")) for _ in range(20)]
        await until(lambda: held.waiting == 3)
        assert (await one.cancel("v1_Chd")).accepted
        assert isinstance(await one.create(order()), Launched)
        await one.discard("e1")
        assert held.waiting == 3
        held.release.set()
        assert {run.status for run in await asyncio.gather(*polls)} == {"in_progress"}
        assert server.connections == 3 + 2, "polls share three connections, the launch has its own"
        await one.aclose()


async def test_a_poll_never_waits_behind_cancels() -> None:
    held = Held(b"POST")
    async with servers.serving(held) as server:
        one = adapter(server.url, control_connections=2)
        cancels = [asyncio.ensure_future(one.cancel("v1_Chd")) for _ in range(5)]
        await until(lambda: held.waiting == 2)
        assert (await one.get("v1_Chd")).status == "in_progress"
        held.release.set()
        assert all(answer.accepted for answer in await asyncio.gather(*cancels))
        await one.aclose()


async def test_a_poll_that_finds_no_free_connection_gives_up_at_its_deadline() -> None:
    held = Held(b"GET")
    async with servers.serving(held) as server:
        one = adapter(server.url, poll_connections=1, call_s=0.2)
        outcomes = await asyncio.gather(*(one.get("v1_Chd") for _ in range(3)), return_exceptions=True)
        assert all(isinstance(outcome, Unavailable) for outcome in outcomes)
        held.release.set()
        assert (await one.get("v1_Chd")).status == "in_progress"
        await one.aclose()
