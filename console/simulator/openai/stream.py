"""The events of a session, as its stream sends them to those who have it open when they happen."""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from weakref import WeakKeyDictionary

from console.simulator.live_stream import LiveEvent, LiveEvents
from console.simulator.openai.bodies import TERMINAL_TURNS, Shown, item_body, session_body, turn_body, turn_id
from console.simulator.run import SimulatedRun
from console.simulator.scenario import PARKED
from console.simulator.sessions import Session
from console.simulator.timeline import PlannedStep, StepKind

DELTA_CHARACTERS = 80
"""The length of the text in one delta."""

ShowRun = Callable[[SimulatedRun], Shown]
"""Returns a run as the faults let clients see it."""


def error_event(session_id: str) -> LiveEvent:
    """Return the event of an error in the stream."""
    error = {"code": "server_error", "message": "The stream was interrupted.", "param": None, "type": "server_error"}
    payload = {"type": "error", "event_id": "evt_error", "session_id": session_id, "error": error}
    return LiveEvent(name="error", payload=payload)


@dataclass(slots=True, kw_only=True, eq=False)
class _Turn:
    """How far the events of one run were planned and sent."""

    run: SimulatedRun
    planned: deque[tuple[float, str, Mapping[str, object]]] = field(default_factory=deque)
    """When each is due in seconds since the run left the queue, its type, and its members."""
    next_step: int = 0
    items: int = 0
    """The number of items so far: a call and its result are one."""
    is_opened: bool = False
    is_parked: bool = False
    is_closed: bool = False


class SessionEvents:
    """The events of one session so far. The caller holds the lock of the state."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._numbers = itertools.count()
        self._sent: list[LiveEvent] = []
        self._turns: list[_Turn] = []

    def until(self, runs: tuple[SimulatedRun, ...], show: ShowRun, now_s: float) -> LiveEvents:
        """Return what has happened by `now_s`; `runs` are those of the session."""
        self._turns += [_Turn(run=run) for run in runs[len(self._turns) :]]
        for turn in self._turns:
            if not turn.is_closed:
                self._advance(turn, show(turn.run), now_s)
        return LiveEvents(so_far=self._sent, next_s=self._next_s(), is_over=False)

    def _next_s(self) -> float | None:
        times = []
        for turn in self._turns:
            if not turn.is_closed:
                interruption = turn.run.first_interruption()
                times += [turn.run.works_from_s + turn.planned[0][0]] if turn.planned else []
                times += [interruption.at_s] if interruption is not None else []
        return min(times, default=None)

    def _advance(self, turn: _Turn, shown: Shown, now_s: float) -> None:
        run, until_s = turn.run, turn.run.worked_s(now_s)
        if not turn.is_opened:
            turn.is_opened = True
            body = turn_body(self._session, shown)
            self._send("agent.session.turn.created", {"turn": {**body, "status": "queued"}, "turn_id": turn_id(run)})
            self._send("agent.session.in_progress", {"session": {**self._body(shown), "status": "in_progress"}})
        while not turn.planned or turn.planned[-1][0] <= until_s:
            step = run.timeline.step(turn.next_step)
            if step is None:
                break
            turn.next_step += 1
            self._plan(turn, step)
        while turn.planned and turn.planned[0][0] <= until_s:
            _, name, members = turn.planned.popleft()
            self._send(name, members)
        if shown.turn_status in TERMINAL_TURNS:
            self._close(turn, shown)
        elif shown.view.status in PARKED and not turn.is_parked:
            turn.is_parked = True
            self._send("agent.session.requires_action", {"session": self._body(shown)})

    def _plan(self, turn: _Turn, step: PlannedStep) -> None:
        """Plan the events of one step. A call begins an item, its result ends it; everything else does both."""
        kind, run = step.content.kind, turn.run
        whole = item_body(run, step)
        turn.items += kind is not StepKind.RESULT
        place = {"output_index": turn.items - 1, "turn_id": turn_id(run)}
        if kind is not StepKind.RESULT:
            begun = {**whole, "status": "in_progress", **({"content": []} if kind is StepKind.OUTPUT else {})}
            turn.planned.append((step.starts_s, "agent.session.turn.item.added", {"item": begun, **place}))
        if kind is StepKind.OUTPUT:
            text = step.content.answer
            pieces = [text[start : start + DELTA_CHARACTERS] for start in range(0, len(text), DELTA_CHARACTERS)]
            pause_s = (step.ends_s - step.starts_s) / (len(pieces) + 1)
            for order, piece in enumerate(pieces, start=1):
                delta = {"item_id": whole["id"], "content_index": 0, "delta": piece, **place}
                turn.planned.append((step.starts_s + order * pause_s, "agent.session.turn.output_text.delta", delta))
        if kind is not StepKind.CALL:
            turn.planned.append((step.ends_s, "agent.session.turn.item.done", {"item": whole, **place}))

    def _close(self, turn: _Turn, shown: Shown) -> None:
        turn.is_closed = True
        turn.planned.clear()
        body = turn_body(self._session, shown)
        members = {"turn": body, "turn_id": body["id"], "usage": body["usage"]}
        self._send(f"agent.session.turn.{shown.turn_status}", members)
        self._send("agent.session.idle", {"session": self._body(shown)})

    def _body(self, shown: Shown) -> dict[str, object]:
        return session_body(self._session, (shown,))

    def _send(self, name: str, members: Mapping[str, object]) -> None:
        payload = {"type": name, "event_id": f"evt_{next(self._numbers)}", "session_id": self._session.id, **members}
        self._sent.append(LiveEvent(name=name, payload=payload))


class EventHistory:
    """The events of all sessions. Those of a session are forgotten together with it."""

    def __init__(self) -> None:
        self._by_session: WeakKeyDictionary[Session, SessionEvents] = WeakKeyDictionary()

    def of(self, session: Session) -> SessionEvents:
        """Return the events of a session. The caller holds the lock of the state."""
        return self._by_session.setdefault(session, SessionEvents(session))
