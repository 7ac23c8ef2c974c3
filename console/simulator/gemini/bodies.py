"""The shapes that leave the service as JSON: an interaction, its usage, an environment.

Shapes as in the google-genai 3.4.0 types and the public pages of the Gemini API.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import TYPE_CHECKING

from console.simulator.scenario import Ending, Scenario
from console.simulator.script import ASK_OPERATOR, GAVE_UP, RESULT, ActionKind, AgentAction

if TYPE_CHECKING:
    from console.simulator.run import RunView, SimulatedRun
    from console.simulator.timeline import Tokens


def utc(wall_s: float) -> str:
    """`2026-10-05T10:00:00Z`."""
    return f"{datetime.fromtimestamp(wall_s, UTC):%Y-%m-%dT%H:%M:%SZ}"


def step_json(text: Mapping[str, object]) -> dict[str, object]:
    """A step as an object of its own, so that nobody changes the script."""
    return dict(text)


def usage_json(tokens: Tokens) -> dict[str, object]:
    """Cumulative figures; cached input is part of the input."""
    return {
        "total_tokens": tokens.total,
        "total_input_tokens": tokens.input,
        "total_output_tokens": tokens.output,
        "total_thought_tokens": tokens.thought,
        "total_cached_tokens": tokens.cached,
        "total_tool_use_tokens": 0,
        "input_tokens_by_modality": [{"modality": "text", "tokens": tokens.input}],
        "output_tokens_by_modality": [{"modality": "text", "tokens": tokens.output}],
        "cached_tokens_by_modality": [{"modality": "text", "tokens": tokens.cached}],
    }


def user_input(given: object) -> list[dict[str, object]]:
    """The `user_input` steps that GET shows before the agent's own."""
    if isinstance(given, str):
        return [{"type": "user_input", "content": [{"type": "text", "text": given}]}]
    items = given if isinstance(given, list) else [given]
    if items and isinstance(items[0], dict) and items[0].get("type") in ("user_input", "function_result"):
        return [dict(item) for item in items if isinstance(item, dict)]
    return [{"type": "user_input", "content": items}]


def interaction(
    run: SimulatedRun, view: RunView, *, steps: bool, usage: bool, own_steps_only: bool, include_input: bool
) -> dict[str, object]:
    """An interaction. `own_steps_only` is how a create answers: without the user's input among the steps."""
    shown: dict[str, object] = {
        "id": run.id,
        "object": "interaction",
        "status": view.status,
        "agent": run.agent,
        "agent_config": dict(run.agent_config),
        "created": utc(run.created_wall_s),
        "updated": utc(run.wall(_updated_s(run, view))),
        "service_tier": run.service_tier,
        "steps": [],
    }
    if steps:
        before = [] if own_steps_only else user_input(run.input)
        shown["steps"] = [*before, *(dict(step.text.whole) for step in view.steps)]
    if run.labels:
        shown["labels"] = dict(run.labels)
    if run.shows_environment and run.environment_id is not None:
        shown["environment_id"] = run.environment_id
    if usage:
        shown["usage"] = usage_json(view.tokens)
    if view.errors:
        shown["errors"] = [{"code": code, "message": message} for code, message in view.errors]
    if include_input:
        shown["input"] = run.input
    return shown


def _updated_s(run: SimulatedRun, view: RunView) -> float:
    if view.ended_s is not None:
        return view.ended_s
    return run.works_from_s + view.steps[-1].ends_s if view.steps else run.created_s


_CODES: Mapping[int, tuple[str, str]] = {
    400: ("invalid_request", "INVALID_ARGUMENT"),
    401: ("authentication", "UNAUTHENTICATED"),
    402: ("payment_required", "FAILED_PRECONDITION"),
    403: ("permission_denied", "PERMISSION_DENIED"),
    404: ("not_found", "NOT_FOUND"),
    408: ("deadline_exceeded", "DEADLINE_EXCEEDED"),
    409: ("aborted", "ABORTED"),
    413: ("invalid_request", "INVALID_ARGUMENT"),
    416: ("out_of_range", "OUT_OF_RANGE"),
    422: ("invalid_request", "INVALID_ARGUMENT"),
    429: ("rate_limit_exceeded", "RESOURCE_EXHAUSTED"),
    499: ("cancelled", "CANCELLED"),
    500: ("api_error", "INTERNAL"),
    501: ("unimplemented", "UNIMPLEMENTED"),
    502: ("api_error", "UNAVAILABLE"),
    503: ("service_unavailable", "UNAVAILABLE"),
    504: ("deadline_exceeded", "DEADLINE_EXCEEDED"),
}
"""HTTP status: code of the new form, status word of the old form."""


class ErrorForm(StrEnum):
    """How an error body is written."""

    NEW = "new"
    OLD = "old"
    ARRAY = "array"
    HTML = "html"
    EMPTY = "empty"


