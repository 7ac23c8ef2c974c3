"""Replies are read without trust: each field may be absent, of another type, or absurd."""

from __future__ import annotations

import json
from importlib import import_module
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from console.domain.usage import Price, Usage
from console.provider.contract import Launched, StatusClass, Step
from console.provider.gemini.replies import (
    read_launched,
    remote_run,
    resource_id,
    status_class,
    usage_of,
)
from console.provider.http.json_narrowing import members, parsed
from console.provider.http.step_text import RESULT_LENGTH
from tests.provider.examples import interaction

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=8,
)


@pytest.mark.parametrize(
    ("word", "meaning"),
    [
        ("queued", StatusClass.LIVE),
        ("in_progress", StatusClass.LIVE),
        ("requires_action", StatusClass.PARKED),
        ("requires_continuation", StatusClass.PARKED),
        ("completed", StatusClass.TERMINAL),
        ("failed", StatusClass.TERMINAL),
        ("cancelled", StatusClass.TERMINAL),
        ("incomplete", StatusClass.TERMINAL),
        ("budget_exceeded", StatusClass.TERMINAL),
        ("dreaming", StatusClass.UNKNOWN),
        ("COMPLETED", StatusClass.TERMINAL),
        ("In_Progress", StatusClass.LIVE),
        ("canceled", StatusClass.TERMINAL),
        ("CANCELED", StatusClass.TERMINAL),
        ("idle", StatusClass.PARKED),
        ("IDLE", StatusClass.PARKED),
        ("completed ", StatusClass.UNKNOWN),
        ("", StatusClass.UNKNOWN),
    ],
)
def test_what_a_status_means(word: str, meaning: StatusClass) -> None:
    assert status_class(word) is meaning


def test_an_unknown_status_is_kept_raw() -> None:
    run = remote_run(interaction(status="dreaming"), "v1_Chd")
    assert (run.status, run.status_class) == ("dreaming", StatusClass.UNKNOWN)


def test_every_figure_of_usage() -> None:
    told = {
        "total_tokens": 9001,
        "total_input_tokens": "8000",
        "total_output_tokens": 701,
        "total_thought_tokens": 300,
        "total_cached_tokens": 5000,
        "total_tool_use_tokens": 0,
        "initial_input_tokens": 12,
        "input_tokens_by_modality": [{"modality": "text", "tokens": 8000}],
    }
    assert usage_of(told) == Usage(total=9001, input=8000, output=701, thought=300, cached=5000, tool_use=0)


def test_the_tool_results_and_searches_of_usage() -> None:
    told = {
        "total_tokens": 349_864,
        "total_input_tokens": 260_572,
        "total_output_tokens": 10_174,
        "total_thought_tokens": 22_882,
        "total_tool_use_tokens": 56_236,
        "grounding_tool_count": [{"type": "google_search", "count": 23}, {"type": "retrieval", "count": 5}, "x", {}],
    }
    usage = usage_of(told)
    assert usage is not None
    assert (usage.tool_use, usage.searches) == (56_236, 23)
    price = Price(
        input_micro=750_000, cached_micro=750_000, output_micro=3_750_000, search_micro=14_000, currency="USD"
    )
    assert price.cost(usage) == 683_566


@pytest.mark.parametrize("absent", [None, {}, [], "9001", 9001, {"tokens": 5}, {"total_tokens": None}])
def test_missing_usage(absent: object) -> None:
    assert usage_of(absent) is None


@pytest.mark.parametrize("negative", [-1, -0.5, "-4", "-4.0", -(2**60)])
@pytest.mark.parametrize("name", ["total_tokens", "total_input_tokens", "total_cached_tokens"])
def test_a_negative_figure_makes_all_of_them_untrustworthy(name: str, negative: object) -> None:
    assert usage_of({"total_tokens": 10, "total_input_tokens": 7, name: negative}) is None


@pytest.mark.parametrize(
    ("figure", "tokens"),
    [(9000.0, 9000), (8999.2, 9000), ("9000.0", 9000), ("9000", 9000), (1e-9, 1), ("9e3", 9000), ("1.5E+3", 1500)],
)
def test_a_figure_may_be_a_float(figure: object, tokens: int) -> None:
    assert usage_of(json.loads(json.dumps({"total_tokens": figure}))) == Usage(total=tokens)


def test_zero_counts_as_missing() -> None:
    zeros = {"total_tokens": 0, "total_input_tokens": 0, "total_output_tokens": 0}
    assert usage_of(zeros) is None
    assert usage_of({**zeros, "total_input_tokens": 7}) == Usage(total=7, input=7)
    assert usage_of({"total_cached_tokens": 7}) is None


WORK = [{"type": "model_output", "content": "All well."}]


