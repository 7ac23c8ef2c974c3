"""From `claimed` to an answer: what the run will be in, the record of the intent, ONE POST, the id on disk.

Intent before effect. What the POST proved decides, nothing else: only what provably sent nothing is tried again. A
proof is never lost to a store that fails: it is kept in memory and recorded as soon as the store works.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import assert_never

from console.domain.run import IllegalTransition, Outcome, Run, RunId, State, StopRequest
from console.domain.task import Fingerprint, Task
from console.domain.text import sanitize
from console.domain.timestamps import Timestamp
from console.engine.concerns import describe, wait_event, wait_task
from console.engine.context import EngineContext
from console.engine.errors import OwnershipLost, StaleRun, StoreError
from console.engine.run.cancel import NOTE, try_cancel
from console.engine.run.late_ids import adopt_late
from console.engine.run.lost_launch import clear_up
from console.engine.run.writer import RunWriter, UnstoredChange
from console.journal.launch_journal import LaunchIntent
from console.journal.log_files import JournalError
from console.provider.contract import (
    REMOTE,
    Denied,
    Fenced,
    Invalid,
    Launched,
    LaunchOrder,
    NotSent,
    ProviderError,
    RateLimited,
    Rejected,
    Unavailable,
    Unknown,
    Unsupported,
    Verdict,
    labels_of,
)
from console.provider.traits import Prepares
from console.store.database import run_uncancelled
from console.store.postgres.failover import sent_row
from console.store.transitions import RunResult

LOST = "the lock file of this process was removed, its lease could not be renewed, or the database failed over"
OWN = "own"
"""A sandbox that is made before the launch, for one run alone."""


class Launcher:
    """Takes one claimed run to running, unconfirmed or ended.

    `launch` may be called again after it raised: what was proven or made before is kept and not done twice.
    """

    def __init__(self, context: EngineContext, run: Run) -> None:
        self._context = context
        self.run = run
        self.stop: StopRequest | None = None
        """A stop asked for in this process; obeyed also where it could not be stored."""
        self._verdict: Verdict | Fenced | None = None
        """What is proven about the launch, until it is recorded."""
        self.leaving = False
        """True once this process hands over: no launch is begun any more."""
        self.is_sending = False
        """True from before the record of the intent until what the POST proved is recorded."""
        self._stop_asked = asyncio.Event()
        self._posting = run.state is State.SENDING
        """True once the POST of the current `sending` record may have left: here, or in a process that died."""
        self._order: LaunchOrder | None = None
        """What was sent with that POST; None if another process sent it."""
        self._prepared: str | None = None
        """What was prepared and is not recorded yet."""
        self._unstored: list[UnstoredChange] = []
        self._queued_since: Timestamp | None = None
        """Since when it waits in the launch queue, as far as its window is not extended yet."""
        self._not_sent_waits = list(context.timings.not_sent_waits_s)
        self._rate_waits = list(context.timings.rate_limit_waits_s)

    def request_stop(self, stop: StopRequest) -> None:
        """Do not send; what waits for its turn or for its next try is woken. The first request wins."""
        if self.stop is None:
            self.stop = stop
            self._stop_asked.set()
            self._context.launch_queue.let_pass(self.run.id)

    async def launch(self) -> RunWriter:
        """The writer of the run in a state other than claimed and sending.

        Raises OwnershipLost or StaleRun where another process acted, StoreError where the intent could not be
        recorded (nothing was sent then).
        """
        while self.run.state in (State.CLAIMED, State.SENDING) and not self._unstored:
            if self._verdict is not None:
                await self._record(self._verdict)
            elif self.run.state is State.SENDING:
                self._verdict = await self._interrupted()
            elif (obstacle := self._obstacle()) is not None:
                await self._end(*obstacle)
            else:
                await self._send_in_turn()
        return RunWriter(self._context, self.run, self._unstored)

    async def _interrupted(self) -> Verdict | Fenced:
        """What is proven where the row says `sending` and no verdict is known: by whether the POST was begun."""
        if self._posting:
            unknown = Unknown(why="the launch was interrupted before its answer was read")
            return await clear_up(self._context, self.run, self._order, unknown, self._stop_asked)
        return NotSent(why="interrupted between the record and the launch")

    async def _send_in_turn(self) -> None:
        """Wait in the queue of this process, then send, unless a hand-over or something else has begun meanwhile.

        The window of the claim counts only while the run could have been sent.
        """
        self._queued_since = self._context.clock.now()
        async with self._context.launch_queue.turn(self.run.id):
            self.extend_window()
            self._queued_since = None
            if self._obstacle() is None and not self.leaving and await self._prepare() and not self.leaving:
                await self._send()
        if self.leaving and self.run.state is State.CLAIMED:
            raise OwnershipLost(f"{self.run.id}: this process hands over")

    def extend_window(self) -> Run:
        """Return the run, its window extended by the time for which it was queued; that is not stored here."""
        if self._queued_since is not None and self.run.expires_ms is not None:
            since, self._queued_since = self._queued_since, self._context.clock.now()
            expires_ms = self.run.expires_ms + self._queued_since.since(since)
            self.run = replace(self.run, expires_ms=expires_ms)
        return self.run

    async def _send(self) -> None:
        """Record the intent, then send. From `mark_sending` on every outcome is a verdict."""
        self._posting, self._order, self.is_sending = False, None, True
        try:
            self.run = await _mark_sending(self._context, self.run)
        except StaleRun:
            self.is_sending = False
            await self._read_again()
            return
        self._verdict = await self._post(self.run)
        if isinstance(self._verdict, Unknown):
            self._verdict = await clear_up(self._context, self.run, self._order, self._verdict, self._stop_asked)

    async def _read_again(self) -> None:
        """Read the row: somebody else may have acted. Raises OwnershipLost where it is not ours any more.

        The fence is never taken from the row: with the fence of a successor we would send in his place.
        """
        store = self._context.store
        fresh = await store.runs.get(self.run.id)
        if fresh is None or (fresh.owner, fresh.fence) != (self.run.owner, self.run.fence):
            raise OwnershipLost(self.run.id)
        # The window is extended here first, and later in the store.
        expires_ms = max(fresh.expires_ms or 0, self.run.expires_ms or 0) or None
        self.run = replace(fresh, expires_ms=expires_ms)
        if fresh.state is State.CLAIMED and await store.controls.paused() is not None:
            await self._end(Outcome.EXPIRED, "launches were paused before anything was sent")

    def _obstacle(self) -> tuple[Outcome, str] | None:
        """Why a claimed run ends before any byte is sent; None where it may be sent."""
        run, now = self.run, self._context.clock.now()
        if run.stop is not None or self.stop is not None:
            return Outcome.CANCELLED, "cancelled before anything was sent"
        if run.expires_ms is not None and now.wall_ms >= run.expires_ms:
            return Outcome.EXPIRED, "its window passed before anything was sent"
        if not self._context.settings.serves(run):
            return Outcome.EXPIRED, "the service in the config was changed after the claim; nothing was sent"
        task = self._context.settings.task(run.task)
        if task is None:
            return Outcome.EXPIRED, "the task is no longer in the config"
        if Fingerprint.of(task) != run.fingerprint:
            return Outcome.EXPIRED, "the task was edited after the claim; nothing was sent"
        return None

    async def _prepare(self) -> bool:
        """Make the sandbox or session of the run and store its id. False where the run ended or has to wait."""
        context, run, note = self._context, self.run, ""
        task, what = context.settings.task(run.task), context.traits_of(run).prepares
        if task is None or run.sandbox_id is not None or (what is Prepares.SANDBOX and run.fingerprint.sandbox != OWN):
            return True
        try:
            if self._prepared is None:
                self._prepared = await context.provider_of(run).prepare(order_for(run, task))
        except Unsupported as error:
            note = sanitize(f"no {what} made before the launch: {error}", limit=NOTE)
        except (Denied, Invalid) as error:
            await self._end(Outcome.REJECTED, f"{what} refused: {error}")
            return False
        except ProviderError as error:
            await self._again(f"{what}: {error}", self._not_sent_waits, _asked_wait_s(error))
            return False
        prepared, now = self._prepared, context.clock.now()
        self.run = await context.store.runs.record_sandbox(
            run, sandbox_id=prepared, own=prepared is not None, note=note, now=now
        )
        return True

    async def _post(self, run: Run) -> Verdict:
        """The one POST. Never raises: an error that no adapter knows proves nothing, so it is `Unknown`."""
        context, task = self._context, self._context.settings.task(run.task)
        if task is None or run.sent is None:
            return NotSent(why="the task is no longer in the config")
        if context.in_fleet and (trouble := await _write_intent(context, run)):
            return NotSent(why=trouble)
        if self.stop is not None:
            return NotSent(why="cancelled before anything was sent")
        if context.clock.now().since(run.sent) > context.timings.fresh_send_ms:
            # The process was held up after the record: nothing has left it, and it must not leave late.
            return NotSent(why="held up between the record and the launch")
        if not context.holds_lock():
            # Somebody may have taken the run over and ruled on it already.
            return NotSent(why="others may have taken the run over: " + LOST)
        self._posting, self._order = True, order_for(run, task)
        try:
            return await context.provider_of(run).create(self._order)
        except Exception as error:
            context.problems.report_once(f"run {run.id}", f"run {run.id}: the launch raised {describe(error)}", error)
            return Unknown(why=f"the launch raised {describe(error)}")

    async def _record(self, verdict: Verdict | Fenced) -> None:
        """Store what the POST proved. An agent that runs, or may run, is guarded from here on whatever the store does;
        for all else wait where the store fails, and come again.
        """
        now = self._context.clock.now()
        if isinstance(verdict, Launched):
            await self._record_launched(verdict, now)
        elif isinstance(verdict, Unknown):
            await self._record_unconfirmed(verdict, now)
        else:
            try:
                await self._record_other(verdict, now)
            except StoreError as error:
                text = f"the answer to a launch is not recorded yet: {error}"
                self._context.problems.report("store", text, source=f"run {self.run.id}")
                await asyncio.sleep(self._context.timings.tick_s)
                return
            except (StaleRun, IllegalTransition):
                # Recorded before, by a write that raised after its commit; or somebody else acted.
                await self._read_again()
            else:
                self._context.problems.clear("store", f"run {self.run.id}")
        self._verdict, self.is_sending = None, False
        # In the background: a log that cannot be written must not delay the limits and stops of a run that was sent.
        self._context.background.start(self._context.log_flusher.flush(), f"log the launch of {self.run.id}")

    async def _record_other(self, verdict: NotSent | RateLimited | Rejected | Fenced, now: Timestamp) -> None:
        runs = self._context.store.runs
        match verdict:
            case NotSent(why=why):
                await self._again(why, self._not_sent_waits, None)
            case RateLimited(why=why, retry_after_s=retry_after):
                await self._again(why, self._rate_waits, retry_after)
            case Rejected(why=why):
                self.run = await runs.record_rejected(self.run, why=sanitize(why, limit=NOTE), now=now)
            case Fenced(why=why):
                self.run = await runs.record_not_sent(self.run, why=sanitize(why, limit=NOTE), final=True, now=now)
            case _:
                assert_never(verdict)

    async def _record_launched(self, launched: Launched, now: Timestamp) -> None:
        """The id is on disk before the database is asked; from there on the store may fail and nothing is lost."""
        # Also where this task is cancelled: the next process finds the id in the journal.
        await run_uncancelled(_write_journal(self._context, self.run, launched.remote_id), "launch.journal")

        async def store(run: Run) -> Run:
            try:
                return await self._context.store.runs.record_launched(
                    run,
                    remote_id=launched.remote_id,
                    status=launched.status,
                    sandbox_id=launched.prepared_id,
                    now=now,
                )
            except (StaleRun, OwnershipLost, IllegalTransition):
                await _use_late_answer(self._context, run.id, launched)
                raise

        change = UnstoredChange(
            store=store,
            project=lambda run: _launched(run, launched),
            is_stored=lambda row: row.remote_id == launched.remote_id,
        )
        await self._store_or_owe(change, "launched")

    async def _record_unconfirmed(self, unknown: Unknown, now: Timestamp) -> None:
        why = sanitize(unknown.why, limit=NOTE)

        async def store(run: Run) -> Run:
            return await self._context.store.runs.record_unconfirmed(run, why=why, now=now)

        change = UnstoredChange(
            store=store,
            project=lambda run: replace(run, state=State.UNCONFIRMED) if run.state is State.SENDING else run,
            is_stored=lambda row: row.state is not State.SENDING,
        )
        try:
            await self._store_or_owe(change, "unconfirmed")
        except (StaleRun, IllegalTransition):
            # Recorded before, by a write that raised after its commit; or somebody else acted.
            await self._read_again()

    async def _store_or_owe(self, change: UnstoredChange, what: str) -> None:
        """Store a change, for at most `intent_wait_s`; what is not stored by then is left to the writer of the run.

        Raises StaleRun, OwnershipLost or IllegalTransition where another process acted.
        """
        context, run_id = self._context, self.run.id
        storing = context.background.start(change.store(self.run), f"{what} {run_id}")
        source, error = f"run {run_id}", None
        if await wait_task(storing, context.timings.intent_wait_s):
            try:
                self.run = storing.result()
                return
            except (StaleRun, OwnershipLost, IllegalTransition):
                raise
            except Exception as raised:
                error = raised
        unexpected = None if isinstance(error, StoreError) else error
        topic = "store" if unexpected is None else source
        why = describe(error) if error is not None else "the state store does not answer"
        # The writer of the run records it, and clears this.
        context.problems.report(topic, f"{what}, but not recorded yet: {why}", unexpected, source=source)
        self._unstored.append(change)

    async def _again(self, why: str, waits: list[float], retry_after_s: float | None) -> None:
        """Back to claimed and a wait, or the end: where the tries are used up, or the next one would be too late."""
        timings, now = self._context.timings, self._context.clock.now()
        wait = max(waits[0] if waits else 0.0, retry_after_s or 0.0)
        why = sanitize(why, limit=NOTE)
        final = not waits or (retry_after_s is not None and retry_after_s > timings.longest_rate_limit_s)
        if not final and self.run.expires_ms is not None and now.wall_ms + wait * 1000 >= self.run.expires_ms:
            final, why = True, sanitize(f"{why}; the next try would come after its window", limit=NOTE)
        if self.run.state is State.SENDING:
            self.run = await self._context.store.runs.record_not_sent(self.run, why=why, final=final, now=now)
            self._verdict, self.is_sending = None, False
        elif final:
            await self._end(Outcome.NOT_SENT, why)
        if not final:
            del waits[0]
            await wait_event(self._stop_asked, wait)
            await self._read_again()

    async def _end(self, outcome: Outcome, note: str) -> None:
        """End a run of which nothing was sent."""
        ending = RunResult.of_nothing_sent(outcome, sanitize(note, limit=NOTE))
        self.run = await self._context.store.runs.settle(self.run, ending, self._context.clock.now())
        await self._context.log_flusher.flush()


async def _write_journal(context: EngineContext, run: Run, remote_id: str) -> None:
    """Put the id on disk. A disk that does not answer is waited for only briefly: nobody stops the agent meanwhile."""
    wait_s = context.timings.intent_wait_s / 2
    writing = context.background.start_and_wait(_append_journal(context, run, remote_id), "launch.journal", wait_s)
    if not (await writing).done():
        context.problems.report("launch.journal", "launch.journal: its disk does not answer", source="append")


async def _append_journal(context: EngineContext, run: Run, remote_id: str) -> None:
    """Put the id on disk, in a thread because that waits for the disk. A failure is shown as a problem."""
    problems = context.problems
    try:
        async with context.journal_turn:
            await asyncio.to_thread(context.launches.append, run.id, run.attempt, remote_id)
    except JournalError as error:
        problems.report("launch.journal", str(error), source="append")
    except Exception as error:
        problems.report("launch.journal", f"launch.journal: {describe(error)}", error, source="append")
    else:
        problems.clear("launch.journal", "append")


async def _mark_sending(context: EngineContext, run: Run) -> Run:
    """Record the intent. Launches of all hosts go through one gate: the wait for it does not make a launch late."""
    clock = context.clock
    return await context.store.runs.mark_sending(run, clock.now(), clock=clock if context.in_fleet else None)


async def _write_intent(context: EngineContext, run: Run) -> str:
    """Put the intent on disk, in a thread; return why that does not work, or ``."""
    try:
        async with context.journal_turn:
            await asyncio.to_thread(context.launches.append_intent, LaunchIntent.of(run, sent_row(run)))
    except JournalError as error:
        return f"the intent to launch it cannot be written: {error}"
    return ""


async def _use_late_answer(context: EngineContext, run_id: RunId, launched: Launched) -> None:
    """Cancel an agent whose run a person has resolved as not launched before this late answer came.

    A run that another host has taken over and found without an id gets this one: it is proof.
    """
    row = await context.store.runs.get(run_id)
    if row is None or row.remote_id is not None:
        return
    if row.state is State.ENDED:
        await try_cancel(context, replace(row, remote_id=launched.remote_id))
    elif row.state is State.UNCONFIRMED and context.in_fleet:
        await adopt_late(context, row, launched.remote_id)


def _asked_wait_s(error: ProviderError) -> float | None:
    """How long the service asked to wait, in seconds."""
    return error.retry_after_s if isinstance(error, Unavailable) else None


def order_for(run: Run, task: Task) -> LaunchOrder:
    """The order for `run`; the limit at the service and the labels are always on it."""
    environment = task.environment or (REMOTE if task.sandbox in (OWN, REMOTE) else task.sandbox)
    return LaunchOrder(
        agent=task.agent,
        model=task.model,
        prompt=task.prompt,
        environment=environment,
        prepared_id=run.sandbox_id,
        server_limit=run.limits.server_limit,
        max_ms=run.limits.max_ms,
        labels=labels_of(run),
        tools=task.tools,
        network=task.network if task.sandbox in (OWN, REMOTE) else None,
        system_instruction=task.system_instruction,
    )


def _launched(run: Run, launched: Launched) -> Run:
    state = State.STOPPING if run.stop is not None else State.RUNNING
    return replace(run, state=state, remote_id=launched.remote_id, remote_status=launched.status)
