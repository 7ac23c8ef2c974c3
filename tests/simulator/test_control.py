"""The control calls: from another process they set and tell all that a world tells its own."""

from __future__ import annotations

import pytest

from console.simulator.control_client import ControlClient
from console.simulator.scenario import Scenario
from console.simulator.server import SimulatorThread
from console.simulator.state import SimulatorState
from tests.simulator.caller import KEY, Caller

RUN = Scenario(steps=4, step_seconds=10, tokens_per_step=1000)


@pytest.fixture
def remote(simulator: SimulatorThread) -> ControlClient:
    """Speaks to the same world by control calls only."""
    return ControlClient(simulator.url)


def test_the_default_scenario_is_set_from_outside(remote: ControlClient, caller: Caller, state: SimulatorState) -> None:
    remote.set_scenario(Scenario(steps=2, step_seconds=0))
    assert len(caller.shown(caller.start(input="Write the report."))["steps"]) == 3
    assert caller.control("scenario", {"preset": "greedy", "scale": 0.5}).status_code == 200
    assert state.default.step_seconds == 1.0


def test_faults_are_set_and_cleared_from_outside(remote: ControlClient, caller: Caller) -> None:
    remote.set_faults({"create.503": {"first": 1}})
    assert [caller.create(RUN).status_code for _ in range(2)] == [503, 200]
    remote.set_faults(["create.500"])
    assert caller.create(RUN).status_code == 500
    remote.clear_faults()
    assert caller.create(RUN).status_code == 200


def test_counts_and_truth_are_told(remote: ControlClient, caller: Caller) -> None:
    remote.set_faults({"create.lost_reply": {"skip": 1, "first": 1}, "create.400": {"skip": 2}})
    run_id = caller.start(RUN)
    with pytest.raises(Exception, match="disconnected"):
        caller.create(RUN)
    caller.create(RUN, labels={"nightdesk-key": "other"})
    caller.cancel(run_id)
    remote.advance(5)
    stats = remote.stats()
    assert (stats["posts"], stats["posts_by_key"]) == (3, {KEY: 2, "other": 1})
    assert (stats["started"], stats["started_by_key"]) == (2, {KEY: 2})
    assert (stats["most_live_by_key"], stats["live"], stats["cancelled"]) == ({KEY: 2}, 1, 1)
    first, second = remote.runs()
    assert (first["id"], first["status"], first["ran_s"]) == (run_id, "cancelled", pytest.approx(0.05))
    assert (second["status"], second["may_spend"], second["key"]) == ("in_progress", True, KEY)


def test_a_reset_forgets_everything_but_the_default(
    remote: ControlClient, caller: Caller, state: SimulatorState
) -> None:
    remote.set_scenario(RUN)
    remote.set_faults(["get.503"])
    caller.start()
    caller.call("POST", "/environments")
    remote.reset()
    stats = state.stats()
    assert (stats["posts"], stats["started"], stats["environments_made"], stats["faults"]) == (0, 0, 0, [])
    assert state.default == RUN


@pytest.mark.parametrize(
    ("name", "body"),
    [
        ("faults", {"nobody": 1}),
        ("faults", "zombie"),
        ("scenario", {"stepz": 1}),
        ("scenario", [1]),
        ("advance", {"seconds": -1}),
        ("advance", {"seconds": "x"}),
        ("advance", [1]),
    ],
)
def test_a_senseless_control_call_changes_nothing(
    caller: Caller, state: SimulatorState, name: str, body: object
) -> None:
    before = (state.stats(), state.default, state.clock.now())
    reply = caller.control(name, body)
    assert reply.status_code == 400
    assert reply.json()["error"]["message"]
    assert (state.stats(), state.default, state.clock.now()) == before


def test_a_refused_control_call_says_why(remote: ControlClient) -> None:
    with pytest.raises(ValueError, match="no fault is called"):
        remote.set_faults(["nobody"])
