"""A guard that is told to go goes, whatever else happens in the same instant."""

from __future__ import annotations

import asyncio

import pytest

from console.engine.tasks import wait_event


async def test_a_cancellation_is_not_lost_to_an_event_of_the_same_instant() -> None:
    event = asyncio.Event()
    waiter = asyncio.create_task(wait_event(event, 60))
    await asyncio.sleep(0)

    event.set()
    waiter.cancel()

    with pytest.raises(asyncio.CancelledError):
        await waiter


async def test_it_ends_with_the_event_or_with_the_time() -> None:
    event = asyncio.Event()
    await wait_event(event, 0.001)
    assert not event.is_set()

    event.set()
    await asyncio.wait_for(wait_event(event, 60), 5)
