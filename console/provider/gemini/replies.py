"""Read the service's replies without trusting them: every field is optional and may hold anything.

An unknown status is kept as it is and treated as live, because taking a run that goes on spending for ended would be
the worse mistake (google-genai 3.6.1, interaction.py: the enum accepts any string).
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from console.domain.run import Ending
from console.domain.usage import Usage
from console.provider.contract import Launched, RemoteRun, StatusClass, Step
from console.provider.gemini.steps import error_line, error_text, kind_of, numbered
from console.provider.http.errors import ErrorBody, ErrorReader, Redact, seconds_of
from console.provider.http.exchange import Reply
from console.provider.http.json_narrowing import count, elements, labels_of, members, opaque_id, text
from console.provider.http.step_text import STATUS_LENGTH, content_text, kept_result, unchanged

ERROR_LENGTH = 1_000
MAX_ERRORS = 20

ENDINGS: Mapping[str, Ending] = {
    "completed": Ending.OK,
    "failed": Ending.FAILED,
    "cancelled": Ending.CANCELLED,
    "canceled": Ending.CANCELLED,
    "incomplete": Ending.INCOMPLETE,
    "budget_exceeded": Ending.SERVER_LIMIT,
}
CLASSES: Mapping[str, StatusClass] = {
    "queued": StatusClass.LIVE,
    "in_progress": StatusClass.LIVE,
    "requires_action": StatusClass.PARKED,
    "requires_continuation": StatusClass.PARKED,
    "idle": StatusClass.PARKED,
    **dict.fromkeys(ENDINGS, StatusClass.TERMINAL),
}

BILLED_SEARCHES = frozenset({"google_search", "google_maps"})
"""Kinds of grounding that are billed by their number."""
STOPPED_EARLY = frozenset({Ending.FAILED, Ending.CANCELLED})
"""Endings that can come before the agent did anything."""


def status_class(status: str) -> StatusClass:
    """Return what the service's status word means to the engine."""
    return CLASSES.get(status.lower(), StatusClass.UNKNOWN)


def ending_of(status: str) -> Ending | None:
    """Return the ending that the service's status word stands for; None for any other word.

    `incomplete` does not say why; that the token limit was the reason shows in the usage.
    """
    return ENDINGS.get(status.lower())


_RESOURCE = re.compile(r"\A(?:.*/)?(?:interactions|environments|triggers)/(?=[^/]+\Z)")
"""What stands before the id in the name of a resource."""

_FIGURES: Mapping[str, str] = {
    "total": "total_tokens",
    "input": "total_input_tokens",
    "output": "total_output_tokens",
    "thought": "total_thought_tokens",
    "cached": "total_cached_tokens",
    "tool_use": "total_tool_use_tokens",
}


def parse_error(value: object) -> ErrorBody | None:
    """Parse `{"error": {code, message, status}}` or an array of that; None if it has neither a word nor a message.

    The code is a word or a number; of a number, the word in `status` is taken instead, if there is one.
    """
    if isinstance(value, list):
        value = value[0] if value else None
    error = members(members(value).get("error"))
    code, message = error.get("code"), text(error.get("message"), 1000)
    word = text(code, 64) or text(error.get("status"), 64)
    if not word and isinstance(code, int) and not isinstance(code, bool):
        word = f"{code}"[:20]
    return ErrorBody(code=word, message=message, retry_after_s=_retry_delay(error)) if word or message else None


def _retry_delay(error: Mapping[str, object]) -> float | None:
    """Return the seconds of a RetryInfo detail, which writes them as `53s`."""
    details = [members(detail) for detail in elements(error.get("details"))]
    delays = [text(d.get("retryDelay"), 32) for d in details if text(d.get("@type"), 100).endswith("RetryInfo")]
    delay = next(filter(None, delays), "")
    return seconds_of(delay[:-1]) if delay.endswith("s") else None


def is_unknown_route(reply: Reply, errors: ErrorReader) -> bool:
    """True if the service does not know the call itself, e.g. `Method not found.` (python-genai#1971)."""
    if reply.status == 405:
        return True
    error = errors.body(reply)
    return reply.status == 404 and error is not None and "method not found" in error.message.lower()


def usage_of(value: object) -> Usage | None:
    """Return the token counts; None if none are reported. The total is at least the sum of the other counts.

    A count that is negative, above 2^53 or no number makes all of them untrustworthy, and zero alone is what the
    service writes before it counts: both are taken as not reported.
    """
    reported = members(value)
    if not reported:
        return None
    counts: dict[str, int] = {}
    for name, key in _FIGURES.items():
        if (given := reported.get(key)) is not None:
            if (figure := count(given)) is None:
                return None
            counts[name] = figure
    parts = sum(counts.get(name, 0) for name in ("input", "output", "thought", "tool_use"))
    total = max(counts.get("total", 0), parts)
    if "input" in counts and "cached" in counts:
        # The input includes what is cached. More of it would be tokens at a discount that nobody has used.
        counts["cached"] = min(counts["cached"], counts["input"])
    searches = _searches(reported.get("grounding_tool_count"))
    return Usage(**{**counts, "total": total}, searches=searches) if total else None


