"""Once a second every engine looks at the state folder: what others asked, whose owner died, what is overdue.

Ownership is decided by kernel locks, so a stopped owner is not robbed; but nobody's deadline depends on it:
a run that is overdue is cancelled by whoever is alive, since a cancel is harmless twice.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from pathlib import Path

from console.domain.run import Run, RunId, State, StopReason
from console.domain.timestamps import Timestamp
from console.engine.clock_steps import ClockStepDetector
from console.engine.context import EngineContext
from console.engine.errors import OwnershipLost, StaleRun, StoreError
from console.engine.ownership import if_dead
from console.engine.recovery import RecoveryAction, recovery_action
from console.engine.run.cancel import try_cancel
from console.engine.run.supervisor import RunSupervisor
from console.engine.settings import ProcessKind
from console.journal.log_files import JournalError

log = logging.getLogger("nightdesk")


class Supervisor:
    """The guards of this process, and its eye on the runs of all others."""

    def __init__(self, context: EngineContext, owners: Path) -> None:
        self._context = context
        self._owners = owners
        self._guards: dict[RunId, tuple[RunSupervisor, asyncio.Task[None]]] = {}
        self._overdue_tried: dict[RunId, Timestamp] = {}
        self._observed: set[RunId] = set()
        self._clock_watch = ClockStepDetector(context)
        self._beaten: Timestamp | None = None

    @property
    def guarded(self) -> frozenset[RunId]:
        """The runs this process guards."""
        return frozenset(self._guards)

    def guard(self, run: Run) -> None:
        """Begins to guard a run of this owner."""
        if run.id in self._guards:
            return
        guard = RunSupervisor(self._context, run)
        task = asyncio.create_task(self._keep(guard), name=f"guard {run.id}")
        self._guards[run.id] = (guard, task)

    def known(self, run_id: RunId) -> Run | None:
        """The run as its guard here knows it; None where another process guards it."""
        entry = self._guards.get(run_id)
        return entry[0].run if entry else None

    async def settle_down(self, run_id: RunId, seconds: float) -> None:
        """Waits for the end of a guard, for at most `seconds`."""
        entry = self._guards.get(run_id)
        if entry is None:
            await asyncio.sleep(seconds)
        else:
            await asyncio.wait({entry[1]}, timeout=seconds)

    async def tick(self) -> None:
        """One look. Raises StoreError where the store does not answer."""
        now = self._context.clock.now()
        rows = await self._context.store.runs.open_runs()
        for row in rows:
            await self._consider(row, now)
        await self._observe(rows, now)
        await self._clock_watch.tick(now)
        if self._beaten is None or now.since(self._beaten) >= self._context.timings.beat_ms:
            self._beaten = now
            await self._context.store.controls.beat(self._context.owner, now)
        await self._context.log_flusher.flush()

    async def hand_over(self) -> None:
        """Stops guarding without stopping a run; a launch on its way is waited for a little.

        Afterwards nothing of this process sends any more, so that a free lock means what it says.
        """
        entries = list(self._guards.values())
        await asyncio.gather(*(guard.wait_sent(self._context.timings.handover_s) for guard, _ in entries))
        for _, task in entries:
            task.cancel()
        await asyncio.gather(*(task for _, task in entries), return_exceptions=True)
        await asyncio.gather(*(guard.drop_send() for guard, _ in entries))

    async def _keep(self, guard: RunSupervisor) -> None:
        """A guard that breaks is begun again by the next look: its row still names this owner."""
        try:
            await guard.guard()
        except (OwnershipLost, StaleRun):
            log.info("run %s is guarded by another process now", guard.run_id)
        except StoreError as error:
            self._context.problems.set("store", str(error))
        except Exception as error:
            self._context.problems.set("guard", f"the guard of {guard.run_id} broke: {type(error).__name__}")
            log.exception("the guard of %s broke", guard.run_id)
        finally:
            del self._guards[guard.run_id]

    async def _consider(self, row: Run, now: Timestamp) -> None:
        entry = self._guards.get(row.id)
        if entry is not None:
            try:
                entry[0].see(row)
            except OwnershipLost:
                entry[1].cancel()
            return
        try:
            await self._consider_others(row, now)
        except (StaleRun, OwnershipLost):
            log.info("another process was quicker with %s", row.id)

    async def _observe(self, rows: Sequence[Run], now: Timestamp) -> None:
        """A person could watch these runs: part of the evidence for their rollout."""
        if self._context.settings.kind is not ProcessKind.CONSOLE:
            return
        seen = [row for row in rows if row.is_live and row.id not in self._observed]
        if seen:
            self._observed |= {row.id for row in seen}
            await self._context.store.runs.record_observed(seen, by=self._context.owner, now=now)

    async def _consider_others(self, row: Run, now: Timestamp) -> None:
        if row.state is State.PROPOSED:
            if row.expires_ms is not None and now.wall_ms >= row.expires_ms:
                await self._context.store.claims.expire(row.id, now)
        elif row.owner is None or row.owner == self._context.owner:
            await self._take(row, now)
        else:
            with if_dead(self._owners, row.owner) as gone:
                if gone:
                    await self._take(row, now)
            if not gone:
                await self._cancel_overdue(row, now)

    async def _take(self, row: Run, now: Timestamp) -> None:
        """Makes the run ours and does what the recovery table says."""
        runs = self._context.store.runs
        mine: Run | None = row
        if row.owner != self._context.owner:
            mine = await runs.take_over(row, owner=self._context.owner, now=now)
        if mine is None:
            return
        remote_id = self._journalled(mine) if mine.state is State.SENDING else None
        window_open = mine.expires_ms is None or now.wall_ms < mine.expires_ms
        match recovery_action(mine.state, id_in_journal=remote_id is not None, window_open=window_open):
            case RecoveryAction.CONTINUE | RecoveryAction.GUARD:
                self.guard(mine)
            case RecoveryAction.EXPIRE:
                await self._context.store.claims.expire(mine.id, now)
            case RecoveryAction.ADOPT:
                adopted = await runs.adopt(
                    mine,
                    remote_id=remote_id or "",
                    by="nightdesk",
                    reason="its id stood in the launch journal",
                    now=now,
                )
                self.guard(adopted)
            case RecoveryAction.BLOCK:
                why = "the process that launched it died before it had an answer"
                self.guard(await runs.record_unconfirmed(mine, why=why, now=now))
            case RecoveryAction.LEAVE:
                pass

    def _journalled(self, run: Run) -> str | None:
        try:
            return self._context.launches.read().get(run.id)
        except JournalError as error:
            self._context.problems.set("launch.journal", str(error))
            return None

    async def _cancel_overdue(self, row: Run, now: Timestamp) -> None:
        """The owner lives but does not act: its run is stopped by us, its row stays its own."""
        if row.sent is None or row.state not in (State.RUNNING, State.STOPPING, State.UNCONFIRMED):
            return
        if now.since(row.sent) < row.limits.max_ms + self._context.timings.overdue_ms:
            return
        tried = self._overdue_tried.get(row.id)
        if tried is not None and now.since(tried) < self._context.timings.overdue_ms:
            return
        self._overdue_tried[row.id] = now
        if row.stop is None:
            row = await self._context.store.runs.request_stop(
                row.id, reason=StopReason.TIMEOUT, by="nightdesk", now=now
            )
        if row.remote_id is not None:
            answer, trouble, _ = await try_cancel(self._context, row)
            await self._context.store.runs.record_stop_try(row, answer=answer, trouble=trouble, now=now)
