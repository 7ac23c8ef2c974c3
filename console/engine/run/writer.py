"""The row of one supervised run: as the store has it, and with what could not be stored yet.

A run is monitored and can be stopped while nothing can be written. What the supervisor knows goes into memory at
once; it is stored as soon as the store takes it, in the order in which it happened.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterable
from dataclasses import dataclass, replace
from typing import Any

from console.domain.run import IllegalTransition, Run, State, StopReason, StopRequest
from console.engine.concerns import describe, wait_task
from console.engine.context import EngineContext
from console.engine.errors import OwnershipLost, StaleRun, StoreError, StoreOlder

StoreChange = Callable[[Run], Coroutine[Any, Any, Run]]
"""Writes a change of the run given as it is stored; returns it as stored afterwards."""
TRIES = 3
_ORDER = (
    State.PROPOSED,
    State.CLAIMED,
    State.SENDING,
    State.UNCONFIRMED,
    State.RUNNING,
    State.STOPPING,
    State.ENDED,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class UnstoredChange:
    """Something that happened and is not in the store yet."""

    store: StoreChange
    project: Callable[[Run], Run]
    """What it makes of the run; applied in memory until it is stored."""
    is_stored: Callable[[Run], bool]
    """True for a row that shows it already: a write may have raised after its commit."""


class RunWriter:
    """The only writer of one run's row in this process."""

    def __init__(self, context: EngineContext, run: Run, unstored: Iterable[UnstoredChange] = ()) -> None:
        """`run` is the row as stored; `unstored` happened since."""
        self._context = context
        self.row = run
        """The run as stored last. Written here only."""
        self._topic = f"run {run.id}"
        self._unstored = list(unstored)
        self._turn = asyncio.Lock()
        """Several tasks of one supervisor write; each starts from what the last one left."""
        self._flushing: asyncio.Task[bool] | None = None
        self.is_missing = False
        """True once the store was found to have no such row: it was replaced by an older one."""

    @property
    def run(self) -> Run:
        """The run as it is known; ahead of the store while that fails."""
        run = self.row
        for change in self._unstored:
            run = change.project(run)
        return run

    @property
    def is_behind(self) -> bool:
        """True while something that happened is not stored."""
        return bool(self._unstored)

    async def write(self, change: StoreChange) -> bool:
        """Store what is owed, then `change`. False where the store did not take it; it is then dropped.

        Raises OwnershipLost where the row is another process's by now.
        """
        async with self._turn:
            try:
                await self._store_owed()
                written = await self._apply(change)
            except StoreError as error:
                self._context.problems.report("store", str(error), source=self._topic)
                return False
        if written:
            self._clear_problems()
        return written

    def request_stop(self, reason: StopReason, *, by: str) -> None:
        """The run is stopping from here on, in memory; it is stored in the background. The first request wins."""
        run = self.run
        if run.stop is not None or run.state is State.ENDED:
            return
        now = self._context.clock.now()
        stop = StopRequest(reason=reason, by=by, at_ms=now.wall_ms)

        async def store(row: Run) -> Run:
            return await self._context.store.runs.request_stop(row.id, reason=reason, by=by, now=now)

        change = UnstoredChange(
            store=store,
            project=lambda run: with_stop(run, stop),
            is_stored=lambda row: row.stop is not None or row.state is State.ENDED,
        )
        self._unstored.append(change)
        self._flush_in_background()

    async def wait_stored(self, seconds: float) -> None:
        """Wait until everything that happened is stored, for at most `seconds`.

        Where more than one change is owed the store has been waited for before: then this does not wait again.
        """
        if self._unstored:
            # A turn of the loop is enough for a flush to begin.
            await wait_task(self._flush_in_background(), seconds if len(self._unstored) == 1 else 0.0)

    def keep_flushing(self) -> None:
        """Try to store what is owed, in the background. Raises OwnershipLost where an earlier try found that."""
        flushing = self._flushing
        if flushing is not None and flushing.done():
            self._flushing = None
            flushing.result()
        if self._unstored:
            self._flush_in_background()

    def on_row_changed(self, row: Run) -> bool:
        """Take in what another process wrote. False where it is nothing new. Raises OwnershipLost."""
        if row.fence < self.row.fence:
            # Read before this process took the run over.
            return False
        self._ours(row)
        before = self.row
        further = _ORDER.index(row.state) > _ORDER.index(before.state)
        stopped = row.stop is not None and before.stop is None
        if not (further or stopped) or self._turn.locked():
            return False
        self.row = row
        return True

    def take(self, row: Run) -> None:
        """Take the row that a write beside this writer returned, unless one of its own writes is under way."""
        if not self._turn.locked() and row.state is self.row.state:
            self.row = row

    async def close(self) -> None:
        """End the background write; what it did not store is left to the next supervisor of the run."""
        if self._flushing is not None and not self._flushing.done():
            self._flushing.cancel()
            await wait_task(self._flushing, self._context.timings.intent_wait_s)

    def _flush_in_background(self) -> asyncio.Task[bool]:
        if self._flushing is None or self._flushing.done():
            self._flushing = asyncio.get_running_loop().create_task(self._flush(), name=f"store {self.row.id}")
            # Its result is read by `keep_flushing`; where nobody asks any more, it was handed over.
            self._flushing.add_done_callback(lambda task: task.cancelled() or task.exception())
        return self._flushing

    async def _flush(self) -> bool:
        began = asyncio.get_running_loop().time()
        while self._unstored:
            async with self._turn:
                try:
                    await self._store_owed()
                except OwnershipLost:
                    raise
                except StoreError as error:
                    self._context.problems.report("store", str(error), source=self._topic)
                    return False
                except (StaleRun, IllegalTransition):
                    return False
                except Exception as error:
                    text = f"{self._topic}: not stored yet: {describe(error)}"
                    self._context.problems.report(self._topic, text, error, source=self._topic)
                    return False
        self._context.stop_took_s = asyncio.get_running_loop().time() - began
        self._clear_problems()
        return True

    async def _store_owed(self) -> None:
        """Store the changes that are owed, oldest first; one that is stored is never made twice."""
        while self._unstored:
            stored = self._ours(await self._context.store.runs.get(self.row.id))
            change = self._unstored[0]
            if not change.is_stored(stored):
                try:
                    stored = self._ours(await change.store(stored))
                except IllegalTransition:
                    if stored.state is State.ENDED:
                        raise OwnershipLost(f"{self.row.id} was ended by somebody else") from None
                    raise
            self.row = stored
            del self._unstored[0]

    async def _apply(self, change: StoreChange) -> bool:
        for _ in range(TRIES):
            try:
                self.row = self._ours(await change(self.row))
            except (StaleRun, IllegalTransition):
                self.row = self._ours(await self._context.store.runs.get(self.row.id))
                if self.row.state is State.ENDED:
                    return False
            else:
                return True
        text = f"{self._topic}: its row changes faster than it can be written"
        self._context.problems.report(self._topic, text, source=self._topic)
        return False

    def _clear_problems(self) -> None:
        for topic in ("store", self._topic):
            self._context.problems.clear(topic, self._topic)

    def _ours(self, row: Run | None) -> Run:
        """The row, if it is still under our owner and fence. Raises OwnershipLost, StoreOlder for no row at all.

        Some writes are open to any process and return the row of a successor; taking it for ours would mean to go
        on writing under the successor's fence.
        """
        if row is None:
            # Nobody deletes a row. The agent is still there, and no other process can know of it.
            self.is_missing = True
            raise StoreOlder(f"run {self.row.id} is not in the state store any more: an older one was put back")
        if (row.owner, row.fence) != (self.row.owner, self.row.fence):
            raise OwnershipLost(self.row.id)
        return row


def with_stop(run: Run, stop: StopRequest) -> Run:
    """The run once `stop` is asked; unchanged where a stop was asked before or the run has ended."""
    if run.stop is not None or run.state is State.ENDED:
        return run
    state = State.STOPPING if run.state is State.RUNNING else run.state
    return replace(run, state=state, stop=stop)
