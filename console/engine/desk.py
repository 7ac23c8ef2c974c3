"""What an operator does. Each act returns when it is stored and its line stands in the log."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from console.domain.guardrails import Cap
from console.domain.key import parse_date
from console.domain.run import HOLDING, Reason, Run, RunId, State, new_run_id
from console.domain.task import Fingerprint, Origin, Task
from console.engine.dates import date_for, next_instants
from console.engine.errors import ActRefused, StaleRun
from console.engine.limits import limits_of
from console.engine.parts import Parts
from console.engine.rulings import Rulings, needs
from console.engine.sending import for_target
from console.engine.snapshot import LaunchAnswer, LaunchKind, LaunchRequest
from console.engine.stopping import try_cancel
from console.engine.watch import Watch
from console.store.launches import ClaimAnswer, ClaimKind, ClaimOrder

KINDS = {
    ClaimKind.CLAIMED: LaunchKind.LAUNCHED,
    ClaimKind.PROPOSED: LaunchKind.PROPOSED,
    ClaimKind.SKIPPED: LaunchKind.SKIPPED,
    ClaimKind.REFUSED: LaunchKind.REFUSED,
}


class Desk(Rulings):
    """Acts on the state folder; the guards of this process take up what it starts."""

    def __init__(self, parts: Parts, watch: Watch, randomness: Callable[[int], bytes]) -> None:
        super().__init__(parts)
        self._watch = watch
        self._randomness = randomness

    def order(self, request: LaunchRequest) -> ClaimOrder:
        """The claim that `request` means now.

        Raises LookupError for an unknown task, ValueError for a date that is not well-formed or a rerun
        without a reason or not by hand.
        """
        now, settings = self._parts.clock.now(), self._parts.settings
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
        return ClaimOrder(
            run_id=new_run_id(now.wall_ms, self._randomness(10)),
            task=task,
            target=task.target,
            date=date,
            origin=Origin.SCHEDULE if request.scheduled else Origin.MANUAL,
            by=request.by,
            owner=self._owner,
            limits=limits_of(task, settings.units),
            caps=settings.caps,
            rollout=settings.rollout,
            rerun=request.rerun,
            reason=request.reason,
            automatic_retry=request.automatic_retry,
            expires_ms=self._expires_ms(task, scheduled=request.scheduled),
        )

    async def launch(self, request: LaunchRequest) -> LaunchAnswer:
        """Claims the key and the hold, then guards the run from here, or, in a short command, leaves it to an engine.

        Skips and refusals are answers. Raises LookupError, ValueError (see `order`), StoreError.
        """
        if self._parts.settings.read_only:
            raise ActRefused("this console is read-only: nothing is launched from here")
        answer = await self._parts.store.launches.claim(self.order(request), self._parts.clock.now())
        return await self._take_up(answer)

    async def approve(self, run_id: RunId, *, by: str) -> LaunchAnswer:
        """A proposal becomes a launch; the caps are judged now. Raises ActRefused, LookupError."""
        run = await self._proposal(run_id)
        task = self._parts.settings.task(run.task)
        if task is None or Fingerprint.of(for_target(task, run.target)) != run.fingerprint:
            raise ActRefused("the task was edited after the proposal; decline it and launch again")
        now = self._parts.clock.now()
        answer = await self._parts.store.launches.approve(
            run_id,
            by=by,
            owner=self._owner,
            task=task,
            caps=self._parts.settings.caps,
            expires_ms=now.wall_ms + self._parts.pacing.claim_window_ms,
            now=now,
        )
        return await self._take_up(answer)

    async def decline(self, run_id: RunId, *, by: str, reason: str) -> Run:
        """A proposal ends without a launch. Raises ActRefused, LookupError."""
        await self._proposal(run_id)
        now = self._parts.clock.now()
        run = await self._parts.store.launches.decline(run_id, by=by, reason=reason, now=now)
        await self._parts.scribe.flush()
        return run

    async def stop(self, run_id: RunId, *, by: str, reason: Reason = Reason.OPERATOR) -> Run:
        """Stores the wish, then cancels at once, whoever guards the run. An ended run comes back as it is.

        The run is stopped only when the provider shows it. Raises LookupError, ActRefused for a proposal.
        """
        run = await self._run(run_id)
        if run.state is State.PROPOSED:
            raise ActRefused("nothing runs yet: the proposal can be declined")
        (stopped,) = await self._stop((run_id,), by=by, reason=reason)
        return stopped

    async def stop_all(self, *, by: str, reason: Reason = Reason.OPERATOR) -> tuple[Run, ...]:
        """`stop` for every run that is live or unconfirmed."""
        rows = await self._parts.store.runs.open_runs()
        return await self._stop(tuple(row.id for row in rows if row.state in HOLDING), by=by, reason=reason)

    async def _stop(self, ids: tuple[RunId, ...], *, by: str, reason: Reason) -> tuple[Run, ...]:
        """All wishes are stored before the first cancel is sent, so that a slow provider delays none of them."""
        now = self._parts.clock.now()
        runs = [await self._parts.store.runs.request_stop(each, reason=reason, by=by, now=now) for each in ids]
        await self._parts.scribe.flush()
        if not self._watch.guarded.isdisjoint(ids):
            await self._watch.look()
        return tuple(await asyncio.gather(*map(self._first_cancel, runs)))

    async def _first_cancel(self, run: Run) -> Run:
        """For a run that another process guards: it hears of the stop within a tick, the provider hears of it now."""
        if run.state is not State.STOPPING or run.id in self._watch.guarded:
            return run
        answer, trouble, _ = await try_cancel(self._parts, run)
        try:
            return await self._parts.store.runs.record_stop_try(
                run, answer=answer, trouble=trouble, now=self._parts.clock.now()
            )
        except StaleRun:
            return await self._run(run.id)

    async def pause(self, *, by: str, cancel: bool = False) -> tuple[Run, ...]:
        """The kill switch: no launch of any origin until `resume`; with `cancel` every live run is stopped too."""
        await self._parts.store.controls.pause(by=by, now=self._parts.clock.now())
        await self._parts.scribe.flush()
        return await self.stop_all(by=by, reason=Reason.KILL_SWITCH) if cancel else ()

    async def resume(self, *, by: str) -> None:
        """Launches are allowed again."""
        await self._parts.store.controls.resume(by=by, now=self._parts.clock.now())
        await self._parts.scribe.flush()

    async def raise_cap(self, cap: Cap, amount: int, *, task: str | None, by: str, reason: str) -> None:
        """Adds `amount` (milli-units, or launches) to a cap for its present window only. Raises ActRefused."""
        needs(reason)
        if amount <= 0:
            raise ActRefused("a raise is more than nothing")
        now = self._parts.clock.now()
        await self._parts.store.ledger.raise_cap(
            cap, task=task, amount=amount, caps=self._parts.settings.caps, by=by, reason=reason, now=now
        )
        await self._parts.scribe.flush()

    @property
    def _owner(self) -> str | None:
        """Who guards what is claimed here: nobody yet, where this process holds no lock of its own."""
        return self._parts.owner if self._parts.settings.kind.guards else None

    async def _take_up(self, answer: ClaimAnswer) -> LaunchAnswer:
        await self._parts.scribe.flush()
        if answer.run is None:
            raise ActRefused("nothing was claimed")
        if answer.kind is ClaimKind.CLAIMED and answer.run.owner == self._parts.owner:
            self._watch.guard(answer.run)
        return LaunchAnswer(
            kind=KINDS[answer.kind],
            run=answer.run,
            holder=answer.holder,
            refusal=answer.refusal,
            differences=answer.differences,
        )

    def _expires_ms(self, task: Task, *, scheduled: bool) -> int:
        """By hand a claim is good for a minute; on schedule until the next instant or the end of the approval time."""
        now = self._parts.clock.now()
        if not scheduled:
            return now.wall_ms + self._parts.pacing.claim_window_ms
        latest = now.wall_ms + self._parts.settings.rollout.approval_ms
        following = next_instants(task, now.utc(), 1)
        return min(latest, int(following[0].timestamp() * 1000)) if following else latest

    async def _proposal(self, run_id: RunId) -> Run:
        run = await self._run(run_id)
        if run.state is not State.PROPOSED:
            raise ActRefused(f"run {run_id} is {run.state}: only a proposal can be approved or declined")
        return run
