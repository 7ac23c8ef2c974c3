"""How events are written to a stream, whole or with the faults that the stream of every face can have."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping

from console.simulator.faults import Fault, Switch
from console.simulator.replies import RawConnection

Faults = Mapping[Switch, Fault]
"""The faults of one stream by their switches."""

HEADERS: Mapping[str, str] = {"content-type": "text/event-stream", "cache-control": "no-cache"}
ENDING_SWITCHES = (Switch.SSE_STALL, Switch.SSE_DROP, Switch.SSE_RESET, Switch.SSE_ERROR)
"""Each ends a stream after a number of events."""


def event_frame(name: str, payload: Mapping[str, object], faults: Faults) -> bytes:
    """Return one event as it is sent; with `sse.noise` in another form that the standard allows."""
    if Switch.SSE_NOISE not in faults:
        return f"event: {name}\ndata: {json.dumps(payload)}\n\n".encode()
    lines = json.dumps(payload, indent=0).split("\n")
    return "\r\n".join([f"event:{name}", *(f"data:{line}" for line in lines), "", ""]).encode()


def noise(name: str, kind_field: str) -> bytes:
    """Return what a client must skip: an unknown event of that name, with its kind in that field, and broken lines."""
    hint = json.dumps({kind_field: name, "hint": {"mood": "busy"}}, separators=(",", ":"))
    return (
        f"\ufeff: keep-alive\n\nevent: {name}\ndata: {hint}\n\n"
        '{"note":"a line that is no SSE"}\n\n'
        "data: this is no JSON\n\nretry: 10\nid: 7\n\n"
    ).encode()


async def write_first(connection: RawConnection, faults: Faults, strange: bytes) -> None:
    """Send what comes before the first event: a huge line, and `strange` with `sse.noise`."""
    if fault := faults.get(Switch.SSE_HUGE_LINE):
        await connection.write(b'data: {"padding":"' + b"x" * int(fault.value * 1_000_000) + b'"}\n\n')
    if Switch.SSE_NOISE in faults:
        await connection.write(strange)


async def write_frame(connection: RawConnection, faults: Faults, frame: bytes) -> None:
    """Send one event, with `sse.drip` in small pieces."""
    drip = faults.get(Switch.SSE_DRIP)
    await (connection.drip(frame, drip.value) if drip else connection.write(frame))


def ending_fault(faults: Faults, sent: int) -> Fault | None:
    """Return the fault that ends the stream before its next event, after `sent` events."""
    found = (faults.get(switch) for switch in ENDING_SWITCHES)
    return next((fault for fault in found if fault is not None and sent >= fault.value), None)


async def end_badly(
    fault: Fault, connection: RawConnection, disconnected: asyncio.Future[None], *, frame: bytes, error: bytes
) -> None:
    """End a stream: in the middle of `frame`, by a reset, with the event `error`, or in silence."""
    match fault.kind:
        case Switch.SSE_DROP:
            await connection.write(frame[: len(frame) // 2])
            await connection.hang_up()
        case Switch.SSE_RESET:
            await connection.reset()
        case Switch.SSE_ERROR:
            await connection.write(error)
            await connection.finish()
        case _:
            await disconnected
