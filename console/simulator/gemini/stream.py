"""The event stream of a run: which events are due, and how they are sent, whole or with the faults that were seen live.

The frames follow the public streaming page; the faults follow discuss.ai.google.dev threads 143098 and 143099 and
js-genai#1973.
"""

from __future__ import annotations

import asyncio
import base64
import itertools
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from weakref import WeakKeyDictionary

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from console.simulator.errors import ApiError, ErrorForm
from console.simulator.faults import Fault, Switch
from console.simulator.gemini.bodies import error_body, step_bodies, usage_body, utc
from console.simulator.replies import RawConnection
from console.simulator.run import RunView, SimulatedRun
from console.simulator.scenario import PARKED, TERMINAL
from console.simulator.state import SimulatorState
from console.simulator.stream_writing import (
    HEADERS,
    end_badly,
    ending_fault,
    event_frame,
    noise,
    write_first,
    write_frame,
)
from console.simulator.timeline import PlannedStep, Tokens

DONE = b"event: done\ndata: [DONE]\n\n"
NOISE = noise("interaction.hint", "event_type")
ERROR: Mapping[str, object] = {
    "event_type": "error",
    "error": {"code": "gateway_timeout", "message": "Gateway timeout."},
}
_STREAM_SWITCHES = (
    *(switch for switch in Switch if switch.value.startswith("sse.")),
    Switch.USAGE_LATE,
    Switch.USAGE_ABSENT,
    Switch.USAGE_ABSENT_MIDRUN,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamEvent:
    """One event, before any fault takes something away from it."""

    number: int
    at_s: float
    """When it is due, in seconds since the run left the queue; negative in the queue."""
    kind: str
    payload: Mapping[str, object]
    usage: Mapping[str, object]
    """The cumulative usage at this event."""


def event_id(run_id: str, number: int) -> str:
    """Return an opaque id that contains characters which a query string must escape."""
    return base64.b64encode(f"{run_id}>?~{number}".encode()).decode()


class StreamEvents:
    """The events of one run so far. Every client of the stream gets the same events in the same order.

    Events are computed from the timeline when they are asked for. The caller holds the lock of the state.
    """

    def __init__(self) -> None:
        self._sent: list[StreamEvent] = []
        self._planned: deque[StreamEvent] = deque()
        self._next_step = 0
        self._numbers = itertools.count()
        self._is_opened = False
        self._is_closed = False
        self._usage = usage_body(Tokens())

    def until(self, run: SimulatedRun, now_s: float) -> list[StreamEvent]:
        """Return all events that are due at `now_s`, oldest first. The list is shared and only ever grows."""
        if not self._is_opened:
            self._open(run)
        view = run.view(now_s)
        until_s = run.worked_s(now_s)
        self._plan(run, until_s)
        while self._planned and self._planned[0].at_s <= until_s:
            self._sent.append(self._planned.popleft())
        if view.ended_s is not None and not self._is_closed:
            self._close(run, view, view.ended_s, until_s)
        return self._sent

    @property
    def is_closed(self) -> bool:
        """Whether the last event is due."""
        return self._is_closed

    def next_s(self, run: SimulatedRun) -> float | None:
        """Return the monotonic time of the next event, or None if none is planned."""
        if self._is_closed:
            return None
        interruption = run.first_interruption()
        times = [run.works_from_s + self._planned[0].at_s] if self._planned else []
        return min(times + ([interruption.at_s] if interruption is not None else []), default=None)

    def _open(self, run: SimulatedRun) -> None:
        self._is_opened = True
        queued = run.scenario.queued_seconds > 0
        status = "queued" if queued else run.scenario.live_status
        self._add(-run.scenario.queued_seconds, "interaction.created", {"interaction": _interaction_head(run, status)})
        if queued:
            self._add(
                0.0,
                "interaction.status_update",
                {"interaction_id": run.id, "status": run.scenario.live_status},
            )

    def _plan(self, run: SimulatedRun, until_s: float) -> None:
        while not self._planned or self._planned[-1].at_s <= until_s:
            step = run.timeline.step(self._next_step)
            if step is None:
                return
            self._next_step += 1
            self._add_step(step)
            parked = _parked_status(run, step)
            if parked is not None:
                self._add(step.ends_s, "interaction.status_update", {"interaction_id": run.id, "status": parked})

    def _add_step(self, step: PlannedStep) -> None:
        bodies = step_bodies(step.content)
        pause_s = (step.ends_s - step.starts_s) / (len(bodies.deltas) + 1)
        self._add(step.starts_s, "step.start", {"index": step.index, "step": dict(bodies.stub)})
        for order, delta in enumerate(bodies.deltas, start=1):
            self._add(step.starts_s + order * pause_s, "step.delta", {"index": step.index, "delta": delta})
        self._usage = usage_body(step.total)
        self._add(
            step.ends_s,
            "step.stop",
            {"index": step.index, "usage": usage_body(step.total), "step_usage": usage_body(step.own)},
        )

    def _close(self, run: SimulatedRun, view: RunView, ended_s: float, at_s: float) -> None:
        self._planned.clear()
        head = _interaction_head(run, view.status)
        interaction = {**head, "updated": utc(run.wall(ended_s)), "usage": usage_body(view.tokens)}
        self._add(at_s, "interaction.completed", {"interaction": interaction})
        self._sent.append(self._planned.popleft())
        self._is_closed = True

    def _add(self, at_s: float, kind: str, payload: Mapping[str, object]) -> None:
        self._planned.append(
            StreamEvent(
                number=next(self._numbers),
                at_s=at_s,
                kind=kind,
                payload={"event_type": kind, **payload},
                usage=self._usage,
            )
        )


def _parked_status(run: SimulatedRun, step: PlannedStep) -> str | None:
    """Return the status that is not terminal and that the run has after its last step; None for any other step."""
    end = run.timeline.end(step.ends_s)
    if end is None or end.at_s > step.ends_s or run.timeline.step(step.index + 1) is not None:
        return None
    status, _ = run.result_of(end.status)
    return None if status in TERMINAL else status


def _interaction_head(run: SimulatedRun, status: str) -> dict[str, object]:
    created = utc(run.created_wall_s)
    head: dict[str, object] = {
        "id": run.id,
        "status": status,
        "object": "interaction",
        "agent": run.agent,
        "created": created,
        "updated": created,
        "service_tier": run.service_tier,
    }
    if run.shows_environment and run.environment_id is not None:
        head["environment_id"] = run.environment_id
    return head


class EventStreams:
    """The events of all runs. A run's events are forgotten together with the run."""

    def __init__(self) -> None:
        self._by_run: WeakKeyDictionary[SimulatedRun, StreamEvents] = WeakKeyDictionary()

    def of(self, run: SimulatedRun) -> StreamEvents:
        """Return the events of a run. The caller holds the lock of the state."""
        return self._by_run.setdefault(run, StreamEvents())


class EventReply(Response):
    """The stream of one run to one client."""

    def __init__(
        self, state: SimulatorState, run: SimulatedRun, events: StreamEvents, *, last_event_id: str | None = None
    ) -> None:
        """`last_event_id` resumes the stream after that event. Raises ApiError 400 if the run has no such event."""
        super().__init__()
        self._state, self._run, self._events = state, run, events
        self._faults = {
            switch: fault for switch in _STREAM_SWITCHES if (fault := state.trigger(switch, run.faults)) is not None
        }
        self._opened_s = state.clock.now()
        self._is_resumed = last_event_id is not None
        self._position = self._position_after(last_event_id)
        self._sent = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the events as they fall due, until the run has ended or the client has disconnected."""
        connection = RawConnection(scope, receive, send)
        await connection.open(200, HEADERS)
        disconnected = asyncio.ensure_future(connection.disconnected())
        try:
            if await self._begin(connection, disconnected):
                while not disconnected.done() and await self._continue(connection, disconnected):
                    pass
        finally:
            disconnected.cancel()
        if not self._run.background:
            with self._state.lock:
                if not self._run.view(self._state.clock.now()).is_terminal:
                    self._state.run_store.abandon(self._run)

    def _position_after(self, last_event_id: str | None) -> int:
        ignores_ids = Switch.SSE_NO_EVENT_ID in self._faults or Switch.SSE_REPLAY_ALL in self._faults
        if last_event_id is None or ignores_ids:
            return 0
        with self._state.lock:
            events = self._events.until(self._run, self._state.clock.now())
            for position, event in enumerate(events):
                if event_id(self._run.id, event.number) == last_event_id:
                    return position + 1
        raise ApiError(400, "'last_event_id' names no event of this interaction.")

    async def _begin(self, connection: RawConnection, disconnected: asyncio.Future[None]) -> bool:
        """Send what some faults send first. Return False if the stream ends with it."""
        if Switch.SSE_SILENCE in self._faults:
            await disconnected
            return False
        if Switch.SSE_BARE_REFUSAL in self._faults:
            refusal = ApiError(400, "The content was blocked.", code="prohibited_content")
            await connection.write(error_body(refusal, ErrorForm.NEW) + b"\n")
            self._run.is_hidden = True
            await connection.finish()
            return False
        await write_first(connection, self._faults, NOISE)
        return True

    async def _continue(self, connection: RawConnection, disconnected: asyncio.Future[None]) -> bool:
        """Send the events that are due and wait for more. Return False at the end of the stream."""
        run, now = self._run, self._state.clock.now()
        with self._state.lock:
            due = self._events.until(run, now)[self._position :]
            is_over = self._events.is_closed or run.view(now).status in PARKED
            next_s = self._events.next_s(run)
        for event in due:
            self._position += 1
            if self._is_withheld(event):
                await connection.finish()
                return False
            if fault := self._ending_fault():
                # Without the form of `sse.noise`, which is that of the events of a run.
                error = event_frame("error", ERROR, {})
                await end_badly(fault, connection, disconnected, frame=self._frame(event), error=error)
                return False
            await write_frame(connection, self._faults, self._frame(event))
            self._sent += 1
        if is_over:
            await write_frame(connection, self._faults, DONE)
            await connection.finish()
            return False
        return await self._wait(connection, disconnected, next_s)

    async def _wait(self, connection: RawConnection, disconnected: asyncio.Future[None], next_s: float | None) -> bool:
        now = self._state.clock.now()
        longest_s = self._state.clock.longest_wait_s
        wait_s = longest_s if next_s is None else min(longest_s, max(0.0, next_s - now))
        if fault := self._faults.get(Switch.SSE_CUT):
            cut_s = self._opened_s + fault.value
            if now >= cut_s:
                error = ApiError(503, "The service is currently unavailable.")
                await connection.write(error_body(error, ErrorForm.ARRAY))
                await connection.finish()
                return False
            wait_s = min(wait_s, cut_s - now)
        await self._state.changes.wait(self._run.id, wait_s, disconnected)
        return True

    def _ending_fault(self) -> Fault | None:
        """Return the fault that ends the stream before its next event."""
        if self._is_resumed and self._sent >= 2 and (fault := self._faults.get(Switch.SSE_TWO_THEN_SILENCE)):
            return fault
        return ending_fault(self._faults, self._sent)

    def _is_withheld(self, event: StreamEvent) -> bool:
        interaction = event.payload.get("interaction")
        is_cancelled = isinstance(interaction, dict) and interaction.get("status") == "cancelled"
        return is_cancelled and Switch.SSE_NO_TERMINAL_ON_CANCEL in self._faults

    def _frame(self, event: StreamEvent) -> bytes:
        payload = self._payload(event)
        lacks_id = Switch.SSE_SOME_EVENT_ID in self._faults and event.kind != "step.delta"
        if Switch.SSE_NO_EVENT_ID not in self._faults and not lacks_id:
            payload["event_id"] = event_id(self._run.id, event.number)
        return event_frame(event.kind, payload, self._faults)

    def _payload(self, event: StreamEvent) -> dict[str, object]:
        """Return a copy of the payload with as much usage as the faults allow."""
        payload, faults = dict(event.payload), self._faults
        is_absent = Switch.USAGE_ABSENT in faults
        if event.kind == "step.stop" and (is_absent or Switch.USAGE_ABSENT_MIDRUN in faults):
            payload.pop("usage")
            payload.pop("step_usage")
        interaction = payload.get("interaction")
        if isinstance(interaction, dict) and (is_absent or Switch.USAGE_LATE in faults):
            payload["interaction"] = {name: value for name, value in interaction.items() if name != "usage"}
        if Switch.SSE_MORE_USAGE in faults and not is_absent:
            if event.kind == "step.delta":
                payload["metadata"] = {"total_usage": dict(event.usage)}
            if event.kind == "interaction.status_update":
                payload["usage"] = dict(event.usage)
        return payload
