"""A cancel is sent in the form that the host knows; its reply never proves an end."""

from __future__ import annotations

import httpx
import pytest

from console.provider.contract import CancelAnswer, Denied, Unavailable
from tests.provider.examples import answering, error_new, error_old, interaction, provider
from tests.provider.test_service_client import NO_METHOD, NO_THING, Service

SLASH, COLON = "POST interactions/v1_Chd/cancel", "POST interactions/v1_Chd:cancel"


async def test_an_accepted_cancel_reports_the_status() -> None:
    service = Service((200, interaction(status="in_progress")))
    assert await provider(service).cancel("v1_Chd") == CancelAnswer(accepted=True, said="in_progress")
    [request] = service.requests
    assert request.headers["content-length"] == "0"
    assert "content-type" not in request.headers


@pytest.mark.parametrize("body", [b"", b"<html>", b"{}", b"[1]"])
async def test_an_accepted_cancel_may_say_nothing(body: bytes) -> None:
    assert await provider(answering(200, body)).cancel("v1_Chd") == CancelAnswer(accepted=True, said="HTTP 200")


async def test_a_hostile_status_is_sanitized() -> None:
    answer = await provider(answering(200, interaction(status="\x1b[2J"))).cancel("v1_Chd")
    assert answer.said == "␛[2J"


async def test_the_other_form_is_tried_and_remembered() -> None:
    service = Service((404, NO_METHOD), (200, interaction()))
    adapter = provider(service)
    assert (await adapter.cancel("v1_Chd")).accepted
    assert (await adapter.cancel("v1_Chd")).accepted
    assert service.asked == [SLASH, COLON, COLON]


async def test_a_remembered_form_that_stops_working_is_forgotten() -> None:
    service = Service((404, NO_METHOD), (200, interaction()), (404, NO_METHOD), (200, interaction()))
    adapter = provider(service)
    for _ in range(3):
        assert (await adapter.cancel("v1_Chd")).accepted
    assert service.asked == [SLASH, COLON, COLON, SLASH, SLASH]


async def test_a_host_that_knows_neither() -> None:
    service = Service((404, NO_METHOD))
    adapter = provider(service)
    expected = "the service knows no cancel: HTTP 404: NOT_FOUND: Method not found."
    assert await adapter.cancel("v1_Chd") == CancelAnswer(accepted=False, said=expected)
    assert service.asked == [SLASH, COLON]


@pytest.mark.parametrize(
    ("status", "body", "said"),
    [
        (400, error_new("failed_precondition", "Not running."), "HTTP 400: failed_precondition: Not running."),
        (409, error_old(409, "Done.", "ABORTED"), "HTTP 409: ABORTED: Done."),
        (404, NO_THING, "HTTP 404: not_found: No such thing."),
        (404, b"", "HTTP 404 without a readable error"),
        (410, b"", "HTTP 410 without a readable error"),
        (422, b"", "HTTP 422 without a readable error"),
    ],
)
async def test_a_refusal_is_an_answer(status: int, body: bytes, said: str) -> None:
    service = Service((status, body))
    assert await provider(service).cancel("v1_Chd") == CancelAnswer(accepted=False, said=said)
    assert service.asked == [SLASH]


@pytest.mark.parametrize("status", [301, 307, 408, 425, 429, 499, 500, 501, 503])
async def test_a_reply_that_says_nothing_about_the_run_is_an_error(status: int) -> None:
    with pytest.raises(Unavailable):
        await provider(answering(status)).cancel("v1_Chd")


@pytest.mark.parametrize("status", [401, 402, 403])
async def test_a_cancel_that_is_denied(status: int) -> None:
    with pytest.raises(Denied):
        await provider(answering(status)).cancel("v1_Chd")


async def test_a_reply_may_ask_for_a_wait() -> None:
    handler = answering(409, b"", {"retry-after": "4"})
    assert (await provider(handler).cancel("v1_Chd")).retry_after_s == 4.0


async def test_an_error_between_the_two_forms_is_raised() -> None:
    with pytest.raises(Unavailable):
        await provider(Service((404, NO_METHOD), httpx.ReadError("x"))).cancel("v1_Chd")
