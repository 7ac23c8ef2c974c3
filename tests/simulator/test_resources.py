"""Sandboxes and saved agents: they are created before a run, used by runs, and deleted."""

from __future__ import annotations

import uuid

import pytest

from console.simulator.scenario import Scenario
from console.simulator.state import SimulatorState
from tests.simulator.caller import AGENT, Caller, code

LONG = Scenario(steps=10, step_seconds=10, tokens_per_step=1000)


def _made(caller: Caller, **body: object) -> str:
    reply = caller.call("POST", "/environments", json=body)
    assert reply.status_code == 200, reply.text
    return str(reply.json()["id"])


def test_a_sandbox_is_created_shown_and_deleted(caller: Caller) -> None:
    sandbox = _made(caller, network="disabled")
    assert str(uuid.UUID(sandbox)) == sandbox
    assert caller.call("GET", f"/environments/{sandbox}").json() == {
        "id": sandbox,
        "status": "active",
        "created": "2026-11-23T03:00:00Z",
        "updated": "2026-11-23T03:00:00Z",
        "last_accessed": "2026-11-23T03:00:00Z",
        "file_count": "12",
        "size_bytes": "3456",
        "network": "disabled",
    }
    assert caller.call("DELETE", f"/environments/{sandbox}").status_code == 200
    for method in ("GET", "DELETE"):
        assert code(caller.call(method, f"/environments/{sandbox}")) == (404, "not_found")


def test_a_run_shows_the_sandbox_it_was_given(caller: Caller, state: SimulatorState) -> None:
    sandbox = _made(caller)
    assert caller.create(LONG, environment=sandbox).json()["environment_id"] == sandbox
    inner = {"type": "remote", "environment_id": sandbox}
    assert caller.create(LONG, environment=inner).json()["environment_id"] == sandbox
    assert state.environments.made == 1


def test_deleting_a_sandbox_fails_its_run_and_later_launches(caller: Caller, state: SimulatorState) -> None:
    sandbox = _made(caller)
    run_id, other = caller.start(LONG, environment=sandbox), caller.start(LONG)
    state.advance(25)
    caller.call("DELETE", f"/environments/{sandbox}")
    state.advance(1)
    shown = caller.shown(run_id)
    assert (shown["status"], shown["usage"]["total_tokens"]) == ("failed", 2000)
    assert shown["errors"][0]["code"] == "environment_not_found"
    assert caller.shown(other)["status"] == "in_progress"
    assert code(caller.create(LONG, environment=sandbox)) == (404, "not_found")


def test_a_run_may_continue_without_its_sandbox(caller: Caller, state: SimulatorState) -> None:
    sandbox = _made(caller)
    run_id = caller.start(LONG, environment=sandbox)
    state.set_faults(["env_delete.run_goes_on"])
    caller.call("DELETE", f"/environments/{sandbox}")
    assert caller.shown(run_id)["status"] == "in_progress"


def test_a_sandbox_expires_a_week_after_its_last_use(caller: Caller, state: SimulatorState) -> None:
    sandbox = _made(caller)
    state.advance(6 * 86_400)
    caller.start(LONG, environment=sandbox)
    state.advance(6 * 86_400)
    assert caller.call("GET", f"/environments/{sandbox}").status_code == 200
    state.advance(86_400)
    assert caller.call("GET", f"/environments/{sandbox}").status_code == 404
    assert caller.call("GET", "/environments").json() == {"environments": []}


@pytest.mark.parametrize(("size", "token"), [("page_size", "page_token"), ("pageSize", "pageToken")])
def test_sandboxes_are_listed_page_by_page(caller: Caller, size: str, token: str) -> None:
    """Sandboxes that a launch created are listed too."""
    caller.start(LONG)
    made = [_made(caller) for _ in range(4)]
    seen: list[str] = []
    query = {size: "2"}
    while True:
        page = caller.call("GET", "/environments", params=query).json()
        assert len(page["environments"]) <= 2
        seen += [one["id"] for one in page["environments"]]
        if "next_page_token" not in page:
            break
        query[token] = page["next_page_token"]
    assert (seen[1:], len(seen)) == (made, 5)


@pytest.mark.parametrize("query", [{"page_size": "0"}, {"page_size": "x"}, {"page_token": "-"}])
def test_a_wrong_page_is_refused(caller: Caller, query: dict[str, str]) -> None:
    assert code(caller.call("GET", "/environments", params=query)) == (400, "invalid_request")


def test_a_sandbox_has_known_settings_only(caller: Caller, state: SimulatorState) -> None:
    assert code(caller.call("POST", "/environments", json={"cpu": 4})) == (400, "parameter_unknown")
    assert code(caller.call("POST", "/environments", json={"from_environment": "x"})) == (404, "not_found")
    assert code(caller.call("POST", "/environments", content=b"[")) == (400, "invalid_request")
    assert state.environments.made == 0
    assert _made(caller, from_environment=_made(caller))
    assert _made(caller, from_environment=f"environments/{_made(caller)}")


def test_a_saved_agent_fixes_its_model(caller: Caller) -> None:
    saved = {"id": "mine", "base_agent": AGENT, "agent_config": {"type": "antigravity", "model": "gemini-3.5-flash"}}
    assert caller.call("POST", "/agents", json=saved).json() == saved
    assert code(caller.call("POST", "/agents", json=saved)) == (409, "already_exists")
    assert caller.call("GET", "/agents").json() == {"agents": [saved]}
    assert caller.call("GET", "/agents/mine").json() == saved
    shown = caller.create(LONG, agent="mine", agent_config=None).json()
    assert shown["agent_config"]["model"] == "gemini-3.5-flash"
    other = {"type": "antigravity", "model": "gemini-3.8-flash"}
    assert code(caller.create(LONG, agent="mine", agent_config=other)) == (400, "invalid_request")
    assert caller.call("DELETE", "/agents/mine").status_code == 200
    assert code(caller.create(LONG, agent="mine")) == (404, "model_not_found")


@pytest.mark.parametrize(
    ("body", "status", "word"),
    [
        ({"id": "x", "base_agent": AGENT, "budget": 1}, 400, "parameter_unknown"),
        ({"base_agent": AGENT}, 400, "invalid_request"),
        ({"id": "x", "base_agent": "nobody"}, 404, "model_not_found"),
    ],
)
def test_a_wrong_agent_is_refused(caller: Caller, body: dict[str, object], status: int, word: str) -> None:
    assert code(caller.call("POST", "/agents", json=body)) == (status, word)
