"""An interaction from its launch to its end, as a client sees it. The clock moves only between two calls."""

from __future__ import annotations

import pytest

from console.simulator.faults import FaultSet
from console.simulator.gemini.validation import check_launch
from console.simulator.scenario import Ending, Scenario
from console.simulator.server import SimulatorThread
from console.simulator.state import SimulatorState
from tests.simulator.caller import KEY, Caller, code, kinds, launch_body

TEN = Scenario(steps=10, step_seconds=10, tokens_per_step=1000, cached_share=0.5, cancel_seconds=5)


def test_a_background_launch_is_answered_at_once_with_the_documented_body(
    caller: Caller, state: SimulatorState
) -> None:
    shown = caller.create(TEN).json()
    run_id, environment_id = shown.pop("id"), shown.pop("environment_id")
    assert run_id.startswith("v1_")
    assert len(environment_id) == 32
    assert shown == {
        "object": "interaction",
        "status": "in_progress",
        "agent": "antigravity-preview-09-2026",
        "agent_config": {"type": "antigravity", "max_total_tokens": "200000", "model": "gemini-3.8-flash"},
        "created": "2026-11-23T03:00:00Z",
        "updated": "2026-11-23T03:00:00Z",
        "service_tier": "standard",
        "steps": [],
        "labels": {"nightdesk-key": KEY, "nightdesk-run": "01k0", "nightdesk-attempt": "1"},
    }
    assert (state.posts(), state.posts(KEY), state.started(KEY), state.started("other")) == (1, 1, 1, 0)


def test_steps_appear_with_time_and_usage_only_at_the_end(caller: Caller, state: SimulatorState) -> None:
    run_id = caller.start(TEN)
    state.advance(35)
    midway = caller.shown(run_id)
    assert midway["steps"][0]["type"] == "user_input"
    assert (len(midway["steps"]), midway["status"], "usage" in midway) == (4, "in_progress", False)
    state.advance(65)
    end = caller.shown(run_id)
    assert (end["status"], len(end["steps"]), end["updated"]) == ("completed", 11, "2026-11-23T03:01:40Z")
    usage = end["usage"]
    assert (usage["total_tokens"], usage["total_cached_tokens"]) == (10_000, 5_000)
    assert usage["total_tokens"] == (
        usage["total_input_tokens"] + usage["total_output_tokens"] + usage["total_thought_tokens"]
    )


def test_the_input_is_shown_only_on_request(caller: Caller) -> None:
    run_id = caller.start(TEN)
    assert "input" not in caller.shown(run_id)
    assert caller.get(run_id, include_input="true").json()["input"] == TEN.prompt()
    assert code(caller.get(run_id, fields="status")) == (400, "parameter_unknown")
    assert caller.get(run_id, fields="*").status_code == 200


def test_a_run_may_be_queued_first(caller: Caller, state: SimulatorState) -> None:
    run_id = caller.start(Scenario(queued_seconds=60, step_seconds=10, steps=2))
    assert caller.shown(run_id)["status"] == "queued"
    state.advance(61)
    assert caller.shown(run_id)["status"] == "in_progress"
    state.advance(20)
    assert caller.shown(run_id)["status"] == "completed"


@pytest.mark.parametrize(
    ("ending", "status", "spends"),
    [
        (Ending.FAILED, "failed", False),
        (Ending.INCOMPLETE, "incomplete", False),
        (Ending.BUDGET_EXCEEDED, "budget_exceeded", False),
        (Ending.REQUIRES_ACTION, "requires_action", False),
        (Ending.REQUIRES_CONTINUATION, "requires_continuation", False),
        (Ending.UNKNOWN, "paused_for_review", True),
        (Ending.NEVER, "in_progress", True),
    ],
)
def test_every_documented_status_and_an_unknown_one(
    caller: Caller, state: SimulatorState, ending: Ending, status: str, spends: bool
) -> None:
    run_id = caller.start(Scenario(steps=2, step_seconds=1, ending=ending), agent_config=None)
    state.advance(1000)
    shown = caller.shown(run_id)
    assert shown["status"] == status
    assert state.live() == spends
    assert ("errors" in shown) == (ending is Ending.FAILED)


def test_an_unknown_live_status_is_shown_as_it_is(caller: Caller) -> None:
    assert caller.shown(caller.start(Scenario(step_seconds=9, live_status="thinking_hard")))["status"] == (
        "thinking_hard"
    )


@pytest.mark.parametrize("limit", [3500, "3500"])
def test_the_token_limit_ends_a_run_between_steps(caller: Caller, state: SimulatorState, limit: int | str) -> None:
    """Each step uses 500 uncached tokens, so the seventh reaches 3,500."""
    run_id = caller.start(TEN, agent_config={"type": "antigravity", "max_total_tokens": limit})
    state.advance(1000)
    shown = caller.shown(run_id)
    assert (shown["status"], shown["usage"]["total_tokens"]) == ("incomplete", 7000)


