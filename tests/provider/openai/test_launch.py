"""The requests of a launch and what each answer proves; what becomes of a launch whose answer was lost."""

from __future__ import annotations

import json

import httpx
import pytest

from console.provider.contract import (
    Absent,
    Denied,
    Fenced,
    Found,
    Invalid,
    Launched,
    LostLaunch,
    NotFound,
    NotSent,
    ProviderError,
    RateLimited,
    Refused,
    Rejected,
    Unavailable,
    Unknown,
)
from console.provider.openai.adapter import RESOLVE_READS
from tests.provider.examples import KEY, PROMPT
from tests.provider.openai.examples import LABELS, RUN, SESSION, Recorded, error, order, page, provider, session, turn

LOST = LostLaunch(prepared_id=SESSION, labels=LABELS, sent_ms=0)


async def test_a_session_is_made_without_input_and_with_one_agent() -> None:
    service = Recorded(sessions=session(id="sess_new"))
    network = json.dumps({"allowlist": [{"domain": "api.example"}]})
    asked = order(prepared_id=None, network=network, tools=('{"type":"web_search"}',), system_instruction="Be brief.")
    assert await provider(service).prepare(asked) == "sess_new"
    (request,) = service.requests
    assert (request.method, request.url.path) == ("POST", "/v1/agents/sessions")
    assert request.headers["authorization"] == f"Bearer {KEY}"
    assert request.headers["openai-beta"] == "agents=v1"
    assert "idempotency-key" not in request.headers
    assert json.loads(request.content) == {
        "agent": {
            "model": "gpt-6-astra",
            "instructions": "Be brief.",
            "tools": [{"type": "web_search"}],
            "multi_agent": {"enabled": False},
        },
        "environment": {
            "type": "openai_hosted",
            "container_size": "small",
            "network": {"access": "restricted", "allowed_domains": ["api.example"]},
        },
        "metadata": LABELS,
        "review": "none",
    }
    assert PROMPT.encode() not in request.content


async def test_a_saved_agent_is_named_and_its_model_set() -> None:
    service = Recorded(sessions=session())
    await provider(service).prepare(order(agent="agent_4", environment="remote", network='"disabled"'))
    body = json.loads(service.requests[0].content)
    assert (body["agent_id"], body["agent"]["model"]) == ("agent_4", "gpt-6-astra")
    assert body["environment"]["container_size"] == "medium"
    assert body["environment"]["network"] == {"access": "disabled"}


@pytest.mark.parametrize(
    "wrong",
    [
        {"labels": {f"label-{number}": "x" for number in range(17)}},
        {"labels": {**LABELS, "x" * 65: "x"}},
        {"labels": {**LABELS, "long": "x" * 513}},
        {"network": '{"allowlist": [{"domain": "a.example", "credential": "c"}]}'},
        {"network": '{"allowlist": []}'},
        {"network": '"open"'},
        {"system_instruction": "\ud800"},
    ],
)
async def test_what_does_not_fit_is_refused_and_not_sent(wrong: dict[str, object]) -> None:
    service = Recorded(sessions=session())
    with pytest.raises(Invalid):
        await provider(service).prepare(order(**wrong))
    assert not service.requests


@pytest.mark.parametrize(
    ("answer", "raised"),
    [
        (error(400), Invalid),
        (error(404), Invalid),
        (error(413), Invalid),
        (error(422, type=None), Invalid),
        (error(429, code="insufficient_quota"), Invalid),
        (error(429, type="insufficient_quota"), Invalid),
        (error(401), Denied),
        (error(403), Denied),
        (error(429), Unavailable),
        (error(409), Unavailable),
        (error(503), Unavailable),
        (httpx.Response(400), Unavailable),
        (httpx.Response(404, content=b"<html>"), NotFound),
        (httpx.Response(200, json={"object": "agent.session"}), Unavailable),
        (httpx.ConnectError("refused"), ProviderError),
    ],
)
async def test_what_the_answer_to_a_preparation_says(answer: object, raised: type[ProviderError]) -> None:
    service = Recorded(sessions=answer)
    with pytest.raises(raised) as caught:
        await provider(service).prepare(order(prepared_id=None))
    assert isinstance(caught.value, Invalid) == (raised is Invalid)
    assert len(service.requests) == 1, "a repetition could leave an unused session behind"