@pytest.mark.parametrize(
    ("status", "steps", "is_told"),
    [
        ("failed", [], True),
        ("cancelled", [], True),
        ("cancelled", [{"type": "user_input", "content": "the prompt"}], True),
        ("failed", WORK, False),
        ("cancelled", WORK, False),
        ("completed", [], False),
        ("completed", WORK, False),
        ("budget_exceeded", [], False),
        ("incomplete", [], False),
        ("in_progress", [], False),
    ],
)
def test_zero_is_believed_only_of_a_run_that_ended_before_it_did_anything(
    status: str, steps: list[object], is_told: bool
) -> None:
    run = remote_run(interaction(status=status, steps=steps, usage={"total_tokens": 0}), "v1_Chd")
    assert run.usage == (Usage() if is_told else None)
    assert remote_run(interaction(status=status, steps=steps), "v1_Chd").usage is None
    assert remote_run(interaction(status=status, steps=steps, usage={"total_tokens": -3}), "v1_Chd").usage is None


ABSURD = [2**53 + 1, True, "1e19", "٣", "", "9" * 5000, [], {}, float("nan"), float("inf"), "many"]


@pytest.mark.parametrize("absurd", ABSURD)
@pytest.mark.parametrize("name", ["total_tokens", "total_output_tokens", "total_cached_tokens"])
def test_an_absurd_figure_makes_all_of_them_untrustworthy(name: str, absurd: object) -> None:
    assert usage_of({name: absurd}) is None
    assert usage_of({"total_tokens": 9, "total_input_tokens": 7, name: absurd}) is None


def test_a_figure_that_is_null_counts_as_missing() -> None:
    assert usage_of({"total_tokens": None, "total_input_tokens": 7, "total_cached_tokens": None}) == Usage(
        total=7, input=7
    )


def test_a_total_is_never_smaller_than_its_parts() -> None:
    told = {"total_tokens": 1, "total_input_tokens": 40_000, "total_output_tokens": 1_000}
    assert usage_of(told) == Usage(total=41_000, input=40_000, output=1_000)


def test_no_more_tokens_are_cached_than_were_put_in() -> None:
    told = {"total_tokens": 50_000, "total_input_tokens": 1_000, "total_cached_tokens": 49_000}
    assert usage_of(told) == Usage(total=50_000, input=1_000, cached=1_000)


@pytest.mark.parametrize(
    "body",
    [
        b'{"status": "completed", "text": "\xff\xc0"}',
        b'{"status": "completed", "text": "a\x00\x1b\nb"}',
        b'{"status": "completed", "n": ' + b"9" * 5_000 + b"}",
        b'{"status": "completed", "n": -' + b"9" * 5_000 + b"}",
        b'{"status": "completed", "n": 1e999}',
        b'\xef\xbb\xbf{"status": "completed"}',
    ],
)
def test_what_an_agent_can_bring_about_does_not_make_a_reply_unreadable(body: bytes) -> None:
    assert members(parsed(body))["status"] == "completed"


def test_a_missing_total_is_the_sum_of_its_parts() -> None:
    told = {"total_input_tokens": 10, "total_output_tokens": 5, "total_thought_tokens": 2, "total_cached_tokens": 8}
    assert usage_of(told) == Usage(total=17, input=10, output=5, thought=2, cached=8)


def test_a_finished_run() -> None:
    steps = [
        {"type": "user_input", "content": [{"type": "text", "text": "the prompt"}]},
        {"type": "code_execution_call", "id": "c1", "arguments": {"code": "ls", "language": "bash"}},
        {"type": "model_output", "content": [{"type": "text", "text": "All "}, {"type": "text", "text": "well."}]},
        {"type": "model_output", "content": "Bye.", "error": {"code": 13, "message": "partly"}},
    ]
    run = remote_run(
        interaction(
            status="completed",
            steps=steps,
            usage={"total_tokens": 5},
            labels={"nightdesk-attempt": "1", "odd": 3},
            environment_id="3f6e0c",
            errors=[{"code": "safety", "message": "one\ntwo"}, "odd"],
        ),
        "v1_Chd",
    )
    assert run.status_class is StatusClass.TERMINAL
    assert run.result == "All well.Bye."
    assert run.errors == ("safety: one\ntwo", "13: partly")
    assert run.labels == {"nightdesk-attempt": "1"}
    assert run.prepared_id == "3f6e0c"
    assert run.steps[0] == Step(index=0, kind="code_execution_call", text="ls", done=True)
    assert "the prompt" not in repr(run)


PIECES = st.sampled_from(
    [
        {"type": "text", "text": "one"},
        {"type": "text", "text": ""},
        {"type": "text", "text": "two "},
        {"type": "image", "data": "aW1n", "mime_type": "image/png"},
    ]
)
ENDS = st.lists(
    st.builds(lambda pieces: {"type": "model_output", "content": pieces}, st.lists(PIECES, max_size=3))
    | st.sampled_from(
        [
            {"type": "model_output"},
            {"type": "thought", "signature": "a"},
            {"type": "user_input", "content": [{"type": "text", "text": "next"}]},
            {"type": "function_call", "id": "1", "name": "f", "arguments": {}},
            {"type": "function_result", "call_id": "1", "name": "f", "result": "done"},
        ]
    ),
    max_size=7,
)


