"""Read the event stream of a run: steps as their text grows, cumulative usage, and the status.

Each stream has its own `StreamReducer`. A stream that starts again with the first event is harmless: the consumer takes
the maximum of usage and replaces steps by index, so nothing counts twice.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Mapping
from dataclasses import dataclass

from console.domain.usage import Usage
from console.provider.contract import (
    Step,
    StreamEvent,
)
from console.provider.gemini.replies import parse_error, usage_of
from console.provider.gemini.steps import call_text, kind_of, result_text, step_text, tool_name
from console.provider.http.errors import Redact
from console.provider.http.json_narrowing import members, parsed, text
from console.provider.http.sse import Frame
from console.provider.http.step_text import (
    KIND_LENGTH,
    MAX_STEPS,
    STATUS_LENGTH,
    STEP_LENGTH,
    content_text,
    unchanged,
)

MAX_OPEN_STEPS = 64
"""Unfinished steps that are kept; beyond this the oldest is dropped."""

_SILENT_DELTAS = frozenset({"thought_signature", "text_annotation_delta"})

_KIND_OF_DELTA = {"text": "model_output", "thought_summary": "thought", "arguments_delta": "function_call"}
"""The kind of step for a delta whose start was not received; for other types it is the type of the delta."""


@dataclass(slots=True, kw_only=True)
class _Draft:
    """A step that is not finished."""

    kind: str
    name: str
    text: str = ""
    arguments: str = ""


class StreamReducer:
    """Turns frames into stream events. Never raises, whatever the frames contain."""

    def __init__(self, redact: Redact = unchanged) -> None:
        """`redact` is applied to every text that is not the agent's own."""
        self._redact = redact
        self.ended = False
        """True once the service has sent its last event."""
        self._drafts: dict[int, _Draft] = {}
        self._inputs: list[int] = []

    def feed(self, frame: Frame) -> StreamEvent | None:
        """Return the event in `frame`; None if it has none."""
        if frame.data.strip() == "[DONE]":
            self.ended = True
            return None
        try:
            value = parsed(frame.data)
        except ValueError:
            return None
        payload = members(value)
        event_type = text(payload.get("event_type"), 64) or frame.event
        if event_type == "error" or (parse_error(value) is not None and not event_type.startswith("step.")):
            self.ended = True
            return None
        return self._event(event_type, payload)

    def _event(self, event_type: str, payload: Mapping[str, object]) -> StreamEvent | None:
        match event_type:
            case "interaction.created":
                return self._state(members(payload.get("interaction")))
            case "interaction.completed" | "interaction.cancelled" | "interaction.canceled" | "interaction.failed":
                self.ended = True
                # The usage may be beside the interaction instead of within it.
                return self._state({**payload, **members(payload.get("interaction"))})
            case "interaction.status_update":
                return self._state(payload)
            case "step.start":
                return self._started(payload)
            case "step.delta":
                return self._grown(payload)
            case "step.stop":
                return self._stopped(payload)
            case _:
                return None

    def _started(self, payload: Mapping[str, object]) -> StreamEvent | None:
        index = _index(payload)
        step = members(payload.get("step"))
        if index is None:
            return None
        if kind_of(step) == "user_input":
            if index not in self._inputs:
                insort(self._inputs, index)
            return None
        kind = kind_of(step)
        return self._grown_step(
            index, self._keep(index, _Draft(kind=kind, name=tool_name(kind, step), text=step_text(step, self._redact)))
        )

    def _grown(self, payload: Mapping[str, object]) -> StreamEvent | None:
        index = _index(payload)
        delta = members(payload.get("delta"))
        usage = usage_of(members(payload.get("metadata")).get("total_usage"))
        kind = kind_of(delta)
        if index is None or index in self._inputs or kind in _SILENT_DELTAS or not delta:
            return StreamEvent(usage=usage) if usage is not None else None
        draft = self._drafts.get(index)
        if draft is None:
            whole = _KIND_OF_DELTA.get(kind, kind)
            draft = self._keep(index, _Draft(kind=whole, name=tool_name(whole, delta)))
        _grow(draft, kind, delta)
        return self._grown_step(index, draft, usage=usage)

    def _stopped(self, payload: Mapping[str, object]) -> StreamEvent | None:
        usage, of_step = usage_of(payload.get("usage")), usage_of(payload.get("step_usage"))
        index = _index(payload)
        draft = self._drafts.pop(index, None) if index is not None else None
        step = None
        if index is not None and draft is not None:
            step = Step(index=self._ordinal(index), kind=self._redact(draft.kind), text=draft.text, done=True)
        if step is None and usage is None and of_step is None:
            return None
        return StreamEvent(step=step, usage=usage, step_tokens=of_step)

    def _keep(self, index: int, draft: _Draft) -> _Draft:
        self._drafts[index] = draft
        while len(self._drafts) > MAX_OPEN_STEPS:
            del self._drafts[next(iter(self._drafts))]
        return draft

    def _ordinal(self, index: int) -> int:
        """Return the index among the agent's own steps, as `steps.numbered` counts them."""
        return index - bisect_left(self._inputs, index)

    def _grown_step(self, index: int, draft: _Draft, usage: Usage | None = None) -> StreamEvent:
        step = Step(index=self._ordinal(index), kind=self._redact(draft.kind), text=draft.text)
        return StreamEvent(step=step, usage=usage)

    def _state(self, reported: Mapping[str, object]) -> StreamEvent | None:
        status = self._redact(text(reported.get("status"), STATUS_LENGTH)) or None
        usage = usage_of(reported.get("usage"))
        return None if status is None and usage is None else StreamEvent(status=status, usage=usage)


def _index(payload: Mapping[str, object]) -> int | None:
    index = payload.get("index")
    if isinstance(index, bool) or not isinstance(index, int):
        return None
    return index if 0 <= index < MAX_STEPS else None


def _grow(draft: _Draft, kind: str, delta: Mapping[str, object]) -> None:
    """Add a delta to a step. Tool code and results arrive only in deltas (ANYPLEX in the wire notes)."""
    if kind == "arguments_delta":
        draft.arguments = text(draft.arguments + text(delta.get("arguments"), STEP_LENGTH), STEP_LENGTH)
        draft.text = text(f"{draft.name} {draft.arguments}", STEP_LENGTH)
    elif kind.endswith("_call"):
        draft.name = text(delta.get("name"), KIND_LENGTH) or draft.name
        named = {**delta, "name": draft.name} if draft.name != tool_name(kind, {}) else delta
        draft.text = call_text(kind, named) if delta.get("arguments") else draft.text or draft.name
    else:
        draft.text = text(draft.text + _piece(kind, delta), STEP_LENGTH)


def _piece(kind: str, delta: Mapping[str, object]) -> str:
    if kind == "text":
        return text(delta.get("text"), STEP_LENGTH)
    if kind == "thought_summary":
        return content_text(delta.get("content"))
    if kind.endswith("_result"):
        return result_text(delta)
    return content_text(dict(delta))
