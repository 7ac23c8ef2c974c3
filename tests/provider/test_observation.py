"""What is observed of an exchange: its form without ids, its status, and the clock of the service."""

from __future__ import annotations

import httpx
import pytest

from console.drill.live.checks import SKEW_S, clock
from console.drill.live.report import Verdict
from console.provider.contract import ProviderError
from console.provider.gemini.adapter import GeminiProvider
from console.provider.http.clients import Route
from console.provider.http.observation import ObservedCall, call_form, skew_s
from console.provider.http.secret import Secret
from tests.drill.setups import env_with_calls
from tests.provider.examples import KEY


@pytest.mark.parametrize(
    ("method", "path", "form"),
    [
        ("POST", "/v1beta/interactions", "POST /v1beta/interactions"),
        ("POST", "/v1beta/interactions/v1_aB9-x/cancel", "POST /v1beta/interactions/{id}/cancel"),
        ("POST", "/v1beta/interactions/v1_aB9-x:cancel", "POST /v1beta/interactions/{id}:cancel"),
        ("GET", "/v1/sessions/sesn_3/events", "GET /v1/sessions/{id}/events"),
        ("DELETE", "/v1/agents/sessions/sess-2", "DELETE /v1/agents/sessions/{id}"),
    ],
)
def test_the_form_of_a_call_has_no_id(method: str, path: str, form: str) -> None:
    assert call_form(method, path) == form


def test_the_skew_is_measured_from_the_middle_of_the_exchange() -> None:
    date = "Sat, 28 Nov 2026 09:00:10 GMT"
    assert skew_s(date, 1795856400.0, 1795856401.0) == 10.0
    assert skew_s("yesterday", 0.0, 0.0) is None
    assert skew_s(None, 0.0, 0.0) is None


async def test_an_adapter_reports_every_exchange() -> None:
    seen: list[ObservedCall] = []

    def reply(request: httpx.Request) -> httpx.Response:
        if request.method == "DELETE":
            raise httpx.ConnectError("no route")
        return httpx.Response(404, headers={"date": "Sat, 28 Nov 2026 09:00:10 GMT"}, json={"error": {"code": "x"}})

    provider = GeminiProvider(
        base_url="https://service.example",
        secret=Secret(KEY),
        route=Route(observe=seen.append),
        transport=lambda: httpx.MockTransport(reply),
        wall=lambda: 1795856410.5,
    )
    assert not await provider.prepared_exists("0123456789")
    with pytest.raises(ProviderError):
        await provider.discard("0123456789")
    await provider.aclose()
    assert seen == [
        ObservedCall(form="GET /v1beta/environments/{id}", status=404, skew_s=0.0),
        ObservedCall(form="DELETE /v1beta/environments/{id}", status=None, skew_s=None),
    ]


@pytest.mark.parametrize(
    ("skews", "words", "verdict"),
    [
        ((0.4, 0.6, 900.0), "1 s ahead", Verdict.HELD),
        ((-90.0, -91.0, -92.0), "91 s behind", Verdict.DIFFERS),
        ((), "no reply has a date", Verdict.NOT_KNOWN),
    ],
)
async def test_a_clock_that_is_far_away_differs(skews: tuple[float, ...], words: str, verdict: Verdict) -> None:
    """One reply from a cache, with an old date, does not count."""
    assert SKEW_S < 90
    calls = [ObservedCall(form="GET /v1", status=200, skew_s=skew) for skew in skews]
    seen = await clock(env_with_calls(calls))
    assert (seen.verdict, words in seen.text) == (verdict, True), seen
