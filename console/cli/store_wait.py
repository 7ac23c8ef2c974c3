"""Says on stderr that a command waits for the state store, which another process holds or whose disk is slow.

Such a command waits for as long as its store was opened with, and then ends with exit 8. Without a word it would look
as if it hung. `pause`, `cancel` and `ps`, which do not wait, say by themselves what they went on without.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager

from console.engine.concerns import end_tasks
from console.store.transaction import Database

TELL_S = 1.0
"""A command that has waited for so long says so, once."""

Say = Callable[[str], None]


def waiting_line(busy_ms: int) -> str:
    """Return what is said of a wait of at most `busy_ms`."""
    return (
        "waiting for the state store: another process holds or upgrades it, or its disk is slow; "
        f"this ends with exit 8 after {busy_ms / 1000:.0f} s"
    )


@contextmanager
def told_of_opening(say: Say, busy_ms: int) -> Iterator[None]:
    """Say it where the block, which opens the store, takes longer than TELL_S. For code with and without a loop."""
    timer = threading.Timer(TELL_S, say, [waiting_line(busy_ms)])
    timer.daemon = True
    if busy_ms > TELL_S * 1000:
        timer.start()
    try:
        yield
    finally:
        timer.cancel()


@asynccontextmanager
async def told_of_waits(say: Say, database: Database, busy_ms: int) -> AsyncIterator[None]:
    """Say it, once, where a read or a write of the block takes longer than TELL_S."""
    watching = asyncio.create_task(_watch(say, database, busy_ms), name="wait for the store")
    try:
        yield
    finally:
        await end_tasks([watching])


async def _watch(say: Say, database: Database, busy_ms: int) -> None:
    while busy_ms > TELL_S * 1000:
        # No wait that begins later lasts TELL_S before this time is over.
        await asyncio.sleep(TELL_S - database.unit_s)
        if database.unit_s >= TELL_S:
            say(waiting_line(busy_ms))
            return
