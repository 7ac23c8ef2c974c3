"""The control calls set and show from another process what the state sets and shows in its own."""

from __future__ import annotations

import re
from pathlib import Path

import httpx
import pytest

from console.simulator.control_client import ControlClient
from console.simulator.process import SimulatorProcess
from console.simulator.scenario import Scenario
from console.simulator.server import SimulatorThread
from console.simulator.state import SimulatorState
from tests.simulator.caller import KEY, Caller

RUN = Scenario(steps=4, step_seconds=10, tokens_per_step=1000)


@pytest.fixture
def control(simulator: SimulatorThread) -> ControlClient:
    """A client of the control calls of the same state."""
    return ControlClient(simulator.url)


def test_faults_are_set_and_cleared(control: ControlClient, caller: Caller) -> None:
    control.set_faults({"create.503": {"first": 1}})
    assert [caller.create(RUN).status_code for _ in range(2)] == [503, 200]
    control.set_faults(["create.500"])
    assert caller.create(RUN).status_code == 500
    control.clear_faults()
    assert caller.create(RUN).status_code == 200


def test_counts_and_facts_are_shown(control: ControlClient, caller: Caller, state: SimulatorState) -> None:
    control.set_faults({"create.lost_reply": {"skip": 1, "first": 1}, "create.400": {"skip": 2}})
    run_id = caller.start(RUN)
    with pytest.raises(Exception, match="disconnected"):
        caller.create(RUN)
    caller.create(RUN, labels={"nightdesk-key": "other"})
    caller.cancel(run_id)
    state.advance(5)
    stats = control.stats()
    assert (stats["posts"], stats["posts_by_key"]) == (3, {KEY: 2, "other": 1})
    assert (stats["started"], stats["started_by_key"]) == (2, {KEY: 2})
    assert (stats["most_live_by_key"], stats["live"], stats["cancelled"]) == ({KEY: 2}, 1, 1)
    first, second = control.runs()
    assert (first["id"], first["status"], first["ran_s"]) == (run_id, "cancelled", pytest.approx(0.05))
    assert (second["status"], second["may_spend"], second["key"]) == ("in_progress", True, KEY)


def test_a_reset_forgets_everything_but_the_default_scenario(
    control: ControlClient, caller: Caller, state: SimulatorState
) -> None:
    state.default = RUN
    control.set_faults(["get.503"])
    caller.start()
    caller.call("POST", "/environments")
    control.reset()
    stats = state.stats()
    assert (stats["posts"], stats["started"], stats["environments_made"], stats["faults"]) == (0, 0, 0, [])
    assert state.default == RUN


@pytest.mark.parametrize(
    ("name", "body"),
    [
        ("faults", {"nobody": 1}),
        ("faults", "zombie"),
    ],
)
def test_an_invalid_control_call_changes_nothing(
    caller: Caller, state: SimulatorState, name: str, body: object
) -> None:
    before = state.stats()
    reply = caller.control(name, body)
    assert reply.status_code == 400
    assert reply.json()["error"]["message"]
    assert state.stats() == before


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.1:8080", "localhost:1", "[::1]:80"])
def test_a_call_to_this_machine_is_permitted(simulator: SimulatorThread, host: str) -> None:
    assert _call(simulator, {"host": host}).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"host": "evil.example"},
        {"host": "evil.example:80"},
        {"host": "127.0.0.1.evil.example"},
        {"host": "127.0.0.1:80@evil.example"},
        {"host": "localhost:x"},
        {"origin": "null"},
    ],
)
def test_a_web_page_cannot_make_control_calls(simulator: SimulatorThread, headers: dict[str, str]) -> None:
    for name in ("stats", "runs"):
        assert _call(simulator, headers, name).status_code == 403
    for method, name in (("POST", "faults"), ("DELETE", "faults"), ("POST", "reset")):
        reply = httpx.request(method, f"{simulator.url}/_sim/{name}", headers=headers, json=["zombie"], trust_env=False)
        assert reply.status_code == 403
    assert simulator.state.faults.names == ()


def test_with_a_token_every_control_call_needs_it() -> None:
    with SimulatorThread(SimulatorState(control_token="right")) as simulator:
        ControlClient(simulator.url, "right").set_faults(["zombie"])
        for client in (ControlClient(simulator.url), ControlClient(simulator.url, "wrong")):
            with pytest.raises(PermissionError, match="control token"):
                client.reset()
        assert simulator.state.faults.names == ("zombie",)


def test_a_process_has_a_token_that_its_command_line_does_not_show() -> None:
    with SimulatorProcess() as simulator:
        assert simulator.control.stats()["posts"] == 0
        with pytest.raises(PermissionError):
            ControlClient(simulator.url).stats()
        environment = Path(f"/proc/{simulator.pid}/environ").read_bytes()
        (token,) = re.findall(rb"NIGHTDESK_SIMULATOR_TOKEN=([^\0]+)", environment)
        assert token not in Path(f"/proc/{simulator.pid}/cmdline").read_bytes()


def _call(simulator: SimulatorThread, headers: dict[str, str], name: str = "stats") -> httpx.Response:
    return httpx.get(f"{simulator.url}/_sim/{name}", headers=headers, trust_env=False, verify=False)


def test_a_refused_control_call_says_why(control: ControlClient) -> None:
    with pytest.raises(ValueError, match="no fault is called"):
        control.set_faults(["nobody"])
