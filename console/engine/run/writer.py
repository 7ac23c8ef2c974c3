"""Writes of a guard to the store: told apart are "somebody else acted" and "the store does not work".

A run is followed and can be stopped even while nothing can be written; what could not be written is written
as soon as the store works again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace

from console.domain.run import Run, State, StopReason, StopRequest
from console.engine.context import EngineContext
from console.engine.errors import OwnershipLost, StaleRun, StoreError

Change = Callable[[Run], Awaitable[Run]]
TRIES = 3


class RunWriter:
    """The run of one guard, as the store has it, or ahead of it while the store fails."""

    def __init__(self, context: EngineContext, run: Run, *, unstored: Change | None = None) -> None:
        self._context = context
        self.run = run
        self._turn = asyncio.Lock()
        """Several tasks of one guard write; each starts from what the last one left."""
        self._unstored = [unstored] if unstored else []
        """Bring the store, one after the other, to where `run` is already; empty while they agree."""

    async def write(self, change: Change) -> bool:
        """Applies `change`; False where the store did not take it now. Raises LostRun where it is not ours any more."""
        async with self._turn:
            try:
                await self._catch_up()
                await self._apply(change)
            except StoreError as error:
                self._context.problems.set("store", str(error))
                return False
        self._context.problems.clear("store")
        return True

    async def _apply(self, change: Change) -> None:
        for _ in range(TRIES):
            try:
                self.run = self._ours(await change(self.run))
            except StaleRun:
                self.run = self._ours(await self._context.store.runs.get(self.run.id))
                if self.run.state is State.ENDED:
                    return
            else:
                return

    def _ours(self, row: Run | None) -> Run:
        """The row, if it is still under our owner and fence. Raises LostRun.

        Some writes are open to any process and give back the row of a successor: whoever took that for his own
        would go on writing under the fence of another.
        """
        if row is None or (row.owner, row.fence) != (self.run.owner, self.run.fence):
            raise OwnershipLost(self.run.id)
        return row

    async def ask_stop(self, reason: StopReason) -> None:
        """Intent first. Where it cannot be stored the stop goes ahead all the same, and is stored later."""
        now = self._context.clock.now()

        async def change(run: Run) -> Run:
            return await self._context.store.runs.request_stop(run.id, reason=reason, by="nightdesk", now=now)

        if not await self.write(change):
            stop = StopRequest(reason=reason, by="nightdesk", at_ms=now.wall_ms)
            self.run = replace(self.run, state=State.STOPPING, stop=stop)
            self._unstored.append(change)

    def see(self, row: Run) -> None:
        """Takes in what another process did to the row. Raises LostRun where the run is not ours any more."""
        self._ours(row)
        acted = row.state is State.ENDED or (row.stop is not None and self.run.stop is None)
        if acted and not self._unstored:
            self.run = row

    async def _catch_up(self) -> None:
        """What is stored is not owed any more, also where the next change fails: none is made twice."""
        run = self.run
        while self._unstored:
            stored = self._ours(await self._context.store.runs.get(run.id))
            run = self._ours(await self._unstored[0](stored))
            del self._unstored[0]
        self.run = run
