"""One run, guarded from where it stands to its end. Whatever happens to the screen, this goes on."""

from __future__ import annotations

import asyncio
from typing import assert_never

from console.domain.run import Run, RunId, State
from console.engine.context import EngineContext
from console.engine.errors import OwnershipLost
from console.engine.run.cancel import delete_own_sandbox
from console.engine.run.launch import Launcher
from console.engine.run.monitor import RunMonitor
from console.engine.run.writer import Change, RunWriter
from console.engine.waiting import wait_event


class RunSupervisor:
    """Takes a run of this owner through its states. `run` is what is known now."""

    def __init__(self, context: EngineContext, run: Run) -> None:
        self._context = context
        self._run = run
        self._keeper: RunWriter | None = None
        self._follower: RunMonitor | None = None
        self._row_seen = asyncio.Event()
        self._sending: asyncio.Task[Run] | None = None
        self._unstored: Change | None = None

    @property
    def run_id(self) -> RunId:
        """Of the run it guards."""
        return self._run.id

    @property
    def run(self) -> Run:
        """The run as this guard knows it; may be ahead of the store while that fails."""
        return self._keeper.run if self._keeper else self._run

    @property
    def is_sending(self) -> bool:
        """True while a launch is on its way and must not be interrupted."""
        return self._sending is not None and not self._sending.done()

    async def guard(self) -> Run:
        """The run, ended. Raises LostRun where another process has taken it."""
        while True:
            match self.run.state:
                case State.CLAIMED:
                    await self._send()
                case State.RUNNING | State.STOPPING:
                    await self._follow()
                case State.UNCONFIRMED:
                    await self._mind_unconfirmed()
                case State.ENDED:
                    return self.run
                case State.PROPOSED | State.SENDING:
                    raise OwnershipLost(f"{self.run.id} is {self.run.state}: not for a guard")
                case other:
                    assert_never(other)

    def see(self, row: Run) -> None:
        """The row as the store has it now, told once a tick. Raises LostRun."""
        if self._follower is not None:
            self._follower.see(row)
        elif self._keeper is not None:
            self._keeper.see(row)
        elif not self.is_sending and row.fence != self._run.fence:
            raise OwnershipLost(self._run.id)
        self._row_seen.set()

    async def wait_sent(self, seconds: float) -> None:
        """Lets a launch that is on its way come to its answer, for at most `seconds`."""
        if self._sending is not None:
            await asyncio.wait({self._sending}, timeout=seconds)

    async def drop_send(self) -> None:
        """Ends a launch that is still on its way. It stays `sending`: what came of it cannot be known any more."""
        if self._sending is not None and not self._sending.done():
            self._sending.cancel()
            await asyncio.wait({self._sending})

    async def _send(self) -> None:
        """In a task of its own: a cancelled guard does not tear the POST in two."""
        sender = Launcher(self._context, self._run)
        self._sending = asyncio.create_task(sender.send(), name=f"send {self._run.id}")
        self._run = await asyncio.shield(self._sending)
        launched = sender.unstored
        if launched is not None:
            now = self._context.clock.now()

            async def change(run: Run) -> Run:
                return await sender.store_launch(run, launched, now)

            self._unstored = change

    async def _follow(self) -> None:
        self._keeper = RunWriter(self._context, self.run, unstored=self._unstored)
        self._follower = RunMonitor(self._context, self._keeper)
        self._unstored = None
        try:
            self._run = await self._follower.follow()
        finally:
            self._follower = self._keeper = None

    async def _mind_unconfirmed(self) -> None:
        """It may be running and there is no id to cancel: at a stop or at its deadline its own sandbox goes.

        Key and hold stay; only the operator ends this state.
        """
        self._keeper = keeper = RunWriter(self._context, self.run)
        wait, gone = self._context.timings.cancel_first_s, False
        try:
            while keeper.run.state is State.UNCONFIRMED:
                if not gone and self._must_go(keeper.run):
                    gone = await delete_own_sandbox(self._context, keeper)
                    wait = min(wait * 2, self._context.timings.cancel_longest_s)
                self._row_seen.clear()
                await wait_event(self._row_seen, self._context.timings.tick_s if gone else wait)
                row = await self._context.store.runs.get(keeper.run.id)
                if row is None or (row.owner, row.fence) != (keeper.run.owner, keeper.run.fence):
                    raise OwnershipLost(keeper.run.id)
                keeper.run = row
            self._run = keeper.run
        finally:
            self._keeper = None

    def _must_go(self, run: Run) -> bool:
        overdue = run.sent is not None and self._context.clock.now().since(run.sent) >= run.limits.max_ms
        return (run.stop is not None or overdue) and run.sandbox_deleted_ms is None