def _searches(value: object) -> int:
    """Return the number of searches that are billed."""
    counts = map(members, elements(value))
    return sum(count(one.get("count")) or 0 for one in counts if one.get("type") in BILLED_SEARCHES)


def _reported_usage(interaction: Mapping[str, object], steps: tuple[Step, ...]) -> Usage | None:
    """Return the usage of a run. Zero counts as reported only if the run ended before the agent did anything."""
    usage = usage_of(interaction.get("usage"))
    if usage is None and not steps and ending_of(text(interaction.get("status"), STATUS_LENGTH)) in STOPPED_EARLY:
        reported = members(interaction.get("usage"))
        figures = [count(reported.get(key)) for key in _FIGURES.values() if key in reported]
        return Usage() if figures and set(figures) == {0} else None
    return usage


def resource_id(value: object) -> str | None:
    """Return an id, which the service may also write as a resource name (`interactions/ID`); None for anything else."""
    found = opaque_id(value)
    return opaque_id(_RESOURCE.sub("", found)) if found is not None else None


def read_launched(value: object, redact: Redact = unchanged) -> Launched | None:
    """Read the reply to a launch request; None if it holds no usable id. `redact` is applied to the status."""
    interaction = members(value)
    remote_id = resource_id(interaction.get("id"))
    if remote_id is None:
        return None
    return Launched(
        remote_id=remote_id,
        status=redact(text(interaction.get("status"), STATUS_LENGTH)),
        prepared_id=resource_id(interaction.get("environment_id")),
    )


def inputs_of(value: object) -> tuple[str, ...]:
    """Return the prompt and the system instruction, as far as a reply repeats them."""
    interaction = members(value)
    steps = (members(step) for step in elements(interaction.get("steps")))
    given = [step.get("content") for step in steps if step.get("type") == "user_input"]
    contents = (*given, interaction.get("input"), interaction.get("system_instruction"))
    return tuple(filter(None, map(_whole_text, contents)))


def remote_run(value: object, asked: str, redact: Redact = unchanged) -> RemoteRun:
    """Return the run in the reply to a GET of `asked`. Raises ValueError if the reply is about another run.

    `redact` is applied to every text that is not the agent's own: the status, errors, types of steps.
    """
    interaction = members(value)
    status = text(interaction.get("status"), STATUS_LENGTH)
    if not status:
        raise ValueError("the reply has no status")
    answered = interaction.get("id")
    if isinstance(answered, str) and resource_id(answered) != resource_id(asked):
        raise ValueError("the reply is about another interaction")
    steps = numbered(interaction.get("steps"), redact)
    return RemoteRun(
        remote_id=asked,
        status=redact(status),
        status_class=status_class(status),
        ending=ending_of(status),
        usage=_reported_usage(interaction, steps),
        labels=labels_of(interaction.get("labels")),
        prepared_id=resource_id(interaction.get("environment_id")),
        steps=steps,
        result=_result(interaction),
        errors=tuple(map(redact, _errors(interaction))),
    )


def _outputs(interaction: Mapping[str, object]) -> list[Mapping[str, object]]:
    steps = (members(step) for step in elements(interaction.get("steps")))
    return [step for step in steps if step.get("type") == "model_output"]


def _result(interaction: Mapping[str, object]) -> str:
    """Return the text with which the run ended, joined without separators, as the official client returns it.

    These are the texts of the last model outputs, across thoughts between them; a tool step, an input of the user or
    content of another kind before them ends the search (google-genai 3.6.1, interaction.py, output_text).
    """
    found: list[str] = []
    for step in map(members, reversed(elements(interaction.get("steps")))):
        kind = kind_of(step)
        if kind == "user_input" or (found and kind not in ("model_output", "thought")):
            break
        if kind != "model_output":
            continue
        texts, is_complete = _last_texts(step.get("content"), found=bool(found))
        found += texts
        if not is_complete:
            break
    return kept_result("".join(reversed(found)))


def _last_texts(content: object, *, found: bool) -> tuple[list[str], bool]:
    """Return the trailing texts of a content, last first; False if content of another kind comes before them.

    `found`: a text after this content was found, so that content of another kind at its end counts too.
    """
    if isinstance(content, str):
        return [_scrubbed(content)], True
    texts: list[str] = []
    for piece in map(members, reversed(elements(content))):
        if piece.get("type") == "text":
            value = piece.get("text")
            texts.append(_scrubbed(value) if isinstance(value, str) else "")
        elif texts or found:
            return texts, False
    return texts, True


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
    lines = [text(line, ERROR_LENGTH) for line in map(error_line, own) if line]
    lines += [text(line, ERROR_LENGTH) for line in map(error_text, _outputs(interaction)) if line]
    return tuple(lines[:MAX_ERRORS])
