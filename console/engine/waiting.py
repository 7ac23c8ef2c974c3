"""Waiting for an event or a time, whichever comes first, without losing a cancellation.

In Python 3.11 `asyncio.wait_for` swallows a cancellation that meets the event in one turn of the loop: a guard
that was told to hand over would then guard on.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress


async def wait_event(event: asyncio.Event, seconds: float) -> None:
    """Until `event` is set, for at most `seconds`."""
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await event.wait()
