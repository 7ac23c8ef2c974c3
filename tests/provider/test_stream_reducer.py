"""Frames become growing steps, cumulative usage and the status; no stream can break the reducer."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from console.domain.usage import Usage
from console.provider.contract import Step, StreamEvent
from console.provider.gemini.stream import MAX_OPEN_STEPS, StreamReducer
from console.provider.http.sse import Frame
from console.provider.http.step_text import MAX_STEPS, STEP_LENGTH
from tests.provider.test_replies import JSON


def frame(event_type: str, **payload: object) -> Frame:
    return Frame(event=event_type, data=json.dumps({"event_type": event_type, **payload}))


def start(index: object, **step: object) -> Frame:
    return frame("step.start", index=index, step=step)


def delta(index: object, **piece: object) -> Frame:
    return frame("step.delta", index=index, delta=piece)


def told(*frames: Frame) -> list[StreamEvent | None]:
    fold = StreamReducer()
    return [fold.feed(one) for one in frames]


def last_step(*frames: Frame) -> Step:
    event = told(*frames)[-1]
    assert event is not None
    assert event.step is not None
    return event.step


def test_the_sample_of_the_wire_notes() -> None:
    usage = {"total_tokens": 9001, "total_input_tokens": 8000, "total_cached_tokens": 5000}
    events = told(
        frame("interaction.created", interaction={"id": "v1_A", "status": "in_progress"}),
        start(0, type="code_execution_call", id="c1"),
        delta(0, type="code_execution_call", arguments={"code": "ls", "language": "bash"}),
        frame("step.stop", index=0, usage={"total_tokens": 4650}, step_usage={"total_tokens": 303}),
        frame("interaction.completed", interaction={"id": "v1_A", "status": "completed", "usage": usage}),
        Frame(event="done", data="[DONE]"),
    )
    assert events == [
        StreamEvent(status="in_progress"),
        StreamEvent(step=Step(index=0, kind="code_execution_call", text="code_execution")),
        StreamEvent(step=Step(index=0, kind="code_execution_call", text="ls")),
        StreamEvent(
            step=Step(index=0, kind="code_execution_call", text="ls", done=True),
            usage=Usage(total=4650),
            step_tokens=Usage(total=303),
        ),
        StreamEvent(status="completed", usage=Usage(total=9001, input=8000, cached=5000)),
        None,
    ]


def test_text_grows() -> None:
    pieces = (delta(3, type="text", text=piece) for piece in ("All ", "is ", "well."))
    assert last_step(start(3, type="model_output", content=[]), *pieces) == Step(
        index=3, kind="model_output", text="All is well."
    )


def test_arguments_come_in_pieces() -> None:
    frames = (
        start(0, type="function_call", id="1", name="view_file", arguments={}),
        delta(0, type="arguments_delta", arguments='{"Absolute'),
        delta(0, type="arguments_delta", arguments='Path":"/a"}'),
    )
    assert last_step(frames[0]).text == "view_file"
    assert last_step(*frames).text == 'view_file {"AbsolutePath":"/a"}'


def test_the_name_of_a_tool_is_kept_when_a_delta_omits_it() -> None:
    frames = (
        start(0, type="mcp_server_tool_call", name="lookup"),
        delta(0, type="mcp_server_tool_call", arguments={"q": "x"}),
    )
    assert last_step(*frames).text == "lookup q=x"
    assert last_step(frames[0], delta(0, type="mcp_server_tool_call")).text == "lookup"


@pytest.mark.parametrize(
    ("piece", "kind", "shown"),
    [
        ({"type": "thought_summary", "content": {"type": "text", "text": "hm"}}, "thought", "hm"),
        ({"type": "code_execution_result", "result": "1\n"}, "code_execution_result", "1\n"),
        ({"type": "function_result", "result": "no", "is_error": True}, "function_result", "error: no"),
        (
            {"type": "google_search_call", "arguments": {"queries": ["a"]}},
            "google_search_call",
            'google_search queries=["a"]',
        ),
        ({"type": "text", "text": "a"}, "model_output", "a"),
        ({"type": "image", "data": "…"}, "image", "[image]"),
        ({"type": "dream", "text": "sheep"}, "dream", "sheep"),
        ({"type": "arguments_delta", "arguments": "{}"}, "function_call", "function {}"),
    ],
)
def test_a_delta_without_a_started_step(piece: dict[str, object], kind: str, shown: str) -> None:
    assert last_step(delta(5, **piece)) == Step(index=5, kind=kind, text=shown)


def test_every_place_of_cumulative_usage() -> None:
    usage = {"total_tokens": 7}
    events = told(
        frame("interaction.status_update", interaction_id="v1_A", status="in_progress", usage=usage),
        frame("step.delta", index=0, delta={"type": "text", "text": "a"}, metadata={"total_usage": usage}),
        frame("step.delta", index=0, delta={"type": "thought_signature"}, metadata={"total_usage": usage}),
        frame("step.stop", index=0, usage=usage),
        frame("step.stop", index=9, usage=usage),
        frame("interaction.completed", interaction={"usage": usage}),
    )
    assert [event.usage if event else None for event in events] == [Usage(total=7)] * 6


def test_a_replay_gives_the_same_events() -> None:
    frames = [
        start(0, type="model_output"),
        delta(0, type="text", text="a"),
        delta(0, type="text", text="b"),
        frame("step.stop", index=0, usage={"total_tokens": 5}),
    ]
    assert told(*frames) == told(*frames)
    assert told(*frames, *frames)[4:] == told(*frames)


def test_the_users_input_is_not_counted_and_not_shown() -> None:
    fold = StreamReducer()
    assert fold.feed(start(0, type="user_input", content="the prompt")) is None
    assert fold.feed(delta(0, type="text", text="the prompt")) is None
    assert fold.feed(frame("step.stop", index=0)) is None
    assert fold.feed(start(0, type="user_input")) is None
    event = fold.feed(start(1, type="thought"))
    assert event is not None
    assert event.step == Step(index=0, kind="thought")


@pytest.mark.parametrize(
    "last",
    [
        Frame(event="done", data="[DONE]"),
        Frame(event="", data=" [DONE]\n"),
        frame("interaction.completed", interaction={}),
        frame("error", error={"code": "gateway_timeout", "message": "x"}),
        Frame(event="error", data="{}"),
        Frame(event="", data='[{"error":{"code":503,"message":"x","status":"UNAVAILABLE"}}]', bare=True),
        Frame(event="", data='{"error":{"code":"prohibited_content","message":"x"}}', bare=True),
    ],
)
def test_last_events(last: Frame) -> None:
    fold = StreamReducer()
    fold.feed(start(0, type="thought"))
    assert not fold.ended
    fold.feed(last)
    assert fold.ended


@pytest.mark.parametrize(
    "noise",
    [
        Frame(event="x", data=""),
        Frame(event="step.start", data="{"),
        Frame(event="step.start", data="[1]"),
        Frame(event="step.start", data="[" * 100_000),
        Frame(event="novel.event", data='{"event_type":"novel.event"}'),
        start(-1, type="thought"),
        start(MAX_STEPS, type="thought"),
        start(True, type="thought"),
        start("0", type="thought"),
        delta(0),
        frame("step.stop", index=4),
        frame("interaction.created", interaction=[]),
        frame("interaction.status_update", status=5, usage={"total_tokens": -1}),
    ],
)
def test_noise_gives_no_event_and_ends_nothing(noise: Frame) -> None:
    fold = StreamReducer()
    assert fold.feed(noise) is None
    assert not fold.ended


@pytest.mark.parametrize("word", ["completed", "cancelled", "canceled", "failed"])
def test_an_end_has_its_status_and_usage_wherever_they_are(word: str) -> None:
    usage = {"total_tokens": 9}
    for payload in (
        {"interaction": {"status": word, "usage": usage}},
        {"interaction": {"status": word}, "usage": usage},
        {"interaction": {}, "status": word, "usage": usage},
    ):
        reducer = StreamReducer()
        assert reducer.feed(frame(f"interaction.{word}", **payload)) == StreamEvent(status=word, usage=Usage(total=9))
        assert reducer.ended


def test_the_type_may_be_in_the_frame_or_in_the_payload() -> None:
    assert told(Frame(event="interaction.status_update", data='{"status":"queued"}')) == [StreamEvent(status="queued")]
    bare = Frame(event="", data='{"event_type":"interaction.status_update","status":"queued"}', bare=True)
    assert told(bare) == [StreamEvent(status="queued")]


def test_texts_and_open_steps_are_limited() -> None:
    fold = StreamReducer()
    for _ in range(5):
        event = fold.feed(delta(0, type="text", text="x" * STEP_LENGTH))
        assert event is not None
        assert event.step is not None
        assert len(event.step.text) == STEP_LENGTH
    for index in range(1000):
        fold.feed(start(index, type="thought"))
    assert len(fold._drafts) == MAX_OPEN_STEPS


INTERACTION = [f"interaction.{word}" for word in ("created", "completed", "status_update")]
EVENTS = st.sampled_from([*INTERACTION, "step.start", "step.delta", "step.stop"])
TYPED = {"type": st.sampled_from(["text", "function_call", "arguments_delta"]), "arguments": JSON}
PAYLOADS = st.dictionaries(
    st.sampled_from(["index", "step", "delta", "usage", "step_usage", "metadata", "interaction", "status"]),
    JSON | st.fixed_dictionaries(TYPED),
)


@settings(max_examples=50)
@given(st.lists(st.tuples(EVENTS, PAYLOADS), max_size=8))
def test_no_stream_breaks_the_reducer(stream: list[tuple[str, dict[str, object]]]) -> None:
    fold = StreamReducer()
    for event_type, payload in stream:
        repr(fold.feed(frame(event_type, **payload))).encode()
