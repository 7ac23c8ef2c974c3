"""What an operator does: launch, approve, stop, pause, settle. Each returns when it is stored and in the log."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, TypeVar

from console.domain.caps import Cap, Refusal, RefusalKind
from console.domain.key import parse_date
from console.domain.launch import LaunchKind, LaunchRequest, LaunchResult, LaunchTerms
from console.domain.policy import Policy, PolicyDifference
from console.domain.run import HOLDING, Run, RunId, State, StopReason, new_run_id
from console.domain.task import Fingerprint, Task
from console.domain.text import is_blank
from console.domain.timestamps import Timestamp
from console.engine.context import EngineContext
from console.engine.errors import OperationRefused, StaleRun, StoreBusy, StoreError
from console.engine.models import PauseResult
from console.engine.restore_check import HistoryCheck
from console.engine.run.cancel import try_cancel
from console.engine.run.lost_launch import require_not_found
from console.engine.scheduling.cron import date_for, next_times
from console.engine.supervisor import Supervisor
from console.provider.contract import RUN_LABEL, ProviderError
from console.store.audit import STOP_REASON

T = TypeVar("T")


class Operations:
    """The operations on a state folder. Runs that they start are supervised by this process.

    In one piece, because each operation is a few lines on the same parts.
    """

    def __init__(
        self,
        context: EngineContext,
        supervisor: Supervisor,
        randomness: Callable[[int], bytes],
        history_check: HistoryCheck,
    ) -> None:
        self._context = context
        self._supervisor = supervisor
        self._history_check = history_check
        self._randomness = randomness

    def terms(self, request: LaunchRequest) -> LaunchTerms:
        """Return the terms on which `request` would be claimed now.

        Raises LookupError for an unknown task, ValueError for a date that is not well-formed or a rerun
        without a reason or not by hand.
        """
        now, settings = self._context.clock.now(), self._context.settings
        found = settings.task(request.task)
        if found is None:
            known = ", ".join(task.name for task in settings.tasks) or "none"
            raise LookupError(f"no task is named {request.task!r}; known tasks: {known}")
        if request.rerun and (request.scheduled or is_blank(request.reason)):
            raise ValueError("a rerun is by hand and needs a reason")
        task = found.with_target(request.target)
        if request.date is not None:
            date = parse_date(request.date, task.window)
        else:
            date = date_for(task, self._date_clock(now, scheduled=request.scheduled), scheduled=request.scheduled)
        return LaunchTerms(
            run_id=new_run_id(now.wall_ms, self._randomness(10)),
            task=task,
            date=date,
            owner=self._owner,
            service=settings.service_for(task).service,
            limits=settings.limits(task),
            caps=settings.caps,
            rollout=settings.rollout,
            expires_ms=self._expires_ms(task, scheduled=request.scheduled),
            refusal=self._clock_refusal() if request.scheduled else None,
            policy=self._policy,
        )

    def _date_clock(self, now: Timestamp, *, scheduled: bool) -> datetime:
        """The time whose date goes into a key. cron goes by the clock of its host, so the later of both clocks counts
        for it: the date of a night does not depend on which of them is a moment ahead.
        """
        behind_ms = self._context.clock_behind_ms() if scheduled else 0
        return now.utc() if behind_ms >= 0 else now.utc() + timedelta(milliseconds=-behind_ms)

    def _clock_refusal(self) -> Refusal | None:
        """Why a command of cron launches nothing here: it came at the wrong time, perhaps for the wrong night.

        The scheduler of a process goes by the clock of the fleet itself.
        """
        behind_ms = self._context.clock_behind_ms()
        if abs(behind_ms) <= self._context.timings.clock_note_ms or self._context.settings.schedules:
            return None
        how = f"{abs(behind_ms) // 1000} s {'behind' if behind_ms > 0 else 'ahead of'} the database's"
        return Refusal(
            kind=RefusalKind.CLOCK, sentence=f"the clock of this host is {how}; scheduled launches are refused here"
        )

    async def launch(self, request: LaunchRequest) -> LaunchResult:
        """Claim the key and the hold, then supervise the run here or, in a short command, leave it to an engine.

        Skips and refusals are answers. Raises LookupError, ValueError (see `terms`), StoreError.
        """
        if self._context.settings.read_only:
            raise OperationRefused("this console is read-only: nothing is launched from here")
        await self._history_check.require_complete()
        result = await self._context.store.claims.claim(request, self.terms(request), self._context.clock.now())
        return await self._take_up(result)

    async def approve(self, run_id: RunId, *, by: str, why: str = "") -> LaunchResult:
        """Launch a proposal; the caps are checked now. Raises OperationRefused, LookupError."""
        run = await self._proposal(run_id)
        task = self._context.settings.task(run.task)
        if task is None or Fingerprint.of(task.with_target(run.target)) != run.fingerprint:
            raise OperationRefused("the task was edited after the proposal; decline it and launch again")
        await self._history_check.require_complete()
        now = self._context.clock.now()
        result = await self._context.store.claims.approve(
            run_id,
            by=by,
            why=why,
            owner=self._owner,
            service=self._context.settings.service_for(task).service,
            task=task,
            caps=self._context.settings.caps,
            expires_ms=now.wall_ms + self._context.timings.claim_window_ms,
            now=now,
            policy=self._policy,
        )
        return await self._take_up(result)

    async def decline(self, run_id: RunId, *, by: str, reason: str) -> Run:
        """End a proposal without a launch. Raises OperationRefused, LookupError."""
        await self._proposal(run_id)
        now = self._context.clock.now()
        run = await self._context.store.claims.decline(run_id, by=by, reason=reason, now=now)
        await self._context.log_flusher.flush()
        return run

    async def stop(self, run_id: RunId, *, by: str, reason: StopReason = StopReason.OPERATOR, why: str = "") -> Run:
        """Stop a run of this or of another process. An ended run is returned as it is.

        The cancel is sent within a second, also where the request cannot be stored: `trouble` of the returned run
        says so, and the request is stored as soon as the store works. The run is stopped only when the provider
        shows it. `why` is the person's reason, for the record. Raises LookupError, OperationRefused for a proposal,
        StoreError where nothing is known of the run.
        """
        run = await self._known(run_id)
        if run.state is State.PROPOSED:
            raise OperationRefused("nothing runs yet: the proposal can be declined")
        return await self._stop(run, by=by, reason=reason, why=why)

    async def stop_all(self, *, by: str, reason: StopReason = StopReason.OPERATOR, why: str = "") -> tuple[Run, ...]:
        """`stop` for every run that is live or unconfirmed, all at once. Raises StoreError where none are known."""
        try:
            rows = await self._soon(self._context.store.runs.open_runs(), "read the open runs")
        except StoreError:
            rows = self._supervisor.open_runs()
            if not rows:
                raise
        stops = (self._stop(row, by=by, reason=reason, why=why) for row in rows if row.state in HOLDING)
        return tuple(await asyncio.gather(*stops))

    async def _known(self, run_id: RunId) -> Run:
        """The run as its supervisor here knows it, or as stored, or as it was read last."""
        run = self._supervisor.known(run_id)
        if run is None:
            try:
                run = await self._soon(self._context.store.runs.get(run_id), f"read {run_id}")
            except StoreError:
                run = self._supervisor.last_read(run_id)
                if run is None:
                    raise
        if run is None:
            raise LookupError(f"no run has the id {run_id}")
        return run

    async def _stop(self, run: Run, *, by: str, reason: StopReason, why: str) -> Run:
        asked = await self._request_stop(run, by=by, reason=reason)
        if run.state is not State.ENDED and not is_blank(why):
            note = _store_reason(self._context, run, by=by, why=why, now=self._context.clock.now())
            with suppress(StoreError):
                await self._soon(note, f"reason {run.id}")
        await self._flush_soon()
        return asked

    async def _request_stop(self, run: Run, *, by: str, reason: StopReason) -> Run:
        mine = await self._supervisor.request_stop(run.id, reason, by=by)
        if mine is not None:
            return mine
        now, runs, wait_s = self._context.clock.now(), self._context.store.runs, self._context.timings.intent_wait_s
        request = _store_stop(self._context, run.id, by=by, reason=reason, now=now)
        try:
            asked = await self._soon(request, f"stop {run.id}", seconds=wait_s)
        except StoreError as error:
            return await self._cancel_unstored(run, error)
        if asked.state is State.STOPPING and self._context.settings.serves(asked):
            # The other process reads the request within a tick; the provider gets the cancel now.
            attempt = await try_cancel(self._context, asked)
            record = runs.record_stop_try(asked, answer=attempt.answer, trouble=attempt.trouble, now=now)
            with suppress(StoreError, StaleRun):
                asked = await self._soon(record, f"stop {run.id}")
        return asked

    async def _cancel_unstored(self, run: Run, error: StoreError) -> Run:
        """The request is not in the store; the cancel goes out all the same."""
        if run.state in (State.RUNNING, State.STOPPING) and self._context.settings.serves(run):
            attempt = await try_cancel(self._context, run)
            told = f"cancel sent, not recorded yet: {error}"
            return replace(run, trouble=f"{attempt.trouble}; {told}" if attempt.trouble else told)
        return replace(run, trouble=f"the stop is not recorded yet: {error}")

    async def _soon(self, work: Coroutine[Any, Any, T], name: str, *, seconds: float | None = None) -> T:
        """What `work` returns within `seconds` (default `stop_wait_s`); where it takes longer it goes on in the
        background.

        Raises StoreBusy then.
        """
        wait_s = seconds or self._context.timings.stop_wait_s
        task = await self._context.background.start_and_wait(work, name, wait_s)
        if not task.done():
            raise StoreBusy("the state store is busy; it is tried again")
        return task.result()

    async def _flush_soon(self) -> None:
        """Put the lines into the log, for at most `stop_wait_s`."""
        with suppress(StoreError):
            await self._soon(self._context.log_flusher.flush(), "flush the log")

    async def pause(self, *, by: str, cancel: bool = False, why: str = "") -> PauseResult:
        """The kill switch: no launch of any origin until `resume`; with `cancel` every live run is stopped too.

        Neither waits for the store. Raises StoreError where the pause can be put neither into the store nor into a
        file, with `cancel` after the stops, or where no runs to stop are known.
        """
        # A disk that hangs may keep even the file from being made; the cancels do not wait for that.
        wait_s = self._context.timings.stop_wait_s
        pausing = await self._context.background.start_and_wait(self._pause(by, why), "pause", wait_s)
        stopped = await self.stop_all(by=by, reason=StopReason.KILL_SWITCH, why=why) if cancel else ()
        return PauseResult(stopped=stopped, unstored=await pausing)

    async def _pause(self, by: str, why: str) -> str:
        """Pause in the store or, where that takes long or fails, by a file; return why it is not stored, or ``."""
        controls, now = self._context.store.controls, self._context.clock.now()
        wait_s = self._context.timings.intent_wait_s
        storing = controls.pause(by=by, now=now, why=why, busy_ms=int(wait_s * 1000))
        try:
            await self._soon(storing, "pause", seconds=wait_s)
        except StoreError as error:
            await controls.request_pause(by=by, now=now, why=why)
            return str(error)
        await self._flush_soon()
        return ""

    async def resume(self, *, by: str, why: str = "") -> None:
        """Allow launches again. Raises StoreError."""
        await self._context.store.controls.resume(by=by, now=self._context.clock.now(), why=why)
        await self._context.log_flusher.flush()

    async def record_read_only_lifted(self, *, by: str) -> None:
        """Record that a person made a read-only console writable. Raises StoreError."""
        now = self._context.clock.now()
        await self._context.store.runs.note(event="read_only_lifted", fields={"by": by}, run=None, now=now)
        await self._context.log_flusher.flush()

    async def raise_cap(self, cap: Cap, amount: int, *, task: str | None, by: str, reason: str) -> None:
        """Add `amount` (milli-units, or launches) to a cap for its present window only.

        Raises OperationRefused without a reason, ValueError for an amount outside of the bounds of a cap.
        """
        require_reason(reason)
        now = self._context.clock.now()
        await self._context.store.ledger.raise_cap(
            cap, task=task, amount=amount, caps=self._context.settings.caps, by=by, reason=reason, now=now
        )
        await self._context.log_flusher.flush()

    async def take_policy(self, *, by: str, reason: str) -> tuple[PolicyDifference, ...]:
        """Make what this host judges launches by that of the fleet; return what it changes.

        Raises OperationRefused without a reason, StoreError.
        """
        require_reason(reason)
        now, policy = self._context.clock.now(), self._context.settings.policy
        changes = await self._context.store.policy.take(policy, by=by, reason=reason, now=now)
        await self._context.log_flusher.flush()
        return changes

    @property
    def _policy(self) -> Policy | None:
        """What a claim carries; None on one machine, whose processes share a config."""
        return self._context.settings.policy if self._context.in_fleet else None

    @property
    def _owner(self) -> str | None:
        """The owner of what is claimed here: none yet, where this process holds no lock of its own."""
        return self._context.owner if self._context.settings.kind.guards else None

    async def _take_up(self, result: LaunchResult) -> LaunchResult:
        """Supervise a claimed run that is of this process. A claim itself has no line in the log: its answer will."""
        if result.kind is not LaunchKind.LAUNCHED:
            await self._context.log_flusher.flush()
        elif result.run.owner == self._context.owner:
            self._supervisor.supervise(result.run)
        return result

    def _expires_ms(self, task: Task, *, scheduled: bool) -> int:
        """End of the launch window: by hand in a minute; on schedule at the next time or the end of approval."""
        now = self._context.clock.now()
        if not scheduled:
            return now.wall_ms + self._context.timings.claim_window_ms
        latest = now.wall_ms + self._context.settings.rollout.approval_ms
        following = next_times(task, now.utc(), 1)
        return min(latest, int(following[0].timestamp() * 1000)) if following else latest

    async def _proposal(self, run_id: RunId) -> Run:
        run = await self._run(run_id)
        if run.state is not State.PROPOSED:
            raise OperationRefused(f"run {run_id} is {run.state}: only a proposal can be approved or declined")
        return run

    async def settle_adopt(self, run_id: RunId, remote_id: str, *, by: str, reason: str) -> Run:
        """Resolve an unconfirmed run as `remote_id`, which must carry its label.

        Raises OperationRefused, LookupError.
        """
        run = await self._unconfirmed(run_id, reason)
        self._require_service(run)
        try:
            remote = await self._context.provider_of(run).get(remote_id)
        except ProviderError as error:
            raise OperationRefused(f"the provider does not show {remote_id}: {error}") from error
        if remote.is_unstarted:
            raise OperationRefused(f"nothing was started in {remote_id}")
        if remote.labels.get(RUN_LABEL) != run.id:
            raise OperationRefused(f"{remote_id} does not carry the label of run {run.id}: it is another launch")
        now = self._context.clock.now()
        adopted = await self._context.store.runs.adopt(run, remote_id=remote_id, by=by, reason=reason, now=now)
        self._supervisor.notify(adopted)
        await self._context.log_flusher.flush()
        return adopted

    async def settle_not_launched(self, run_id: RunId, *, by: str, reason: str) -> Run:
        """Resolve an unconfirmed run as not launched. Its own sandbox is deleted first: a late packet finds none.

        Raises OperationRefused where that does not work, LookupError.
        """
        run = await self._unconfirmed(run_id, reason)
        self._require_service(run)
        await require_not_found(self._context, run)
        if run.sandbox_own and run.sandbox_id is not None:
            try:
                await self._context.provider_of(run).discard(run.sandbox_id)
            except ProviderError as error:
                raise OperationRefused(f"its sandbox could not be deleted first: {error}") from error
        now = self._context.clock.now()
        ruled = await self._context.store.runs.rule_not_launched(run, by=by, reason=reason, now=now)
        self._supervisor.notify(ruled)
        await self._context.log_flusher.flush()
        return ruled

    async def settle_write_off(self, run_id: RunId, *, by: str, reason: str) -> Run:
        """Close the accounts of a run at its hold: unconfirmed, or stopping without proof after its alarm.

        Raises OperationRefused, LookupError.
        """
        run = await self._run(run_id)
        alarmed = run.state is State.STOPPING and run.stop is not None and run.stop.alarmed
        if not alarmed:
            run = await self._unconfirmed(run_id, reason)
        require_reason(reason)
        now = self._context.clock.now()
        written_off = await self._context.store.runs.write_off(run, by=by, reason=reason, now=now)
        self._supervisor.notify(written_off)
        await self._context.log_flusher.flush()
        return written_off

    def _require_service(self, run: Run) -> None:
        if not self._context.settings.serves(run):
            here = self._context.settings.known_services
            raise OperationRefused(f"run {run.id} is launched at {run.service}; this process is set up for {here}")

    async def _run(self, run_id: RunId) -> Run:
        run = await self._context.store.runs.get(run_id)
        if run is None:
            raise LookupError(f"no run has the id {run_id}")
        return run

    async def _unconfirmed(self, run_id: RunId, reason: str) -> Run:
        """The run that a person resolves. One whose launcher hangs past its limit becomes unconfirmed first."""
        require_reason(reason)
        run = await self._run(run_id)
        now = self._context.clock.now()
        if run.state is State.SENDING and run.is_overdue(now) and run.id not in self._supervisor.guarded:
            why = "the process that launched it does not come to an end"
            run = await self._context.store.runs.record_unconfirmed(run, why=why, now=now)
        if run.state is not State.UNCONFIRMED:
            raise OperationRefused(f"run {run_id} is {run.state}: only an unconfirmed run is settled by hand")
        return run


def require_reason(reason: str) -> None:
    """Raises OperationRefused for an empty reason."""
    if is_blank(reason):
        raise OperationRefused("a reason is required")


async def _store_stop(context: EngineContext, run_id: RunId, *, by: str, reason: StopReason, now: Timestamp) -> Run:
    """Store a stop request as soon as the store answers. A run that ended meanwhile gets a note of it."""
    runs = context.store.runs
    while True:
        try:
            asked = await runs.request_stop(run_id, reason=reason, by=by, now=now)
            break
        except StoreBusy as error:
            text = f"the stop of {run_id} is not recorded yet: {error}"
            context.problems.report("store", text, source=f"stop {run_id}")
            await asyncio.sleep(context.timings.tick_s)
    context.problems.clear("store", f"stop {run_id}")
    if asked.stop is None and asked.ended_ms is not None and asked.ended_ms >= now.wall_ms:
        fields = {"by": by, "why": f"{reason.value}, asked before the end and stored after it"}
        await runs.note(event="late_stop", fields=fields, run=asked, now=now)
    return asked


async def _store_reason(context: EngineContext, run: Run, *, by: str, why: str, now: Timestamp) -> None:
    """Store a person's reason for a stop as soon as the store answers."""
    while True:
        try:
            return await context.store.runs.note(event=STOP_REASON, fields={"by": by, "why": why}, run=run, now=now)
        except StoreBusy:
            await asyncio.sleep(context.timings.tick_s)
