"""Replies that go wrong, each in its own way, once or for ever."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from email.utils import formatdate

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from console.simulator.errors import ApiError, ErrorForm, retry_info
from console.simulator.faults import Fault, Manner
from console.simulator.line import Line

Act = Callable[[], Awaitable[Response]]
"""Does a call; raises ApiError where it is refused."""
Refuse = Callable[[ApiError], Response]
"""Writes a refusal."""
ELSEWHERE = "/_sim/elsewhere"
"""Where a redirect leads; calls that arrive there are counted."""
GARBAGE_PAGE = b"<!DOCTYPE html><html><body><h1>Welcome to hotel WiFi</h1>Please accept the terms.</body></html>"
GARBAGE_BYTES = b"\x16\x03\x01\x02\x00\x01\x00garbage\xff\xfe\r\n\r\n"
_JSON = {"content-type": "application/json"}
UNDONE = frozenset(
    {
        Manner.DROPPED,
        Manner.RESET_BEFORE,
        Manner.SILENCE_BEFORE,
        Manner.STATUS,
        Manner.RETRY_AFTER,
        Manner.RETRY_AFTER_MS,
        Manner.RETRY_AFTER_DATE,
        Manner.RETRY_INFO,
        Manner.RETRY_BARE,
    }
)
"""Of these the call has no effect."""


def json_reply(data: object, status: int = 200) -> Response:
    """A reply as it should be."""
    return Response(json.dumps(data), status_code=status, media_type="application/json")


def error_reply(error: ApiError, form: ErrorForm) -> Response:
    """A refusal."""
    media_type = "text/html" if form is ErrorForm.HTML else "application/json"
    return Response(error.body(form), status_code=error.http_status, media_type=media_type, headers=error.headers)


async def answer(act: Act, fault: Fault | None, refuse: Refuse) -> Response:
    """What `act` answers, or what the fault makes of it; `act` is called only where the call takes effect."""
    if fault is None:
        return await _said(act, refuse)
    match fault.kind:
        case Manner.LATE:
            await asyncio.sleep(fault.value)
            return await _said(act, refuse)
        case Manner.SLOW:
            said = await _said(act, refuse)
            await asyncio.sleep(fault.value)
            return said
    inner = Response() if fault.kind in UNDONE else await _said(act, refuse)
    refusal = _refusal(fault)
    if refusal is not None:
        return refuse(refusal)
    return _other_words(fault, inner) or BrokenReply(fault, inner)


async def _said(act: Act, refuse: Refuse) -> Response:
    try:
        return await act()
    except ApiError as error:
        return refuse(error)


def _refusal(fault: Fault) -> ApiError | None:
    seconds = fault.value
    busy = "Resource has been exhausted (e.g. check quota)."
    match fault.kind:
        case Manner.STATUS | Manner.STATUS_BUT_DONE:
            headers = {"location": ELSEWHERE} if fault.status < 400 else {}
            return ApiError(fault.status, f"Simulated answer {fault.status}.", headers=headers)
        case Manner.RETRY_AFTER:
            return ApiError(429, busy, headers={"retry-after": f"{seconds:g}"})
        case Manner.RETRY_AFTER_MS:
            return ApiError(429, busy, headers={"retry-after-ms": f"{seconds * 1000:g}"})
        case Manner.RETRY_AFTER_DATE:
            return ApiError(429, busy, headers={"retry-after": formatdate(time.time() + seconds, usegmt=True)})
        case Manner.RETRY_INFO:
            return ApiError(429, busy, details=(retry_info(seconds),))
        case Manner.RETRY_BARE:
            return ApiError(429, busy)
        case _:
            return None


def _other_words(fault: Fault, inner: Response) -> Response | None:
    match fault.kind:
        case Manner.GARBAGE:
            return Response(GARBAGE_PAGE, media_type="text/html")
        case Manner.EMPTY:
            return Response(b"", media_type="application/json")
        case Manner.NO_ID:
            return json_reply(_without_id(bytes(inner.body)))
        case _:
            return None


class BrokenReply(Response):
    """A reply that does not arrive as it should."""

    def __init__(self, fault: Fault, inner: Response) -> None:
        """`inner` is what should have been said."""
        super().__init__()
        self._fault, self._inner = fault, inner

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Breaks the line. Raises TypeError for a fault that breaks none."""
        line = Line(scope, receive, send)
        body = bytes(self._inner.body)
        match self._fault.kind:
            case Manner.LOST_REPLY | Manner.DROPPED:
                await line.hang_up()
            case Manner.RESET | Manner.RESET_BEFORE:
                await line.reset()
            case Manner.SILENCE | Manner.SILENCE_BEFORE:
                await line.left()
            case Manner.HALF_HEADERS:
                await line.hang_up(b"HTTP/1.1 200 OK\r\ncontent-type: applic")
            case Manner.GARBAGE_BYTES:
                await line.hang_up(GARBAGE_BYTES)
            case Manner.HALF_BODY:
                await line.open(self._inner.status_code, {"content-length": str(max(len(body), 2))})
                await line.write(body[: len(body) // 2])
                await line.hang_up()
            case Manner.DRIP:
                await line.open(self._inner.status_code, _JSON)
                await line.drip(body, self._fault.value)
                await line.finish()
            case Manner.HUGE:
                await line.open(self._inner.status_code, _JSON)
                await self._pad(line)
                await line.write(body)
                await line.finish()
            case _:
                raise TypeError(f"{self._fault.name} breaks no line")

    async def _pad(self, line: Line) -> None:
        """JSON may begin with any amount of white space."""
        left = int(self._fault.value * 1_000_000)
        while left > 0:
            await line.write(b" " * min(left, 65_536))
            left -= 65_536


def _without_id(body: bytes) -> dict[str, object]:
    try:
        data = json.loads(body)
    except ValueError:
        data = None
    return {name: value for name, value in data.items() if name != "id"} if isinstance(data, dict) else {}
