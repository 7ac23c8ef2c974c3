"""Turn each step into one readable text of limited length: a tool call, its result, or what the model said.

Steps are read by their structure and not by the name of the tool: tools were renamed between two previews of one agent
(D:changelog in the wire notes), and steps of unknown types must stay visible. All texts are raw.
"""

from __future__ import annotations

from collections.abc import Mapping

from console.provider.contract import Step
from console.provider.http.errors import Redact
from console.provider.http.json_narrowing import compact, elements, members, text
from console.provider.http.step_text import (
    KIND_LENGTH,
    MAX_STEPS,
    STEP_LENGTH,
    content_text,
    named_call,
    unchanged,
)

_CODE = ("code", "command")
"""Arguments that are shown as the call itself: `code_execution` takes code or a command."""


def kind_of(step: Mapping[str, object]) -> str:
    """Return the service's word for the type of a step; `unknown` if there is none."""
    return text(step.get("type"), KIND_LENGTH) or "unknown"


def numbered(value: object, redact: Redact = unchanged) -> tuple[Step, ...]:
    """Return the steps of an interaction, without the user's input.

    `redact` is applied to everything that is not the agent's own text. The input is neither returned nor counted. A
    GET repeats it and a stream does not (D:overview), so indexes would disagree; and the prompt must not be stored
    outside the config file.
    """
    own = (members(step) for step in elements(value))
    own_steps = [(kind, step) for step in own if (kind := kind_of(step)) != "user_input"]
    return tuple(
        Step(index=index, kind=redact(kind), text=_text_of(kind, step, redact), done=True)
        for index, (kind, step) in enumerate(own_steps[:MAX_STEPS])
    )


def step_text(step: Mapping[str, object], redact: Redact = unchanged) -> str:
    """Return what the step did or said in at most STEP_LENGTH characters; empty if it has no content yet.

    `redact` is applied to errors and to steps of unknown types, which may not be the agent's own text.
    """
    return _text_of(kind_of(step), step, redact)


def _text_of(kind: str, step: Mapping[str, object], redact: Redact) -> str:
    if kind == "user_input":
        return ""
    if kind == "model_output":
        return text("\n".join(filter(None, (content_text(step.get("content")), redact(error_text(step))))), STEP_LENGTH)
    if kind == "thought":
        return content_text(step.get("summary"))
    if kind.endswith("_call"):
        return call_text(kind, step)
    if kind.endswith("_result"):
        return result_text(step)
    rest = {name: value for name, value in step.items() if name not in ("type", "id", "signature")}
    return redact(content_text(step.get("content")) or (compact(rest, STEP_LENGTH) if rest else ""))


def error_line(error: Mapping[str, object]) -> str:
    """Return `code: message` of an error, or whichever it has; a word in `status` replaces a numeric code."""
    code = error.get("code")
    parts = (error.get("status") if isinstance(code, int) else None) or code, error.get("message")
    return ": ".join(f"{part}" for part in parts if isinstance(part, str | int) and part != "")


def error_text(step: Mapping[str, object]) -> str:
    """Return the error of a failed model output in one line; empty if it did not fail."""
    return text(error_line(members(step.get("error"))), STEP_LENGTH)


def tool_name(kind: str, step: Mapping[str, object]) -> str:
    """Return the name of the called tool, or the type without `_call` if the step has no name."""
    return text(step.get("name"), KIND_LENGTH) or kind.removesuffix("_call")


def call_text(kind: str, step: Mapping[str, object]) -> str:
    """Return the name of the tool with shortened arguments; for code execution the code itself."""
    arguments = step.get("arguments")
    name = tool_name(kind, step)
    named = members(arguments)
    for code in _CODE:
        if isinstance(named.get(code), str):
            return (
                text(named[code], STEP_LENGTH) if not step.get("name") else text(f"{name} {named[code]}", STEP_LENGTH)
            )
    return named_call(name, arguments)


def _unnamed(result: object) -> object:
    """Return the results in a list of named ones, `[{"name": …, "result": …}]`; any other value unchanged."""
    named = [members(entry) for entry in elements(result)]
    if not named or not all("name" in entry and "result" in entry for entry in named):
        return result
    return [
        entry["result"] if isinstance(entry["result"], str | dict) else compact(entry["result"], STEP_LENGTH)
        for entry in named
    ]


def result_text(step: Mapping[str, object]) -> str:
    """Return the result of a tool; it starts with `error: ` if the service marks it as failed."""
    result = step.get("result")
    shown = content_text(members(result).get("content", result) if isinstance(result, dict) else _unnamed(result))
    if not shown.strip() and result:
        shown = compact(result, STEP_LENGTH)
    return text(f"error: {shown}", STEP_LENGTH) if step.get("is_error") is True else shown
