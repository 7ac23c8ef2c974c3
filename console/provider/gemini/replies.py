"""An Interaction as the service writes it, read without trust: every field is optional, and every word open.

A status that we do not know is kept raw and taken as live, since calling a run ended that goes on spending is the
worse mistake (python-genai 3.4.0, interaction.py: the enum takes any string).
"""

from __future__ import annotations

from collections.abc import Mapping

from console.domain.usage import Usage
from console.provider.contract import RemoteRun, StatusClass
from console.provider.gemini.steps import content_text, error_text, kind_of, numbered
from console.provider.http.json_narrowing import count, elements, members, opaque_id, text

STATUS_LENGTH = 64
RESULT_LENGTH = 256_000
"""Characters of the result that are kept; its end, where the answer stands."""

ERROR_LENGTH = 1_000
MAX_ERRORS = 20
MAX_LABELS = 64

CLASSES: Mapping[str, StatusClass] = {
    "queued": StatusClass.LIVE,
    "in_progress": StatusClass.LIVE,
    "requires_action": StatusClass.PARKED,
    "requires_continuation": StatusClass.PARKED,
    "completed": StatusClass.TERMINAL,
    "failed": StatusClass.TERMINAL,
    "cancelled": StatusClass.TERMINAL,
    "incomplete": StatusClass.TERMINAL,
    "budget_exceeded": StatusClass.TERMINAL,
}


def status_class(status: str) -> StatusClass:
    """What the service's status word means for us."""
    return CLASSES.get(status, StatusClass.UNKNOWN)


_FIGURES: Mapping[str, str] = {
    "total": "total_tokens",
    "input": "total_input_tokens",
    "output": "total_output_tokens",
    "thought": "total_thought_tokens",
    "cached": "total_cached_tokens",
    "tool_use": "total_tool_use_tokens",
}


def usage_of(value: object) -> Usage | None:
    """The token figures; None where none is told. A missing total is the sum of the parts that are.

    Figures that cannot be (negative, not a number, beyond 2^53) count as not told.
    """
    told = members(value)
    figures = {name: figure for name, key in _FIGURES.items() if (figure := count(told.get(key))) is not None}
    if not figures:
        return None
    parts = sum(figures.get(name, 0) for name in ("input", "output", "thought", "tool_use"))
    return Usage(**{"total": parts, **figures})


def labels_of(value: object) -> Mapping[str, str]:
    """Labels whose value is a string."""
    pairs = ((text(name, 64), text(label, 64)) for name, label in members(value).items() if isinstance(label, str))
    return dict(list(pairs)[:MAX_LABELS])


def remote_run(value: object, asked: str) -> RemoteRun:
    """The run in the answer to a GET of `asked`. Raises ValueError where the answer is not about that run."""
    interaction = members(value)
    status = text(interaction.get("status"), STATUS_LENGTH)
    if not status:
        raise ValueError("an answer without a status")
    told = interaction.get("id")
    if isinstance(told, str) and told != asked and not told.endswith(f"/{asked}"):
        raise ValueError("an answer about another interaction")
    return RemoteRun(
        remote_id=asked,
        status=status,
        status_class=status_class(status),
        usage=usage_of(interaction.get("usage")),
        labels=labels_of(interaction.get("labels")),
        environment_id=opaque_id(interaction.get("environment_id")),
        steps=numbered(interaction.get("steps")),
        result=_result(interaction),
        errors=_errors(interaction),
        token_limit=count(members(interaction.get("agent_config")).get("max_total_tokens")),
    )


def _outputs(interaction: Mapping[str, object]) -> list[Mapping[str, object]]:
    steps = (members(step) for step in elements(interaction.get("steps")))
    return [step for step in steps if kind_of(step) == "model_output"]


def _result(interaction: Mapping[str, object]) -> str:
    """Of each output the pieces that are text, uncut by the cap of a step."""
    pieces = [_whole_text(step.get("content")) for step in _outputs(interaction)]
    whole = "\n".join(filter(None, pieces))
    return whole if len(whole) <= RESULT_LENGTH else "…" + whole[1 - RESULT_LENGTH :]


def _whole_text(content: object) -> str:
    if isinstance(content, str):
        return _scrubbed(content)
    pieces = (members(piece).get("text") for piece in elements(content))
    texts = [_scrubbed(piece) for piece in pieces if isinstance(piece, str)]
    return "\n".join(texts) if texts else content_text(content)


def _scrubbed(value: str) -> str:
    return text(value, len(value))


def _errors(interaction: Mapping[str, object]) -> tuple[str, ...]:
    own = [members(error) for error in elements(interaction.get("errors"))]
    lines = [text(f"{error.get('code', '')}: {error.get('message', '')}", ERROR_LENGTH) for error in own if error]
    lines += [text(line, ERROR_LENGTH) for line in map(error_text, _outputs(interaction)) if line]
    return tuple(lines[:MAX_ERRORS])
