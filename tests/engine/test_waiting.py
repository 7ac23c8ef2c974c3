"""Waiting and ending of tasks: no cancellation is lost, neither beside an event nor in code that handles it."""

from __future__ import annotations

import asyncio

import pytest

from console.engine import concerns
from console.engine.concerns import end_tasks, wait_event


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


async def test_a_task_that_handles_a_cancellation_as_an_error_is_cancelled_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(concerns, "CANCEL_AGAIN_S", 0.01)
    handled = 0

    async def goes_on() -> None:
        nonlocal handled
        while handled < 3:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                handled += 1

    async def raises() -> None:
        raise OSError("before it was cancelled")

    tasks = [asyncio.create_task(goes_on()), asyncio.create_task(raises())]
    await asyncio.sleep(0)
    await asyncio.wait_for(end_tasks(tasks), 5)
    assert handled == 3
    assert all(task.done() for task in tasks)
