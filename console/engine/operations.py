"""What an operator does. Each act returns when it is stored and its line stands in the log."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from console.domain.key import parse_date
from console.domain.launch import LaunchKind, LaunchRequest, LaunchResult, LaunchTerms
from console.domain.limits import Cap
from console.domain.run import HOLDING, Run, RunId, State, StopReason, new_run_id
from console.domain.task import Fingerprint, Task
from console.engine.context import EngineContext
from console.engine.errors import OperationRefused, StaleRun
from console.engine.run.cancel import try_cancel
from console.engine.run.launch import for_target
from console.engine.scheduling.cron import date_for, next_times
from console.engine.settings import limits_of
from console.engine.supervisor import Supervisor
from console.provider.contract import ProviderError


class Operations:
    """Acts on the state folder; the guards of this process take up what it starts."""

    def __init__(self, context: EngineContext, supervisor: Supervisor, randomness: Callable[[int], bytes]) -> None:
        self._context = context
        self._supervisor = supervisor
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
        if request.rerun and (request.scheduled or not request.reason.strip()):
            raise ValueError("a rerun is by hand and takes a reason")
        task = for_target(found, request.target)
        if request.date is not None:
            date = parse_date(request.date, task.window)
        else:
            date = date_for(task, now.utc(), scheduled=request.scheduled)
        return LaunchTerms(
            run_id=new_run_id(now.wall_ms, self._randomness(10)),
            task=task,
            date=date,
            owner=self._owner,
            limits=limits_of(task, settings.units),
            caps=settings.caps,
            rollout=settings.rollout,
            expires_ms=self._expires_ms(task, scheduled=request.scheduled),
        )

    async def launch(self, request: LaunchRequest) -> LaunchResult:
        """Claims the key and the hold, then guards the run from here, or, in a short command, leaves it to an engine.

        Skips and refusals are answers. Raises LookupError, ValueError (see `terms`), StoreError.
        """
        if self._context.settings.read_only:
            raise OperationRefused("this console is read-only: nothing is launched from here")
        result = await self._context.store.claims.claim(request, self.terms(request), self._context.clock.now())
        return await self._take_up(result)

    async def approve(self, run_id: RunId, *, by: str) -> LaunchResult:
        """A proposal becomes a launch; the caps are judged now. Raises ActRefused, LookupError."""
        run = await self._proposal(run_id)
        task = self._context.settings.task(run.task)
        if task is None or Fingerprint.of(for_target(task, run.target)) != run.fingerprint:
            raise OperationRefused("the task was edited after the proposal; decline it and launch again")
        now = self._context.clock.now()
        result = await self._context.store.claims.approve(
            run_id,
            by=by,
            owner=self._owner,
            task=task,
            caps=self._context.settings.caps,
            expires_ms=now.wall_ms + self._context.timings.claim_window_ms,
            now=now,
        )
        return await self._take_up(result)

    async def decline(self, run_id: RunId, *, by: str, reason: str) -> Run:
        """A proposal ends without a launch. Raises ActRefused, LookupError."""
        await self._proposal(run_id)
        now = self._context.clock.now()
        run = await self._context.store.claims.decline(run_id, by=by, reason=reason, now=now)
        await self._context.log_flusher.flush()
        return run

    async def stop(self, run_id: RunId, *, by: str, reason: StopReason = StopReason.OPERATOR) -> Run:
        """Stores the wish, then cancels at once, whoever guards the run. An ended run comes back as it is.

        The run is stopped only when the provider shows it. Raises LookupError, ActRefused for a proposal.
        """
        run = await self._run(run_id)
        if run.state is State.PROPOSED:
            raise OperationRefused("nothing runs yet: the proposal can be declined")
        (stopped,) = await self._stop((run_id,), by=by, reason=reason)
        return stopped

    async def stop_all(self, *, by: str, reason: StopReason = StopReason.OPERATOR) -> tuple[Run, ...]:
        """`stop` for every run that is live or unconfirmed."""
        rows = await self._context.store.runs.open_runs()
        return await self._stop(tuple(row.id for row in rows if row.state in HOLDING), by=by, reason=reason)

    async def _stop(self, ids: tuple[RunId, ...], *, by: str, reason: StopReason) -> tuple[Run, ...]:
        """All wishes are stored before the first cancel is sent, so that a slow provider delays none of them."""
        now = self._context.clock.now()
        runs = [await self._context.store.runs.request_stop(each, reason=reason, by=by, now=now) for each in ids]
        await self._context.log_flusher.flush()
        if not self._supervisor.guarded.isdisjoint(ids):
            await self._supervisor.tick()
        return tuple(await asyncio.gather(*map(self._first_cancel, runs)))

    async def _first_cancel(self, run: Run) -> Run:
        """For a run that another process guards: it hears of the stop within a tick, the provider hears of it now."""
        if run.state is not State.STOPPING or run.id in self._supervisor.guarded:
            return run
        answer, trouble, _ = await try_cancel(self._context, run)
        try:
            return await self._context.store.runs.record_stop_try(
                run, answer=answer, trouble=trouble, now=self._context.clock.now()
            )
        except StaleRun:
            return await self._run(run.id)

    async def pause(self, *, by: str, cancel: bool = False) -> tuple[Run, ...]:
        """The kill switch: no launch of any origin until `resume`; with `cancel` every live run is stopped too."""
        await self._context.store.controls.pause(by=by, now=self._context.clock.now())
        await self._context.log_flusher.flush()
        return await self.stop_all(by=by, reason=StopReason.KILL_SWITCH) if cancel else ()

    async def resume(self, *, by: str) -> None:
        """Launches are allowed again."""
        await self._context.store.controls.resume(by=by, now=self._context.clock.now())
        await self._context.log_flusher.flush()

    async def raise_cap(self, cap: Cap, amount: int, *, task: str | None, by: str, reason: str) -> None:
        """Adds `amount` (milli-units, or launches) to a cap for its present window only. Raises ActRefused."""
        require_reason(reason)
        if amount <= 0:
            raise OperationRefused("a raise is more than nothing")
        now = self._context.clock.now()
        await self._context.store.ledger.raise_cap(
            cap, task=task, amount=amount, caps=self._context.settings.caps, by=by, reason=reason, now=now
        )
        await self._context.log_flusher.flush()

    @property
    def _owner(self) -> str | None:
        """Who guards what is claimed here: nobody yet, where this process holds no lock of its own."""
        return self._context.owner if self._context.settings.kind.guards else None

    async def _take_up(self, result: LaunchResult) -> LaunchResult:
        await self._context.log_flusher.flush()
        if result.kind is LaunchKind.LAUNCHED and result.run.owner == self._context.owner:
            self._supervisor.guard(result.run)
        return result

    def _expires_ms(self, task: Task, *, scheduled: bool) -> int:
        """By hand a claim is good for a minute; on schedule until the next instant or the end of the approval time."""
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
        """An unconfirmed run is `remote_id`, which must carry its label. Raises ActRefused, LookupError."""
        run = await self._unconfirmed(run_id, reason)
        try:
            remote = await self._context.provider.get(remote_id)
        except ProviderError as error:
            raise OperationRefused(f"the provider does not show {remote_id}: {error}") from error
        if remote.labels.get("nightdesk-run") != run.id:
            raise OperationRefused(f"{remote_id} does not carry the label of run {run.id}: it is another launch")
        now = self._context.clock.now()
        adopted = await self._context.store.runs.adopt(run, remote_id=remote_id, by=by, reason=reason, now=now)
        await self._context.log_flusher.flush()
        return adopted

    async def settle_not_launched(self, run_id: RunId, *, by: str, reason: str) -> Run:
        """The operator rules that nothing runs. Its own sandbox is deleted first, so that a late packet finds none.

        Raises ActRefused where that does not work, LookupError.
        """
        run = await self._unconfirmed(run_id, reason)
        if run.sandbox_own and run.sandbox_id is not None:
            try:
                await self._context.provider.delete_sandbox(run.sandbox_id)
            except ProviderError as error:
                raise OperationRefused(f"its sandbox could not be deleted first: {error}") from error
        now = self._context.clock.now()
        ruled = await self._context.store.runs.rule_not_launched(run, by=by, reason=reason, now=now)
        await self._context.log_flusher.flush()
        return ruled

    async def settle_write_off(self, run_id: RunId, *, by: str, reason: str) -> Run:
        """The books close at the hold. For unconfirmed runs, and for stops without proof after their alarm.

        Raises ActRefused, LookupError.
        """
        run = await self._run(run_id)
        alarmed = run.state is State.STOPPING and run.stop is not None and run.stop.alarmed
        if not alarmed:
            run = await self._unconfirmed(run_id, reason)
        require_reason(reason)
        now = self._context.clock.now()
        written_off = await self._context.store.runs.write_off(run, by=by, reason=reason, now=now)
        await self._context.log_flusher.flush()
        return written_off

    async def _run(self, run_id: RunId) -> Run:
        run = await self._context.store.runs.get(run_id)
        if run is None:
            raise LookupError(f"no run has the id {run_id}")
        return run

    async def _unconfirmed(self, run_id: RunId, reason: str) -> Run:
        require_reason(reason)
        run = await self._run(run_id)
        if run.state is not State.UNCONFIRMED:
            raise OperationRefused(f"run {run_id} is {run.state}: only an unconfirmed run is settled by hand")
        return run


def require_reason(reason: str) -> None:
    """Raises ActRefused for an empty reason."""
    if not reason.strip():
        raise OperationRefused("this takes a reason")
