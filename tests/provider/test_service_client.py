"""GET, cancel and sandbox calls: the meaning of each status, and what is retried."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress

import httpx
import pytest

from console.domain.text import is_sanitized
from console.domain.usage import Usage
from console.provider.contract import Denied, NotFound, ProviderError, StatusClass, Unavailable, Unreachable
from console.provider.gemini.adapter import GeminiProvider
from console.provider.http.secret import Secret
from tests.provider.examples import HOST, KEY, answering, error_new, error_old, interaction, order, provider

NO_METHOD = error_old(404, "Method not found.", "NOT_FOUND")
NO_THING = error_new("not_found", "No such thing.")

Call = Callable[[GeminiProvider], Awaitable[object]]

HARMLESS: dict[str, Call] = {
    "get": lambda adapter: adapter.get("v1_Chd"),
    "delete": lambda adapter: adapter.discard("e1"),
}
ONCE: dict[str, Call] = {
    "cancel": lambda adapter: adapter.cancel("v1_Chd"),
    "make": lambda adapter: adapter.prepare(order()),
}
ALL = {**HARMLESS, **ONCE}


class Service:
    """Gives its answers in turn, at the end always the last, and records the requests."""

    def __init__(self, *answers: tuple[int, object] | Exception) -> None:
        self.asked: list[str] = []
        self.requests: list[httpx.Request] = []
        self.headers: dict[str, str] = {}
        self._answers = list(answers)

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(f"{request.method} {request.url.raw_path.decode().removeprefix('/v1beta/')}")
        self.requests.append(request)
        answer = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answering(*answer, self.headers)(request)


async def test_get() -> None:
    service = Service((200, interaction(status="completed", usage={"total_tokens": 5})))
    run = await provider(service).get("v1_Chd")
    assert (run.status_class, run.usage) == (StatusClass.TERMINAL, Usage(total=5))
    assert service.asked == ["GET interactions/v1_Chd?stream=false"]
    assert service.requests[0].headers["x-goog-api-key"] == KEY


async def test_an_id_is_escaped_in_every_call() -> None:
    service = Service((200, {"status": "in_progress", "id": None}))
    adapter = provider(service)
    await adapter.get("a/b?c")
    await adapter.cancel("a/b?c")
    await adapter.discard("../x")
    assert service.asked == [
        "GET interactions/a%2Fb%3Fc?stream=false",
        "POST interactions/a%2Fb%3Fc/cancel",
        "DELETE environments/..%2Fx",
    ]


async def test_an_id_that_was_stored_as_a_resource_name_is_reached() -> None:
    service = Service((200, interaction()))
    adapter = provider(service)
    await adapter.get("interactions/v1_Chd")
    await adapter.cancel("interactions/v1_Chd")
    assert service.asked == ["GET interactions/v1_Chd?stream=false", "POST interactions/v1_Chd/cancel"]


@pytest.mark.parametrize("call", [name for name in ALL if name != "make"])
async def test_what_cannot_be_an_id_is_not_found_without_a_request(call: str) -> None:
    service = Service((200, {}))
    for bad in ("", "..", "."):
        with pytest.raises(NotFound):
            await {
                "get": provider(service).get,
                "delete": provider(service).discard,
                "cancel": provider(service).cancel,
            }[call](bad)
    assert service.asked == []


@pytest.mark.parametrize("call", sorted(ALL))
@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (httpx.ConnectError("refused"), Unreachable),
        (httpx.ConnectTimeout("x"), Unreachable),
        (httpx.ReadTimeout("x"), Unavailable),
        (httpx.ReadError("reset"), Unavailable),
        (httpx.RemoteProtocolError("garbage"), Unavailable),
        (OSError("x"), Unavailable),
    ],
)
async def test_which_exception_a_network_failure_becomes(
    call: str, error: Exception, kind: type[ProviderError]
) -> None:
    with pytest.raises(kind) as caught:
        await ALL[call](provider(Service(error)))
    assert caught.value.__context__ is None
    assert caught.value.__cause__ is None


@pytest.mark.parametrize("call", sorted(ALL))
@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (401, Denied),
        (402, Denied),
        (403, Denied),
        (429, Unavailable),
        (500, Unavailable),
        (503, Unavailable),
        (307, Unavailable),
    ],
)
async def test_what_a_status_means_for_a_call(call: str, status: int, kind: type[ProviderError]) -> None:
    with pytest.raises(kind) as caught:
        await ALL[call](provider(answering(status, error_old(status, f"x\x1b[2J{KEY}" + "y" * 500))))
    assert is_sanitized(str(caught.value))
    assert len(str(caught.value)) <= 200
    assert KEY not in str(caught.value)


@pytest.mark.parametrize("call", sorted(ALL))
@pytest.mark.parametrize("status", [429, 503])
async def test_a_requested_wait_is_passed_on(call: str, status: int) -> None:
    service = Service((status, b""))
    service.headers = {"retry-after": "9"}
    with pytest.raises(Unavailable) as caught:
        await ALL[call](provider(service))
    assert caught.value.retry_after_s == 9.0
    assert len(service.asked) == 1


@pytest.mark.parametrize("call", sorted(HARMLESS))
@pytest.mark.parametrize("hiccup", [httpx.ReadError("reset"), (503, b""), (502, b"<html>"), (500, error_old(500))])
async def test_a_repeatable_call_survives_a_transient_error(call: str, hiccup: tuple[int, object] | Exception) -> None:
    service = Service(hiccup, (200, interaction()))
    await HARMLESS[call](provider(service))
    assert len(service.asked) == 2


@pytest.mark.parametrize("call", sorted(HARMLESS))
async def test_a_repeatable_call_gives_up_after_a_few_attempts(call: str) -> None:
    service = Service((503, error_new("service_unavailable", "Busy.")))
    with pytest.raises(Unavailable, match="HTTP 503: service_unavailable: Busy"):
        await HARMLESS[call](provider(service))
    assert len(service.asked) == 3


@pytest.mark.parametrize("call", sorted(ONCE))
@pytest.mark.parametrize("hiccup", [httpx.ReadError("reset"), (503, b""), (500, b"")])
async def test_a_call_that_must_not_be_repeated_is_sent_once(call: str, hiccup: tuple[int, object] | Exception) -> None:
    service = Service(hiccup, (200, interaction()))
    with pytest.raises(Unavailable):
        await ONCE[call](provider(service))
    assert len(service.asked) == 1


@pytest.mark.parametrize("call", sorted(HARMLESS))
@pytest.mark.parametrize(
    "error", [httpx.ConnectError("x"), httpx.ReadTimeout("x"), (429, b""), (404, NO_THING), (403, b"")]
)
async def test_an_error_that_a_retry_would_not_cure_is_not_retried(
    call: str, error: tuple[int, object] | Exception
) -> None:
    service = Service(error)
    with suppress(ProviderError):
        await HARMLESS[call](provider(service))
    assert len(service.asked) == 1


async def test_a_reply_that_is_too_large_is_not_requested_again() -> None:
    service = Service((200, {**interaction(), "padding": "x" * 10_000}))
    with pytest.raises(Unavailable, match="more than 5000 bytes"):
        await provider(service, body_bytes=5000).get("v1_Chd")
    assert len(service.asked) == 1


@pytest.mark.parametrize("body", [b"<html>ok</html>", b"", b"{}", b"[]", interaction(id="v1_Other"), b"[" * 100_000])
async def test_a_get_of_garbage_proves_nothing(body: object) -> None:
    with pytest.raises(Unavailable, match="HTTP 200"):
        await provider(answering(200, body)).get("v1_Chd")


@pytest.mark.parametrize("body", [NO_METHOD, NO_THING, b""])
async def test_a_get_of_404_is_not_found(body: bytes) -> None:
    with pytest.raises(NotFound):
        await provider(answering(404, body)).get("v1_Chd")


async def test_a_client_is_kept_and_closed() -> None:
    closed = []

    class Closing(httpx.MockTransport):
        async def aclose(self) -> None:
            closed.append(self)

    made = []

    def factory() -> httpx.AsyncBaseTransport:
        made.append(Closing(answering(200, interaction())))
        return made[-1]

    adapter = GeminiProvider(base_url=HOST, secret=Secret(KEY), transport=factory)
    await adapter.aclose()
    await adapter.get("v1_Chd")
    await adapter.get("v1_Chd")
    await adapter.aclose()
    assert len(made) == 1
    assert closed == made


async def test_a_client_in_use_while_the_adapter_is_closed_is_closed_afterwards() -> None:
    asked, go_on = asyncio.Event(), asyncio.Event()
    closed: list[httpx.AsyncBaseTransport] = []

    class Waiting(httpx.AsyncBaseTransport):
        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            asked.set()
            await go_on.wait()
            return httpx.Response(200, json=interaction())

        async def aclose(self) -> None:
            closed.append(self)

    adapter = GeminiProvider(base_url=HOST, secret=Secret(KEY), transport=Waiting)
    poll = asyncio.ensure_future(adapter.get("v1_Chd"))
    await asked.wait()
    await adapter.aclose()
    assert not closed
    go_on.set()
    assert (await poll).status == "in_progress"
    assert len(closed) == 1
