"""The spans of one run that has ended, made from what the store knows of it: nothing has to be remembered meanwhile.

A run is one span, `invoke_agent`, and each POST of its launch a span below it. Names and attributes follow the semantic
conventions for GenAI agents, as of their first release of their own (semantic-conventions-genai 0.1.0); what these do
not have is called `nightdesk.*`. No span holds a prompt, a result, a note or any other text of an agent or a service.

Ids are made from the id of the run, so that a span that is sent twice is the same span.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from console.domain.run import Outcome, Run, RunId, State, StepRecord, StopReason
from console.provider.services import TRAITS
from console.provider.traits import Prepares
from console.store.events import EventRow

Value = str | int | float
PROVIDER_NAMES = {"gemini": "gcp.gemini", "anthropic": "anthropic", "openai": "openai"}
"""`gen_ai.provider.name` by the kind of the service."""
MOST_EVENTS = 128
"""Events of one span, as OpenTelemetry has it by default; of more steps, the newest."""
MOST_CHANGES = 64
"""Events that are not steps; of more, such as cancels that were repeated for hours, the first."""
ANSWERS = frozenset({"running", "not_sent", "unconfirmed", *Outcome})
"""Events that tell what became of a POST."""
PASSED_ON = frozenset(
    {"running", "stop", "cancel", "alarm", "stall", "taken_over", "unconfirmed", "not_sent", "overshoot", "ruling"}
)
"""Events of a run that are events of its span too."""
_WORD = re.compile(r"[a-z][a-z_]{0,39}", re.ASCII)
_CROCKFORD = "0123456789abcdefghjkmnpqrstvwxyz"


@dataclass(frozen=True, slots=True, kw_only=True)
class SpanEvent:
    """Something that happened within a span."""

    name: str
    at_ms: int
    attributes: Mapping[str, Value] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class RunSpan:
    """One span. Times are UTC milliseconds."""

    name: str
    trace_id: int
    """128 bits."""
    span_id: int
    """64 bits."""
    parent_id: int | None
    begin_ms: int
    end_ms: int
    """Never before `begin_ms`, even where the clock was set back."""
    attributes: Mapping[str, Value]
    events: tuple[SpanEvent, ...] = ()
    error: str = ""
    """The value of `error.type`; empty for none."""


def run_spans(run: Run, timeline: Sequence[EventRow], steps: Iterable[StepRecord]) -> tuple[RunSpan, ...]:
    """The spans of an ended run, its own first; none for one whose launch was never sent.

    `timeline` are all its events, oldest first.
    """
    sends = [place for place, event in enumerate(timeline) if event.kind == "sending"]
    if run.state is not State.ENDED or run.outcome is None or not sends:
        return ()
    begin_ms = timeline[sends[0]].at_ms
    end_ms = max(begin_ms + run.elapsed_ms, begin_ms, run.ended_ms or 0)
    name = _about_agent(run).get("gen_ai.agent.name", "")
    whole = RunSpan(
        name=f"invoke_agent {name}".strip(),
        trace_id=trace_id(run.id),
        span_id=_span_id(run.id, 0),
        parent_id=None,
        begin_ms=begin_ms,
        end_ms=end_ms,
        attributes={
            "gen_ai.operation.name": "invoke_agent",
            **_about_agent(run),
            **_about_server(run),
            **_about_usage(run),
            **_about_run(run),
        },
        events=_events(timeline, steps),
        error="" if run.outcome is Outcome.OK else run.outcome.value,
    )
    return whole, *(_post(run, number, timeline[place:]) for number, place in enumerate(sends, start=1))


def trace_id(run_id: RunId) -> int:
    """The 128 bits of the id of a run."""
    number = 0
    for character in run_id:
        number = number << 5 | _CROCKFORD.index(character)
    return number & (1 << 128) - 1


def _span_id(run_id: RunId, number: int) -> int:
    """64 bits for the span of a run (0) or of its POSTs (1, 2, …); never 0."""
    return int.from_bytes(hashlib.sha256(f"{run_id} {number}".encode("ascii")).digest()[:8]) or 1


def _post(run: Run, number: int, timeline: Sequence[EventRow]) -> RunSpan:
    """The span of one POST; `timeline` begins with its sending."""
    begin_ms = timeline[0].at_ms
    answer = next((event for event in timeline[1:] if event.kind in ANSWERS), None)
    verdict = answer.kind if answer is not None else "unknown"
    # A run with an id or an outcome of the agent was launched.
    is_error = verdict in ("not_sent", "unconfirmed", "rejected", "unknown")
    again: dict[str, Value] = {"http.request.resend_count": number - 1} if number > 1 else {}
    return RunSpan(
        name="POST",
        trace_id=trace_id(run.id),
        span_id=_span_id(run.id, number),
        parent_id=_span_id(run.id, 0),
        begin_ms=begin_ms,
        end_ms=max(begin_ms, answer.at_ms if answer is not None else begin_ms),
        attributes={"http.request.method": "POST", **_about_server(run), **again, "nightdesk.verdict": verdict},
        error=verdict if is_error else "",
    )


def _about_agent(run: Run) -> dict[str, Value]:
    kind = _kind(run)
    # Where a run is a session, the config names an agent by its id there.
    is_session = kind in TRAITS and TRAITS[kind].prepares is Prepares.SESSION
    launched = run.fingerprint
    found = {
        "gen_ai.provider.name": PROVIDER_NAMES.get(kind, kind),
        "gen_ai.agent.id" if is_session else "gen_ai.agent.name": launched.agent,
        "gen_ai.request.model": launched.model,
        "gen_ai.conversation.id" if is_session else "gen_ai.response.id": run.remote_id or "",
    }
    return {name: value for name, value in found.items() if value}


def _about_server(run: Run) -> dict[str, Value]:
    """Host and port of the service, where the run has recorded it."""
    words = (run.service or "").split()
    try:
        parts = urlsplit(words[1])
        port = parts.port or (443 if parts.scheme == "https" else 80)
    except (IndexError, ValueError):
        return {}
    return {"server.address": parts.hostname, "server.port": port} if parts.hostname else {}


def _kind(run: Run) -> str:
    # Before services were recorded there was one.
    return (run.service or "gemini").split()[0]


def _about_usage(run: Run) -> dict[str, Value]:
    if not run.usage_known:
        return {}
    usage = run.usage
    return {
        # As the conventions have it, all input is in the one figure and all output in the other.
        "gen_ai.usage.input_tokens": usage.input + usage.tool_use,
        "gen_ai.usage.output_tokens": usage.output + usage.thought,
        **({"gen_ai.usage.reasoning.output_tokens": usage.thought} if usage.thought else {}),
        **({"gen_ai.usage.cache_read.input_tokens": usage.cached} if usage.cached else {}),
        **({"gen_ai.usage.cache_creation.input_tokens": usage.cache_write} if usage.cache_write else {}),
    }


def _about_run(run: Run) -> dict[str, Value]:
    cost: dict[str, Value] = {}
    if run.cost_micro is not None and run.currency:
        cost = {"nightdesk.cost": run.cost_micro / 1_000_000, "nightdesk.currency": run.currency}
    return {
        "nightdesk.run": run.id,
        "nightdesk.task": run.task,
        "nightdesk.key": run.key,
        "nightdesk.attempt": run.attempt,
        "nightdesk.stage": run.stage.label,
        "nightdesk.origin": run.origin.value,
        "nightdesk.outcome": run.outcome.value if run.outcome is not None else "",
        **({"nightdesk.stop.reason": run.stop.reason.value} if run.stop is not None else {}),
        "nightdesk.units": run.used / 1000,
        "nightdesk.hold": run.limits.budget / 1000,
        "nightdesk.max_seconds": run.limits.max_ms / 1000,
        "nightdesk.steps": run.steps,
        **cost,
    }


def _events(timeline: Iterable[EventRow], steps: Iterable[StepRecord]) -> tuple[SpanEvent, ...]:
    """What happened, in the order of time."""
    changes = list(_changes(timeline))[:MOST_CHANGES]
    newest = [_step(step) for step in steps][-(MOST_EVENTS - len(changes)) :]
    return tuple(sorted((*changes, *newest), key=lambda event: event.at_ms))


def _changes(timeline: Iterable[EventRow]) -> Iterator[SpanEvent]:
    for event in timeline:
        if event.kind in PASSED_ON:
            # Of the facts only this one is never a text of a person or a service.
            reason = event.detail.get("reason")
            known: dict[str, Value] = {"nightdesk.stop.reason": reason} if reason in set(StopReason) else {}
            yield SpanEvent(name=f"nightdesk.{event.kind}", at_ms=event.at_ms, attributes=known)


def _step(step: StepRecord) -> SpanEvent:
    # A service may call a step anything.
    kind: dict[str, Value] = {"nightdesk.step.kind": step.kind} if _WORD.fullmatch(step.kind) else {}
    attributes: dict[str, Value] = {"nightdesk.step.index": step.index, **kind, "nightdesk.units": step.units / 1000}
    return SpanEvent(name="nightdesk.step", at_ms=step.at_ms, attributes=attributes)
