"""The event stream as it goes over the wire, whole or broken in every way that was seen.

Frames as on the public streaming page; ways to break as in discuss.ai.google.dev threads 143098 and 143099, and
js-genai#1973.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from console.simulator.faults import Fault, Switch
from console.simulator.gemini.bodies import ApiError, ErrorForm
from console.simulator.gemini.events import StreamEvent, event_id
from console.simulator.replies import RawConnection
from console.simulator.run import SimulatedRun
from console.simulator.scenario import PARKED
from console.simulator.state import ChangeWaiter, SimulatorState

DONE = b"event: done\ndata: [DONE]\n\n"
NOISE = (
    "\ufeff: keep-alive\n\n"
    'event: interaction.hint\ndata: {"event_type":"interaction.hint","hint":{"mood":"busy"}}\n\n'
    '{"note":"a line that is no SSE"}\n\n'
    "data: this is no JSON\n\nretry: 10\nid: 7\n\n"
).encode()
HEADERS: Mapping[str, str] = {"content-type": "text/event-stream", "cache-control": "no-cache"}
_ENDERS = (Switch.SSE_STALL, Switch.SSE_DROP, Switch.SSE_RESET, Switch.SSE_ERROR)
_LOOKED_AT = (
    *(switch for switch in Switch if switch.value.startswith("sse.")),
    Switch.USAGE_LATE,
    Switch.USAGE_ABSENT,
    Switch.USAGE_ABSENT_MIDRUN,
)


class EventReply(Response):
    """One client's view of one run's events."""

    def __init__(
        self, state: SimulatorState, pulse: ChangeWaiter, run: SimulatedRun, *, last_event_id: str | None = None
    ) -> None:
        """Raises ApiError 400 for a `last_event_id` this run never gave."""
        super().__init__()
        self._state, self._pulse, self._run = state, pulse, run
        self._on = {switch: fault for switch in _LOOKED_AT if (fault := state.take(switch, run.board)) is not None}
        self._opened_s = state.clock.now()
        self._is_resumed = last_event_id is not None
        self._position = self._find(last_event_id)
        self._sent = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Sends events as they fall due, until the run has ended or the client has left."""
        line = RawConnection(scope, receive, send)
        await line.open(200, HEADERS)
        left = asyncio.ensure_future(line.left())
        try:
            if await self._begin(line, left):
                while not left.done() and await self._go_on(line, left):
                    pass
        finally:
            left.cancel()
        if not self._run.background and self._is_live():
            with self._state.lock:
                self._state.interactions.abandon(self._run)

    def _find(self, last: str | None) -> int:
        if last is None or Switch.SSE_NO_EVENT_ID in self._on or Switch.SSE_REPLAY_ALL in self._on:
            return 0
        with self._state.lock:
            said = self._run.events.until(self._run, self._state.clock.now())
            for position, event in enumerate(said):
                if event_id(self._run.id, event.number) == last:
                    return position + 1
        raise ApiError(400, "'last_event_id' names no event of this interaction.")

    async def _begin(self, line: RawConnection, left: asyncio.Future[None]) -> bool:
        """What some faults send first; False where that was all."""
        if Switch.SSE_SILENCE in self._on:
            await left
            return False
        if Switch.SSE_BARE_REFUSAL in self._on:
            refusal = ApiError(400, "The content was blocked.", code="prohibited_content")
            await line.write(refusal.body(ErrorForm.NEW) + b"\n")
            self._run.is_hidden = True
            await line.finish()
            return False
        if fault := self._on.get(Switch.SSE_HUGE_LINE):
            await line.write(b'data: {"padding":"' + b"x" * int(fault.value * 1_000_000) + b'"}\n\n')
        if Switch.SSE_NOISE in self._on:
            await line.write(NOISE)
        return True

    async def _go_on(self, line: RawConnection, left: asyncio.Future[None]) -> bool:
        """Sends what is due and sleeps; False at the end of the stream."""
        run, now = self._run, self._state.clock.now()
        with self._state.lock:
            due = run.events.until(run, now)[self._position :]
            is_over = run.events.is_closed or run.view(now).status in PARKED
            next_s = run.events.next_s(run)
        for event in due:
            self._position += 1
            if self._is_swallowed(event):
                await line.finish()
                return False
            if ended := self._ender():
                await self._end_badly(ended, line, left, event)
                return False
            await self._send(line, self._frame(event))
            self._sent += 1
        if is_over:
            await self._send(line, DONE)
            await line.finish()
            return False
        return await self._sleep(line, left, next_s)

    async def _sleep(self, line: RawConnection, left: asyncio.Future[None], next_s: float | None) -> bool:
        now = self._state.clock.now()
        longest_s = self._state.clock.longest_nap_s
        wait_s = longest_s if next_s is None else min(longest_s, max(0.0, next_s - now))
        if fault := self._on.get(Switch.SSE_CUT):
            cut_s = self._opened_s + fault.value
            if now >= cut_s:
                await line.write(ApiError(503, "The service is currently unavailable.").body(ErrorForm.ARRAY))
                await line.finish()
                return False
            wait_s = min(wait_s, cut_s - now)
        await self._pulse.sleep(wait_s, left)
        return True

    def _ender(self) -> Fault | None:
        """The fault that ends the stream before its next event."""
        if self._is_resumed and self._sent >= 2 and (fault := self._on.get(Switch.SSE_TWO_THEN_SILENCE)):
            return fault
        faults = (self._on.get(switch) for switch in _ENDERS)
        return next((fault for fault in faults if fault is not None and self._sent >= fault.value), None)

    async def _end_badly(
        self, fault: Fault, line: RawConnection, left: asyncio.Future[None], event: StreamEvent
    ) -> None:
        match fault.kind:
            case Switch.SSE_DROP:
                frame = self._frame(event)
                await line.write(frame[: len(frame) // 2])
                await line.hang_up()
            case Switch.SSE_RESET:
                await line.reset()
            case Switch.SSE_ERROR:
                error = {"event_type": "error", "error": {"code": "gateway_timeout", "message": "Gateway timeout."}}
                await line.write(f"event: error\ndata: {json.dumps(error)}\n\n".encode())
                await line.finish()
            case _:
                await left

    async def _send(self, line: RawConnection, frame: bytes) -> None:
        drip = self._on.get(Switch.SSE_DRIP)
        await (line.drip(frame, drip.value) if drip else line.write(frame))

    def _is_swallowed(self, event: StreamEvent) -> bool:
        inner = event.payload.get("interaction")
        cancelled = isinstance(inner, dict) and inner.get("status") == "cancelled"
        return cancelled and Switch.SSE_NO_TERMINAL_ON_CANCEL in self._on

    def _is_live(self) -> bool:
        with self._state.lock:
            return not self._run.view(self._state.clock.now()).is_terminal

    def _frame(self, event: StreamEvent) -> bytes:
        payload = self._with_usage(event)
        only_deltas = Switch.SSE_SOME_EVENT_ID in self._on and event.kind != "step.delta"
        if Switch.SSE_NO_EVENT_ID not in self._on and not only_deltas:
            payload["event_id"] = event_id(self._run.id, event.number)
        if Switch.SSE_NOISE not in self._on:
            return f"event: {event.kind}\ndata: {json.dumps(payload)}\n\n".encode()
        lines = json.dumps(payload, indent=0).split("\n")
        return "\r\n".join([f"event:{event.kind}", *(f"data:{line}" for line in lines), "", ""]).encode()

    def _with_usage(self, event: StreamEvent) -> dict[str, object]:
        payload, on = dict(event.payload), self._on
        absent = Switch.USAGE_ABSENT in on
        if event.kind == "step.stop" and (absent or Switch.USAGE_ABSENT_MIDRUN in on):
            payload.pop("usage")
            payload.pop("step_usage")
        inner = payload.get("interaction")
        if isinstance(inner, dict) and (absent or Switch.USAGE_LATE in on):
            payload["interaction"] = {name: value for name, value in inner.items() if name != "usage"}
        if Switch.SSE_MORE_USAGE in on and not absent:
            if event.kind == "step.delta":
                payload["metadata"] = {"total_usage": dict(event.usage)}
            if event.kind == "interaction.status_update":
                payload["usage"] = dict(event.usage)
        return payload
