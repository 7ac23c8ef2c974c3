"""What the events of one session say, put together from lists and streams in any order, each event once.

Nothing about a session is trusted further than this: an event of an unknown type is kept as a step or ignored, and a
field of the wrong type counts as missing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from console.domain.usage import Usage
from console.provider.anthropic.replies import request_usage, session_usage
from console.provider.contract import Step, StreamEvent
from console.provider.http.errors import Redact
from console.provider.http.json_narrowing import compact, elements, members, opaque_id, text
from console.provider.http.step_text import (
    KIND_LENGTH,
    MAX_STEPS,
    STEP_LENGTH,
    content_text,
    kept_result,
    named_call,
)

ERROR_LENGTH = 1_000
MAX_ERRORS = 20
MAX_MARKS = 500
"""Marks that are kept; beyond this the oldest are dropped."""
MAX_KNOWN = 20_000
"""Ids of events that are remembered; beyond this the oldest are dropped."""
NEVER = float("inf")

RUNNING, IDLE, TERMINATED = "session.status_running", "session.status_idle", "session.status_terminated"
INTERRUPT, MESSAGE = "user.interrupt", "user.message"
MARKS = frozenset({RUNNING, IDLE, TERMINATED, INTERRUPT, MESSAGE})
"""The types of events that decide how a session stands."""
USAGE, REQUEST_END, ERROR = "session.usage", "span.model_request_end", "session.error"
ENDS = frozenset({TERMINATED, "session.deleted"})
"""The types of events after which a session does nothing any more."""
PARKING = "requires_action"
"""The stop reason of a session that waits for its client."""
STEPS = "agent."
"""What the types of events begin with that are steps of the agent."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """One event that decides how the session stands."""

    type: str
    at: tuple[float, int]
    """When it was processed, in seconds of the service's clock, and its place among those of one instant."""
    reason: str = ""
    """The stop reason of a `session.status_idle`, raw."""
    details: str = ""
    """What it says about a refusal, raw."""

    @property
    def is_processed(self) -> bool:
        """False for an event that is recorded and waits."""
        return self.at[0] != NEVER


