"""A launch with a wrong body is refused before anything starts, with the code that the service uses."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from console.simulator.scenario import Scenario
from console.simulator.server import SimulatorThread
from console.simulator.state import SimulatorState
from tests.simulator.caller import Caller, code, launch_body

BAD: list[tuple[str, dict[str, Any], int, str]] = [
    ("an unknown field", {"timeout": 60}, 400, "parameter_unknown"),
    ("an idempotency key", {"idempotency_key": "x"}, 400, "parameter_unknown"),
    ("an unknown inner field", {"agent_config": {"type": "antigravity", "deadline": 1}}, 400, "parameter_unknown"),
    ("temperature", {"temperature": 0.5}, 400, "invalid_request"),
    ("top_p", {"top_p": 0.5}, 400, "invalid_request"),
    ("stop_sequences", {"stop_sequences": ["x"]}, 400, "invalid_request"),
    ("max_output_tokens", {"max_output_tokens": 5}, 400, "invalid_request"),
    ("a model beside the agent", {"model": "gemini-3.8-flash"}, 400, "invalid_request"),
    ("structured output", {"response_format": {}}, 400, "invalid_request"),
    ("no agent", {"agent": None}, 400, "invalid_request"),
    ("an agent that was shut down", {"agent": "antigravity-preview-05-2026"}, 404, "model_not_found"),
    ("no model", {"agent_config": {"type": "antigravity", "model": "gpt"}}, 400, "invalid_request"),
    ("no input", {"input": None}, 400, "invalid_request"),
    ("an empty input", {"input": []}, 400, "invalid_request"),
    ("a video", {"input": {"type": "video", "uri": "x"}}, 400, "invalid_request"),
    ("a document", {"input": [{"type": "document", "uri": "x"}]}, 400, "invalid_request"),
    (
        "a document within a step",
        {"input": [{"type": "user_input", "content": [{"type": "text", "text": "a"}, {"type": "document"}]}]},
        400,
        "invalid_request",
    ),
    (
        "a custom config without a poller",
        {"environment": {"type": "remote", "custom_config": {"a": 1}}},
        400,
        "invalid_request",
    ),
    ("background without store", {"store": False}, 400, "invalid_request"),
    ("a flag that is not a boolean", {"background": "yes"}, 400, "invalid_request"),
    ("a webhook in the foreground", {"background": False, "webhook_config": {"uris": []}}, 400, "invalid_request"),
    (
        "a limit of zero",
        {"agent_config": {"type": "antigravity", "max_total_tokens": 0}},
        400,
        "invalid_request",
    ),
    ("a limit in words", {"agent_config": {"type": "antigravity", "max_total_tokens": "many"}}, 400, "invalid_request"),
    ("a config without a type", {"agent_config": {"max_total_tokens": 5}}, 400, "invalid_request"),
    ("an upper-case label", {"labels": {"Key": "x"}}, 400, "invalid_request"),
    ("an upper-case value", {"labels": {"key": "X"}}, 400, "invalid_request"),
    ("a label with a digit first", {"labels": {"1key": "x"}}, 400, "invalid_request"),
    ("a long label", {"labels": {"k": "x" * 64}}, 400, "invalid_request"),
    ("a label that is not a string", {"labels": {"k": 1}}, 400, "invalid_request"),
    ("an unknown sandbox", {"environment": "3f6e0c"}, 404, "not_found"),
    ("a local sandbox", {"environment": {"type": "local"}}, 400, "invalid_request"),
    ("an open network", {"environment": {"type": "remote", "network": "open"}}, 400, "invalid_request"),
    (
        "a source of two megabytes",
        {"environment": {"type": "remote", "sources": [{"type": "inline", "content": "x" * 1_000_001}]}},
        400,
        "invalid_request",
    ),
    ("an unsupported tool", {"tools": [{"type": "computer_use"}]}, 400, "invalid_request"),
    ("a function like a built-in tool", {"tools": [{"type": "function", "name": "view_file"}]}, 500, "api_error"),
    ("a server with a dash", {"tools": [{"type": "mcp_server", "name": "a-b"}]}, 400, "invalid_request"),
    ("an unknown tier", {"service_tier": "gold"}, 400, "invalid_request"),
    ("an unknown previous interaction", {"previous_interaction_id": "v1_x"}, 404, "not_found"),
    ("a wrong scenario", {"input": "#sim {oops"}, 400, "invalid_request"),
]


@pytest.mark.parametrize(("changes", "status", "word"), [bad[1:] for bad in BAD], ids=[bad[0] for bad in BAD])
def test_a_wrong_launch_starts_nothing(
    caller: Caller, state: SimulatorState, changes: dict[str, Any], status: int, word: str
) -> None:
    assert code(caller.create(**changes)) == (status, word)
    assert (state.posts(), state.started()) == (1, 0)


GOOD: list[dict[str, Any]] = [
    {"input": [{"type": "text", "text": "hi"}]},
    {"input": [{"type": "user_input", "content": [{"type": "text", "text": "hi"}]}]},
    {"environment": None},
    {"environment": {"type": "remote", "network": {"allowlist": [{"domain": "example.org"}]}, "env": {"A": "b"}}},
    {"environment": {"type": "remote", "mode": "on_demand"}},
    {"environment": {"type": "remote", "mode": "self_hosted", "custom_config": {"team": "a"}}},
    {"agent_config": {"type": "antigravity", "model": "gemini-4.0-flash-lite"}},
    {"tools": [{"type": "tool_search"}]},
    {"labels": {"größe": "x", "k": ""}},
    {"tools": [{"type": "code_execution"}, {"type": "function", "name": "mine"}, {"type": "mcp_server", "name": "a1"}]},
    {"agent": "deep-research-preview-04-2026", "agent_config": {"type": "deep-research", "visualization": "off"}},
    {"agent_config": None, "service_tier": "flex", "webhook_config": {"uris": ["https://e.example/"]}},
]


@pytest.mark.parametrize("changes", GOOD, ids=lambda changes: "+".join(changes))
def test_an_accepted_launch_starts_one_run(caller: Caller, state: SimulatorState, changes: dict[str, Any]) -> None:
    assert caller.create(**changes).status_code == 200
    assert state.started() == 1


def test_the_scenario_is_found_in_every_form_of_input(caller: Caller, state: SimulatorState) -> None:
    text = Scenario(steps=2, step_seconds=0).prompt()
    for given in (
        {"type": "text", "text": text},
        [{"type": "user_input", "content": [{"type": "text", "text": text}]}],
    ):
        assert len(caller.shown(caller.start(input=given))["steps"]) == 3


def test_the_sandbox_is_shown_only_if_the_launch_requested_one(caller: Caller) -> None:
    assert "environment_id" not in caller.create(environment=None).json()


def test_a_launch_continues_only_an_ended_run(caller: Caller, state: SimulatorState) -> None:
    first = caller.start(Scenario(steps=1, step_seconds=10))
    assert code(caller.create(previous_interaction_id=first)) == (400, "invalid_request")
    state.advance(11)
    state.set_faults({"chain.settling": 5})
    assert code(caller.create(previous_interaction_id=first)) == (400, "failed_precondition")
    state.advance(5)
    assert caller.create(previous_interaction_id=first).status_code == 200


def test_the_token_limit_is_shown_as_a_string_or_a_number(caller: Caller, state: SimulatorState) -> None:
    assert caller.create().json()["agent_config"]["max_total_tokens"] == "200000"
    state.set_faults(["echo.int"])
    assert caller.create().json()["agent_config"]["max_total_tokens"] == 200_000


@pytest.mark.parametrize("body", [b"", b"[1]", b"{", b'"x"'])
def test_a_body_that_is_no_object_is_counted_and_refused(caller: Caller, state: SimulatorState, body: bytes) -> None:
    assert caller.call("POST", "/interactions", content=body).status_code == 400
    assert (state.posts(), state.started()) == (1, 0)


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 401),
        ({"x-goog-api-key": "other"}, 401),
        ({"x-goog-api-key": "right"}, 200),
        ({"authorization": "Bearer right"}, 200),
        ({"authorization": "Basic right"}, 401),
    ],
)
def test_without_the_right_key_nothing_starts(headers: dict[str, str], status: int) -> None:
    with SimulatorThread(SimulatorState(api_key="right")) as simulator:
        reply = httpx.post(f"{simulator.url}/v1/interactions", json=launch_body(), headers=headers, trust_env=False)
        assert reply.status_code == status
        assert simulator.state.started() == (status == 200)