async def test_a_start_is_one_message_with_a_key_of_its_run_and_session() -> None:
    service = Recorded(events=httpx.Response(202))
    adapter = provider(service)
    verdicts = [await adapter.create(order()), await adapter.create(order())]
    assert verdicts == [Launched(remote_id=SESSION, status="", prepared_id=SESSION)] * 2
    first, second = service.requests
    assert first.url.path == f"/v1/agents/sessions/{SESSION}/events"
    assert first.headers["idempotency-key"] == second.headers["idempotency-key"] == f"{RUN}-{SESSION}"
    content = [{"type": "input_text", "text": PROMPT}]
    message = {"type": "agent.session.input.message", "input": [{"role": "user", "content": content}]}
    assert json.loads(first.content) == {"events": [message]}
    await adapter.create(order(prepared_id="sess_other"))
    assert service.requests[2].headers["idempotency-key"] == f"{RUN}-sess_other"


@pytest.mark.parametrize(
    ("answer", "verdict"),
    [
        (httpx.Response(202), Launched),
        (httpx.Response(204), Launched),
        (httpx.Response(200, json={"object": "list"}), Launched),
        (httpx.Response(200, json={}), Unknown),
        (httpx.Response(200, json=[]), Unknown),
        (httpx.Response(200, json={"error": {"message": "no"}}), Unknown),
        (httpx.Response(200, content=b"<html>"), Unknown),
        (httpx.Response(302, headers={"location": "https://other.example"}), Unknown),
        (error(400, code=None), Rejected),
        (error(401), Rejected),
        (error(403), Rejected),
        (error(404), Rejected),
        (error(413), Rejected),
        (error(422), Rejected),
        (error(429), RateLimited),
        (error(429, code="rate_limit_exceeded"), RateLimited),
        (error(429, code="insufficient_quota"), Rejected),
        (error(429, type="insufficient_quota"), Rejected),
        (error(429, code="credit_balance_exhausted"), Rejected),
        (httpx.Response(429), Unknown),
        (httpx.Response(400, content=b"<html>"), Unknown),
        (httpx.Response(404), Unknown),
        (error(402), Unknown),
        (error(408), Unknown),
        (error(409), Unknown),
        (error(500), Unknown),
        (error(503), Unknown),
        (httpx.ConnectError("refused"), NotSent),
        (httpx.ConnectTimeout("slow"), NotSent),
        (httpx.ReadTimeout("silent"), Unknown),
        (httpx.WriteError("reset"), Unknown),
    ],
)
async def test_what_the_answer_to_a_start_proves(answer: object, verdict: type) -> None:
    service = Recorded(events=answer)
    assert isinstance(await provider(service).create(order()), verdict)
    assert len(service.requests) == 1


async def test_nothing_is_sent_without_a_session() -> None:
    service = Recorded()
    for wrong in (None, "", "..", "x" * 300):
        assert isinstance(await provider(service).create(order(prepared_id=wrong)), NotSent)
    assert isinstance(await provider(service).create(order(prompt="\ud800")), NotSent)
    assert not service.requests


async def test_a_lost_launch_is_found_by_its_turn() -> None:
    service = Recorded(session=session(), turns=[page(), page(), page(turn("queued"))])
    assert await provider(service).resolve(LOST) == Found(remote_id=SESSION)
    assert not [path for path in service.paths() if path.startswith("DELETE")]


@pytest.mark.parametrize("shown", [session("in_progress"), session(usage={"total_tokens": 9})])
async def test_a_lost_launch_is_found_by_a_session_that_works(shown: dict[str, object]) -> None:
    assert await provider(Recorded(session=shown, turns=page())).resolve(LOST) == Found(remote_id=SESSION)


async def test_a_session_without_a_turn_is_deleted_and_that_is_the_proof() -> None:
    service = Recorded(session=session(), turns=page(), delete={"id": SESSION, "deleted": True})
    assert isinstance(await provider(service).resolve(LOST), Fenced)
    assert service.paths().count(f"GET sessions/{SESSION}/turns") == RESOLVE_READS
    assert service.paths()[-1] == f"DELETE sessions/{SESSION}"


async def test_a_refused_deletion_proves_nothing() -> None:
    for status in (400, 409):
        service = Recorded(session=session(), turns=page(), delete=error(status))
        assert await provider(service).resolve(LOST) == Absent()


async def test_a_deletion_whose_answer_was_lost_is_repeated_and_finds_nothing() -> None:
    answers = [httpx.ReadError("reset"), error(404)]
    service = Recorded(session=session(), turns=page(), delete=answers)
    assert isinstance(await provider(service).resolve(LOST), Fenced)


