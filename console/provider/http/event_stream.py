"""Read an open event stream frame by frame until it ends for any reason.

Kept apart because every adapter reads its stream in this way, with a reducer of its own.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Protocol

import httpx

from console.provider.contract import StreamEvent
from console.provider.http.exchange import raw_chunks
from console.provider.http.sse import Frame, SseDecoder


class Reducer(Protocol):
    """Turns the frames of one stream into stream events."""

    @property
    def ended(self) -> bool:
        """True once the service has sent its last event."""
        ...

    def feed(self, frame: Frame) -> StreamEvent | None:
        """Return the event in `frame`; None if it has none. Never raises, whatever the frame contains."""
        ...


async def events_of(response: httpx.Response, reducer: Reducer, lifetime_s: float) -> AsyncGenerator[StreamEvent, None]:
    """Yield the events of an open stream until it ends, breaks, falls silent or has been open for `lifetime_s`."""
    decoder = SseDecoder()
    async with aclosing(_chunks(response, lifetime_s)) as chunks:
        async for chunk in chunks:
            for frame in decoder.feed(chunk):
                if (event := reducer.feed(frame)) is not None:
                    yield event
                if reducer.ended:
                    return
    for frame in decoder.close():
        if (event := reducer.feed(frame)) is not None:
            yield event


async def _chunks(response: httpx.Response, lifetime_s: float) -> AsyncGenerator[bytes, None]:
    """Yield the bytes of the body until they end for any reason."""
    loop = asyncio.get_running_loop()
    end = loop.time() + lifetime_s
    async with raw_chunks(response) as chunks:
        while loop.time() < end:
            try:
                chunk = await anext(chunks)
            except (StopAsyncIteration, httpx.HTTPError, OSError):
                return
            yield chunk
