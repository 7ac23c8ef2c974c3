"""The switches that change how the service behaves, except those of its streams."""

from __future__ import annotations

import pytest

from console.simulator.scenario import Scenario
from console.simulator.state import SimulatorState
from tests.simulator.caller import Caller, code

LONG = Scenario(steps=10, step_seconds=10, tokens_per_step=1000, cancel_seconds=1)


def test_a_zombie_stays_in_progress_without_steps(caller: Caller, state: SimulatorState) -> None:
    run_id = caller.start(Scenario(faults=["zombie"]))
    state.advance(1e6)
    shown = caller.shown(run_id)
    assert (shown["status"], len(shown["steps"]), "usage" in shown) == ("in_progress", 1, False)


def test_a_zombie_can_be_cancelled_unless_cancels_have_no_effect(caller: Caller, state: SimulatorState) -> None:
    run_id = caller.start(Scenario(faults=["zombie", "cancel.never"]))
    caller.cancel(run_id)
    state.advance(1000)
    assert caller.shown(run_id)["status"] == "in_progress"
    run_id = caller.start(Scenario(faults=["zombie"]), labels={})
    caller.cancel(run_id)
    state.advance(1000)
    assert caller.shown(run_id)["status"] == "cancelled"


def test_late_usage_is_missing_from_the_first_polls_after_the_end(caller: Caller, state: SimulatorState) -> None:
    run_id = caller.start(LONG)
    state.set_faults({"usage.late": 2})
    state.advance(1000)
    assert ["usage" in caller.shown(run_id) for _ in range(4)] == [False, False, True, True]


def test_usage_may_be_shown_early_or_never(caller: Caller, state: SimulatorState) -> None:
    run_id = caller.start(LONG)
    state.advance(25)
    assert "usage" not in caller.shown(run_id)
    state.set_faults(["usage.midrun"])
    assert caller.shown(run_id)["usage"]["total_tokens"] == 2000
    state.set_faults(["usage.absent"])
    state.advance(1000)
    assert "usage" not in caller.shown(run_id)


def test_steps_may_be_hidden_until_the_end(caller: Caller, state: SimulatorState) -> None:
    run_id = caller.start(LONG)
    state.set_faults(["steps.absent_midrun"])
    state.advance(25)
    assert caller.shown(run_id)["steps"] == []
    state.advance(1000)
    assert len(caller.shown(run_id)["steps"]) == 11


@pytest.mark.parametrize(
    ("faults", "status", "tokens"),
    [
        ({}, "incomplete", 4000),
        ({"budget.exceeded": True}, "budget_exceeded", 4000),
        ({"budget.overshoot": 50}, "incomplete", 6000),
        ({"budget.ignored": True}, "completed", 10_000),
        ({"budget.hit": 1}, "incomplete", 4001),
    ],
)
def test_the_token_limit_with_each_switch(
    caller: Caller, state: SimulatorState, faults: dict[str, float], status: str, tokens: int
) -> None:
    state.set_faults(faults)
    run_id = caller.start(LONG, agent_config={"type": "antigravity", "max_total_tokens": 4000})
    state.advance(1000)
    shown = caller.shown(run_id)
    assert (shown["status"], shown["usage"]["total_tokens"]) == (status, tokens)


@pytest.mark.parametrize(
    ("fault", "slash", "colon"),
    [("cancel.404_slash", 404, 200), ("cancel.404_colon", 200, 404), ("cancel.404_both", 404, 404)],
)
def test_a_form_of_cancel_may_be_an_unknown_method(
    caller: Caller, state: SimulatorState, fault: str, slash: int, colon: int
) -> None:
    run_id = caller.start(LONG)
    state.set_faults([fault])
    replies = [caller.cancel(run_id), caller.cancel(run_id, colon=True)]
    assert [reply.status_code for reply in replies] == [slash, colon]
    for reply in replies:
        if reply.status_code == 404:
            assert reply.json() == {"error": {"code": 404, "message": "Method not found.", "status": "NOT_FOUND"}}


def test_a_cancel_may_take_longer(caller: Caller, state: SimulatorState) -> None:
    run_id = caller.start(LONG)
    state.set_faults({"cancel.delay": 30})
    caller.cancel(run_id)
    state.advance(29)
    assert caller.shown(run_id)["status"] == "in_progress"
    state.advance(1)
    assert caller.shown(run_id)["status"] == "cancelled"


def test_a_cancel_of_an_ended_run_may_be_refused(caller: Caller, state: SimulatorState) -> None:
    run_id = caller.start(LONG)
    state.advance(1000)
    assert caller.cancel(run_id).json()["status"] == "completed"
    state.set_faults(["cancel.terminal_400"])
    assert code(caller.cancel(run_id)) == (400, "failed_precondition")
    assert code(caller.cancel("v1_nobody")) == (404, "not_found")


def test_polls_may_not_find_a_run_for_a_while_or_for_ever(caller: Caller, state: SimulatorState) -> None:
    run_id = caller.start(LONG)
    state.set_faults({"get.403_grace": 2})
    assert [caller.get(run_id).status_code for _ in range(3)] == [403, 403, 200]
    state.set_faults(["get.404_forever"])
    assert [caller.get(run_id, stream=stream).status_code for stream in ("false", "true")] == [404, 404]
    assert state.live() == 1


def test_delete_may_be_unimplemented(caller: Caller, state: SimulatorState) -> None:
    run_id = caller.start(LONG)
    state.set_faults(["delete.501"])
    assert code(caller.call("DELETE", f"/interactions/{run_id}")) == (501, "unimplemented")
    state.clear_faults()
    assert caller.get(run_id).status_code == 200


@pytest.mark.parametrize(
    ("fault", "body"),
    [
        ("err.new", '{"error": {"code": "not_found", "message": "Interaction \'x\' not found."}}'),
        ("err.old", '{"error": {"code": 404, "message": "Interaction \'x\' not found.", "status": "NOT_FOUND"}}'),
        ("err.array", '[{"error": {"code": 404, "message": "Interaction \'x\' not found.", "status": "NOT_FOUND"}}]'),
        ("err.html", "<!DOCTYPE html><html><title>Error 404</title></html>"),
        ("err.empty", ""),
    ],
)
def test_an_error_in_every_form(caller: Caller, state: SimulatorState, fault: str, body: str) -> None:
    state.set_faults([fault])
    reply = caller.get("x")
    assert (reply.status_code, reply.text) == (404, body)


def test_the_switch_of_an_error_form_counts_errors_not_calls(caller: Caller, state: SimulatorState) -> None:
    run_id = caller.start(LONG)
    state.set_faults({"err.old": 1})
    caller.shown(run_id)
    assert [caller.get("x").json()["error"]["code"] for _ in range(2)] == [404, "not_found"]
