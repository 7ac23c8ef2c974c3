"""The JSON bodies of the Interactions API: interactions, usage, steps, sandboxes and errors.

The shapes follow the google-genai 3.6.1 types and the public pages of the Gemini API. Several forms of error bodies are
in use at once, so a client must read all of them. Sources: the public api-errors page (new form); python-genai#1971 and
discuss.ai.google.dev thread 143098 (old form).
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache

from console.simulator.errors import ApiError, ErrorForm
from console.simulator.resources import Environment
from console.simulator.run import RunView, SimulatedRun
from console.simulator.script import ActionKind
from console.simulator.timeline import StepContent, StepKind, Tokens

Json = Mapping[str, object]
SIGNATURE = base64.b64encode(b"simulated").decode()
DELTA_CHARACTERS = 80
"""The length of the text in one delta."""

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
"""For each HTTP status the code of the new form and the status word of the old form."""


def error_body(error: ApiError, form: ErrorForm) -> bytes:
    """Return the body of an error, in the new form unless it is to be an old one."""
    if form in (ErrorForm.OLD, ErrorForm.ARRAY):
        old: object = {"error": _old_form(error)}
        return json.dumps([old] if form is ErrorForm.ARRAY else old).encode()
    return json.dumps({"error": {"code": error_code(error), "message": str(error), **_details(error)}}).encode()


def error_code(error: ApiError) -> str:
    """Return the code of the new form."""
    return error.code or _codes_of(error)[0]


def method_not_found() -> ApiError:
    """Return the error for a path or method that does not exist. The live service writes it in the old form."""
    return ApiError(404, "Method not found.", form=ErrorForm.OLD)


def _codes_of(error: ApiError) -> tuple[str, str]:
    return _CODES.get(error.http_status, ("api_error", "UNKNOWN"))


def _old_form(error: ApiError) -> Json:
    return {"code": error.http_status, "message": str(error), "status": _codes_of(error)[1], **_details(error)}


def _details(error: ApiError) -> Json:
    """Return the field that names the pause of a 429 (python-genai#1875), or nothing."""
    if error.retry_delay_s is None:
        return {}
    delay = {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": f"{error.retry_delay_s:g}s"}
    return {"details": [delay]}


def utc(wall_s: float) -> str:
    """Format seconds since the epoch like `2026-10-05T10:00:00Z`."""
    return f"{datetime.fromtimestamp(wall_s, UTC):%Y-%m-%dT%H:%M:%SZ}"


def usage_body(tokens: Tokens) -> dict[str, object]:
    """Return the cumulative usage. Cached input is part of the input."""
    searches = [{"type": "google_search", "count": tokens.searches}] if tokens.searches else []
    return {
        "total_tokens": tokens.total,
        "total_input_tokens": tokens.input,
        "total_output_tokens": tokens.output,
        "total_thought_tokens": tokens.thought,
        "total_cached_tokens": tokens.cached,
        "total_tool_use_tokens": tokens.tool_use,
        "input_tokens_by_modality": [{"modality": "text", "tokens": tokens.input}],
        "output_tokens_by_modality": [{"modality": "text", "tokens": tokens.output}],
        "cached_tokens_by_modality": [{"modality": "text", "tokens": tokens.cached}],
        **({"grounding_tool_count": searches} if searches else {}),
    }


def environment_body(environment: Environment) -> dict[str, object]:
    """Return a sandbox. Sizes are strings, the proto JSON form of an int64."""
    accessed = utc(environment.created_wall_s + environment.accessed_s - environment.created_s)
    shown: dict[str, object] = {
        "id": environment.id,
        "status": "active",
        "created": utc(environment.created_wall_s),
        "updated": accessed,
        "last_accessed": accessed,
        "file_count": "12",
        "size_bytes": "3456",
    }
    settings = environment.settings
    return shown | {name: settings[name] for name in ("network", "sources") if name in settings}


def interaction_body(
    run: SimulatedRun, view: RunView, *, steps: bool, usage: bool, own_steps_only: bool, include_input: bool
) -> dict[str, object]:
    """Return an interaction. `own_steps_only` leaves the client's input out of the steps, as a launch does."""
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
        before = [] if own_steps_only else _user_input(run.input)
        shown["steps"] = [*before, *(dict(step_bodies(step.content).whole) for step in view.steps)]
    if run.labels:
        shown["labels"] = dict(run.labels)
    if run.shows_environment and run.environment_id is not None:
        shown["environment_id"] = run.environment_id
    if usage:
        shown["usage"] = usage_body(view.tokens)
    if view.errors:
        shown["errors"] = [{"code": code, "message": message} for code, message in view.errors]
    if include_input:
        shown["input"] = run.input
    return shown


def _user_input(given: object) -> list[dict[str, object]]:
    """Return the `user_input` steps that GET shows before the agent's own steps."""
    if isinstance(given, str):
        return [{"type": "user_input", "content": [{"type": "text", "text": given}]}]
    items = given if isinstance(given, list) else [given]
    if items and isinstance(items[0], dict) and items[0].get("type") in ("user_input", "function_result"):
        return [dict(item) for item in items if isinstance(item, dict)]
    return [{"type": "user_input", "content": items}]


def _updated_s(run: SimulatedRun, view: RunView) -> float:
    if view.ended_s is not None:
        return view.ended_s
    return run.works_from_s + view.steps[-1].ends_s if view.steps else run.created_s


@dataclass(frozen=True, slots=True, kw_only=True)
class StepBodies:
    """One step in the three forms that the API uses."""

    whole: Json
    """The form of GET, once the step has ended."""
    stub: Json
    """The form of step.start. The code and the result of a tool are only in deltas."""
    deltas: tuple[Json, ...]
    """The contents of the step.delta events."""


@lru_cache(maxsize=4096)
def step_bodies(content: StepContent) -> StepBodies:
    """Return the bodies of a step. They are shared and must not be changed."""
    match content.kind:
        case StepKind.THOUGHT:
            return _thought(content.request)
        case StepKind.CALL:
            return _call(content)
        case StepKind.RESULT:
            return _result(content)
        case StepKind.OUTPUT:
            return _output(content)


def _thought(text: str) -> StepBodies:
    summary = {"type": "text", "text": text}
    return StepBodies(
        whole={"type": "thought", "summary": [summary], "signature": SIGNATURE},
        stub={"type": "thought"},
        deltas=(
            {"type": "thought_summary", "content": summary},
            {"type": "thought_signature", "signature": SIGNATURE},
        ),
    )


def _call(content: StepContent) -> StepBodies:
    match content.action:
        case ActionKind.CODE:
            return _tool_call("code_execution_call", content, {"code": content.request, "language": "bash"})
        case ActionKind.SEARCH:
            return _tool_call("google_search_call", content, {"queries": [content.request]})
        case ActionKind.PAGE:
            return _tool_call("url_context_call", content, {"urls": [content.request]})
        case ActionKind.OPERATOR:
            return _function_call(content, {"question": content.request})
        case _:
            return _function_call(content, {"TargetFile": content.request})


def _result(content: StepContent) -> StepBodies:
    match content.action:
        case ActionKind.CODE:
            return _tool_result("code_execution_result", content, content.answer)
        case ActionKind.SEARCH:
            return _tool_result("google_search_result", content, [{"search_suggestions": content.answer}])
        case ActionKind.PAGE:
            return _tool_result("url_context_result", content, [{"url": content.request, "status": content.answer}])
        case _:
            return _function_result(content)


def _tool_call(kind: str, content: StepContent, arguments: Json) -> StepBodies:
    return StepBodies(
        whole={"type": kind, "id": content.call_id, "arguments": arguments},
        stub={"type": kind, "id": content.call_id},
        deltas=({"type": kind, "arguments": arguments},),
    )


def _tool_result(kind: str, content: StepContent, result: object) -> StepBodies:
    return StepBodies(
        whole={"type": kind, "call_id": content.call_id, "result": result, "is_error": False},
        stub={"type": kind, "call_id": content.call_id},
        deltas=({"type": kind, "result": result, "is_error": False},),
    )


def _function_call(content: StepContent, arguments: Json) -> StepBodies:
    head = {"type": "function_call", "id": content.call_id, "name": content.tool_name}
    written = json.dumps(arguments)
    middle = len(written) // 2
    return StepBodies(
        whole={**head, "arguments": arguments},
        stub={**head, "arguments": {}},
        deltas=tuple({"type": "arguments_delta", "arguments": part} for part in (written[:middle], written[middle:])),
    )


def _function_result(content: StepContent) -> StepBodies:
    head = {"type": "function_result", "call_id": content.call_id, "name": content.tool_name}
    result = {"result": content.answer, "is_error": False}
    return StepBodies(
        whole={**head, **result},
        stub=head,
        deltas=({"type": "function_result", "name": content.tool_name, **result},),
    )


def _output(content: StepContent) -> StepBodies:
    text = content.answer
    whole: dict[str, object] = {"type": "model_output", "content": [{"type": "text", "text": text}]}
    if content.error:
        whole["error"] = {"code": 13, "message": content.error}
    pieces = [text[start : start + DELTA_CHARACTERS] for start in range(0, len(text), DELTA_CHARACTERS)] or [""]
    return StepBodies(
        whole=whole,
        stub={"type": "model_output"},
        deltas=tuple({"type": "text", "text": piece} for piece in pieces),
    )
