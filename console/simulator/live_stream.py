"""An event stream that begins where it is opened: no event has a cursor, and nothing is sent twice.

A face says which events have happened; this module sends them, whole or with the faults of a stream.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from console.simulator.faults import FaultSet, Switch
from console.simulator.replies import RawConnection
from console.simulator.state import SimulatorState
from console.simulator.stream_writing import (
    ENDING_SWITCHES,
    HEADERS,
    end_badly,
    ending_fault,
    event_frame,
    noise,
    write_first,
    write_frame,
)

NOISE = noise("hint", "type")
_SWITCHES = (*ENDING_SWITCHES, Switch.SSE_SILENCE, Switch.SSE_NOISE, Switch.SSE_DRIP, Switch.SSE_HUGE_LINE)


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveEvent:
    """One event as it is sent."""

    name: str
    """The `event:` line."""
    payload: Mapping[str, object]


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveEvents:
    """What has happened so far."""

    so_far: Sequence[LiveEvent]
    """Every event since the beginning, oldest first; at each call the same ones and those that were added."""
    next_s: float | None
    """The monotonic time of the next event; None if none is planned."""
    is_over: bool
    """Whether the service ends the stream after the last event."""


class LiveStream(Response):
    """The stream of one session to one client, from its opening on."""

    def __init__(
        self,
        state: SimulatorState,
        subject: str,
        events: Callable[[float], LiveEvents],
        *,
        error: LiveEvent,
        faults: FaultSet | None,
    ) -> None:
        """`subject` is the id under which changes are signalled, `error` what `sse.error` sends.

        `events` gets the monotonic time; it is called while the lock of the state is held.
        """
        super().__init__()
        self._state, self._subject, self._events, self._error = state, subject, events, error
        self._faults = {switch: fault for switch in _SWITCHES if (fault := state.trigger(switch, faults)) is not None}
        self._own = faults
        self._sent = 0
        with state.lock:
            self._position = len(events(state.clock.now()).so_far)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the events as they happen, until the service or the client ends the stream."""
        connection = RawConnection(scope, receive, send)
        await connection.open(200, HEADERS)
        disconnected = asyncio.ensure_future(connection.disconnected())
        try:
            if Switch.SSE_SILENCE in self._faults:
                await disconnected
                return
            await write_first(connection, self._faults, NOISE)
            while not disconnected.done() and await self._continue(connection, disconnected):
                pass
        finally:
            disconnected.cancel()

    async def _continue(self, connection: RawConnection, disconnected: asyncio.Future[None]) -> bool:
        """Send the events that have happened and wait for more. Return False at the end of the stream."""
        now = self._state.clock.now()
        with self._state.lock:
            events = self._events(now)
            due = events.so_far[self._position :]
        for event in due:
            self._position += 1
            frame = event_frame(event.name, event.payload, self._faults)
            if fault := ending_fault(self._faults, self._sent):
                error = event_frame(self._error.name, self._error.payload, self._faults)
                await end_badly(fault, connection, disconnected, frame=frame, error=error)
                return False
            self._sent += 1
            if not self._state.trigger(Switch.SSE_GAPS, self._own):
                await write_frame(connection, self._faults, frame)
        if events.is_over:
            await connection.finish()
            return False
        longest_s = self._state.clock.longest_wait_s
        wait_s = longest_s if events.next_s is None else min(longest_s, max(0.0, events.next_s - now))
        await self._state.changes.wait(self._subject, wait_s, disconnected)
        return True
