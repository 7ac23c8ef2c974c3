"""The official client of OpenAI, an independent one, parses everything that the face of OpenAI Agents sends.

The client keeps values that it does not know as they are, so each reply is checked against its types as well.
"""

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
HOSTED = {"type": "openai_hosted", "container_size": "small", "network": {"access": "disabled"}}
AGENT = {"model": "gpt-6-astra", "instructions": "Be brief.", "multi_agent": {"enabled": False}}


@pytest.fixture(scope="module")
def simulator() -> Iterator[SimulatorThread]:
    """A simulator in real time, shared by all tests: the client takes a second to import."""
    with SimulatorThread(SimulatorState(seed=23), face="openai") as simulator:
        yield simulator


@pytest.fixture(scope="module")
def openai() -> Any:
    """The library. It is loaded when it is first needed: that takes a second."""
    return import_module("openai")


@pytest.fixture(scope="module")
def open_client(simulator: SimulatorThread, openai: Any) -> Iterator[Any]:
    """The client, pointed at the simulator, with its retries switched off."""
    client = openai.OpenAI(api_key="secret", base_url=f"{simulator.url}/v1", max_retries=0)
    yield client
    client.close()


@pytest.fixture
def client(open_client: Any, simulator: SimulatorThread) -> Any:
    """The same client, before a service without sessions."""
    simulator.state.reset()
    return open_client.beta.agents


def checked(thing: Any) -> Any:
    """Return what the client parsed, after checking it strictly against its type."""
    assert isinstance(thing, BaseModel)
    TypeAdapter(type(thing)).validate_python(thing.model_dump(warnings="error"), strict=True)
    return thing


@pytest.fixture
def prepare(client: Any) -> Callable[..., Any]:
    """Return a function that makes a session as Nightdesk does."""

    def prepare(**more: Any) -> Any:
        asked: dict[str, Any] = {"environment": HOSTED, "agent": AGENT, "review": "none", "metadata": LABELS}
        return checked(client.sessions.create(**asked | more))

    return prepare


def send(client: Any, session_id: str, prompt: str, key: str = "01k0") -> None:
    content = [{"type": "input_text", "text": prompt}]
    message = {"type": "agent.session.input.message", "input": [{"role": "user", "content": content}]}
    client.sessions.events.create(session_id, events=[message], idempotency_key=key)


def cancel(client: Any, session_id: str, key: str) -> None:
    client.sessions.events.create(session_id, events=[{"type": "agent.session.input.cancel"}], idempotency_key=key)


def ended(client: Any, session_id: str) -> Any:
    """Wait for the end of the turn and return it."""
    statuses = ("completed", "failed", "cancelled")
    until_sync(lambda: [turn.status for turn in client.sessions.turns.list(session_id)][:1][0] in statuses)
    (turn,) = client.sessions.turns.list(session_id).data
    return checked(turn)


def test_a_session_does_nothing_before_its_message(client: Any, prepare: Any, simulator: SimulatorThread) -> None:
    made = prepare()
    assert (made.status, made.metadata, made.usage, made.error) == ("idle", LABELS, None, None)
    assert (made.environment.container_size, made.environment.network.access) == ("small", "disabled")
    assert made.agent.model == "gpt-6-astra"
    assert client.sessions.turns.list(made.id).data == []
    assert (simulator.state.posts(), simulator.state.started()) == (0, 0)


def test_it_starts_polls_and_reads_the_items(client: Any, prepare: Any) -> None:
    made = prepare()
    send(client, made.id, FAST.prompt())
    turn = ended(client, made.id)
    assert (turn.status, turn.session_id, turn.subagent_id, turn.error) == ("completed", made.id, None, None)
    session = checked(client.sessions.retrieve(made.id))
    assert (session.status, session.usage.total_tokens) == ("idle", 16_000)
    assert session.usage.input_tokens_details.cached_tokens == 8_000
    items = list(client.sessions.items.list(made.id, order="asc", limit=3))
    assert [checked(item).type for item in items].count("message") == 2
    assert {"reasoning", "command_execution", "web_search_call"} <= {item.type for item in items}
    assert all(item.turn_id == turn.id for item in items)
    assert items[0].role == "user"
    assert (items[-1].phase, items[-1].output_text[:16]) == ("final_answer", "# Nightly report")
    assert [item.id for item in client.sessions.items.list(made.id)] == [item.id for item in reversed(items)]


def test_a_repeated_message_with_its_key_starts_nothing_twice(client: Any, prepare: Any, simulator: Any) -> None:
    made = prepare()
    for _ in range(3):
        send(client, made.id, FAST.prompt())
    ended(client, made.id)
    send(client, made.id, FAST.prompt())
    assert (simulator.state.posts(KEY), simulator.state.started(KEY)) == (4, 1)
    simulator.state.set_faults(["key.forgotten"])
    send(client, made.id, FAST.prompt())
    assert simulator.state.started(KEY) == 2
    assert len(client.sessions.turns.list(made.id).data) == 2


def test_a_message_during_a_turn_steers_it(client: Any, prepare: Any, simulator: SimulatorThread) -> None:
    made = prepare()
    send(client, made.id, LONG.prompt())
    send(client, made.id, "Be quick.", key="other")
    assert simulator.state.started() == 1


