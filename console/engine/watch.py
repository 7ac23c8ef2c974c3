"""Once a second every engine looks at the state folder: what others asked, whose owner died, what is overdue.

Ownership is decided by kernel locks, so a stopped owner is not robbed; but nobody's deadline depends on it:
a run that is overdue is cancelled by whoever is alive, since a cancel is harmless twice.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from pathlib import Path

from console.domain.moment import Moment
from console.domain.run import Reason, Run, RunId, State
from console.engine.clockwatch import ClockWatch
from console.engine.errors import LostRun, StaleRun, StoreError
from console.engine.guard import Guard
from console.engine.ownership import if_dead
from console.engine.parts import Parts
from console.engine.recovery import Act, judge
from console.engine.settings import Kind
from console.engine.stopping import try_cancel
from console.journal.errors import JournalError

log = logging.getLogger("nightdesk")


class Watch:
    """The guards of this process, and its eye on the runs of all others."""

    def __init__(self, parts: Parts, owners: Path) -> None:
        self._parts = parts
        self._owners = owners
        self._guards: dict[RunId, tuple[Guard, asyncio.Task[None]]] = {}
        self._overdue_tried: dict[RunId, Moment] = {}
        self._observed: set[RunId] = set()
        self._clock_watch = ClockWatch(parts)
        self._beaten: Moment | None = None

    @property
    def guarded(self) -> frozenset[RunId]:
        """The runs this process guards."""
        return frozenset(self._guards)

    def guard(self, run: Run) -> None:
        """Begins to guard a run of this owner."""
        if run.id in self._guards:
            return
        guard = Guard(self._parts, run)
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

    async def look(self) -> None:
        """One look. Raises StoreError where the store does not answer."""
        now = self._parts.clock.now()
        rows = await self._parts.store.runs.open_runs()
        for row in rows:
            await self._consider(row, now)
        await self._observe(rows, now)
        await self._clock_watch.look(now)
        if self._beaten is None or now.since(self._beaten) >= self._parts.pacing.beat_ms:
            self._beaten = now
            await self._parts.store.controls.beat(self._parts.owner, now)
        await self._parts.scribe.flush()

    async def hand_over(self) -> None:
        """Stops guarding without stopping a run; a launch on its way is waited for a little.

        Afterwards nothing of this process sends any more, so that a free lock means what it says.
        """
        entries = list(self._guards.values())
        await asyncio.gather(*(guard.wait_sent(self._parts.pacing.handover_s) for guard, _ in entries))
        for _, task in entries:
            task.cancel()
        await asyncio.gather(*(task for _, task in entries), return_exceptions=True)
        await asyncio.gather(*(guard.drop_send() for guard, _ in entries))

    async def _keep(self, guard: Guard) -> None:
        """A guard that breaks is begun again by the next look: its row still names this owner."""
        try:
            await guard.guard()
        except (LostRun, StaleRun):
            log.info("run %s is guarded by another process now", guard.run_id)
        except StoreError as error:
            self._parts.problems.set("store", str(error))
        except Exception as error:
            self._parts.problems.set("guard", f"the guard of {guard.run_id} broke: {type(error).__name__}")
            log.exception("the guard of %s broke", guard.run_id)
        finally:
            del self._guards[guard.run_id]

    async def _consider(self, row: Run, now: Moment) -> None:
        entry = self._guards.get(row.id)
        if entry is not None:
            try:
                entry[0].see(row)
            except LostRun:
                entry[1].cancel()
            return
        try:
            await self._consider_others(row, now)
        except (StaleRun, LostRun):
            log.info("another process was quicker with %s", row.id)

    async def _observe(self, rows: Sequence[Run], now: Moment) -> None:
        """A person could watch these runs: part of the evidence for their rollout."""
        if self._parts.settings.kind is not Kind.CONSOLE:
            return
        seen = [row for row in rows if row.is_live and row.id not in self._observed]
        if seen:
            self._observed |= {row.id for row in seen}
            await self._parts.store.runs.record_observed(seen, by=self._parts.owner, now=now)

    async def _consider_others(self, row: Run, now: Moment) -> None:
        if row.state is State.PROPOSED:
            if row.expires_ms is not None and now.wall_ms >= row.expires_ms:
                await self._parts.store.launches.expire(row.id, now)
        elif row.owner is None or row.owner == self._parts.owner:
            await self._take(row, now)
        else:
            with if_dead(self._owners, row.owner) as gone:
                if gone:
                    await self._take(row, now)
            if not gone:
                await self._cancel_overdue(row, now)

    async def _take(self, row: Run, now: Moment) -> None:
        """Makes the run ours and does what the recovery table says."""
        runs = self._parts.store.runs
        mine: Run | None = row
        if row.owner != self._parts.owner:
            mine = await runs.take_over(row, owner=self._parts.owner, now=now)
        if mine is None:
            return
        remote_id = self._journalled(mine) if mine.state is State.SENDING else None
        window_open = mine.expires_ms is None or now.wall_ms < mine.expires_ms
        match judge(mine.state, id_in_journal=remote_id is not None, window_open=window_open):
            case Act.CONTINUE | Act.GUARD:
                self.guard(mine)
            case Act.EXPIRE:
                await self._parts.store.launches.expire(mine.id, now)
            case Act.ADOPT:
                adopted = await runs.adopt(
                    mine,
                    remote_id=remote_id or "",
                    by="nightdesk",
                    reason="its id stood in the launch journal",
                    now=now,
                )
                self.guard(adopted)
            case Act.BLOCK:
                why = "the process that launched it died before it had an answer"
                self.guard(await runs.record_unconfirmed(mine, why=why, now=now))
            case Act.LEAVE:
                pass

    def _journalled(self, run: Run) -> str | None:
        try:
            return self._parts.launches.read().get(run.id)
        except JournalError as error:
            self._parts.problems.set("launch.journal", str(error))
            return None

    async def _cancel_overdue(self, row: Run, now: Moment) -> None:
        """The owner lives but does not act: its run is stopped by us, its row stays its own."""
        if row.sent is None or row.state not in (State.RUNNING, State.STOPPING, State.UNCONFIRMED):
            return
        if now.since(row.sent) < row.limits.max_ms + self._parts.pacing.overdue_ms:
            return
        tried = self._overdue_tried.get(row.id)
        if tried is not None and now.since(tried) < self._parts.pacing.overdue_ms:
            return
        self._overdue_tried[row.id] = now
        if row.stop is None:
            row = await self._parts.store.runs.request_stop(row.id, reason=Reason.TIMEOUT, by="nightdesk", now=now)
        if row.remote_id is not None:
            answer, trouble, _ = await try_cancel(self._parts, row)
            await self._parts.store.runs.record_stop_try(row, answer=answer, trouble=trouble, now=now)
