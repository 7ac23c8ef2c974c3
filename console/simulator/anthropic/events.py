"""The event history of a session. It follows from the run and from what clients sent; no task writes it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from console.simulator.anthropic.bodies import Json, request_usage_body, usage_body, utc
from console.simulator.run import RunView, SimulatedRun
from console.simulator.scenario import PARKED
from console.simulator.script import ActionKind
from console.simulator.sessions import Session
from console.simulator.timeline import PlannedStep, StepContent, StepKind

USAGE_EVERY = 3
"""Steps between two snapshots of the usage."""
TOOLS: Mapping[ActionKind, tuple[str, str]] = {
    ActionKind.CODE: ("bash", "command"),
    ActionKind.SEARCH: ("web_search", "query"),
    ActionKind.PAGE: ("web_fetch", "url"),
    ActionKind.FILE: ("read", "file_path"),
    ActionKind.OPERATOR: ("ask_operator", "question"),
}
"""The name of the tool for each action, and of its only argument."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionEvent:
    """One event of the history."""

    id: str
    type: str
    at_s: float | None
    """When it was processed; None for one that waits."""
    body: Mapping[str, object]
    """Without `processed_at`."""

    def shown(self, session: Session) -> Json:
        """Return the event as the service shows it."""
        processed = None if self.at_s is None else utc(session.wall(self.at_s))
        return {"id": self.id, "type": self.type, **self.body, "processed_at": processed}


