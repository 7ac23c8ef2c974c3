"""The key and the prompt appear in no repr, message, log or traceback, even one that prints local variables.

A crash report of the screen prints local variables, and the frames of an HTTP library hold all headers and the body.
"""

from __future__ import annotations

import asyncio
import io
import logging
import traceback
from asyncio import StreamReader, StreamWriter
from collections.abc import Awaitable, Callable
from dataclasses import replace

import httpx
import pytest
from rich.console import Console
from rich.traceback import Traceback

from console.provider.contract import LaunchOrder, LostLaunch, Provider, ProviderError
from console.provider.gemini.adapter import HEADERS, GeminiProvider
from console.provider.http.clients import KeyedTransport
from console.provider.http.secret import Secret
from console.provider.traits import Prepares
from tests.provider import servers
from tests.provider.contract.services import SERVICES, Service
from tests.provider.examples import KEY, PROMPT, error_old, interaction, order, quick
from tests.provider.test_network import FAULTS
from tests.waiting import until

CANARIES = (KEY, PROMPT, KEY[4:20], PROMPT[:30])


def shown(error: BaseException) -> str:
    """Return a traceback with local variables, as Python prints it."""
    return "".join(traceback.TracebackException.from_exception(error, capture_locals=True).format())


def richly_shown(error: BaseException) -> str:
    """Return a traceback with local variables, as the screen prints it."""
    rich = Traceback.from_exception(
        type(error), error, error.__traceback__, show_locals=True, locals_max_string=100_000, locals_max_length=1000
    )
    page = io.StringIO()
    Console(width=400, file=page).print(rich)
    return page.getvalue()


def assert_clean(text: str) -> None:
    assert not [canary for canary in CANARIES if canary in text]


async def failure(call: Awaitable[object]) -> BaseException | None:
    try:
        await call
    except (ProviderError, asyncio.CancelledError) as error:
        return error
    return None


async def follow(one: Provider) -> None:
    async for _ in one.follow("v1_Chd"):
        pass


LOST = LostLaunch(prepared_id="v1_Chd", labels={}, sent_ms=0)
CALLS: dict[str, Callable[[Provider, LaunchOrder], Awaitable[object]]] = {
    "create": lambda one, ordered: one.create(ordered),
    "get": lambda one, ordered: one.get("v1_Chd"),
    "cancel": lambda one, ordered: one.cancel("v1_Chd"),
    "make": lambda one, ordered: one.prepare(ordered),
    "delete": lambda one, ordered: one.discard("e1"),
    "follow": lambda one, ordered: follow(one),
    "resolve": lambda one, ordered: one.resolve(replace(LOST, prepared_id=ordered.prepared_id)),
    "unstarted": lambda one, ordered: one.unstarted(),
    "review": lambda one, ordered: one.review(ordered),
}


@pytest.fixture(params=SERVICES, ids=str)
def service(request: pytest.FixtureRequest) -> Service:
    """Each service in turn."""
    found: Service = request.param
    return found


def ordered_at(service: Service) -> LaunchOrder:
    """Return an order that names a saved agent, which is read before a launch where the service has them."""
    agent = service.order.get("agent", "antigravity-preview-09-2026") or "agent_7"
    return order(**{**service.order, "agent": agent, "prepared_id": service.prepared_id})


def has_call(one: Provider, call: str) -> bool:
    """False for a call that the service does not offer, which sends nothing."""
    if call == "review":
        return one.traits.prepares is Prepares.SESSION
    return one.traits.can_find_launch or call not in ("resolve", "unstarted")


def adapter(url: str, **bounds: float) -> GeminiProvider:
    return GeminiProvider(base_url=url, secret=Secret(KEY), bounds=quick(**bounds))


async def _tattle(reader: StreamReader, writer: StreamWriter) -> None:
    """Answer with everything received, key and prompt included."""
    request = (await servers.read_request(reader)).decode()
    writer.write(servers.response(403, error_old(403, request[:300] + KEY + PROMPT)))
    await writer.drain()


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize(
    "fault",
    ["reset after the request", "half of the body", "silent", "no HTTP", "a head without end", "tattle", "refused"],
)
async def test_no_failure_shows_them(service: Service, fault: str, call: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    behaviour = _tattle if fault == "tattle" else FAULTS.get(fault, FAULTS["silent"])
    async with servers.serving(behaviour) as server:
        url = f"http://127.0.0.1:{servers.refusing_port()}" if fault == "refused" else server.url
        one = service.adapter(url, quick(create_s=0.2, call_s=0.2))
        ordered = ordered_at(service)
        if not has_call(one, call):
            return
        if call == "create":
            outcome = await one.create(ordered)
            assert_clean(repr(outcome))
        else:
            error = await failure(CALLS[call](one, ordered))
            assert error is not None or call == "follow"
            if error is not None:
                assert_clean(shown(error) + repr(error) + str(error))
        assert_clean(repr(one) + str(vars(one)) + repr(ordered))
        await one.aclose()
    assert_clean(caplog.text)
    assert_clean("".join(str(vars(record)) for record in caplog.records))
    assert caplog.records


@pytest.mark.parametrize("call", CALLS)
async def test_no_cancellation_shows_them(service: Service, call: str) -> None:
    heard = asyncio.Event()

    async def behave(reader: StreamReader, writer: StreamWriter) -> None:
        await servers.read_request(reader)
        heard.set()
        await servers.until_the_client_leaves(reader)

    async with servers.serving(behave) as server:
        one = service.adapter(server.url, quick())
        if not has_call(one, call):
            return
        task = asyncio.ensure_future(failure(CALLS[call](one, ordered_at(service))))
        await until(heard.is_set)
        task.cancel()
        error = await task
        assert isinstance(error, asyncio.CancelledError)
        assert_clean(shown(error) + richly_shown(error))
        await one.aclose()


async def test_a_success_logs_neither(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    async with servers.answering(servers.response(200, interaction())) as server:
        one = adapter(server.url)
        await one.create(order())
        await one.get("v1_Chd")
        await one.aclose()
        assert f"x-goog-api-key: {KEY}".encode() in server.requests[0]
        assert PROMPT.encode() in server.requests[0]
    assert "b'HTTP/1.1', 200" in caplog.text
    assert_clean(caplog.text)


async def test_the_request_that_a_caller_holds_never_has_the_key() -> None:
    seen: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return httpx.Response(200)

    request = httpx.Request("GET", "https://agents.example")
    await KeyedTransport(httpx.MockTransport(answer), HEADERS, Secret(KEY), lambda: 0.0).handle_async_request(request)
    assert seen[0].headers["x-goog-api-key"] == KEY
    assert "x-goog-api-key" not in request.headers


def test_the_test_would_see_a_leak() -> None:
    """A frame that holds the key shows that the check would find one."""

    def careless(header: str) -> None:
        raise RuntimeError("failed")

    with pytest.raises(RuntimeError) as caught:
        careless(KEY)
    assert KEY in shown(caught.value)
    assert KEY in richly_shown(caught.value)
