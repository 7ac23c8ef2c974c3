"""Items as steps and as the result, and the event stream that begins in the middle."""

from __future__ import annotations

import json
from contextlib import suppress

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from console.provider.contract import Step, StreamEvent
from console.provider.http.sse import Frame
from console.provider.openai.items import result_of, searches_of, steps_of
from console.provider.openai.replies import parse_error, remote_run
from console.provider.openai.stream import SessionReducer
from tests.provider.openai.examples import SESSION, Recorded, message, page, provider, turn

USER = {"id": "item_0", "type": "message", "role": "user", "content": [{"type": "input_text", "text": "the prompt"}]}
COMMAND = {
    "id": "item_2",
    "type": "command_execution",
    "command": "ls",
    "status": "completed",
    "output": "a",
    "exit_code": 0,
}

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=8,
)


@pytest.mark.parametrize(
    ("item", "text"),
    [
        (message("Done."), "Done."),
        ({"type": "reasoning", "summary": [{"type": "summary_text", "text": "Plan."}]}, "Plan."),
        (COMMAND, "ls\na"),
        ({**COMMAND, "exit_code": 2, "output": "no such file"}, "ls\nexit 2: no such file"),
        ({**COMMAND, "output": None, "exit_code": None}, "ls"),
        ({"type": "function_call", "name": "ask", "arguments": {"question": "May I?"}}, "ask question=May I?"),
        ({"type": "mcp_call", "name": "find", "arguments": "{}", "output": {"n": 3}}, 'find {}\n{"n":3}'),
        ({"type": "mcp_call", "name": "find", "arguments": {}, "error": "gone"}, "find\nerror: gone"),
        ({"type": "web_search_call", "action": {"type": "search", "queries": ["a", "b"]}}, "search a b"),
        ({"type": "web_search_call", "action": {"type": "open_page", "url": "https://x"}}, "open_page https://x"),
        ({"type": "web_search_call", "action": None}, "search"),
        ({"type": "newly_invented", "id": "x", "detail": 7}, '{"detail":7}'),
        ({"type": 5}, ""),
    ],
)
def test_an_item_is_one_step(item: dict[str, object], text: str) -> None:
    assert [step.text for step in steps_of([item])] == [text]


def test_what_the_client_sent_is_neither_shown_nor_counted() -> None:
    result = {"type": "function_call_output", "output": "the answer of the client"}
    steps = steps_of([USER, COMMAND, result, message("Done.")])
    assert [(step.index, step.kind) for step in steps] == [(0, "command_execution"), (1, "message")]


def test_the_result_is_the_answer_of_the_turn_without_comments() -> None:
    items = [
        message("From an earlier turn.", turn_id="turn_1"),
        message("I look first.", phase="commentary"),
        message("Part one, ", phase=None),
        COMMAND,
        message("part two."),
        message("cut off", status="incomplete"),
    ]
    assert result_of(items, "turn_6") == "Part one, part two."


def test_searches_are_counted_and_pages_are_not() -> None:
    calls = [
        {"type": "web_search_call", "action": action} for action in ({"type": "search"}, None, {"type": "open_page"})
    ]
    assert searches_of([*calls, COMMAND]) == 2


@pytest.mark.parametrize(
    ("body", "word", "said"),
    [
        ({"error": {"message": "m", "type": "t", "param": None, "code": "c"}}, "c", "m"),
        ({"error": {"message": "m", "type": "t", "param": None, "code": None}}, "t", "m"),
        ({"error": {"message": "m"}}, "", "m"),
        ({"error": {"code": "c"}}, "c", ""),
    ],
)
def test_an_error_reads_well_with_a_word_or_a_message_alone(body: object, word: str, said: str) -> None:
    error = parse_error(body)
    assert error is not None
    assert (error.code, error.message) == (word, said)


@pytest.mark.parametrize("body", [None, {}, [], {"error": None}, {"error": "x"}, {"error": {}}, {"message": "m"}])
def test_what_is_no_error_of_the_service(body: object) -> None:
    assert parse_error(body) is None


@given(JSON, JSON, st.lists(JSON, max_size=3))
@settings(max_examples=300, deadline=None)
def test_no_reply_breaks_the_reader(of_session: object, of_turn: object, items: list[object]) -> None:
    whole = of_session if isinstance(of_session, dict) else {}
    rows = [item for item in items if isinstance(item, dict)]
    with suppress(ValueError):
        remote_run({"status": "idle", **whole}, of_turn if isinstance(of_turn, dict) else None, rows, SESSION)


def frame(kind: str, **members: object) -> Frame:
    return Frame(event=kind, data=json.dumps({"type": kind, "event_id": "evt_1", **members}))


