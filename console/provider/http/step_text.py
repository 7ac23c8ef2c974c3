"""What the steps of all services have in common: limits, and how contents and calls of tools are written as text.

All texts are raw.
"""

from __future__ import annotations

from console.provider.http.json_narrowing import compact, members, text

STEP_LENGTH = 8_000
"""Characters of one step's text."""

ARGUMENT_LENGTH = 300
"""Characters of one argument of a tool."""

MAX_STEPS = 10_000
"""Steps read of one run."""

KIND_LENGTH = 64
"""Characters of a type or a tool name."""

RESULT_LENGTH = 256_000
"""Characters kept of the result of a run. The end is kept, as it contains the answer."""

STATUS_LENGTH = 64
"""Characters of a status word."""


def unchanged(line: str) -> str:
    """Redact nothing."""
    return line


def content_text(value: object) -> str:
    """Return the text of one content, or of several, one per line. Other media are shown by type: `[image]`."""
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


def named_call(name: str, arguments: object) -> str:
    """Return the name of a tool with its shortened arguments: `grep path=logs/ pattern=ERROR`."""
    if isinstance(arguments, str):
        return text(f"{name} {arguments}", STEP_LENGTH)
    pairs = (f"{text(key, KIND_LENGTH)}={_short(value)}" for key, value in members(arguments).items())
    return text(" ".join((name, *pairs)), STEP_LENGTH)


def _short(value: object) -> str:
    return text(value, ARGUMENT_LENGTH) if isinstance(value, str) else compact(value, ARGUMENT_LENGTH)


def kept_result(whole: str) -> str:
    """Return the end of a result, at most RESULT_LENGTH characters, without what cannot be stored."""
    shown = text(whole, len(whole))
    return shown if len(shown) <= RESULT_LENGTH else "…" + shown[1 - RESULT_LENGTH :]