@pytest.fixture(scope="module")
def official() -> Any:
    """The class behind `client.interactions.get`; google-genai is pinned, and has no public name for it.

    Imported where it is used, because that takes a third of the time in which all tests are found.
    """
    return import_module("google.genai._gaos.types.interactions.interaction").Interaction


@settings(max_examples=300)
@given(steps=ENDS)
def test_the_result_is_that_of_the_official_client(official: Any, steps: list[dict[str, object]]) -> None:
    payload = {"id": "v1_Chd", "status": "completed", "steps": steps}
    assert remote_run(payload, "v1_Chd").result == official.model_validate(payload).output_text


def test_a_result_keeps_its_end() -> None:
    content = [{"type": "text", "text": "x" * RESULT_LENGTH}, {"type": "text", "text": "the answer"}]
    run = remote_run(interaction(steps=[{"type": "model_output", "content": content}]), "v1_Chd")
    assert len(run.result) == RESULT_LENGTH
    assert run.result.endswith("the answer")


@pytest.mark.parametrize("garbage", [None, [], "x", {}, {"id": "v1_Chd"}, {"status": 5}, {"status": ""}])
def test_a_reply_without_a_status_is_refused(garbage: object) -> None:
    with pytest.raises(ValueError, match="no status"):
        remote_run(garbage, "v1_Chd")


def test_a_reply_about_another_run_is_refused() -> None:
    with pytest.raises(ValueError, match="another interaction"):
        remote_run(interaction(status="completed"), "v1_Else")


@pytest.mark.parametrize("told", [None, 7, "v1_Chd", "interactions/v1_Chd"])
def test_a_reply_may_omit_the_id_or_give_it_as_a_path(told: object) -> None:
    assert remote_run(interaction(id=told), "v1_Chd").remote_id == "v1_Chd"


@pytest.mark.parametrize(
    ("written", "bare"),
    [
        ("v1_Chd", "v1_Chd"),
        ("interactions/v1_Chd", "v1_Chd"),
        ("environments/e1", "e1"),
        ("projects/p/locations/l/interactions/v1_Chd", "v1_Chd"),
        ("interactions/..", None),
        ("interactions/", "interactions/"),
        ("other/v1_Chd", "other/v1_Chd"),
        ("interactions/a/b", "interactions/a/b"),
        ("", None),
        (7, None),
    ],
)
def test_an_id_may_be_a_resource_name(written: object, bare: str | None) -> None:
    assert resource_id(written) == bare


def test_a_launch_and_a_run_have_bare_ids() -> None:
    value = interaction(id="interactions/v1_Chd", environment_id="environments/e1")
    assert read_launched(value) == Launched(remote_id="v1_Chd", status="in_progress", prepared_id="e1")
    run = remote_run(value, "v1_Chd")
    assert (run.remote_id, run.prepared_id) == ("v1_Chd", "e1")
    assert remote_run(interaction(), "interactions/v1_Chd").remote_id == "interactions/v1_Chd", "stored before"


@pytest.mark.parametrize(
    ("error", "line"),
    [
        ({"code": "blocked", "message": "no"}, "blocked: no"),
        ({"code": 13, "message": "no"}, "13: no"),
        ({"code": 13, "message": "no", "status": "INTERNAL"}, "INTERNAL: no"),
        ({"message": "no"}, "no"),
        ({"code": "blocked"}, "blocked"),
        ({"code": None, "message": "no"}, "no"),
        ({"code": "blocked", "message": ""}, "blocked"),
    ],
)
def test_an_error_of_a_run_in_one_line(error: dict[str, object], line: str) -> None:
    assert remote_run(interaction(errors=[error]), "v1_Chd").errors == (line,)
    output = {"type": "model_output", "error": error}
    assert remote_run(interaction(steps=[output]), "v1_Chd").errors == (line,)


@settings(max_examples=50)
@given(st.dictionaries(st.sampled_from(["id", "usage", "steps", "labels", "errors", "environment_id"]), JSON))
def test_no_reply_breaks_the_reader(fields: dict[str, object]) -> None:
    run = remote_run({**fields, "id": "r", "status": "in_progress"}, "r")
    repr(run).encode()
    assert run.usage is None or min(run.usage.total, run.usage.cached) >= 0


def test_lone_surrogates_can_be_stored() -> None:
    body = json.loads('{"status":"a\\ud800","labels":{"a":"\\udfff"},"errors":[{"code":"\\ud800","message":""}]}')
    run = remote_run(body, "r")
    f"{run.status}{run.labels}{run.errors}".encode()