class ApiError(Exception):
    """A refusal; `str()` is its message."""

    def __init__(
        self,
        http_status: int,
        message: str,
        *,
        code: str | None = None,
        details: tuple[Mapping[str, object], ...] = (),
        headers: Mapping[str, str] | None = None,
        form: ErrorForm = ErrorForm.NEW,
    ) -> None:
        super().__init__(message)
        self.http_status = http_status
        self.code = code or _CODES.get(http_status, ("api_error", "UNKNOWN"))[0]
        """Of the new form."""
        self.details = details
        self.form = form
        """How it is written where no switch says otherwise."""
        self.headers = dict(headers or {})

    def body(self, form: ErrorForm) -> bytes:
        """The error in one of the forms."""
        match form:
            case ErrorForm.NEW:
                inner: dict[str, object] = {"code": self.code, "message": str(self)}
                if self.details:
                    inner["details"] = list(self.details)
                return json.dumps({"error": inner}).encode()
            case ErrorForm.OLD:
                return json.dumps({"error": self._old()}).encode()
            case ErrorForm.ARRAY:
                return json.dumps([{"error": self._old()}]).encode()
            case ErrorForm.HTML:
                return f"<!DOCTYPE html><html><title>Error {self.http_status}</title></html>".encode()
            case ErrorForm.EMPTY:
                return b""

    def _old(self) -> dict[str, object]:
        word = _CODES.get(self.http_status, ("api_error", "UNKNOWN"))[1]
        old: dict[str, object] = {"code": self.http_status, "message": str(self), "status": word}
        if self.details:
            old["details"] = list(self.details)
        return old


def method_not_found() -> ApiError:
    """What an address answers that names no method; seen live in the old form."""
    return ApiError(404, "Method not found.", form=ErrorForm.OLD)


def retry_info(seconds: float) -> Mapping[str, object]:
    """The detail with which a 429 names its pause (python-genai#1875)."""
    return {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": f"{seconds:g}s"}


Json = Mapping[str, object]
SIGNATURE = base64.b64encode(b"simulated").decode()
PIECE = 80
"""Characters of text in one delta."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StepText:
    """What a step says."""

    whole: Json
    """As GET shows it once it is done."""
    stub: Json
    """As step.start shows it: tool code and results come only in deltas."""
    deltas: tuple[Json, ...]


def _pieces(text: str) -> tuple[str, ...]:
    return tuple(text[start : start + PIECE] for start in range(0, len(text), PIECE)) or ("",)


def _thought(text: str) -> StepText:
    content = {"type": "text", "text": text}
    return StepText(
        whole={"type": "thought", "summary": [content], "signature": SIGNATURE},
        stub={"type": "thought"},
        deltas=(
            {"type": "thought_summary", "content": content},
            {"type": "thought_signature", "signature": SIGNATURE},
        ),
    )


def _call(kind: str, call_id: str, arguments: Json) -> StepText:
    return StepText(
        whole={"type": kind, "id": call_id, "arguments": arguments},
        stub={"type": kind, "id": call_id},
        deltas=({"type": kind, "arguments": arguments},),
    )


def _result(kind: str, call_id: str, result: object) -> StepText:
    return StepText(
        whole={"type": kind, "call_id": call_id, "result": result, "is_error": False},
        stub={"type": kind, "call_id": call_id},
        deltas=({"type": kind, "result": result, "is_error": False},),
    )


def _function_call(call_id: str, name: str, arguments: Json) -> StepText:
    written = json.dumps(arguments)
    middle = len(written) // 2
    return StepText(
        whole={"type": "function_call", "id": call_id, "name": name, "arguments": arguments},
        stub={"type": "function_call", "id": call_id, "name": name, "arguments": {}},
        deltas=tuple({"type": "arguments_delta", "arguments": part} for part in (written[:middle], written[middle:])),
    )


def _function_result(call_id: str, name: str, result: str) -> StepText:
    return StepText(
        whole={"type": "function_result", "call_id": call_id, "name": name, "result": result, "is_error": False},
        stub={"type": "function_result", "call_id": call_id, "name": name},
        deltas=({"type": "function_result", "name": name, "result": result, "is_error": False},),
    )


def _output(text: str, error: Json | None = None) -> StepText:
    whole: dict[str, object] = {"type": "model_output", "content": [{"type": "text", "text": text}]}
    if error is not None:
        whole["error"] = error
    return StepText(
        whole=whole,
        stub={"type": "model_output"},
        deltas=tuple({"type": "text", "text": piece} for piece in _pieces(text)),
    )


def final_step(scenario: Scenario) -> StepText:
    """The last step of a run: its output, or what it leaves instead."""
    if scenario.ending is Ending.FAILED:
        return _output(scenario.result or GAVE_UP, {"code": 13, "message": scenario.error_message})
    if scenario.ending is Ending.REQUIRES_ACTION:
        return _function_call("call_operator", "ask_operator", {"question": scenario.text or ASK_OPERATOR})
    return _output(scenario.result or scenario.text or RESULT)


def steps_of(line: AgentAction, index: int, text: str) -> tuple[StepText, ...]:
    """The one or two steps of a line of the script. `text`, where it is not empty, takes the place of its words."""
    ask, answer, call_id = text or line.ask, text or line.answer, f"call_{index}"
    match line.beat:
        case ActionKind.THOUGHT:
            return (_thought(ask),)
        case ActionKind.CODE:
            return (
                _call("code_execution_call", call_id, {"code": ask, "language": "bash"}),
                _result("code_execution_result", call_id, answer),
            )
        case ActionKind.SEARCH:
            return (
                _call("google_search_call", call_id, {"queries": [ask]}),
                _result("google_search_result", call_id, [{"search_suggestions": answer}]),
            )
        case ActionKind.PAGE:
            return (
                _call("url_context_call", call_id, {"urls": [ask]}),
                _result("url_context_result", call_id, [{"url": ask, "status": answer}]),
            )
        case ActionKind.FILE:
            name, _, target = line.ask.partition(" ")
            return (
                _function_call(call_id, name, {"TargetFile": text or target}),
                _function_result(call_id, name, answer),
            )
