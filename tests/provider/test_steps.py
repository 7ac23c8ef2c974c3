"""Each step type of the service, and unknown ones, becomes one readable text."""

from __future__ import annotations

import pytest

from console.provider.gemini.steps import numbered, step_text
from console.provider.http.step_text import ARGUMENT_LENGTH, MAX_STEPS, STEP_LENGTH

TEXT = [{"type": "text", "text": "one"}, {"type": "image", "data": "…"}, {"type": "text", "text": "two"}]

STEPS: list[tuple[dict[str, object], str]] = [
    ({"type": "user_input", "content": TEXT}, ""),
    ({"type": "model_output", "content": TEXT}, "one\n[image]\ntwo"),
    ({"type": "model_output", "content": [], "error": {"code": 13, "message": "no"}}, "13: no"),
    ({"type": "thought", "signature": "c2ln", "summary": [{"type": "text", "text": "hm"}]}, "hm"),
    ({"type": "thought", "signature": "c2ln"}, ""),
    (
        {"type": "function_call", "id": "1", "name": "view_file", "arguments": {"AbsolutePath": "/a", "Line": 3}},
        "view_file AbsolutePath=/a Line=3",
    ),
    (
        {"type": "function_call", "name": "code_execution", "arguments": {"command": "ls -l", "timeout_seconds": 5}},
        "code_execution ls -l",
    ),
    ({"type": "function_call", "name": "f", "arguments": {}}, "f"),
    ({"type": "function_call", "name": "f", "arguments": '{"a":1}'}, 'f {"a":1}'),
    ({"type": "function_result", "call_id": "1", "name": "f", "result": "done"}, "done"),
    ({"type": "function_result", "call_id": "1", "result": TEXT}, "one\n[image]\ntwo"),
    ({"type": "function_result", "call_id": "1", "result": {"rows": [1, 2]}}, '{"rows":[1,2]}'),
    ({"type": "function_result", "call_id": "1", "result": {"content": TEXT}}, "one\n[image]\ntwo"),
    ({"type": "function_result", "result": [{"name": "f", "result": "x"}, {"name": "g", "result": "y"}]}, "x\ny"),
    ({"type": "function_result", "result": [{"name": "f", "result": [1, 2]}]}, "[1,2]"),
    ({"type": "function_result", "call_id": "1", "result": "no such file", "is_error": True}, "error: no such file"),
    ({"type": "code_execution_call", "id": "1", "arguments": {"code": "print(1)", "language": "python"}}, "print(1)"),
    ({"type": "code_execution_call", "id": "1"}, "code_execution"),
    ({"type": "code_execution_result", "call_id": "1", "result": "1\n"}, "1\n"),
    ({"type": "google_search_call", "arguments": {"queries": ["a", "b"]}}, 'google_search queries=["a","b"]'),
    ({"type": "google_search_result", "result": [{"url": "u"}]}, '[{"url":"u"}]'),
    ({"type": "url_context_call", "arguments": {"urls": ["u"]}}, 'url_context urls=["u"]'),
    ({"type": "url_context_result", "result": [{"url": "u", "status": "success"}]}, '[{"url":"u","status":"success"}]'),
    (
        {"type": "mcp_server_tool_call", "name": "t", "server_name": "s", "arguments": {"q": "x"}},
        "t q=x",
    ),
    ({"type": "mcp_server_tool_result", "result": "r"}, "r"),
    ({"type": "file_search_call", "id": "1"}, "file_search"),
    ({"type": "file_search_result", "result": []}, ""),
    ({"type": "google_maps_call", "arguments": {"queries": ["x"]}}, 'google_maps queries=["x"]'),
    ({"type": "google_maps_result", "result": {"places": []}}, '{"places":[]}'),
    ({"type": "retrieval_call", "arguments": {"queries": ["x"]}}, 'retrieval queries=["x"]'),
    ({"type": "retrieval_result", "is_error": True}, "error: "),
    ({"type": "processing_call", "id": "1"}, "processing"),
    ({"type": "processing_result", "result": "ok"}, "ok"),
    ({"type": "tool_search_call", "arguments": {"query": "x"}}, "tool_search query=x"),
    ({"type": "tool_search_result", "result": "ok"}, "ok"),
    ({"type": "dream", "id": "1", "content": "sheep"}, "sheep"),
    ({"type": "dream", "id": "1", "depth": 3}, '{"depth":3}'),
    ({"type": "dream"}, ""),
    ({}, ""),
]


@pytest.mark.parametrize(
    ("step", "shown"), STEPS, ids=lambda value: value.get("type") if isinstance(value, dict) else ""
)
def test_the_text_of_a_step(step: dict[str, object], shown: str) -> None:
    assert step_text(step) == shown


def test_the_examples_cover_each_type_of_the_wire_notes() -> None:
    tools = ["function", "code_execution", "google_search", "url_context", "file_search", "google_maps", "retrieval"]
    pairs = [
        f"{tool}_{end}"
        for tool in [*tools, "mcp_server_tool", "processing", "tool_search"]
        for end in ("call", "result")
    ]
    assert {"user_input", "model_output", "thought", *pairs} <= {step.get("type") for step, _ in STEPS}


def test_steps_have_the_indexes_of_the_stream() -> None:
    """A GET repeats the user's input and a stream does not, so it is neither counted nor kept."""
    steps = numbered([{"type": "user_input", "content": "prompt"}, {"type": "thought"}, None, {"type": "x" * 100}])
    assert [(step.index, len(step.kind)) for step in steps] == [(0, 7), (1, 7), (2, 64)]
    assert steps[1].kind == "unknown"
    assert "prompt" not in repr(steps)


@pytest.mark.parametrize("value", [None, {}, "steps", 5])
def test_no_steps(value: object) -> None:
    assert numbered(value) == ()


def test_texts_and_counts_are_limited() -> None:
    huge = "x" * 100_000
    for step in ({"type": "model_output", "content": huge}, {"type": "code_execution_result", "result": [huge, huge]}):
        assert len(step_text(step)) == STEP_LENGTH
    call = step_text({"type": "function_call", "name": "f", "arguments": {"a": huge, "b": 1}})
    assert call == "f a=" + "x" * (ARGUMENT_LENGTH - 1) + "… b=1"
    assert len(numbered([{}] * (MAX_STEPS + 5))) == MAX_STEPS


def test_deep_nesting_is_no_error() -> None:
    deep: object = "x"
    for _ in range(50_000):
        deep = [deep]
    assert step_text({"type": "function_result", "result": {"a": deep}}) == "…"
    assert step_text({"type": "model_output", "content": deep}) == ""