async def test_a_session_that_somebody_else_deleted_proves_nothing() -> None:
    service = Recorded(session=error(404), turns=page(), delete={"deleted": True})
    assert await provider(service).resolve(LOST) == Absent()
    assert not [path for path in service.paths() if path.startswith("DELETE")]


@pytest.mark.parametrize("answer", [error(500), error(401), httpx.Response(200, content=b"{")])
async def test_a_session_that_cannot_be_read_proves_nothing_and_is_not_deleted(answer: object) -> None:
    service = Recorded(session=answer, turns=page(), delete={"deleted": True})
    with pytest.raises(ProviderError):
        await provider(service).resolve(LOST)
    assert not [path for path in service.paths() if path.startswith("DELETE")]


async def test_nothing_is_found_of_a_launch_without_a_session() -> None:
    service = Recorded()
    assert await provider(service).resolve(LostLaunch(prepared_id=None, labels=LABELS, sent_ms=0)) == Absent()
    assert not service.requests


async def test_each_cancel_has_a_key_of_its_own() -> None:
    service = Recorded(events=httpx.Response(202))
    adapter = provider(service)
    answers = [await adapter.cancel(SESSION) for _ in range(3)]
    assert all(answer.accepted for answer in answers)
    assert len({request.headers["idempotency-key"] for request in service.requests}) == 3
    assert {request.content for request in service.requests} == {b'{"events":[{"type":"agent.session.input.cancel"}]}'}


@pytest.mark.parametrize("status", [400, 404, 409])
async def test_a_refused_cancel_is_an_answer_and_no_proof(status: int) -> None:
    answer = await provider(Recorded(events=error(status))).cancel(SESSION)
    assert not answer.accepted
    assert f"HTTP {status}" in answer.said


@pytest.mark.parametrize("status", [401, 403, 429, 500])
async def test_an_answer_to_a_cancel_that_says_nothing_of_the_run_is_an_error(status: int) -> None:
    with pytest.raises(ProviderError):
        await provider(Recorded(events=error(status))).cancel(SESSION)


async def test_a_discard_is_refused_while_something_runs_and_done_where_nothing_is() -> None:
    with pytest.raises(Refused):
        await provider(Recorded(delete=error(409))).discard(SESSION)
    await provider(Recorded(delete=error(404))).discard(SESSION)
    for answer, raised in ((error(403), Denied), (httpx.Response(409), Unavailable)):
        with pytest.raises(raised):
            await provider(Recorded(delete=answer)).discard(SESSION)


async def test_sessions_that_were_never_used_are_told_from_the_others() -> None:
    rows = (
        session(id="sess_unused"),
        session(id="sess_started"),
        session("in_progress", id="sess_working"),
        session(id="sess_used", usage={"total_tokens": 9}),
        session(id="sess_foreign", metadata={"owner": "somebody"}),
    )

    def handler(request: httpx.Request) -> httpx.Response:
        if request.url.path.endswith("/turns"):
            return httpx.Response(200, json=page(*([turn()] if "sess_started" in request.url.path else [])))
        return httpx.Response(200, json=page(*rows))

    (left,) = await provider(handler).unstarted()
    assert (left.prepared_id, dict(left.labels), left.created_ms) == ("sess_unused", LABELS, 1_795_773_600_000)


async def test_tools_that_ask_are_named_before_the_launch() -> None:
    asking = [
        {"type": "function", "name": "ask_operator"},
        {"type": "mcp", "server_label": "tracker"},
        {"type": "computer_use"},
        {"type": "web_search"},
    ]
    service = Recorded(agent_4={"id": "agent_4", "tools": asking})
    found = await provider(service).review(order(agent="agent_4"))
    assert ["ask_operator" in found[0], "tracker" in found[1], "computer_use" in found[2], len(found)] == [True] * 3 + [
        3
    ]
    own = await provider(service).review(order(agent="agent_4", tools=('{"type":"web_search"}',)))
    assert own == ()
    assert await provider(Recorded()).review(order()) == ()
    with pytest.raises(NotFound, match="does not have this agent"):
        await provider(Recorded(agent_4=error(404))).review(order(agent="agent_4"))
    with pytest.raises(Denied):
        await provider(Recorded(agent_4=error(401))).review(order(agent="agent_4"))
