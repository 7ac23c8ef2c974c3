"""The control calls set and show from another process what the state sets and shows in its own."""

from __future__ import annotations

import pytest

from console.simulator.control_client import ControlClient
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


def test_a_refused_control_call_says_why(control: ControlClient) -> None:
    with pytest.raises(ValueError, match="no fault is called"):
        control.set_faults(["nobody"])