@pytest.mark.parametrize("colon", [False, True])
def test_a_cancel_takes_effect_later_and_ends_the_spending(caller: Caller, state: SimulatorState, colon: bool) -> None:
    run_id = caller.start(TEN)
    state.advance(25)
    assert caller.cancel(run_id, colon=colon).json()["status"] == "in_progress"
    state.advance(4)
    assert caller.shown(run_id)["status"] == "in_progress"
    state.advance(2)
    assert caller.shown(run_id)["status"] == "cancelled"
    state.advance(1000)
    shown = caller.shown(run_id)
    assert (shown["usage"]["total_tokens"], state.live()) == (3000, 0)
    assert shown["updated"] == "2026-11-23T03:00:30Z"


def test_a_run_that_ends_before_its_cancel_takes_effect_keeps_its_own_ending(
    caller: Caller, state: SimulatorState
) -> None:
    run_id = caller.start(TEN)
    state.advance(98)
    caller.cancel(run_id)
    state.advance(10)
    assert caller.shown(run_id)["status"] == "completed"


def test_a_second_cancel_changes_nothing(caller: Caller, state: SimulatorState) -> None:
    run_id = caller.start(TEN)
    caller.cancel(run_id)
    state.advance(4)
    caller.cancel(run_id)
    state.advance(1)
    assert caller.shown(run_id)["status"] == "cancelled"
    assert caller.cancel(run_id).json()["status"] == "cancelled"
    assert state.runs()[0].cancels == 3


@pytest.mark.parametrize("ending", [Ending.REQUIRES_ACTION, Ending.UNKNOWN])
def test_a_waiting_run_can_be_cancelled(caller: Caller, state: SimulatorState, ending: Ending) -> None:
    run_id = caller.start(Scenario(steps=2, step_seconds=1, ending=ending, cancel_seconds=1))
    state.advance(10)
    caller.cancel(run_id)
    state.advance(2)
    assert caller.shown(run_id)["status"] == "cancelled"


def test_a_deleted_interaction_is_not_found_and_continues(caller: Caller, state: SimulatorState) -> None:
    run_id = caller.start(TEN)
    reply = caller.call("DELETE", f"/interactions/{run_id}")
    assert (reply.status_code, reply.content) == (200, b"")
    assert code(caller.get(run_id)) == (404, "not_found")
    assert code(caller.cancel(run_id)) == (404, "not_found")
    assert state.live() == 1


def test_there_is_no_list_of_interactions(caller: Caller) -> None:
    caller.start(TEN)
    for method, path in [("GET", "/interactions"), ("GET", "/interactions/"), ("PATCH", "/interactions")]:
        reply = caller.call(method, path)
        assert reply.status_code == 404
        assert reply.json() == {"error": {"code": 404, "message": "Method not found.", "status": "NOT_FOUND"}}


def test_both_versions_are_one_service(simulator: SimulatorThread, caller: Caller) -> None:
    run_id = caller.start(TEN)
    other = Caller(simulator.url, version="v1")
    assert other.shown(run_id)["id"] == run_id
    other.close()


def test_a_foreground_launch_is_answered_at_the_end_of_its_run(caller: Caller) -> None:
    shown = caller.create(Scenario(step_seconds=0), background=False).json()
    assert (shown["status"], shown["usage"]["total_tokens"]) == ("completed", 12_000)
    assert all(step["type"] != "user_input" for step in shown["steps"])


def test_a_launch_may_stream_its_run(caller: Caller) -> None:
    reply = caller.create(Scenario(step_seconds=0, steps=1), stream=True)
    assert reply.headers["content-type"] == "text/event-stream"
    assert reply.text.endswith("event: done\ndata: [DONE]\n\n")


def test_the_stream_and_the_polls_agree(caller: Caller, state: SimulatorState) -> None:
    run_id = caller.start(TEN)
    state.advance(1000)
    events, shown = caller.events(run_id), caller.shown(run_id)
    stops = [event for event in events if event["event_type"] == "step.stop"]
    assert kinds(events)[0] == "interaction.created"
    assert kinds(events)[-1] == "interaction.completed"
    assert [stop["index"] for stop in stops] == list(range(10))
    assert [stop["usage"]["total_tokens"] for stop in stops] == [1000 * n for n in range(1, 11)]
    assert all(stop["step_usage"]["total_tokens"] == 1000 for stop in stops)
    assert events[-1]["interaction"]["usage"] == shown["usage"] == stops[-1]["usage"]
    started = [event["step"]["type"] for event in events if event["event_type"] == "step.start"]
    assert started == [step["type"] for step in shown["steps"][1:]]


def test_the_seed_determines_the_runs() -> None:
    """Two services with the same seed have equal runs. One service never uses an id twice, not even after a reset."""
    scenario = Scenario(jitter=0.5)
    states = [SimulatorState(seed=5, now=lambda: 0.0) for _ in range(2)]
    first = [one.start(check_launch(launch_body(scenario)), scenario, FaultSet()) for one in states]
    assert first[0].id == first[1].id
    assert first[0].view(99).steps == first[1].view(99).steps
    states[0].reset()
    again = states[0].start(check_launch(launch_body(scenario)), scenario, FaultSet())
    assert again.id != first[0].id
    assert again.view(99).steps == first[0].view(99).steps
