"""What the adapter sends, what it makes of refusals, and how it clears up, reads and stops sessions."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from console.domain.run import Ending
from console.domain.server_limit import MoneyLimit, TokenLimit
from console.provider.anthropic.adapter import AnthropicProvider
from console.provider.anthropic.requests import session_body
from console.provider.anthropic.session_state import REASON_WAIT_S
from console.provider.contract import (
    Absent,
    Denied,
    Fenced,
    Found,
    Invalid,
    Launched,
    LaunchOrder,
    LostLaunch,
    NotFound,
    RateLimited,
    Rejected,
    StatusClass,
    Unavailable,
    Unknown,
)
from console.provider.http.secret import Secret
from tests.provider.examples import HOST, KEY, PROMPT, order, quick

LABELS = {"nightdesk-run": "01k0", "nightdesk-key": "9f2c51ab03de7714", "nightdesk-attempt": "1"}
LOST = LostLaunch(prepared_id="sesn_3", labels=LABELS, sent_ms=0)
SENT = {"data": [{"id": "sevt_1", "type": "user.message", "processed_at": None}]}
NOTHING: dict[str, object] = {"data": [], "next_page": None}


def ordered(**changes: object) -> LaunchOrder:
    usual = {
        "agent": "agent_7@3",
        "model": "claude-haiku-5-5",
        "environment": "env_7",
        "server_limit": MoneyLimit(cents=250, currency="USD"),
        "prepared_id": "sesn_3",
        "labels": LABELS,
    }
    return order(**{**usual, **changes})


def error(kind: str = "invalid_request_error", code: str | None = None) -> dict[str, object]:
    inner: dict[str, object] = {"type": kind, "message": "It was refused."}
    return {"type": "error", "error": inner | ({"details": {"error_code": code}} if code else {})}


class Service:
    """Answers calls by method and path, and keeps them."""

    def __init__(self) -> None:
        self.replies: dict[tuple[str, str], Callable[[httpx.Request], httpx.Response]] = {}
        self.calls: list[tuple[str, str]] = []
        self.requests: list[httpx.Request] = []

    def on(self, method: str, path: str, body: object = None, status: int = 200, **headers: str) -> Service:
        """Answer a call with JSON, or with bytes as they are."""
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.replies[(method, path)] = lambda _: httpx.Response(status, content=content, headers=headers)
        return self

    def __call__(self, request: httpx.Request) -> httpx.Response:
        call = (request.method, request.url.path.removeprefix("/v1"))
        self.calls.append(call)
        self.requests.append(request)
        return self.replies[call](request)

    def adapter(self, **more: Any) -> AnthropicProvider:
        """Return an adapter with this service in place of the network."""
        return AnthropicProvider(
            base_url=HOST,
            secret=Secret(KEY),
            bounds=quick(),
            transport=lambda: httpx.MockTransport(self),
            **more,
        )


SESSION, EVENTS = "/sessions/sesn_3", "/sessions/sesn_3/events"


def working(status: str = "running", **more: object) -> dict[str, object]:
    return {"id": "sesn_3", "type": "session", "status": status, "usage": {}, "metadata": LABELS, **more}


async def test_a_session_is_made_with_its_limit_labels_and_version() -> None:
    service = Service().on("POST", "/sessions", working("idle"))
    assert await service.adapter().prepare(ordered()) == "sesn_3"
    (request,) = service.requests
    assert request.headers["authorization"] == f"Bearer {KEY}"
    assert request.headers["anthropic-version"] == "2026-10-21"
    assert request.headers["anthropic-beta"] == "managed-agents-2026-04-01"
    assert json.loads(request.content) == {
        "agent": {"type": "agent", "id": "agent_7", "version": 3},
        "environment_id": "env_7",
        "budget": {"type": "limit", "max_list_cost": {"amount": "250", "currency": "USD"}},
        "metadata": LABELS,
        "title": "nightdesk 01k0",
    }
    assert PROMPT.encode() not in request.content


def test_a_system_instruction_replaces_that_of_the_agent() -> None:
    body = json.loads(session_body(ordered(agent="agent_7", system_instruction="Be brief.", server_limit=None)))
    assert body["agent"] == {"type": "agent_with_overrides", "id": "agent_7", "system": "Be brief."}
    assert "budget" not in body


@pytest.mark.parametrize(
    "changes",
    [
        {"tools": ('{"type":"web_search"}',)},
        {"network": '"disabled"'},
        {"agent": "agent_7@newest"},
        {"agent": "agent_7@0"},
        {"server_limit": TokenLimit(tokens=1)},
        {"labels": {f"label-{number}": "x" for number in range(17)}},
        {"labels": {"nightdesk-key": "x" * 513}},
    ],
)
async def test_an_order_that_the_service_cannot_carry_out_is_not_sent(changes: dict[str, object]) -> None:
    service = Service()
    with pytest.raises(Invalid):
        await service.adapter().prepare(ordered(**changes))
    assert service.calls == []


@pytest.mark.parametrize(
    ("status", "body", "raised"),
    [
        (400, error(code="model_not_budgetable"), Invalid),
        (404, error("not_found_error"), Invalid),
        (422, error(), Invalid),
        (401, error("authentication_error"), Denied),
        (402, error("billing_error"), Denied),
        (403, error("permission_error"), Denied),
        (409, error("conflict_error"), Unavailable),
        (429, error("rate_limit_error"), Unavailable),
        (429, error("rate_limit_error", "contract_spend_limit_reached"), Invalid),
        (529, error("overloaded_error"), Unavailable),
        (400, b"<html>", Unavailable),
        (200, {}, Unavailable),
    ],
)
async def test_a_refused_session(status: int, body: object, raised: type[Exception]) -> None:
    service = Service().on("POST", "/sessions", body, status)
    with pytest.raises(raised):
        await service.adapter().prepare(ordered())
    assert len(service.calls) == 1


@pytest.mark.parametrize("status", [400, 401, 402, 403, 404, 413, 422])
async def test_a_refused_message_has_started_nothing(status: int) -> None:
    verdict = await Service().on("POST", EVENTS, error(), status).adapter().create(ordered())
    assert isinstance(verdict, Rejected)
    assert verdict.why == f"HTTP {status}: invalid_request_error: It was refused."


@pytest.mark.parametrize("status", [408, 409, 500, 502, 503, 504, 529])
async def test_an_error_that_proves_nothing(status: int) -> None:
    verdict = await Service().on("POST", EVENTS, error("api_error"), status).adapter().create(ordered())
    assert isinstance(verdict, Unknown)


@pytest.mark.parametrize("body", [b"", b"<html>", b"null", b"{}", b'{"data":[]}', b'{"data":[{"id":7}]}'])
async def test_an_answer_without_the_id_of_the_event_proves_nothing(body: bytes) -> None:
    assert isinstance(await Service().on("POST", EVENTS, body).adapter().create(ordered()), Unknown)


async def test_too_many_requests() -> None:
    limited = Service().on("POST", EVENTS, error("rate_limit_error"), 429, **{"retry-after": "7"})
    verdict = await limited.adapter().create(ordered())
    assert isinstance(verdict, RateLimited)
    assert verdict.retry_after_s == 7
    spent = Service().on("POST", EVENTS, error("rate_limit_error", "enforced_spend_limit_reached"), 429)
    assert isinstance(await spent.adapter().create(ordered()), Rejected)


async def test_the_message_is_one_post_into_the_session() -> None:
    service = Service().on("POST", EVENTS, SENT)
    verdict = await service.adapter().create(ordered())
    assert isinstance(verdict, Launched)
    assert (verdict.remote_id, verdict.prepared_id) == ("sesn_3", "sesn_3")
    (request,) = service.requests
    text = {"type": "text", "text": PROMPT}
    assert json.loads(request.content) == {"events": [{"type": "user.message", "content": [text]}]}


@pytest.mark.parametrize("session_id", [None, "", ".."])
async def test_a_run_is_never_started_without_its_session(session_id: str | None) -> None:
    service = Service().on("POST", "/sessions", error(), 400)
    await service.adapter().create(ordered(prepared_id=session_id))
    assert not any(path.endswith("/events") for _, path in service.calls)


async def test_a_message_that_is_recorded_was_launched() -> None:
    service = Service().on("GET", SESSION, working("idle")).on("GET", EVENTS, SENT)
    assert await service.adapter().resolve(LOST) == Found(remote_id="sesn_3")
    assert parse_qs(urlsplit(str(service.requests[-1].url)).query)["types[]"] == ["user.message"]


async def test_usage_shows_a_launch_whose_message_is_not_listed() -> None:
    service = Service().on("GET", SESSION, working("idle", usage={"output_tokens": 7})).on("GET", EVENTS, NOTHING)
    assert await service.adapter().resolve(LOST) == Found(remote_id="sesn_3")


async def test_a_session_without_a_message_is_read_a_few_times_and_deleted() -> None:
    service = Service().on("GET", SESSION, working("idle")).on("GET", EVENTS, NOTHING)
    service.on("DELETE", SESSION, {"id": "sesn_3", "type": "session_deleted"})
    assert isinstance(await service.adapter().resolve(LOST), Fenced)
    assert service.calls.count(("GET", EVENTS)) == 3
    assert service.calls[-1] == ("DELETE", SESSION)


async def test_a_message_that_arrives_before_the_deletion_is_found() -> None:
    service = Service().on("GET", SESSION, working("idle")).on("GET", EVENTS, NOTHING)

    def refuse(_: httpx.Request) -> httpx.Response:
        service.on("GET", SESSION, working())
        return httpx.Response(400, json=error())

    service.replies[("DELETE", SESSION)] = refuse
    assert await service.adapter().resolve(LOST) == Found(remote_id="sesn_3")


async def test_a_deletion_that_is_refused_for_another_reason_proves_nothing() -> None:
    service = Service().on("GET", SESSION, working("idle")).on("GET", EVENTS, NOTHING)
    adapter = service.on("DELETE", SESSION, error(), 400).adapter()
    assert await adapter.resolve(LOST) == Absent()
    service.on("GET", SESSION, error("not_found_error"), 404)
    assert await adapter.resolve(LOST) == Absent()


async def test_a_missing_session_proves_something_only_after_an_own_deletion() -> None:
    gone = Service().on("GET", SESSION, error("not_found_error"), 404)
    assert await gone.adapter().resolve(LOST) == Absent()
    service = Service().on("GET", SESSION, working("idle")).on("GET", EVENTS, NOTHING)
    adapter = service.on("DELETE", SESSION, error("api_error"), 500).adapter()
    with pytest.raises(Unavailable):
        await adapter.resolve(LOST)
    service.on("GET", SESSION, error("not_found_error"), 404)
    assert isinstance(await adapter.resolve(LOST), Fenced)


async def test_a_launch_without_a_session_is_not_found() -> None:
    assert await Service().adapter().resolve(LostLaunch(prepared_id=None, labels=LABELS, sent_ms=0)) == Absent()


async def test_the_session_is_read_before_its_events() -> None:
    service = Service().on("GET", SESSION, working()).on("GET", EVENTS, NOTHING)
    await service.adapter().get("sesn_3")
    assert service.calls == [("GET", SESSION), ("GET", EVENTS)]


async def test_a_poll_reads_one_page_of_a_history_that_it_knows() -> None:
    def event(number: int) -> dict[str, object]:
        at = f"2026-11-27T10:{number // 60:02}:{number % 60:02}Z"
        return {"id": f"sevt_{number}", "type": "agent.thinking", "processed_at": at}

    newest = 120

    def pages(request: httpx.Request) -> httpx.Response:
        query = request.url.params
        first = newest - int(query.get("page", "0"))
        rows = [event(number) for number in range(first, max(first - 50, 0), -1)]
        following = str(newest - first + 50) if first > 50 else None
        return httpx.Response(200, json={"data": rows, "next_page": following})

    service = Service().on("GET", SESSION, working())
    service.replies[("GET", EVENTS)] = pages
    adapter = service.adapter()
    assert [step.index for step in (await adapter.get("sesn_3")).steps] == list(range(120))
    assert service.calls.count(("GET", EVENTS)) == 3
    newest = 123
    assert len((await adapter.get("sesn_3")).steps) == 123
    assert service.calls.count(("GET", EVENTS)) == 4


async def test_a_reason_that_is_never_told_is_given_up_after_a_while() -> None:
    now = 100.0
    started = [
        {"id": "sevt_2", "type": "session.status_running", "processed_at": "2026-11-27T10:00:02Z"},
        {"id": "sevt_1", "type": "user.message", "processed_at": "2026-11-27T10:00:01Z", "content": []},
    ]
    service = Service().on("GET", SESSION, working("idle")).on("GET", EVENTS, {"data": started})
    adapter = service.adapter(clock=lambda: now)
    assert (await adapter.get("sesn_3")).status_class is StatusClass.LIVE
    now += REASON_WAIT_S / 2
    service.on("GET", SESSION, working())
    assert (await adapter.get("sesn_3")).status_class is StatusClass.LIVE
    service.on("GET", SESSION, working("idle"))
    now += REASON_WAIT_S
    assert (await adapter.get("sesn_3")).status_class is StatusClass.LIVE, "it has worked again meanwhile"
    now += REASON_WAIT_S
    run = await adapter.get("sesn_3")
    assert (run.ending, run.status) == (Ending.INCOMPLETE, "idle: reason not told")


async def test_an_answer_about_another_session_is_no_answer() -> None:
    service = Service().on("GET", SESSION, {**working(), "id": "sesn_4"}).on("GET", EVENTS, NOTHING)
    with pytest.raises(Unavailable):
        await service.adapter().get("sesn_3")


async def test_a_session_that_works_is_interrupted_and_not_archived() -> None:
    service = Service().on("POST", EVENTS, SENT).on("GET", SESSION, working())
    answer = await service.adapter().cancel("sesn_3")
    assert (answer.accepted, answer.said) == (True, "interrupt sent")
    assert service.calls[0] == ("POST", EVENTS)
    assert json.loads(service.requests[0].content) == {"events": [{"type": "user.interrupt"}]}
    assert ("POST", f"{SESSION}/archive") not in service.calls


async def test_a_session_that_waits_is_archived() -> None:
    service = Service().on("POST", EVENTS, error(), 400).on("GET", SESSION, working("idle"))
    service.on("POST", f"{SESSION}/archive", working("terminated"))
    answer = await service.adapter().cancel("sesn_3")
    assert (answer.accepted, answer.said) == (True, "archived")


async def test_the_review_names_what_would_wait_for_a_person() -> None:
    def toolset(kind: str, policy: str | None, **more: object) -> dict[str, object]:
        config = {} if policy is None else {"default_config": {"permission_policy": {"type": policy}}}
        return {"type": kind, **config, **more}

    asking = {"name": "bash", "enabled": True, "permission_policy": {"type": "always_ask"}}
    tools = [
        toolset("agent_toolset_20260401", "always_allow", configs=[asking]),
        toolset("mcp_toolset", None, mcp_server_name="tracker"),
        toolset("mcp_toolset", "always_allow", mcp_server_name="quiet"),
        {"type": "custom", "name": "ask_operator"},
    ]
    service = Service().on("GET", "/agents/agent_7", {"model": {"id": "claude-opus-5-5"}, "tools": tools})
    service.on("GET", "/environments/env_7", {"archived_at": "2026-11-27T10:00:00Z"})
    found = await service.adapter().review(ordered())
    assert found == (
        "the tool bash has the policy always_ask: a call may wait for a person",
        "the tools of tracker have the policy always_ask: a call may wait for a person",
        "the tool ask_operator waits for a result from its client",
        "the agent uses the model claude-opus-5-5, but the price of claude-haiku-5-5 is applied",
        "the environment is archived",
    )
    assert service.requests[0].url.params["version"] == "3"
    service.on("GET", "/environments/env_7", error("not_found_error"), 404)
    with pytest.raises(NotFound, match="does not have this environment"):
        await service.adapter().review(ordered())


async def test_only_sessions_of_this_program_without_a_message_are_unstarted() -> None:
    rows = [
        working("idle", created_at="2026-11-27T10:00:00Z"),
        {**working("idle"), "id": "sesn_4", "metadata": {}},
        {**working("idle"), "id": "sesn_5", "usage": {"output_tokens": 7}},
        {**working("idle"), "id": "sesn_6"},
    ]
    service = Service().on("GET", "/sessions", {"data": rows, "next_page": None})
    service.on("GET", EVENTS, NOTHING).on("GET", "/sessions/sesn_6/events", SENT)
    (left,) = await service.adapter().unstarted()
    assert (left.prepared_id, dict(left.labels), left.created_ms) == ("sesn_3", LABELS, 1_795_773_600_000)
    assert parse_qs(urlsplit(str(service.requests[0].url)).query)["statuses[]"] == ["idle"]