def fed(reducer: SessionReducer, *frames: Frame) -> list[StreamEvent]:
    return [event for each in frames if (event := reducer.feed(each)) is not None]


def test_a_step_grows_and_is_done() -> None:
    reducer = SessionReducer()
    begun = {**message("", id="item_5", status="in_progress"), "content": []}
    events = fed(
        reducer,
        frame("agent.session.turn.item.added", item=begun, output_index=0),
        frame("agent.session.turn.output_text.delta", item_id="item_5", delta="Hello, "),
        frame("agent.session.turn.output_text.delta", item_id="item_5", delta="world"),
        frame("agent.session.turn.item.done", item=message("Hello, world.", id="item_5"), output_index=0),
    )
    assert [event.step for event in events] == [
        Step(index=0, kind="message", text=""),
        Step(index=0, kind="message", text="Hello, "),
        Step(index=0, kind="message", text="Hello, world"),
        Step(index=0, kind="message", text="Hello, world.", done=True),
    ]


def test_the_output_of_a_command_stands_below_it() -> None:
    reducer = SessionReducer()
    begun = {**COMMAND, "status": "in_progress", "output": None}
    events = fed(
        reducer,
        frame("agent.session.turn.item.added", item=begun, output_index=3),
        frame("agent.output.command_execution_output.delta", item_id="item_2", delta="one"),
        frame("agent.output.command_execution_output.delta", item_id="item_2", delta=" two"),
    )
    assert [event.step and (event.step.index, event.step.text) for event in events] == [
        (3, "ls"),
        (3, "ls\none"),
        (3, "ls\none two"),
    ]


def test_steps_from_before_the_stream_keep_their_numbers() -> None:
    reducer = SessionReducer()
    past = reducer.history([USER, COMMAND, message("So far.", id="item_3", status="in_progress")])
    assert [event.step and event.step.index for event in past] == [0, 1]
    events = fed(
        reducer,
        frame("agent.session.turn.item.done", item=message("So far so good.", id="item_3"), output_index=1),
        frame("agent.session.turn.item.done", item={**COMMAND, "id": "item_4"}),
    )
    assert [event.step and event.step.index for event in events] == [1, 2]


def test_the_end_of_a_turn_tells_its_usage_and_ends_the_stream() -> None:
    usage = {"input_tokens": 10, "output_tokens": 5, "total_tokens": 15}
    for word in ("completed", "failed", "cancelled"):
        reducer = SessionReducer()
        (event,) = fed(reducer, frame(f"agent.session.turn.{word}", turn=turn(word), usage=usage))
        assert (event.status, event.usage and event.usage.total, reducer.ended) == (word, 15, True)


def test_other_agents_are_not_the_run() -> None:
    reducer = SessionReducer()
    other = turn("in_progress", id="turn_7", subagent_id="sub_1")
    events = fed(
        reducer,
        frame("agent.session.turn.created", turn=other),
        frame("agent.session.turn.item.done", item=COMMAND, turn_id="turn_7", output_index=0),
        frame("agent.session.turn.completed", turn={**other, "status": "completed"}, turn_id="turn_7"),
    )
    assert (events, reducer.ended) == ([], False)


def test_an_error_ends_the_stream_and_nothing_else() -> None:
    for data in ('{"type":"error","error":{"message":"x"}}', "[DONE]"):
        reducer = SessionReducer()
        assert reducer.feed(Frame(event="error", data=data)) is None
        assert reducer.ended


@given(st.sampled_from(["agent.session.idle", "agent.session.turn.created", "agent.session.turn.item.added"]), JSON)
@settings(max_examples=200, deadline=None)
def test_no_frame_breaks_the_reducer(kind: str, payload: object) -> None:
    reducer = SessionReducer()
    reducer.feed(Frame(event=kind, data=json.dumps(payload)))
    for name in ("session", "turn", "item", "delta", "usage"):
        reducer.feed(Frame(event=kind, data=json.dumps({"type": kind, name: payload, "turn_id": payload})))


async def test_the_stream_is_opened_before_the_steps_so_far_are_read() -> None:
    events = f"event: x\ndata: {frame('agent.session.turn.item.done', item=message('Done.'), output_index=1).data}\n\n"
    stream = httpx.Response(200, content=events.encode(), headers={"content-type": "text/event-stream"})
    service = Recorded(events=stream, items=page(COMMAND, USER))
    seen = [event async for event in provider(service).follow(SESSION)]
    assert [event.step and (event.step.index, event.step.text) for event in seen] == [(0, "ls\na"), (1, "Done.")]
    assert service.paths() == [f"GET sessions/{SESSION}/events", f"GET sessions/{SESSION}/items"]