class SessionHistory:
    """The events of one session as far as they were read."""

    def __init__(self) -> None:
        self.steps: list[Step] = []
        self._step_of: dict[str, int] = {}
        self._known: dict[str, None] = {}
        self._marks: dict[str, Mark] = {}
        self._count = 0
        self._told = Usage()
        self._told_at = -NEVER
        self._since = Usage()
        """The model requests after the newest snapshot."""
        self._has_usage = False
        self._answer: list[str] = []
        self.errors: list[str] = []
        """Of those that the service does not retry, raw."""
        self.prompt: tuple[str, ...] = ()
        """The user's messages, which errors may quote."""

    @property
    def usage(self) -> Usage | None:
        """The cumulative usage; None if none was reported."""
        if not self._has_usage:
            return None
        told, since = self._told, self._since
        return replace(
            told,
            total=told.total + since.total,
            input=told.input + since.input,
            output=told.output + since.output,
            cached=told.cached + since.cached,
            cache_write=told.cache_write + since.cache_write,
        )

    @property
    def result(self) -> str:
        """What the agent has said since its last tool."""
        return kept_result("\n".join(self._answer))

    def marks(self, *types: str) -> list[Mark]:
        """Return the marks of these types in the order in which they were processed; those that wait come last."""
        return sorted((mark for mark in self._marks.values() if mark.type in types), key=lambda mark: mark.at)

    def knows(self, event: object) -> bool:
        """True if this event was read before, and had been processed then."""
        return opaque_id(members(event).get("id")) in self._known

    @property
    def is_at_rest(self) -> bool:
        """True if the newest event that is known of the session's status says that it does not work any more."""
        turns = [mark for mark in self.marks(RUNNING, IDLE, TERMINATED) if mark.is_processed]
        return bool(turns) and turns[-1].type != RUNNING and turns[-1].reason != PARKING

    def feed(self, events: Iterable[object], redact: Redact) -> list[StreamEvent]:
        """Take in events, oldest first, and return what is new in them.

        `redact` is applied to everything that the agent did not write itself.
        """
        found = [self._take(members(event), redact) for event in events]
        return [event for event in found if event is not None]

    def _take(self, event: Mapping[str, object], redact: Redact) -> StreamEvent | None:
        event_id, kind = opaque_id(event.get("id")), text(event.get("type"), KIND_LENGTH)
        if event_id is None or event_id in self._known:
            return None
        self._count += 1
        at = (instant(event.get("processed_at")), self._count)
        if at[0] != NEVER:
            self._remember(event_id)
        if kind in MARKS:
            return self._mark(event_id, kind, at, event)
        if at[0] == NEVER and not kind.startswith(STEPS):
            return None
        match kind:
            case _ if kind in (USAGE, REQUEST_END):
                return self._count_usage(kind, at[0], event)
            case _ if kind == ERROR:
                self._note_error(members(event.get("error")))
                return None
            case _ if kind.startswith(STEPS):
                return self._step(event_id, kind, event, redact)
            case _:
                return None

    def _remember(self, event_id: str) -> None:
        self._known[event_id] = None
        while len(self._known) > MAX_KNOWN:
            del self._known[next(iter(self._known))]

    def _mark(self, event_id: str, kind: str, at: tuple[float, int], event: Mapping[str, object]) -> StreamEvent | None:
        details = members(event.get("stop_details"))
        told = (text(details.get(name), ERROR_LENGTH) for name in ("category", "explanation"))
        self._marks[event_id] = Mark(
            type=kind,
            at=at,
            reason=text(members(event.get("stop_reason")).get("type"), KIND_LENGTH),
            details=": ".join(filter(None, told)),
        )
        while len(self._marks) > MAX_MARKS:
            del self._marks[next(iter(self._marks))]
        if kind == MESSAGE:
            self.prompt = (*self.prompt, whole_text(event.get("content")))[-MAX_ERRORS:]
        if kind in (INTERRUPT, MESSAGE):
            return None
        return StreamEvent(status=kind.removeprefix("session.status_"))

    def _count_usage(self, kind: str, at: float, event: Mapping[str, object]) -> StreamEvent | None:
        if kind == USAGE:
            told = session_usage(event.get("usage"))
            if told is None or at < self._told_at:
                return None
            self._told, self._told_at, self._since = self._told.highest(told), at, Usage()
        else:
            own = request_usage(event.get("model_usage"))
            if own is None or at < self._told_at:
                return None
            since = self._since
            self._since = Usage(
                total=since.total + own.total,
                input=since.input + own.input,
                output=since.output + own.output,
                cached=since.cached + own.cached,
                cache_write=since.cache_write + own.cache_write,
            )
        self._has_usage = True
        return StreamEvent(usage=self.usage)

    def _note_error(self, error: Mapping[str, object]) -> None:
        if members(error.get("retry_status")).get("type") == "retrying":
            return
        parts = (text(error.get("type"), KIND_LENGTH), text(error.get("message"), ERROR_LENGTH))
        if line := ": ".join(filter(None, parts)):
            self.errors = [*self.errors, line][-MAX_ERRORS:]

    def _note_answer(self, kind: str, event: Mapping[str, object]) -> None:
        if kind == "agent.message":
            self._answer.append(whole_text(event.get("content")))
        elif "tool" in kind:
            self._answer.clear()

    def _step(self, event_id: str, kind: str, event: Mapping[str, object], redact: Redact) -> StreamEvent | None:
        if event_id not in self._step_of:
            self._note_answer(kind, event)
        index = self._step_of.get(event_id, len(self.steps))
        if index >= MAX_STEPS:
            return None
        shown = kind.removeprefix(STEPS)
        step = Step(index=index, kind=redact(shown), text=_step_text(shown, event, redact), done=True)
        if index == len(self.steps):
            self._step_of[event_id] = index
            self.steps.append(step)
        else:
            self.steps[index] = step
        return StreamEvent(step=step)


def instant(value: object) -> float:
    """Return the Unix time of a timestamp; NEVER for anything else."""
    try:
        return datetime.fromisoformat(text(value, KIND_LENGTH)).timestamp()
    except (ValueError, OverflowError):
        return NEVER


def whole_text(content: object) -> str:
    """Return the text blocks of a content, joined without separators."""
    if isinstance(content, str):
        return content
    return "".join(piece for block in elements(content) if isinstance(piece := members(block).get("text"), str))


def _step_text(kind: str, event: Mapping[str, object], redact: Redact) -> str:
    """Return what a step did or said in at most STEP_LENGTH characters."""
    if kind == "message":
        return content_text(event.get("content"))
    if kind == "thinking":
        return content_text(event.get("content")) if event.get("content") else ""
    if kind.endswith("tool_use"):
        arguments, name = members(event.get("input")), text(event.get("name"), KIND_LENGTH) or kind
        if name == "bash" and isinstance(arguments.get("command"), str):
            return text(arguments["command"], STEP_LENGTH)
        return named_call(name, arguments)
    if kind.endswith("tool_result"):
        shown = content_text(event.get("content"))
        return text(f"error: {shown}", STEP_LENGTH) if event.get("is_error") is True else shown
    rest = {name: value for name, value in event.items() if name not in ("type", "id", "processed_at")}
    return redact(content_text(event.get("content")) or (compact(rest, STEP_LENGTH) if rest else ""))
