"""The official SDK, an independent client, parses everything that the simulator sends.

The SDK keeps what it does not know as `Unknown…`; none of that may appear.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from console.simulator.scenario import Ending, Scenario
from console.simulator.server import SimulatorThread
from console.simulator.state import SimulatorState
from tests.simulator.caller import AGENT, KEY
from tests.waiting import until_sync

FAST = Scenario(steps=16, step_seconds=0.004, tokens_per_step=1000, cached_share=0.5, cancel_seconds=0.02)
LONG = Scenario(steps=400, step_seconds=0.05, tokens_per_step=1000, cancel_seconds=0.02)


@pytest.fixture(scope="module")
def simulator() -> Iterator[SimulatorThread]:
    """A simulator in real time, shared by all tests: the SDK takes a second to import and to make its first call."""
    with SimulatorThread(SimulatorState(seed=23)) as simulator:
        yield simulator


@pytest.fixture(scope="module")
def open_client(simulator: SimulatorThread) -> Iterator[Any]:
    """The SDK, pointed at the simulator, with its retries switched off."""
    from google import genai

    options: Any = {"base_url": simulator.url, "api_version": "v1beta", "retry_options": {"attempts": 1}}
    client = genai.Client(api_key="secret", http_options=options)
    yield client
    client.close()


@pytest.fixture
def client(open_client: Any, simulator: SimulatorThread) -> Any:
    """The same client, before a service without runs."""
    simulator.state.reset()
    return open_client


@pytest.fixture
def create(client: Any) -> Callable[..., Any]:
    """Return a function that launches as Nightdesk does."""

    def create(scenario: Scenario, *, limit: int = 1_000_000, **more: Any) -> Any:
        asked = {
            "agent": AGENT,
            "agent_config": {"type": "antigravity", "max_total_tokens": limit},
            "input": scenario.prompt(),
            "background": True,
            "environment": "remote",
            "labels": {"nightdesk-key": KEY},
        }
        return client.interactions.create(**asked | more)

    return create


def _ended(client: Any, run_id: str) -> Any:
    """Wait for the end of an interaction and return it."""
    until_sync(lambda: client.interactions.get(run_id).status not in ("in_progress", "queued"))
    return client.interactions.get(run_id)


def _no_unknown(thing: object) -> None:
    """Check that the SDK knows every part of what it parsed."""
    assert "Unknown" not in type(thing).__name__, thing
    for part in getattr(thing, "__dict__", {}).values():
        for inner in part if isinstance(part, list) else [part]:
            _no_unknown(inner)


def test_it_creates_in_the_background_and_polls_to_the_end(client: Any, create: Callable[..., Any]) -> None:
    made = create(FAST)
    assert (made.status, made.agent, made.agent_config.max_total_tokens) == ("in_progress", AGENT, 1_000_000)
    assert made.environment_id
    end = _ended(client, made.id)
    _no_unknown(end)
    assert (end.status, end.labels, len(end.steps)) == ("completed", {"nightdesk-key": KEY}, 17)
    assert (end.usage.total_tokens, end.usage.total_cached_tokens) == (16_000, 8_000)
    assert end.output_text.startswith("# Nightly report")
    assert client.interactions.get(made.id, include_input=True).input == FAST.prompt()


def test_it_follows_the_stream_to_its_end_and_resumes_it(client: Any, create: Callable[..., Any]) -> None:
    made = create(FAST)
    events = list(client.interactions.get(made.id, stream=True))
    for event in events:
        _no_unknown(event)
    types = {event.event_type for event in events}
    assert types == {"interaction.created", "step.start", "step.delta", "step.stop", "interaction.completed"}
    last = events[-1].interaction
    assert (last.status, last.usage.total_tokens) == ("completed", 16_000)
    rest = list(client.interactions.get(made.id, stream=True, last_event_id=events[6].event_id))
    assert [event.event_id for event in rest] == [event.event_id for event in events[7:]]


def test_it_streams_what_it_creates(create: Callable[..., Any]) -> None:
    events = list(create(FAST, stream=True))
    assert events[0].event_type == "interaction.created"
    assert events[-1].interaction.status == "completed"


def test_it_waits_for_a_run_in_the_foreground(create: Callable[..., Any]) -> None:
    assert create(FAST, background=False).status == "completed"


def test_it_cancels(client: Any, create: Callable[..., Any]) -> None:
    made = create(LONG)
    assert client.interactions.cancel(made.id).status in ("in_progress", "cancelled")
    assert _ended(client, made.id).status == "cancelled"
    assert client.interactions.cancel(made.id).status == "cancelled"


def test_a_run_reaches_its_token_limit(client: Any, create: Callable[..., Any], simulator: SimulatorThread) -> None:
    fast = Scenario(steps=50, step_seconds=0.001, tokens_per_step=1000)
    assert _ended(client, create(fast, limit=4500).id).usage.total_tokens == 5000
    simulator.state.set_faults(["budget.exceeded"])
    assert _ended(client, create(fast, limit=4500).id).status == "budget_exceeded"


@pytest.mark.parametrize(
    ("ending", "status"),
    [
        (Ending.FAILED, "failed"),
        (Ending.INCOMPLETE, "incomplete"),
        (Ending.REQUIRES_ACTION, "requires_action"),
        (Ending.UNKNOWN, "paused_for_review"),
    ],
)
def test_it_reads_every_ending(client: Any, create: Callable[..., Any], ending: Ending, status: str) -> None:
    end = _ended(client, create(Scenario(steps=2, step_seconds=0, ending=ending)).id)
    _no_unknown(end)
    assert end.status == status
    if ending is Ending.FAILED:
        assert end.errors[0].code == "api_error"


@pytest.mark.parametrize("form", ["err.new", "err.old", "err.array", "err.html", "err.empty"])
def test_it_reads_every_form_of_error(client: Any, simulator: SimulatorThread, form: str) -> None:
    simulator.state.set_faults([form])
    with pytest.raises(Exception, match=r"404") as caught:
        client.interactions.get("nobody")
    assert getattr(caught.value, "status_code", None) == 404


def test_wrong_launches_are_refused(create: Callable[..., Any], simulator: SimulatorThread) -> None:
    for wrong in ({"store": False}, {"labels": {"Bad": "x"}}, {"extra_body": {"timeout": 60}}):
        with pytest.raises(Exception, match="400"):
            create(FAST, **wrong)
    assert (simulator.state.posts(), simulator.state.started()) == (3, 0)


def test_with_its_own_retries_a_flaky_gateway_starts_several_paid_runs(simulator: SimulatorThread) -> None:
    """One launch, two 503 replies although it started, three runs: this is why Nightdesk has its own client."""
    from google import genai

    simulator.state.reset()
    simulator.state.set_faults({"create.503_but_started": 2})
    options: Any = {"base_url": simulator.url, "retry_options": {"attempts": 3, "initial_delay": 0.01}}
    client: Any = genai.Client(api_key="secret", http_options=options)
    client.interactions.create(agent=AGENT, input=LONG.prompt(), background=True, labels={"nightdesk-key": KEY})
    client.close()
    assert (simulator.state.posts(KEY), simulator.state.started(KEY), simulator.state.live(KEY)) == (3, 3, 3)


@pytest.mark.filterwarnings("ignore:Environments usage is experimental:UserWarning")  # the SDK says so of every call
def test_it_makes_finds_and_deletes_sandboxes(client: Any, create: Callable[..., Any]) -> None:
    made = client.environments.create()
    assert (made.status, made.file_count, made.size_bytes) == ("active", 12, 3456)
    run = create(LONG, environment=made.id)
    assert run.environment_id == made.id
    assert [one.id for one in client.environments.list().environments] == [made.id]
    assert client.environments.get(made.id).id == made.id
    client.environments.delete(made.id)
    assert _ended(client, run.id).status == "failed"


@pytest.mark.filterwarnings("ignore:Agents usage is experimental:UserWarning")  # the SDK says so of every call
def test_it_saves_and_deletes_agents(client: Any) -> None:
    client.agents.create(id="mine", base_agent=AGENT, agent_config={"type": "antigravity"})
    assert [one.id for one in client.agents.list().agents] == ["mine"]
    assert client.agents.get("mine").base_agent == AGENT
    client.agents.delete("mine")
    assert not client.agents.list().agents


def test_it_deletes_an_interaction(client: Any, create: Callable[..., Any]) -> None:
    made = create(FAST)
    _ended(client, made.id)
    client.interactions.delete(made.id)
    with pytest.raises(Exception, match="not found"):
        client.interactions.get(made.id)


@pytest.mark.filterwarnings("ignore:Triggers usage is experimental")
def test_it_makes_pauses_runs_and_deletes_a_trigger(client: Any, simulator: SimulatorThread) -> None:
    """A paused trigger is run by hand, its execution names the interaction, and the service ends it at its limit."""
    trigger = client.triggers.create(
        interaction={
            "agent": AGENT,
            "agent_config": {"type": "antigravity", "max_total_tokens": 1_000_000},
            "input": LONG.prompt(),
            "background": True,
            "environment": "remote",
            "labels": {"nightdesk-key": KEY},
        },
        schedule="0 0 29 2 *",
        time_zone="UTC",
        execution_timeout_seconds=5,
    )
    assert client.triggers.update(id=trigger.id, status="paused").status == "paused"
    execution = client.triggers.run(trigger_id=trigger.id)
    (listed,) = client.triggers.list_executions(trigger_id=trigger.id).trigger_executions
    assert (listed.id, listed.interaction_id, listed.status) == (execution.id, execution.interaction_id, "in_progress")
    assert client.triggers.get(id=trigger.id).previous_interaction_id == execution.interaction_id
    assert [each.id for each in client.triggers.list().triggers] == [trigger.id]
    simulator.state.advance(6)
    (ended,) = client.triggers.list_executions(trigger_id=trigger.id).trigger_executions
    assert ended.status == "timed_out"
    assert client.interactions.get(execution.interaction_id).status == "cancelled"
    for thing in (trigger, execution, ended):
        _no_unknown(thing)
    client.triggers.delete(id=trigger.id)
    assert not client.triggers.list().triggers
