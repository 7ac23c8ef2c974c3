"""Waiting for a condition with a deadline, instead of sleeping: a slow machine makes tests slower, not red."""

from __future__ import annotations

import asyncio
import inspect
import time
from collections.abc import Awaitable, Callable

EVERY_S = 0.01
"""Seconds between two checks of a condition."""


WITHIN_S = 30.0
"""Seconds that a condition may take where its test does not say. Nothing is measured by it: on a busy machine the start
of an interpreter alone takes several seconds."""


async def until(
    condition: Callable[[], object | Awaitable[object]], *, within: float = WITHIN_S, what: str = ""
) -> None:
    """Return once `condition()` is true; it may be a coroutine function and is checked once more at the deadline.

    Raise AssertionError naming `what` (or the condition) after `within` seconds.
    """
    deadline = time.monotonic() + within
    while True:
        late = time.monotonic() >= deadline
        answer = condition()
        if inspect.isawaitable(answer):
            answer = await answer
        if answer:
            return
        if late:
            raise AssertionError(_too_late(condition, within, what))
        await asyncio.sleep(EVERY_S)


def until_sync(condition: Callable[[], object], *, within: float = WITHIN_S, what: str = "") -> None:
    """`until` for tests without an event loop."""
    deadline = time.monotonic() + within
    while True:
        late = time.monotonic() >= deadline
        if condition():
            return
        if late:
            raise AssertionError(_too_late(condition, within, what))
        time.sleep(EVERY_S)


def _too_late(condition: Callable[[], object], within: float, what: str) -> str:
    named = what or getattr(condition, "__qualname__", repr(condition))
    return f"not within {within:g} s: {named}"
