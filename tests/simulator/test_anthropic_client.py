"""The official client of Anthropic, an independent one, parses everything that the face of Managed Agents sends."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from importlib import import_module
from typing import Any

import pytest
from pydantic import BaseModel, TypeAdapter

from console.simulator.scenario import Ending, Scenario
from console.simulator.server import SimulatorThread
from console.simulator.state import SimulatorState
from tests.waiting import until_sync

KEY = "9f2c51ab03de7714"
LABELS = {"nightdesk-run": "01k0", "nightdesk-key": KEY}
FAST = Scenario(steps=16, step_seconds=0.004, tokens_per_step=1000, cached_share=0.5, cancel_seconds=0.02)
LONG = Scenario(steps=400, step_seconds=0.05, tokens_per_step=1000, cancel_seconds=0.02)
BUDGET = {"type": "limit", "max_list_cost": {"amount": "3", "currency": "USD"}}


@pytest.fixture(scope="module")
def simulator() -> Iterator[SimulatorThread]:
    """A simulator in real time, shared by all tests: the client takes a second to import."""
    with SimulatorThread(SimulatorState(seed=23), face="anthropic") as simulator:
        yield simulator


@pytest.fixture(scope="module")
def anthropic() -> Any:
    """The library. It is loaded when it is first needed: that takes a second."""
    return import_module("anthropic")


@pytest.fixture(scope="module")
def open_client(simulator: SimulatorThread, anthropic: Any) -> Iterator[Any]:
    """The client, pointed at the simulator, with its retries switched off."""
    client = anthropic.Anthropic(api_key="secret", base_url=simulator.url, max_retries=0)
    yield client
    client.close()


@pytest.fixture
def client(open_client: Any, simulator: SimulatorThread) -> Any:
    """The same client, before a service without sessions."""
    simulator.state.reset()
    return open_client.beta


def checked(thing: Any) -> Any:
    """Return what the client parsed, after checking it strictly against its type."""
    assert isinstance(thing, BaseModel)
    TypeAdapter(type(thing)).validate_python(thing.model_dump(warnings="error"), strict=True)
    return thing


@pytest.fixture
def prepare(client: Any) -> Callable[..., Any]:
    """Return a function that makes a session as Nightdesk does."""

    def prepare(**more: Any) -> Any:
        asked: dict[str, Any] = {"agent": "agent_7", "environment_id": "env_7", "metadata": LABELS}
        return checked(client.sessions.create(**asked | more))

    return prepare


def message(scenario: Scenario) -> dict[str, Any]:
    return {"type": "user.message", "content": [{"type": "text", "text": scenario.prompt()}]}


@pytest.fixture
def launch(client: Any, prepare: Callable[..., Any]) -> Callable[..., str]:
    """Return a function that makes a session and starts a run in it."""

    def launch(scenario: Scenario, **more: Any) -> str:
        session = prepare(**more)
        sent = checked(client.sessions.events.send(session.id, events=[message(scenario)]))
        assert [(event.type, event.processed_at) for event in sent.data] == [("user.message", None)]
        return str(session.id)

    return launch


def idle(client: Any, session_id: str) -> Any:
    """Wait until the session is idle again and return the event that says why."""
    until_sync(lambda: checked(client.sessions.retrieve(session_id)).status == "idle")
    newest = client.sessions.events.list(session_id, order="desc", types=["session.status_idle"], limit=1)
    return checked(next(iter(newest)))


def test_the_templates_of_an_operator(client: Any, prepare: Callable[..., Any]) -> None:
    tools = [{"type": "agent_toolset_20260401", "default_config": {"permission_policy": {"type": "always_ask"}}}]
    agent = checked(client.agents.create(name="nightly", model="claude-haiku-5-5", system="Be brief.", tools=tools))
    assert checked(client.agents.retrieve(agent.id)).tools[0].default_config.permission_policy.type == "always_ask"
    limited = {
        "type": "limited",
        "allowed_hosts": ["api.example"],
        "allow_mcp_servers": False,
        "allow_package_managers": False,
    }
    made = checked(client.environments.create(name="nightly", config={"type": "cloud", "networking": limited}))
    shown = checked(client.environments.retrieve(made.id))
    assert shown.config.networking.allowed_hosts == ["api.example"]
    session = prepare(agent={"type": "agent", "id": agent.id, "version": agent.version}, environment_id=made.id)
    assert (session.agent.id, session.agent.version, session.environment_id) == (agent.id, 1, made.id)


def test_a_session_does_nothing_until_its_first_message(
    client: Any, prepare: Callable[..., Any], simulator: SimulatorThread
) -> None:
    session = prepare(budget=BUDGET, title="nightly")
    assert (session.status, session.metadata, session.budget.max_list_cost.amount) == ("idle", LABELS, "3")
    assert list(client.sessions.events.list(session.id)) == []
    assert simulator.state.started() == 0
    client.sessions.events.send(session.id, events=[message(LONG)])
    assert client.sessions.retrieve(session.id).status == "running"
    assert simulator.state.started(KEY) == 1


def test_a_session_with_initial_events_is_born_running(prepare: Callable[..., Any], simulator: SimulatorThread) -> None:
    assert prepare(initial_events=[message(LONG)]).status == "running"
    assert simulator.state.started(KEY) == 1


def test_every_event_of_a_run_is_one_that_the_client_knows(
    client: Any, launch: Callable[..., str], simulator: SimulatorThread
) -> None:
    session_id = launch(FAST)
    assert idle(client, session_id).stop_reason.type == "end_turn"
    events = [checked(event) for event in client.sessions.events.list(session_id, limit=7)]
    assert events[-1].type == "session.status_idle"
    assert events[-2].type == "session.usage"
    assert {event.type for event in events} == {
        *("user.message", "session.status_running", "agent.thinking", "agent.tool_use", "agent.tool_result"),
        *("span.model_request_end", "session.usage", "agent.message", "session.status_idle"),
    }
    newest_first = list(client.sessions.events.list(session_id, limit=7, order="desc"))
    assert [event.id for event in newest_first] == [event.id for event in events[::-1]]
    usage = checked(client.sessions.retrieve(session_id)).usage
    truth = simulator.state.view(session_id).tokens
    written = usage.cache_creation.ephemeral_5m_input_tokens
    assert usage.input_tokens + usage.cache_read_input_tokens + written + usage.output_tokens == truth.total
    assert int(usage.list_cost.amount) > 0
    requests = [event.model_usage for event in events if event.type == "span.model_request_end"]
    assert sum(request.output_tokens for request in requests) == pytest.approx(usage.output_tokens, abs=len(requests))


@pytest.mark.parametrize(
    ("ending", "reason"),
    [
        (Ending.COMPLETED, "end_turn"),
        (Ending.FAILED, "retries_exhausted"),
        (Ending.BUDGET_EXCEEDED, "budget_reached"),
        (Ending.REQUIRES_ACTION, "requires_action"),
    ],
)
def test_why_a_session_is_idle(client: Any, launch: Callable[..., str], ending: Ending, reason: str) -> None:
    why = idle(client, launch(Scenario(steps=2, step_seconds=0.004, ending=ending))).stop_reason
    assert why.type == reason


def test_the_service_stops_a_run_at_its_budget(client: Any, launch: Callable[..., str], anthropic: Any) -> None:
    session_id = launch(Scenario(steps=400, step_seconds=0.004, tokens_per_step=2_000), budget=BUDGET)
    assert idle(client, session_id).stop_reason.type == "budget_reached"
    assert int(client.sessions.retrieve(session_id).usage.list_cost.amount) >= 3
    with pytest.raises(anthropic.BadRequestError):
        client.sessions.events.send(session_id, events=[message(FAST)])


def test_an_interrupt_stops_and_comes_before_the_idle_that_it_causes(
    client: Any, launch: Callable[..., str], anthropic: Any, simulator: SimulatorThread
) -> None:
    session_id = launch(LONG)
    for call in (client.sessions.delete, client.sessions.archive):
        with pytest.raises(anthropic.BadRequestError):
            call(session_id)
    client.sessions.events.send(session_id, events=[{"type": "user.interrupt"}])
    assert idle(client, session_id).stop_reason.type == "end_turn"
    kinds = [event.type for event in client.sessions.events.list(session_id)]
    assert kinds.index("session.status_running") < kinds.index("user.interrupt") < kinds.index("session.status_idle")
    archived = checked(client.sessions.archive(session_id))
    assert archived.status == "terminated"
    assert archived.archived_at is not None
    assert checked(client.sessions.delete(session_id)).type == "session_deleted"
    with pytest.raises(anthropic.NotFoundError):
        client.sessions.retrieve(session_id)
    assert simulator.state.live(KEY) == 0


def test_a_session_at_its_budget_may_run_on_until_it_is_interrupted(
    client: Any, launch: Callable[..., str], anthropic: Any
) -> None:
    session_id = launch(Scenario(steps=400, step_seconds=0.004, faults=["budget.hangs"]), budget=BUDGET)
    until_sync(lambda: int(client.sessions.retrieve(session_id).usage.list_cost.amount) >= 3)
    assert client.sessions.retrieve(session_id).status == "running"
    with pytest.raises(anthropic.BadRequestError):
        client.sessions.archive(session_id)
    client.sessions.events.send(session_id, events=[{"type": "user.interrupt"}])
    assert idle(client, session_id).stop_reason.type == "budget_reached"


def test_a_failed_run_may_end_its_session(client: Any, launch: Callable[..., str], simulator: SimulatorThread) -> None:
    session_id = launch(Scenario(steps=2, step_seconds=0.004, ending=Ending.FAILED, faults=["session.failed"]))
    until_sync(lambda: client.sessions.retrieve(session_id).status == "terminated")
    errors = list(client.sessions.events.list(session_id, types=["session.error"]))
    assert [(error.error.type, error.error.retry_status.type) for error in errors] == [("api_error", "terminal")]
    assert client.sessions.retrieve(session_id).archived_at is None


def test_a_repeated_message_starts_another_run(
    client: Any, launch: Callable[..., str], simulator: SimulatorThread
) -> None:
    client.sessions.events.send(launch(LONG), events=[message(LONG)])
    assert simulator.state.started(KEY) == 2


def test_the_list_has_no_filter_by_metadata(client: Any, prepare: Callable[..., Any]) -> None:
    made = [prepare(metadata={"nightdesk-run": str(number)}).id for number in range(5)]
    client.sessions.archive(made[0])
    listed = [checked(session) for session in client.sessions.list(agent_id="agent_7", limit=2, statuses=["idle"])]
    assert [session.id for session in listed] == made[:0:-1]
    everything = client.sessions.list(order="asc", include_archived=True, created_at_gte="2020-01-01T00:00:00Z")
    assert [session.id for session in everything] == made
    assert list(client.sessions.list(agent_id="agent_8")) == []


def test_the_stream_sends_what_happens_after_it_was_opened(
    client: Any, prepare: Callable[..., Any], simulator: SimulatorThread
) -> None:
    session_id = prepare().id
    with client.sessions.events.stream(session_id) as stream:
        client.sessions.events.send(session_id, events=[message(FAST)])
        seen = []
        for event in stream:
            seen.append(checked(event))
            if event.type == "session.status_idle":
                break
    listed = [event.id for event in client.sessions.events.list(session_id, limit=100)]
    assert {event.id for event in seen} == set(listed)


def test_refusals_have_no_code(client: Any, prepare: Callable[..., Any], anthropic: Any) -> None:
    with pytest.raises(anthropic.BadRequestError) as refused:
        prepare(metadata={f"key-{number}": "value" for number in range(17)})
    assert refused.value.body["error"].keys() == {"type", "message"}
    with pytest.raises(anthropic.BadRequestError) as unpriced:
        prepare(agent={"type": "agent_with_overrides", "id": "agent_7", "model": "preview-1"}, budget=BUDGET)
    assert unpriced.value.body["error"]["details"] == {"error_code": "model_not_budgetable"}
    with pytest.raises(anthropic.NotFoundError):
        prepare(agent="nobody")
    with pytest.raises(anthropic.NotFoundError):
        client.sessions.events.send("sesn_none", events=[message(FAST)])


def test_a_call_without_the_beta_header_finds_nothing(simulator: SimulatorThread, anthropic: Any) -> None:
    plain = anthropic.Anthropic(api_key="secret", base_url=simulator.url, max_retries=0)
    with plain, pytest.raises(anthropic.NotFoundError):
        plain.post("/v1/sessions", body={"agent": "agent_7", "environment_id": "env_7"}, cast_to=object)


def test_a_cursor_belongs_to_one_order(client: Any, launch: Callable[..., str], anthropic: Any) -> None:
    session_id = launch(FAST)
    idle(client, session_id)
    page = client.sessions.events.list(session_id, limit=2)
    with pytest.raises(anthropic.BadRequestError):
        client.sessions.events.list(session_id, limit=2, order="desc", page=page.next_page)
