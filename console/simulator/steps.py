"""A step of the simulated agent in the three forms the wire knows: whole, as a stub, and in pieces of the stream."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass

from console.simulator.scenario import Ending, Scenario
from console.simulator.script import ASK_OPERATOR, GAVE_UP, RESULT, Beat, Line

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


def steps_of(line: Line, index: int, text: str) -> tuple[StepText, ...]:
    """The one or two steps of a line of the script. `text`, where it is not empty, takes the place of its words."""
    ask, answer, call_id = text or line.ask, text or line.answer, f"call_{index}"
    match line.beat:
        case Beat.THOUGHT:
            return (_thought(ask),)
        case Beat.CODE:
            return (
                _call("code_execution_call", call_id, {"code": ask, "language": "bash"}),
                _result("code_execution_result", call_id, answer),
            )
        case Beat.SEARCH:
            return (
                _call("google_search_call", call_id, {"queries": [ask]}),
                _result("google_search_result", call_id, [{"search_suggestions": answer}]),
            )
        case Beat.PAGE:
            return (
                _call("url_context_call", call_id, {"urls": [ask]}),
                _result("url_context_result", call_id, [{"url": ask, "status": answer}]),
            )
        case Beat.FILE:
            name, _, target = line.ask.partition(" ")
            return (
                _function_call(call_id, name, {"TargetFile": text or target}),
                _function_result(call_id, name, answer),
            )
