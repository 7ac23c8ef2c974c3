"""Lets streams of one event loop sleep until the world changes, whichever thread changed it."""

from __future__ import annotations

import asyncio

from console.simulator.clock import Bell


class Pulse:
    """Belongs to the event loop in which it is first waited for."""

    def __init__(self, bell: Bell) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._sleepers: set[asyncio.Future[None]] = set()
        bell.listen(self._rung)

    async def sleep(self, seconds: float, left: asyncio.Future[None]) -> None:
        """Until the bell rings, the time is over, or `left` is done."""
        self._loop = asyncio.get_running_loop()
        sleeper = self._loop.create_future()
        self._sleepers.add(sleeper)
        try:
            await asyncio.wait({sleeper, left}, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._sleepers.discard(sleeper)

    def _rung(self) -> None:
        loop = self._loop
        if loop is None or loop.is_closed():
            return
        try:
            loop.call_soon_threadsafe(self._wake)
        except RuntimeError:
            # The loop was closed between the two lines; nobody sleeps there any more.
            return

    def _wake(self) -> None:
        for sleeper in self._sleepers:
            if not sleeper.done():
                sleeper.set_result(None)
