"""One readable text per step: what a tool was asked, what it answered, what the model said. Raw and capped.

Steps are read by shape, not by tool name: the built-in tools were renamed between two previews of one agent
(D:changelog in the wire notes), and an unknown type must stay visible.
"""

from __future__ import annotations

from collections.abc import Mapping

from console.provider.contract import Step
from console.provider.http.json_narrowing import compact, elements, members, text

STEP_LENGTH = 8_000
"""Characters of one step's text."""

ARGUMENT_LENGTH = 300
"""Characters of one argument of a tool."""

MAX_STEPS = 10_000

KIND_LENGTH = 64

_CODE = ("code", "command")
"""Arguments that are the call: `code_execution` takes code or a command."""


def kind_of(step: Mapping[str, object]) -> str:
    """The provider's word for the step's type; `unknown` where there is none."""
    return text(step.get("type"), KIND_LENGTH) or "unknown"


def numbered(value: object) -> tuple[Step, ...]:
    """The steps of an interaction.

    The user's input is left out and not counted: a GET repeats it and a stream does not (D:overview), so that only
    without it both agree on the index; and a prompt is kept nowhere but in the config.
    """
    own = (members(step) for step in elements(value))
    own_steps = [step for step in own if kind_of(step) != "user_input"]
    return tuple(
        Step(index=index, kind=kind_of(step), text=step_text(step), done=True)
        for index, step in enumerate(own_steps[:MAX_STEPS])
    )


def step_text(step: Mapping[str, object]) -> str:
    """What the step did or said, at most STEP_LENGTH characters; empty where it is a stub."""
    kind = kind_of(step)
    if kind == "user_input":
        return ""
    if kind == "model_output":
        return text("\n".join(filter(None, (content_text(step.get("content")), error_text(step)))), STEP_LENGTH)
    if kind == "thought":
        return content_text(step.get("summary"))
    if kind.endswith("_call"):
        return call_text(kind, step)
    if kind.endswith("_result"):
        return result_text(step)
    rest = {name: value for name, value in step.items() if name not in ("type", "id", "signature")}
    return content_text(step.get("content")) or (compact(rest, STEP_LENGTH) if rest else "")


def content_text(value: object) -> str:
    """The text of a content, or of several with a line for each; other media by their type: `[image]`."""
    if isinstance(value, list):
        return text("\n".join(filter(None, map(_piece_text, value))), STEP_LENGTH)
    return _piece_text(value)


def _piece_text(value: object) -> str:
    if isinstance(value, str):
        return text(value, STEP_LENGTH)
    content = members(value)
    if isinstance(content.get("text"), str):
        return text(content["text"], STEP_LENGTH)
    word = text(content.get("type"), KIND_LENGTH)
    return f"[{word}]" if word else ""


def error_text(step: Mapping[str, object]) -> str:
    """`code: message` of a model output that failed; empty where it did not."""
    error = members(step.get("error"))
    return text(f"{error.get('code', '')}: {error.get('message', '')}", STEP_LENGTH) if error else ""


def tool_name(kind: str, step: Mapping[str, object]) -> str:
    """Which tool is called: its name where the step tells one, else the type without `_call`."""
    return text(step.get("name"), KIND_LENGTH) or kind.removesuffix("_call")


def call_text(kind: str, step: Mapping[str, object]) -> str:
    """The name of the tool and its short arguments; of executed code, the code itself."""
    arguments = step.get("arguments")
    name = tool_name(kind, step)
    if isinstance(arguments, str):
        return text(f"{name} {arguments}", STEP_LENGTH)
    named = members(arguments)
    for code in _CODE:
        if isinstance(named.get(code), str):
            return (
                text(named[code], STEP_LENGTH) if not step.get("name") else text(f"{name} {named[code]}", STEP_LENGTH)
            )
    pairs = (f"{text(key, KIND_LENGTH)}={_short(value)}" for key, value in named.items())
    return text(" ".join((name, *pairs)), STEP_LENGTH)


def _short(value: object) -> str:
    return text(value, ARGUMENT_LENGTH) if isinstance(value, str) else compact(value, ARGUMENT_LENGTH)


def result_text(step: Mapping[str, object]) -> str:
    """What the tool answered; begins with `error: ` where the service says that it failed."""
    result = step.get("result")
    shown = content_text(result)
    if not shown.strip() and result:
        shown = compact(result, STEP_LENGTH)
    return text(f"error: {shown}", STEP_LENGTH) if step.get("is_error") is True else shown
