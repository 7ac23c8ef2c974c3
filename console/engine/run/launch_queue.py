"""The launches of one process that wait to be sent: a bounded number is under way at once, in the order of asking.

Kept apart because the launches and the screen both need it, and it needs nothing of the engine.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

from console.domain.run import RunId


class LaunchQueue:
    """Gives each launch its turn."""

    def __init__(self, at_once: int) -> None:
        """`at_once`: launches under way at the same time."""
        self._free = at_once
        self._waiting: dict[RunId, asyncio.Future[bool]] = {}
        self._is_closed = False

    @property
    def positions(self) -> Mapping[RunId, int]:
        """The runs that wait, with how many others are sent before each."""
        return {run_id: before for before, run_id in enumerate(self._waiting)}

    @asynccontextmanager
    async def turn(self, run_id: RunId) -> AsyncIterator[None]:
        """Wait for a free place and hold it during the block. After `let_pass` there is none: then send nothing.

        Raises CancelledError once the queue is closed.
        """
        if self._is_closed:
            raise asyncio.CancelledError
        if self._free > 0:
            self._free -= 1
            has_place = True
        else:
            has_place = await self._wait(run_id)
        try:
            yield
        finally:
            if has_place:
                self._free += 1
                self._admit_next()

    def let_pass(self, run_id: RunId) -> None:
        """End the wait of a launch that is not to be sent any more, as after a stop."""
        turn = self._waiting.pop(run_id, None)
        if turn is not None and not turn.done():
            turn.set_result(False)

    def close(self) -> None:
        """Cancel all that wait, and whatever asks for a turn that is not free later: the process hands over."""
        self._is_closed = True
        waiting, self._waiting = self._waiting, {}
        for turn in waiting.values():
            turn.cancel()

    async def _wait(self, run_id: RunId) -> bool:
        """Wait for a place, which `_admit_next` has taken then; False after `let_pass`."""
        if self._is_closed:
            raise asyncio.CancelledError
        turn: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._waiting[run_id] = turn
        try:
            return await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled() and turn.result():
                # The place was given to this task while it was being cancelled.
                self._free += 1
                self._admit_next()
            raise
        finally:
            self._waiting.pop(run_id, None)

    def _admit_next(self) -> None:
        while self._free > 0 and self._waiting:
            turn = self._waiting.pop(next(iter(self._waiting)))
            if not turn.done():
                self._free -= 1
                turn.set_result(True)