@dataclass(slots=True, kw_only=True)
class Received:
    """An event that a client sent."""

    id: str
    type: str
    body: Mapping[str, object]
    at_s: float
    is_ignored: bool = False
    """True for an interrupt that is accepted and has no effect."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Untold:
    """What the history leaves out, by the faults that are on."""

    usage: bool = False
    usage_midrun: bool = False
    idle_s: float = 0.0
    """Seconds by which the last `session.status_idle` is listed late."""
    is_terminated: bool = False
    """A failed run ends its session."""


class SessionHistory:
    """The events of one session. The caller holds the lock of the state."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self.received: list[Received] = []
        self.hangs = False
        """The run stays `running` when it has reached its limit, until it is interrupted."""
        self._of_steps: list[SessionEvent] = []
        self._steps = 0

    def interrupted_s(self, *, after_s: float = float("-inf")) -> float | None:
        """Return when the first interrupt that had an effect was received; None without one."""
        times = [one.at_s for one in self.received if one.type == "user.interrupt" and not one.is_ignored]
        return next((at_s for at_s in times if at_s >= after_s), None)

    def status(self, run: SimulatedRun | None, view: RunView | None) -> str:
        """Return the status of the session."""
        if self._session.archived_s is not None:
            return "terminated"
        if run is None or view is None:
            return "idle"
        if view.status in ("queued", run.scenario.live_status):
            return "idle" if view.status == "queued" else _live_word(view.status)
        if view.status == run.scenario.unknown_word:
            return view.status
        return "running" if self.is_hanging(view) else "idle"

    def is_hanging(self, view: RunView) -> bool:
        """True for a run at its limit whose session stays running until an interrupt."""
        return (
            self.hangs and view.status == "budget_exceeded" and self.interrupted_s(after_s=view.ended_s or 0.0) is None
        )

    def events(
        self, run: SimulatedRun | None, view: RunView | None, now_s: float, untold: Untold
    ) -> list[SessionEvent]:
        """Return the history by `now_s`, oldest first; events that wait to be processed come last."""
        if run is None or view is None:
            return [_waiting(one) for one in self.received]
        starts_s = run.works_from_s
        found = [self._received(one, run, view) for one in self.received]
        if view.status != "queued":
            found.append(self._event("running", "session.status_running", starts_s, {}))
        self._grow(run, view)
        found += [event for event in self._of_steps if not (untold.usage_midrun and _tells_usage(event))]
        found += self._end(run, view, now_s, untold)
        if untold.usage:
            found = [event for event in found if not _tells_usage(event)]
        return sorted(found, key=lambda event: float("inf") if event.at_s is None else event.at_s)

    def _received(self, one: Received, run: SimulatedRun, view: RunView) -> SessionEvent:
        """Return what a client sent. A message is processed when the run starts, an interrupt when it takes effect."""
        at_s: float | None = max(one.at_s, run.works_from_s)
        if one.type == "user.message":
            at_s = at_s if view.status != "queued" else None
        elif one.is_ignored:
            at_s = None
        elif view.ended_s is None:
            at_s = None if view.may_spend else one.at_s
        elif one.at_s <= view.ended_s and view.status == "cancelled":
            # Before the run stops being active, and before its `session.status_idle`.
            at_s = view.ended_s
        else:
            at_s = one.at_s
        return SessionEvent(id=one.id, type=one.type, at_s=at_s, body=one.body)

    def _grow(self, run: SimulatedRun, view: RunView) -> None:
        """Add the events of the steps that have ended since the last look."""
        for step in view.steps[self._steps :]:
            at_s = run.works_from_s + step.ends_s
            self._of_steps.append(self._step(step, at_s))
            self._of_steps.append(
                self._event(
                    f"{step.index}/end",
                    "span.model_request_end",
                    at_s,
                    {
                        "model_request_start_id": self._id(f"{step.index}/start"),
                        "model_usage": request_usage_body(step.own),
                        "is_error": False,
                    },
                )
            )
            if (step.index + 1) % USAGE_EVERY == 0:
                self._of_steps.append(self._usage(f"{step.index}/usage", step, at_s))
        self._steps = len(view.steps)

    def _step(self, step: PlannedStep, at_s: float) -> SessionEvent:
        kind, body = _content(step.content, self._id)
        name = step.content.call_id if step.content.kind is StepKind.CALL else f"{step.index}"
        return self._event(name, kind, at_s, body)

    def _usage(self, name: str, step: PlannedStep, at_s: float) -> SessionEvent:
        snapshot = usage_body(step.total, step.ends_s)
        body: Json = {"usage": snapshot, "budget": self._session.settings.get("budget")}
        return self._event(name, "session.usage", at_s, body)

    def _end(self, run: SimulatedRun, view: RunView, now_s: float, untold: Untold) -> list[SessionEvent]:
        """Return the events with which the run ended; none while it works."""
        if view.may_spend or self.is_hanging(view):
            return []
        last_s = run.works_from_s + view.steps[-1].ends_s if view.steps else run.works_from_s
        at_s = view.ended_s if view.ended_s is not None else last_s
        if self.hangs and view.status == "budget_exceeded":
            at_s = self.interrupted_s(after_s=at_s) or at_s
        active_s = at_s - run.works_from_s
        found = [
            self._event(
                "last/usage",
                "session.usage",
                at_s,
                {"usage": usage_body(view.tokens, active_s), "budget": self._session.settings.get("budget")},
            )
        ]
        for number, (code, message) in enumerate(view.errors):
            retry = "terminal" if untold.is_terminated else "exhausted"
            error = {"type": code, "message": message, "retry_status": {"type": retry}}
            found.append(self._event(f"error/{number}", "session.error", at_s, {"error": error}))
        if view.status == "failed" and untold.is_terminated:
            return [*found, self._event("terminated", "session.status_terminated", at_s, {})]
        reason = self._stop_reason(view)
        if reason is not None and now_s >= at_s + untold.idle_s:
            body: Json = {"stop_reason": reason, "stop_details": None}
            found.append(self._event("idle", "session.status_idle", at_s, body))
        return found

    def _stop_reason(self, view: RunView) -> Json | None:
        """Return why the session is idle; None for a reason that the service never tells."""
        match view.status:
            case "completed" | "cancelled":
                return {"type": "end_turn"}
            case "failed":
                return {"type": "retries_exhausted"}
            case "budget_exceeded":
                return {"type": "budget_reached"}
            case status if status in PARKED:
                asked = view.steps[-1].content.call_id or f"{view.steps[-1].index}"
                return {"type": "requires_action", "event_ids": [self._id(asked)]}
            case _:
                return None

    def _event(self, name: str, kind: str, at_s: float, body: Json) -> SessionEvent:
        return SessionEvent(id=self._id(name), type=kind, at_s=at_s, body=body)

    def _id(self, name: str) -> str:
        return f"sevt_{self._session.id.removeprefix('sesn_')}{name.encode().hex()}"


def _content(content: StepContent, id_of: Callable[[str], str]) -> tuple[str, Json]:
    """Return the type and the body of the event of a step; `id_of` returns the event id of a call."""
    match content.kind:
        case StepKind.THOUGHT:
            # A sign of progress, without a text.
            return "agent.thinking", {}
        case StepKind.CALL:
            name, argument = TOOLS.get(content.action, ("bash", "command"))
            kind = "agent.custom_tool_use" if content.action is ActionKind.OPERATOR else "agent.tool_use"
            allowed = {} if content.action is ActionKind.OPERATOR else {"evaluated_permission": "allow"}
            return kind, {"name": name, "input": {argument: content.request}, **allowed}
        case StepKind.RESULT:
            body = {"tool_use_id": id_of(content.call_id), "content": _text(content.answer), "is_error": False}
            return "agent.tool_result", body
        case StepKind.OUTPUT:
            return "agent.message", {"content": _text(content.answer)}


def _text(text: str) -> list[Json]:
    return [{"type": "text", "text": text}]


def _tells_usage(event: SessionEvent) -> bool:
    return event.type in ("session.usage", "span.model_request_end")


def _waiting(one: Received) -> SessionEvent:
    return SessionEvent(id=one.id, type=one.type, at_s=None, body=one.body)


def _live_word(status: str) -> str:
    return "running" if status == "in_progress" else status