def test_the_stream_holds_what_happens_after_its_opening(client: Any, prepare: Any) -> None:
    made = prepare()
    seen = []
    with client.sessions.events.stream(made.id) as stream:
        send(client, made.id, FAST.prompt())
        for event in stream:
            seen.append(checked(event))
            if event.type == "agent.session.idle":
                break
    types = [event.type for event in seen]
    assert types[:2] == ["agent.session.turn.created", "agent.session.in_progress"]
    assert types[-2:] == ["agent.session.turn.completed", "agent.session.idle"]
    assert {"agent.session.turn.item.added", "agent.session.turn.item.done"} < set(types)
    assert "".join(e.delta for e in seen if e.type.endswith("text.delta")).startswith("# Nightly report")
    assert seen[-2].usage.total_tokens == 16_000


def test_it_cancels_and_then_deletes(client: Any, prepare: Any, simulator: SimulatorThread, openai: Any) -> None:
    made = prepare()
    send(client, made.id, LONG.prompt())
    with pytest.raises(openai.ConflictError):
        client.sessions.delete(made.id)
    cancel(client, made.id, "01k0-cancel-1")
    cancel(client, made.id, "01k0-cancel-2")
    assert ended(client, made.id).status == "cancelled"
    assert checked(client.sessions.delete(made.id)).deleted
    with pytest.raises(openai.NotFoundError):
        send(client, made.id, FAST.prompt(), key="late")
    assert simulator.state.live() == 0


@pytest.mark.parametrize(
    ("ending", "turn_status", "code"),
    [(Ending.FAILED, "failed", "internal_error"), (Ending.INCOMPLETE, "failed", "max_output_tokens")],
)
def test_it_reads_failures(client: Any, prepare: Any, ending: Ending, turn_status: str, code: str) -> None:
    made = prepare()
    send(client, made.id, Scenario(steps=2, step_seconds=0, ending=ending, error_code="internal_error").prompt())
    turn = ended(client, made.id)
    assert (turn.status, turn.error.code) == (turn_status, code)


def test_it_reads_what_a_session_waits_for(client: Any, prepare: Any) -> None:
    made = prepare()
    send(client, made.id, Scenario(steps=2, step_seconds=0, ending=Ending.REQUIRES_ACTION).prompt())
    session = checked(client.sessions.retrieve(made.id))
    assert session.status == "requires_action"
    assert [action.type for action in session.required_actions] == ["function_call"]
    assert client.sessions.turns.list(made.id).data[0].status == "waiting"


def test_it_lists_by_metadata(client: Any, prepare: Any, simulator: SimulatorThread) -> None:
    first, second = prepare(), prepare(metadata={"nightdesk-run": "01k1"})
    assert [each.id for each in client.sessions.list(order="asc", limit=1)] == [first.id, second.id]
    assert [each.id for each in client.sessions.list(metadata={"nightdesk-run": "01k1"})] == [second.id]
    simulator.state.set_faults({"list.lag": 60})
    assert client.sessions.list().data == []


def test_it_reads_saved_agents(client: Any, prepare: Any) -> None:
    saved = checked(client.create(model="gpt-6-astra", name="nightly", tools=[{"type": "web_search"}]))
    assert checked(client.retrieve(saved.id)).name == "nightly"
    assert prepare(agent_id=saved.id, agent={"model": "gpt-6-nova"}).agent.model == "gpt-6-nova"


def test_wrong_calls_are_refused(client: Any, prepare: Any, simulator: SimulatorThread, openai: Any) -> None:
    for wrong in (
        {"environment": {"type": "none"}},
        {"environment": {**HOSTED, "container_size": "huge"}},
        {"agent": {"instructions": "x"}},
        {"metadata": {"k": "x" * 513}},
        {"extra_body": {"spend_control": {"max": 1}}},
        {"environment": {**HOSTED, "network": {"access": "restricted"}}},
    ):
        with pytest.raises(openai.BadRequestError):
            prepare(**wrong)
    with pytest.raises(openai.NotFoundError):
        client.sessions.retrieve("sess_nobody", extra_headers={"OpenAI-Beta": "agents=v0"})
    assert (simulator.state.sessions.made, simulator.state.started()) == (0, 0)


@pytest.mark.parametrize("form", ["err.new", "err.old", "err.html", "err.empty"])
def test_it_reads_every_form_of_error(client: Any, simulator: SimulatorThread, form: str, openai: Any) -> None:
    simulator.state.set_faults([form])
    with pytest.raises(openai.NotFoundError) as caught:
        client.sessions.retrieve("sess_nobody")
    assert caught.value.code == ("not_found" if form == "err.new" else None)


def test_messages_are_refused_while_a_session_is_set_up(
    client: Any, prepare: Any, simulator: SimulatorThread, openai: Any
) -> None:
    simulator.state.set_faults({"session.setup": 60})
    made = prepare()
    with pytest.raises(openai.ConflictError):
        send(client, made.id, FAST.prompt())
    simulator.state.clear_faults()
    send(client, made.id, FAST.prompt())
    assert simulator.state.started() == 1


def test_with_its_own_retries_the_client_repeats_a_message_with_one_key(
    simulator: SimulatorThread, openai: Any
) -> None:
    """Two lost answers, three requests, one run: the key makes the repetition harmless, where the service knows it."""
    simulator.state.reset()
    client: Any = openai.OpenAI(api_key="secret", base_url=f"{simulator.url}/v1", max_retries=2)
    made = client.beta.agents.sessions.create(environment=HOSTED, agent=AGENT, metadata=LABELS)
    simulator.state.set_faults({"create.503_but_done": 2})
    send(client.beta.agents, made.id, LONG.prompt())
    client.close()
    assert (simulator.state.posts(KEY), simulator.state.started(KEY)) == (3, 1)
