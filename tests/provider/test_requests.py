"""The body of a launch has exactly the documented fields, and always the token limit."""

from __future__ import annotations

import json

import pytest

from console.provider.gemini.requests import launch_body, sandbox_body
from tests.provider.examples import order


def test_the_bytes_of_a_plain_launch() -> None:
    assert launch_body(order(prompt="hi", labels={"a": "b"})) == (
        b'{"agent":"antigravity-preview-09-2026",'
        b'"agent_config":{"max_total_tokens":"200000","model":"gemini-3.8-flash","type":"antigravity"},'
        b'"background":true,"environment":"remote","input":"hi","labels":{"a":"b"},"store":true}'
    )


def test_a_sandbox_made_before_is_named_by_its_id_and_keeps_its_own_network() -> None:
    body = json.loads(launch_body(order(environment="3f6e0c", network='"disabled"')))
    assert body["environment"] == "3f6e0c"


@pytest.mark.parametrize("network", ['"disabled"', '{"allowlist":[{"domain":"example.com"}]}'])
def test_a_network_of_a_remote_sandbox(network: str) -> None:
    body = json.loads(launch_body(order(network=network)))
    assert body["environment"] == {"type": "remote", "network": json.loads(network)}


def test_tools_and_system_instruction_go_out_only_when_set() -> None:
    bare = json.loads(launch_body(order()))
    assert "tools" not in bare
    assert "system_instruction" not in bare
    full = json.loads(launch_body(order(tools=('{"type":"google_search"}',), system_instruction="Be brief.")))
    assert full["tools"] == [{"type": "google_search"}]
    assert full["system_instruction"] == "Be brief."


def test_deep_research_has_no_model_and_still_the_token_limit() -> None:
    config = json.loads(launch_body(order(agent="deep-research-preview-04-2026")))["agent_config"]
    assert config == {"type": "deep-research", "max_total_tokens": "200000"}


def test_a_saved_agent_has_no_model() -> None:
    config = json.loads(launch_body(order(agent="my-agent", model="")))["agent_config"]
    assert config == {"type": "antigravity", "max_total_tokens": "200000"}


def test_a_prompt_in_any_script_is_sent_unchanged() -> None:
    prompt = 'Ünï "quoted" \u202e \0 日本'
    assert json.loads(launch_body(order(prompt=prompt)))["input"] == prompt


@pytest.mark.parametrize("broken", [{"prompt": "\ud800"}, {"tools": ("{",)}, {"network": "nonsense"}])
def test_what_cannot_be_json_is_a_value_error(broken: dict[str, object]) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - any of them: the caller only needs the kind
        launch_body(order(**broken))


def test_sandbox_bodies() -> None:
    assert sandbox_body(None) == b"{}"
    assert json.loads(sandbox_body('{"allowlist":[]}')) == {"network": {"allowlist": []}}
