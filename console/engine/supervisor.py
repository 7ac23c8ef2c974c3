"""The supervisor of a process: one task for each run it supervises, and what it does for the runs of others.

Every engine reads the state folder once a tick: what others asked, whose owner died, what is overdue. A suspended
owner keeps its runs. Their deadlines hold all the same: any living engine
cancels an overdue run, and cancelling twice is harmless.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field

from console.domain.run import Run, RunId, State, StopReason
from console.engine.concerns import FIRST_WAIT_S, LONGEST_WAIT_S, describe, end_tasks, wait_event, wait_task
from console.engine.context import EngineContext
from console.engine.errors import AccessDenied, OwnershipLost, StaleRun, StoreError
from console.engine.overdue import OverdueCancels, is_due
from console.engine.ownership import Ownership
from console.engine.recovery import TakeOver, unsupervised_topic
from console.engine.run.monitor import ACCESS
from console.engine.run.progress import ProgressRecorder
from console.engine.run.supervisor import RunSupervisor
from console.engine.settings import ProcessKind

log = logging.getLogger("nightdesk")

ROWS, TAKE_OVER, SUPERVISION = "rows", "take-over", "supervision"
"""Sources of problems of one run."""


@dataclass(slots=True, kw_only=True)
class _Supervised:
    """A run of this process and the task that supervises it."""

    supervisor: RunSupervisor
    task: asyncio.Task[None] | None = None
    lost: bool = False
    """Another process has taken it."""
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    """Set by a stop or a changed row: the wait after an error ends then."""

    @property
    def has_ended(self) -> bool:
        """True once the end of the run is stored; its supervisor may still have something to delete."""
        return self.supervisor.run.state is State.ENDED


@dataclass(slots=True, kw_only=True)
class _SetAside:
    """A run of another owner that raised when it was looked at."""

    until: float = 0.0
    """Loop time before which it is not looked at again."""
    wait: float = FIRST_WAIT_S


@dataclass(slots=True, kw_only=True)
class _Rows:
    """The open runs as they were read last."""

    mine: tuple[Run, ...] = ()
    others: tuple[Run, ...] = ()


class Supervisor:
    """Supervises the runs of this process and watches over those of others."""

    def __init__(
        self, context: EngineContext, ownership: Ownership, require_launchable: Callable[[], Awaitable[None]]
    ) -> None:
        """`require_launchable` as for `TakeOver`."""
        self._context = context
        self._ownership = ownership
        self._runs: dict[RunId, _Supervised] = {}
        self._rows = _Rows()
        self._set_aside: dict[RunId, _SetAside] = {}
        self._observed: set[RunId] = set()
        self._leaving = False
        self.recorder = ProgressRecorder(context)
        self.overdue = OverdueCancels(context, ownership)
        self._take_over = TakeOver(context, ownership, self.supervise, require_launchable)

    @property
    def guarded(self) -> frozenset[RunId]:
        """The ids of the runs this process supervises."""
        return frozenset(self._runs)

    def supervise(self, run: Run) -> None:
        """Supervise a run of this owner, in a task of its own. A run that is supervised already stays as it is."""
        if run.id in self._runs or self._leaving:
            return
        entry = _Supervised(supervisor=RunSupervisor(self._context, run, self.recorder))
        self._runs[run.id] = entry
        self._start(run.id, entry)

    def known(self, run_id: RunId) -> Run | None:
        """The run as its supervisor here knows it; None where another process supervises it."""
        entry = self._runs.get(run_id)
        return entry.supervisor.run if entry else None

    def last_read(self, run_id: RunId) -> Run | None:
        """The run as it was read last, of any owner; None where it was not open then."""
        return self.known(run_id) or next((row for row in self._rows.others if row.id == run_id), None)

    def open_runs(self) -> tuple[Run, ...]:
        """All open runs as they were read last, those of this process as they are known now."""
        mine = tuple(entry.supervisor.run for entry in self._runs.values())
        return mine + tuple(row for row in self._rows.others if row.id not in self._runs)

    def stored_runs(self) -> tuple[Run, ...]:
        """All open runs as their rows were read last, whatever is known here."""
        return self._rows.mine + self._rows.others

    def notify(self, row: Run) -> None:
        """Deliver a row that somebody changed to its supervisor at once."""
        entry = self._runs.get(row.id)
        if entry is None:
            return
        try:
            entry.supervisor.on_row_changed(row)
            if row.stop is not None:
                entry.changed.set()
            self._context.problems.clear(f"run {row.id}", ROWS)
        except OwnershipLost:
            entry.lost = True
            if entry.task is not None:
                entry.task.cancel()
        except Exception as error:
            self._context.problems.report(f"run {row.id}", f"run {row.id}: {describe(error)}", error, source=ROWS)

    async def request_stop(self, run_id: RunId, reason: StopReason, *, by: str) -> Run | None:
        """Stop a run of this process: its cancel leaves at once. None where another process supervises it."""
        entry = self._runs.get(run_id)
        if entry is None:
            return None
        entry.changed.set()
        await entry.supervisor.request_stop(reason, by=by)
        return entry.supervisor.run

    async def wait(self, run_id: RunId, seconds: float) -> None:
        """Wait for the end of a run's supervision, for at most `seconds`."""
        entry = self._runs.get(run_id)
        if entry is None or entry.task is None:
            await asyncio.sleep(seconds)
        else:
            await wait_task(entry.task, seconds)

    async def read_rows(self) -> None:
        """Read the open runs and deliver what changed to the supervisors here. Raises StoreError."""
        before = set(self._runs)
        rows = await self._context.store.runs.open_runs()
        for row in rows:
            self.notify(row)
        # What was supervised before the read and is not among the open runs was ended by somebody.
        for run_id in before.intersection(self._runs) - {row.id for row in rows}:
            row_now = await self._context.store.runs.get(run_id)
            if row_now is not None:
                self.notify(row_now)
        others_before, open_ids = self._rows.others, {row.id for row in rows}
        self._rows = _Rows(
            mine=tuple(row for row in rows if row.id in self._runs),
            others=tuple(row for row in rows if row.id not in self._runs),
        )
        for gone in {*self._set_aside, *(row.id for row in others_before)} - open_ids:
            self._set_aside.pop(gone, None)
            for topic in (f"run {gone}", unsupervised_topic(gone)):
                self._context.problems.clear(topic)

    async def take_over(self) -> None:
        """Take over the runs of dead owners, and expire proposals. One that raises is set aside by name.

        Raises StoreError where the store as a whole does not answer.
        """
        loop, now = asyncio.get_running_loop(), self._context.clock.now()
        for row in self._rows.others:
            aside = self._set_aside.get(row.id)
            if row.id in self._runs or (aside is not None and loop.time() < aside.until):
                continue
            try:
                await self._take_over.consider(row, now)
            except (StaleRun, OwnershipLost):
                log.info("another process was quicker with %s", row.id)
            except StoreError as error:
                if await self._store_answers():
                    self._put_aside(row.id, error)
                else:
                    raise
            except Exception as error:
                self._put_aside(row.id, error)
            else:
                if self._set_aside.pop(row.id, None) is not None:
                    self._context.problems.clear(f"run {row.id}", TAKE_OVER)

    async def cancel_overdue(self) -> None:
        """Wake each run that is past its limit, and send a cancel where nobody does; never waits for the answer."""
        now = self._context.clock.now()
        mine = {entry.supervisor: entry.supervisor.run for entry in self._runs.values()}
        for supervisor, run in mine.items():
            if is_due(run, now):
                supervisor.wake()
        self.overdue.start_due(mine.values(), self._rows.others, dead=self._take_over.taking_from)

    async def store_windows(self) -> None:
        """Store how far the windows of the queued launches are extended, for a process that takes them over.

        Raises StoreError.
        """
        queued = [entry for run_id in self._context.launch_queue.positions if (entry := self._runs.get(run_id))]
        if queued:
            await self._context.store.runs.extend_windows([entry.supervisor.extend_window() for entry in queued])

    async def record_observed(self) -> None:
        """A person could watch these runs: part of the evidence for their rollout. Raises StoreError."""
        if self._context.settings.kind is not ProcessKind.CONSOLE:
            return
        rows = self.stored_runs()
        seen = [row for row in rows if row.is_live and row.id not in self._observed]
        if seen:
            await self._context.store.runs.record_observed(seen, by=self._context.owner, now=self._context.clock.now())
            self._observed |= {row.id for row in seen}
        self._observed &= {row.id for row in rows}

    async def hand_over(self) -> None:
        """Supervise no more, without stopping a run; a launch on its way is waited for a little, and so is what is left
        to do for a run that has ended, such as the deletion of its session: no other process would do that.

        Afterwards nothing of this process sends any more, so that a free lock means what it says. Never raises for
        what a run raised.
        """
        self._leaving = True
        self._context.launch_queue.close()
        entries = list(self._runs.values())
        seconds = self._context.timings.handover_s
        await asyncio.gather(
            *(entry.supervisor.wait_sent(seconds) for entry in entries),
            *(wait_task(entry.task, seconds) for entry in entries if entry.task is not None and entry.has_ended),
            return_exceptions=True,
        )
        await end_tasks(entry.task for entry in entries if entry.task is not None)
        await asyncio.gather(*(entry.supervisor.close() for entry in entries), return_exceptions=True)
        await self.overdue.close()

    def _start(self, run_id: RunId, entry: _Supervised) -> None:
        entry.task = asyncio.get_running_loop().create_task(self._supervise(entry), name=f"run {run_id}")
        entry.task.add_done_callback(lambda _: self._ended(run_id, entry))

    def _ended(self, run_id: RunId, entry: _Supervised) -> None:
        """The run has ended or is another process's; or its task was cancelled by mistake, and is started again."""
        task = entry.task
        if task is not None and task.cancelled() and not (self._leaving or entry.lost):
            self._context.problems.report_once(
                f"run {run_id}", f"run {run_id}: its supervision was cancelled; started again"
            )
            with suppress(RuntimeError):
                self._start(run_id, entry)
            return
        if self._runs.get(run_id) is entry:
            del self._runs[run_id]
        self._context.problems.clear(f"run {run_id}")
        self._context.problems.clear("store", f"run {run_id}")

    async def _supervise(self, entry: _Supervised) -> None:
        """Supervise a run; whatever that raises, it goes on after a wait, with all that is known of the run."""
        wait = FIRST_WAIT_S
        supervisor = entry.supervisor
        topic = f"run {supervisor.run_id}"
        problems, loop = self._context.problems, asyncio.get_running_loop()
        while True:
            began = loop.time()
            works_again = loop.call_later(LONGEST_WAIT_S, problems.clear, topic, SUPERVISION)
            try:
                await supervisor.supervise()
                return
            except (OwnershipLost, StaleRun):
                log.info("%s is supervised by another process now", topic)
                return
            except AccessDenied as error:
                problems.report(topic, f"{topic}: {error}", source=ACCESS)
                if await self._give_back(supervisor.run):
                    return
                pause = FIRST_WAIT_S
            except StoreError as error:
                problems.report("store", str(error), source=topic)
                pause = FIRST_WAIT_S
            except Exception as error:
                problems.report(topic, f"{topic}: {describe(error)}", error, source=SUPERVISION)
                if loop.time() - began > LONGEST_WAIT_S:
                    wait = FIRST_WAIT_S
                wait, pause = min(wait * 2, LONGEST_WAIT_S), wait
            finally:
                works_again.cancel()
            await self._wait_after_error(entry, pause)

    async def _wait_after_error(self, entry: _Supervised, pause: float) -> None:
        """Wait before a run is supervised again. A stop ends the wait, and a deadline that comes meanwhile cuts it."""
        run = entry.supervisor.run
        if is_due(run, self._context.clock.now()):
            # Even a stop that is due is not tried without any pause: what raised may raise again at once.
            await asyncio.sleep(min(pause, FIRST_WAIT_S))
            return
        left_ms = run.left_ms(self._context.clock.now())
        if left_ms is not None:
            pause = min(pause, max(0.0, left_ms / 1000))
        entry.changed.clear()
        await wait_event(entry.changed, pause)

    async def _give_back(self, run: Run) -> bool:
        """Release a run whose polls are refused for the key, where another process lives that may do better."""
        try:
            owners = await self._context.store.controls.owners()
            others = [row for row in owners if row.id != self._context.owner and self._ownership.is_alive(row.id)]
            if not others:
                return False
            row = await self._context.store.runs.get(run.id)
            if row is None or row.owner != self._context.owner:
                return True
            why = "the service refuses the key of its process"
            await self._context.store.runs.release(row, why=why, now=self._context.clock.now())
        except (StoreError, StaleRun, OSError):
            return False
        until = asyncio.get_running_loop().time() + self._context.timings.denied_again_s
        self._set_aside[run.id] = _SetAside(until=until)
        return True

    def _put_aside(self, run_id: RunId, error: Exception) -> None:
        aside = self._set_aside.setdefault(run_id, _SetAside())
        aside.until = asyncio.get_running_loop().time() + aside.wait
        aside.wait = min(aside.wait * 2, LONGEST_WAIT_S)
        text = f"run {run_id} is set aside: {describe(error)}"
        self._context.problems.report(f"run {run_id}", text, error, source=TAKE_OVER)

    async def _store_answers(self) -> bool:
        """True where the store works and only one row does not."""
        try:
            await self._context.store.controls.paused()
        except StoreError:
            return False
        return True
