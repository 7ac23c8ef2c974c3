"""The planted bugs: plausible mistakes, as subclasses and functions that replace those of the program."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Any
from zoneinfo import ZoneInfo

from console.config.settings import NotifySettings
from console.domain.key import blocking_run
from console.domain.notice import Notice
from console.domain.run import Ending, Outcome, Run, RunId, State
from console.domain.task import Task
from console.domain.timestamps import Timestamp
from console.engine.concerns import Concern, ConcernRunner
from console.engine.engine import Engine
from console.engine.errors import AccessDenied
from console.engine.kernel_locks import KernelLocks
from console.engine.log_flush import LogCopy
from console.engine.operations import Operations
from console.engine.problems import Problems
from console.engine.recovery import TakeOver
from console.engine.restore_check import RestoreCheck
from console.engine.run.cancel import CancelAttempt, Canceller
from console.engine.run.launch import Launcher
from console.engine.run.monitor import RunMonitor
from console.engine.run.writer import RunWriter, UnstoredChange
from console.engine.scheduling.cron import date_for
from console.engine.scheduling.scheduler import Scheduler
from console.engine.settings import EngineSettings
from console.journal.log_files import JournalError
from console.notify.dispatcher import NoticeDispatcher
from console.notify.planner import Planner
from console.provider.contract import Launched, NotFound, Rejected, RemoteRun, StatusClass, Unknown
from console.provider.gemini.adapter import REFUSALS
from console.provider.http.verdict import RefusalRules
from console.store.claims import ClaimRepository
from console.store.errors import StoreCopied, StoreError
from console.store.fleet_settings import FleetSettings
from console.store.identity import require_original
from console.store.ledger import release_hold
from console.store.postgres.door import Door
from console.store.pragmas import JournalMode
from console.store.rows import compare_and_set, load_run
from console.store.transaction import Columns, Database, Transaction
from console.store.transitions import RunResult, mark_unconfirmed
from console.tracing.exporter import SpanExporter
from console.turn import Turn
from tests.planted_bugs.planting import overridden, replaced

Plant = Callable[[], AbstractContextManager[None]]
"""Plants a bug for as long as the context is open."""


class Suite(StrEnum):
    """The suite that must find a bug."""

    WORLDS = "safety"
    """The simulated worlds, with every fault."""
    EXCEPTIONS = "exceptions"
    """The simulated worlds with undeclared exceptions."""
    BLOCKED = "blocked"
    """The simulated worlds whose store and log do not answer for a while."""
    SERVICES = "services"
    """The simulated worlds with two services, and with keys that are missing or refused."""
    COPIES = "copies"
    """The simulated worlds with copied state folders and databases that were put back."""
    CONFIGS = "configs"
    """The simulated worlds whose config changes."""
    OUTPUTS = "outputs"
    """The simulated worlds whose terminals, pipes and logs block, break and fail."""
    VERDICTS = "tests/provider/test_verdict.py"
    DATES = "tests/engine/test_cron.py"
    PRAGMAS = "tests/store/test_database.py"
    MESSAGES = "tests/notify/test_dispatcher.py"
    NOTICES = "tests/notify/test_planner.py"
    SPANS = "tests/tracing/test_exporter.py"
    GATE = "tests/store/test_postgres.py"
    COMMITS = "tests/fleet/test_commits_in_doubt.py"


@dataclass(frozen=True, slots=True, kw_only=True)
class Bug:
    """One bug."""

    name: str
    plant: Plant
    found_by: Suite = Suite.WORLDS
    tells: tuple[str, ...]
    """The finding begins with or contains one of these, so that another failure is not taken for it."""


class PostsBeforeRecord(Launcher):
    async def _send(self) -> None:
        unsent = self.run
        self.run = replace(unsent, state=State.SENDING, sent=self._context.clock.now())
        verdict = await self._post(self.run)
        self.run = unsent
        await super()._send()
        self._verdict = verdict


class ResendsUnknown(Launcher):
    async def _record_unconfirmed(self, unknown: Unknown, now: Timestamp) -> None:
        await self._again(unknown.why, self._not_sent_waits, None)


class TakesUnknownForRefusal(Launcher):
    async def _record_unconfirmed(self, unknown: Unknown, now: Timestamp) -> None:
        await self._record_other(Rejected(why=unknown.why, http_status=400), now)


class TakesForeignFence(Launcher):
    async def _read_again(self) -> None:
        fresh = await self._context.store.runs.get(self.run.id)
        if fresh is not None:
            self.run = replace(self.run, owner=fresh.owner, fence=fresh.fence)
        await super()._read_again()


async def release_hold_of_unconfirmed(tx: Transaction, run: Run, why: str, now: Timestamp) -> Run:
    """`mark_unconfirmed`, but the hold is given back."""
    unconfirmed = await mark_unconfirmed(tx, run, why, now)
    await release_hold(tx, unconfirmed, now.wall_ms)
    return unconfirmed


class DecidesBeforeTheTransaction(ClaimRepository):
    """Decides on caps in a read of its own, before the transaction that takes the hold."""

    async def claim(self, request, terms, now):  # type: ignore[no-untyped-def]  # as in the base class
        decided = await self._database.read(
            lambda tx: super(DecidesBeforeTheTransaction, self)._decide(tx, request, terms, now)
        )
        claims = _Decided(self._database)
        claims.decided = decided
        return await ClaimRepository.claim(claims, request, terms, now)


class _Decided(ClaimRepository):
    decided: object = None

    async def _decide(self, tx, request, terms, now):  # type: ignore[no-untyped-def]  # as in the base class
        return self.decided


async def compare_and_set_without_owner(
    tx: Transaction, run: Run, columns: Columns, *, to: State | None = None, where: str = "true"
) -> Run:
    """`compare_and_set` that compares the state only."""
    stored = await load_run(tx, run.id)
    if stored is not None:
        run = replace(run, owner=stored.owner, fence=stored.fence)
    return await compare_and_set(tx, run, columns, to=to, where=where)


class TakesCancelForTheEnd(Canceller):
    async def _record(self, attempt: CancelAttempt) -> None:
        await super()._record(attempt)
        if attempt.answer:
            result, now = RunResult(outcome=Outcome.CANCELLED), self._context.clock.now()
            await self._writer.write(lambda run: self._context.store.runs.settle(run, result, now))


class TakesNotFoundForTheEnd(RunMonitor):
    async def _poll(self) -> None:
        remote_id = self._writer.run.remote_id or ""
        try:
            await self._context.provider_of(self._writer.run).get(remote_id)
        except NotFound:
            self._end = RemoteRun(
                remote_id=remote_id,
                status="failed",
                status_class=StatusClass.TERMINAL,
                ending=Ending.FAILED,
                usage=None,
            )
            self._changed.set()
        except Exception:
            pass
        await super()._poll()


def since_by_wall_clock(self: Timestamp, earlier: Timestamp) -> int:
    """`Timestamp.since` that trusts the wall clock within one boot."""
    return max(0, self.wall_ms - earlier.wall_ms)


def date_of_now(task: Task, now: datetime, *, scheduled: bool) -> str:
    """`date_for` that dates a scheduled launch by the time at which it is made."""
    return date_for(task, now, scheduled=False)


def blocking_run_for_a_while(real: Sequence[Run]) -> Run | None:
    """`blocking_run` for which a run that took long blocks its key no more."""
    return blocking_run([run for run in real if run.state is not State.ENDED or run.elapsed_ms < 15_000])


class ResendsAfterTakeOver(TakeOver):
    async def _take(self, row: Run, now: Timestamp) -> None:
        runs = self._context.store.runs
        if row.state is not State.SENDING:
            await super()._take(row, now)
            return
        mine = row
        if row.owner != self._context.owner:
            mine = await runs.take_over(row, owner=self._context.owner, now=now) or row
        self._supervise(await runs.record_not_sent(mine, why="taken over", final=False, now=now))


class TakesEverybodyForDead(KernelLocks):
    """Never sees a lock of another process."""

    @contextmanager
    def if_dead(self, owner: str) -> Iterator[bool]:
        yield True


class LeavesTheSandbox(Operations):
    async def settle_not_launched(self, run_id: RunId, *, by: str, reason: str) -> Run:
        run, now = await self._unconfirmed(run_id, reason), self._context.clock.now()
        ruled = await self._context.store.runs.rule_not_launched(run, by=by, reason=reason, now=now)
        self._supervisor.notify(ruled)
        return ruled


class CountsBeforeWriting(LogCopy):
    """Keeps how far the log is written in the store, and stores it before the lines are written."""

    async def append_missing(self) -> None:
        async with self._log.locked_async():
            counted = int(await self._store.controls.meta_get("log_cursor") or 0)
            while records := await self._store.log_records.after(counted):
                counted = records[-1].ev
                await self._store.controls.meta_set("log_cursor", f"{counted}")
                self._log.append(records, sync=True)


class SingleLoop(ConcernRunner):
    """The supervision of version 0.1.0: all concerns in one task, which any error but StoreError ends for good."""

    def start(self, concerns: Iterable[Concern]) -> None:
        self.rounds.update({concern.name: 0 for concern in concerns})
        self._tasks["all"] = asyncio.get_running_loop().create_task(self._repeat_all(tuple(concerns)))
        self._tasks["all"].add_done_callback(lambda task: task.cancelled() or task.exception())

    async def _repeat_all(self, concerns: tuple[Concern, ...]) -> None:
        while True:
            try:
                for concern in concerns:
                    await concern.round()
                    self.rounds[concern.name] += 1
            except StoreError as error:
                self._problems.report("store", str(error))
            await asyncio.sleep(concerns[0].every_s)


class KeepsQuiet(Problems):
    """Drops the errors that nobody expected."""

    def report(
        self, topic: str, text: str, error: BaseException | None = None, *, source: str = "", lasting: bool = False
    ) -> None:
        if error is None:
            super().report(topic, text, source=source, lasting=lasting)

    def report_once(self, topic: str, text: str, error: BaseException | None = None) -> None:
        if error is None:
            super().report_once(topic, text)


async def takes_doubt_for_stored(self: Door, xid: str, timeline: str) -> bool:
    return True


class LeavesOutTheGate(Door):
    def __init__(self, settings: FleetSettings, *, writes: bool, gated: bool = False) -> None:
        super().__init__(settings, writes=writes)


async def takes_every_folder_for_the_original(tx: Transaction, database: Database, *, record: bool = False) -> None:
    """`require_original` that refuses no copy."""
    with suppress(StoreCopied):
        await require_original(tx, database, record=record)


class NeverLooksBack(RestoreCheck):
    """Takes every database for complete."""

    async def require_complete(self) -> None:
        return


class TakesWithoutAKey(TakeOver):
    """Takes over runs that it can neither poll nor cancel."""

    def _may_take(self, row: Run) -> bool:
        return self._context.settings.serves(row)


class SchedulesWithoutAKey(Scheduler):
    """Launches what is due whether or not it could guard it."""

    async def _schedule(self) -> set[str]:
        now = self._context.clock.now().utc()
        scheduled = [task for task in self._context.settings.tasks if task.schedule is not None]
        if self._ownership.take_schedule():
            if not self._begun:
                await self._begin(scheduled, now)
            for task in scheduled:
                await self._launch_due(task, now)
        return set()


class KeepsWhatItCannotReach(RunMonitor):
    """Goes on with a run for which the service refuses its key."""

    async def follow(self) -> None:
        while True:
            try:
                return await super().follow()
            except AccessDenied:
                continue


class WaitsForTheStore(RunWriter):
    """Lets a cancel wait until its request is stored."""

    async def wait_stored(self, seconds: float) -> None:
        await super().wait_stored(3_600.0)


class WritesBeforeItCancels(Canceller):
    """Says on stderr what it is about to do, in the event loop."""

    async def keep_cancelling(self, poll_now: asyncio.Event) -> None:
        with suppress(OSError):
            os.write(2, f"run {self._writer.run.id} is cancelled\n".encode())
        await super().keep_cancelling(poll_now)


class EndsWithItsOutput(Canceller):
    """Says so in a thread, and takes an output that fails for a reason to do nothing more."""

    async def keep_cancelling(self, poll_now: asyncio.Event) -> None:
        line = f"run {self._writer.run.id} is cancelled\n".encode()
        try:
            await asyncio.wait_for(asyncio.to_thread(os.write, 2, line), 0.1)
        except TimeoutError:
            pass
        except OSError:
            await asyncio.Event().wait()
        await super().keep_cancelling(poll_now)


class JournalsFirst(Launcher):
    """Supervises a run only once its id is on disk."""

    async def _record_launched(self, launched: Launched, now: Timestamp) -> None:
        with suppress(JournalError):
            await asyncio.to_thread(self._context.launches.append, self.run.id, self.run.attempt, launched.remote_id)
        await super()._record_launched(launched, now)


class RecordsFirst(Launcher):
    """Supervises a run only once the answer to its launch is stored."""

    async def _store_or_owe(self, change: UnstoredChange, what: str) -> None:
        while True:
            try:
                self.run = await change.store(self.run)
            except StoreError:
                await asyncio.sleep(1.0)
            else:
                return


class ReleasesAtTheEnd(Engine):
    """Releases its lock only where nothing was raised on the way."""

    async def hand_over(self) -> int:
        if self._handed_over:
            return 0
        self._handed_over = True
        await self._concerns.stop()
        self._ownership.release_schedule()
        left = len(self._supervisor.guarded)
        await self._supervisor.hand_over()
        if self._supervises:
            await self._context.store.controls.withdraw(self._ownership.id)
            self._ownership.release()
        return left


class WaitsForTheReceiver(NoticeDispatcher):
    """Ends a round only once its messages have left: a receiver that hangs holds the concern up."""

    async def round(self) -> None:
        await super().round()
        if self._deliveries is not None:
            await self._deliveries.drain(3_600.0)


class DropsWhatComesTooSoon(Planner):
    """Takes a notice that comes too soon after another one for told, in place of telling it later."""

    def _leaving(self, now_ms: int, use: NotifySettings, zone: ZoneInfo) -> tuple[Notice, ...]:
        leaving = super()._leaving(now_ms, use, zone)
        for name in list(self._held):
            self._mark_told(self._held.pop(name))
        return leaving


class WaitsForDeath(Turn):
    """Leaves the turn to its holder for as long as that has the lock, stopped or not."""

    def _take_from_late(self, name: str) -> None:
        return


class ForgetsWhatIsNotTaken(SpanExporter):
    """Goes on behind a request that got no answer."""

    async def _conclude(self, sent: asyncio.Task[Any]) -> None:
        batch, position = self._batch, self._position
        await super()._conclude(sent)
        if batch is not None and position is not None and self._failed:
            self._batch = None
            await self._write(replace(position, event=batch.event))


BUGS = (
    Bug(
        name="the intent is recorded after the POST",
        plant=lambda: replaced(Launcher, PostsBeforeRecord),
        tells=("I2",),
    ),
    Bug(name="an unknown answer is tried again", plant=lambda: replaced(Launcher, ResendsUnknown), tells=("I1", "I3")),
    Bug(
        name="an unknown answer is taken for a refusal",
        plant=lambda: replaced(Launcher, TakesUnknownForRefusal),
        tells=("I3",),
    ),
    Bug(
        name="a waiting launcher takes the fence of its successor",
        plant=lambda: replaced(Launcher, TakesForeignFence),
        tells=("I9", "I2", "I1"),
    ),
    Bug(
        name="an unknown answer gives the hold back",
        plant=lambda: replaced(mark_unconfirmed, release_hold_of_unconfirmed),
        tells=("I7",),
    ),
    Bug(
        name="the cap is judged before the transaction that takes the hold",
        plant=lambda: replaced(ClaimRepository, DecidesBeforeTheTransaction),
        tells=("I6",),
    ),
    Bug(
        name="5xx is taken for a refusal",
        plant=lambda: replaced(REFUSALS, RefusalRules(statuses=REFUSALS.statuses | frozenset(range(500, 600)))),
        found_by=Suite.VERDICTS,
        tells=("failed",),
    ),
    Bug(
        name="a commit is not flushed to the disk",
        plant=lambda: overridden(JournalMode, "synchronous", property(lambda self: 0)),
        found_by=Suite.PRAGMAS,
        tells=("synchronous",),
    ),
    Bug(
        name="writes carry no owner and no fence",
        plant=lambda: replaced(compare_and_set, compare_and_set_without_owner),
        tells=("I9",),
    ),
    Bug(
        name="a 200 on a cancel is taken for an end",
        plant=lambda: replaced(Canceller, TakesCancelForTheEnd),
        tells=("I10",),
    ),
    Bug(
        name="a 404 on a GET is taken for an end",
        plant=lambda: replaced(RunMonitor, TakesNotFoundForTheEnd),
        tells=("I10",),
    ),
    Bug(
        name="the time limit counts by the wall clock",
        plant=lambda: overridden(Timestamp, "since", since_by_wall_clock),
        tells=("2.3",),
    ),
    Bug(
        name="the key is made from now",
        plant=lambda: replaced(date_for, date_of_now),
        found_by=Suite.DATES,
        tells=("failed",),
    ),
    Bug(
        name="a key is free again some time after its end",
        plant=lambda: replaced(blocking_run, blocking_run_for_a_while),
        tells=("I8", "I13"),
    ),
    Bug(
        name="recovery sends what was being sent",
        plant=lambda: replaced(TakeOver, ResendsAfterTakeOver),
        tells=("I1:", "I3", "I10"),
    ),
    Bug(name="a living owner is robbed", plant=lambda: replaced(KernelLocks, TakesEverybodyForDead), tells=("2.2",)),
    Bug(
        name="ruled not launched, the sandbox left",
        plant=lambda: replaced(Operations, LeavesTheSandbox),
        tells=("K17",),
    ),
    Bug(
        name="log lines are counted before they are written",
        plant=lambda: replaced(LogCopy, CountsBeforeWriting),
        tells=("I12",),
    ),
    Bug(
        name="all of supervision in one loop, as in version 0.1.0",
        plant=lambda: replaced(ConcernRunner, SingleLoop),
        found_by=Suite.EXCEPTIONS,
        tells=("S1", "S2", "I11"),
    ),
    Bug(
        name="an unexpected error is shown nowhere",
        plant=lambda: replaced(Problems, KeepsQuiet),
        found_by=Suite.EXCEPTIONS,
        tells=("S2",),
    ),
    Bug(
        name="a hand-over that raises keeps the lock",
        plant=lambda: replaced(Engine, ReleasesAtTheEnd),
        found_by=Suite.EXCEPTIONS,
        tells=("S3",),
    ),
    Bug(
        name="a run is taken for one of whichever service is configured",
        plant=lambda: overridden(EngineSettings, "serves", lambda self, run: True),
        found_by=Suite.SERVICES,
        tells=("P11",),
    ),
    Bug(
        name="a process without a key takes runs over",
        plant=lambda: replaced(TakeOver, TakesWithoutAKey),
        found_by=Suite.SERVICES,
        tells=("P11",),
    ),
    Bug(
        name="a process without a key launches what is due",
        plant=lambda: replaced(Scheduler, SchedulesWithoutAKey),
        found_by=Suite.SERVICES,
        tells=("P11",),
    ),
    Bug(
        name="a run is kept by a process whose key is refused",
        plant=lambda: replaced(RunMonitor, KeepsWhatItCannotReach),
        found_by=Suite.SERVICES,
        tells=("P11",),
    ),
    Bug(
        name="a config that changed is reloaded and not used",
        plant=lambda: overridden(Engine, "reload", lambda self, settings: None),
        found_by=Suite.CONFIGS,
        tells=("P11",),
    ),
    Bug(
        name="a commit in doubt is taken for stored",
        plant=lambda: overridden(Door, "_is_committed", takes_doubt_for_stored),
        found_by=Suite.COMMITS,
        tells=("test_no_commit_without_an_answer",),
    ),
    Bug(
        name="units of a fleet that number and add up run at once",
        plant=lambda: replaced(Door, LeavesOutTheGate),
        found_by=Suite.GATE,
        tells=("test_gated_units_of_two",),
    ),
    Bug(
        name="a copied state folder is not recognised",
        plant=lambda: replaced(require_original, takes_every_folder_for_the_original),
        found_by=Suite.COPIES,
        tells=("P8",),
    ),
    Bug(
        name="a database that was put back launches",
        plant=lambda: replaced(RestoreCheck, NeverLooksBack),
        found_by=Suite.COPIES,
        tells=("P8",),
    ),
    Bug(
        name="a cancel waits until its request is stored",
        plant=lambda: replaced(RunWriter, WaitsForTheStore),
        found_by=Suite.BLOCKED,
        tells=("P5: no cancel", "P5: the cancel"),
    ),
    Bug(
        name="a run is supervised only once the answer to its launch is stored",
        plant=lambda: replaced(Launcher, RecordsFirst),
        found_by=Suite.BLOCKED,
        tells=("P5: no cancel", "P5: the cancel"),
    ),
    Bug(
        name="a line is written before the cancel, in the event loop",
        plant=lambda: replaced(Canceller, WritesBeforeItCancels),
        found_by=Suite.OUTPUTS,
        tells=("P5: no cancel", "P5: the cancel"),
    ),
    Bug(
        name="a guard ends when its output fails",
        plant=lambda: replaced(Canceller, EndsWithItsOutput),
        found_by=Suite.OUTPUTS,
        tells=("P5: no cancel", "P5: the cancel"),
    ),
    Bug(
        name="a launched run is supervised only once its id is in the launch journal",
        plant=lambda: replaced(Launcher, JournalsFirst),
        found_by=Suite.OUTPUTS,
        tells=("P5: no cancel", "P5: the cancel"),
    ),
    Bug(
        name="a round waits until its messages have left",
        plant=lambda: replaced(NoticeDispatcher, WaitsForTheReceiver),
        found_by=Suite.MESSAGES,
        tells=("test_what_the_last_process_did_not_tell", "test_a_receiver_that_hangs"),
    ),
    Bug(
        name="a stopped process keeps the turn to tell people",
        plant=lambda: replaced(Turn, WaitsForDeath),
        found_by=Suite.MESSAGES,
        tells=("test_a_process_that_does_not_come_round",),
    ),
    Bug(
        name="a notice that comes too soon after another one is dropped",
        plant=lambda: replaced(Planner, DropsWhatComesTooSoon),
        found_by=Suite.NOTICES,
        tells=("test_notices_of_one_kind_are_collected",),
    ),
    Bug(
        name="a span that was not taken is not sent again",
        plant=lambda: replaced(SpanExporter, ForgetsWhatIsNotTaken),
        found_by=Suite.SPANS,
        tells=("test_a_receiver_that_takes_nothing_is_tried_again",),
    ),
)
