"""`wait_event` does not lose a cancellation that arrives together with the event."""

from __future__ import annotations

import asyncio

import pytest

from console.engine.concerns import wait_event


async def test_a_cancellation_is_not_lost_when_the_event_is_set_at_the_same_time() -> None:
    event = asyncio.Event()
    waiter = asyncio.create_task(wait_event(event, 60))
    await asyncio.sleep(0)

    event.set()
    waiter.cancel()

    with pytest.raises(asyncio.CancelledError):
        await waiter


async def test_it_returns_at_the_event_or_after_the_time() -> None:
    event = asyncio.Event()
    await wait_event(event, 0.001)
    assert not event.is_set()

    event.set()
    await asyncio.wait_for(wait_event(event, 60), 5)
