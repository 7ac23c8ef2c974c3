"""A harness that claims runs and brings them to a state, for tests of the store. The defaults are a valid config."""

from __future__ import annotations

import os
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from console.domain.caps import Caps, CapUsage
from console.domain.launch import LaunchKind, LaunchRequest, LaunchResult, LaunchTerms
from console.domain.log_record import LogRecord
from console.domain.rollout import RolloutRules
from console.domain.run import Limits, Outcome, Run, State, StopReason, new_run_id
from console.domain.server_limit import TokenLimit
from console.domain.task import CutOff, Guardrails, Stage, Task
from console.domain.timestamps import Timestamp
from console.domain.usage import Usage
from console.store.progress import Progress, ProgressUpdate
from console.store.runs import RunRepository
from console.store.store import Store
from console.store.transitions import RunResult
from tests.clock import ManualClock

BY = "tester tty=no"
OWNER = "owner-1"
DATE = "2026-11-23"
BUDGET = 50_000
CAPS = Caps(
    daily_units=1_000_000, monthly_units=10_000_000, daily_runs=100, concurrent_runs=8, time_zone="Europe/Berlin"
)
RULES = RolloutRules()


def a_task(name: str = "report", **changes: Any) -> Task:
    """Return a task; `changes` replace its defaults."""
    rails = Guardrails(max_ms=600_000, budget=BUDGET)
    values: dict[str, Any] = {"target": name, "prompt": "Look.", "agent": "agent-1", "model": "model-1"}
    return Task(**{"name": name, "type": "report", "guardrails": rails, **values, **changes})


def limits_of(task: Task) -> Limits:
    """Return the limits of a launch of `task`."""
    rails = task.guardrails
    return Limits(
        max_ms=rails.max_ms,
        budget=rails.budget,
        server_limit=TokenLimit(tokens=max(1, rails.budget * 10)),
        tokens_per_unit=10_000,
        cached_weight_milli=100,
        cut_off=CutOff.REACHED,
        stall_ms=rails.stall_ms,
    )


_TERMS = frozenset(field.name for field in fields(LaunchTerms))


@dataclass(slots=True)
class StoreHarness:
    """A store with a manual clock, and methods that bring a run to each state."""

    store: Store
    clock: ManualClock
    task: Task = field(default_factory=a_task)
    caps: Caps = CAPS
    rules: RolloutRules = RULES

    @property
    def now(self) -> Timestamp:
        """The time of the manual clock."""
        return self.clock.now()

    def launch_of(
        self, task: Task | None = None, *, target: str | None = None, **changes: Any
    ) -> tuple[LaunchRequest, LaunchTerms]:
        """Return a launch by hand. `changes` replace fields of the request or of the terms, by name."""
        task = task or self.task
        if target is not None:
            task = replace(task, target=target)
        request = LaunchRequest(task=task.name, by=BY)
        terms = LaunchTerms(
            run_id=new_run_id(self.now.wall_ms, os.urandom(10)),
            task=task,
            date=DATE,
            owner=OWNER,
            limits=limits_of(task),
            caps=self.caps,
            rollout=self.rules,
        )
        of_terms = {name: value for name, value in changes.items() if name in _TERMS}
        of_request = {name: value for name, value in changes.items() if name not in _TERMS}
        return replace(request, **of_request), replace(terms, **of_terms)

    async def claim(self, task: Task | None = None, **changes: Any) -> LaunchResult:
        """Claim one launch and return its result."""
        return await self.store.claims.claim(*self.launch_of(task, **changes), self.now)

    async def claimed(self, task: Task | None = None, **changes: Any) -> Run:
        """Return a claimed run."""
        answer = await self.claim(task, **changes)
        assert answer.kind is LaunchKind.LAUNCHED, answer
        return answer.run

    async def proposed(self, task: Task | None = None, **changes: Any) -> Run:
        """Return a proposal; the task is moved to the stage semi first."""
        await self.at_stage(Stage.SEMI, task)
        answer = await self.claim(task, scheduled=True, **changes)
        assert answer.kind is LaunchKind.PROPOSED, answer
        return answer.run

    async def sending(self, task: Task | None = None, **changes: Any) -> Run:
        """Return a run that is being sent."""
        return await self.store.runs.mark_sending(await self.claimed(task, **changes), self.now)

    async def running(self, task: Task | None = None, **changes: Any) -> Run:
        """Return a run with a remote id."""
        run = await self.sending(task, **changes)
        return await self.launch(run)

    async def launch(self, run: Run) -> Run:
        """Give a run that is being sent a remote id."""
        return await self.store.runs.record_launched(
            run, remote_id=f"remote-{run.id}", status="in_progress", sandbox_id=None, now=self.now
        )

    async def stopping(self, task: Task | None = None, **changes: Any) -> Run:
        """Return a run with a stop request."""
        run = await self.running(task, **changes)
        return await self.store.runs.request_stop(run.id, reason=StopReason.OPERATOR, by=BY, now=self.now)

    async def unconfirmed(self, task: Task | None = None, **changes: Any) -> Run:
        """Return an unconfirmed run."""
        run = await self.sending(task, **changes)
        return await self.store.runs.record_unconfirmed(run, why="no answer", now=self.now)

    async def ended(self, outcome: Outcome, task: Task | None = None, *, used: int = 1_000, **changes: Any) -> Run:
        """Return a run that ended with this outcome, through the states that lead there."""
        runs = self.store.runs
        match outcome:
            case Outcome.NOT_SENT:
                run = await self.sending(task, **changes)
                return await runs.record_not_sent(run, why="refused", final=True, now=self.now)
            case Outcome.REJECTED:
                run = await self.sending(task, **changes)
                return await runs.record_rejected(run, why="no such model", now=self.now)
            case Outcome.WRITTEN_OFF:
                run = await self.unconfirmed(task, **changes)
                return await runs.write_off(run, by=BY, reason="gone", now=self.now)
            case Outcome.DECLINED:
                run = await self.proposed(task, **changes)
                return await self.store.claims.decline(run.id, by=BY, reason="no", now=self.now)
            case Outcome.EXPIRED:
                run = await self.claimed(task, **changes)
                return await runs.settle(run, RunResult.of_nothing_sent(Outcome.EXPIRED, "late"), self.now)
            case _:
                return await self.settle(await self.running(task, **changes), outcome, used=used)

    async def settle(self, run: Run, outcome: Outcome = Outcome.OK, *, used: int = 1_000, **changes: Any) -> Run:
        """End the run as the provider would."""
        ending = RunResult(outcome=outcome, usage=Usage(total=used * 10), used=used, usage_known=True, elapsed_ms=5_000)
        return await self.store.runs.settle(run, replace(ending, **changes), self.now)

    async def at_stage(self, stage: Stage, task: Task | None = None) -> None:
        """Change the stage of the task step by step to `stage`."""
        name = (task or self.task).name
        while (before := await self.store.stages.stage(name)) is not stage:
            step = Stage(before + 1) if stage > before else Stage(before - 1)
            await self.store.stages.change(name, step, by=BY, reason="test", forced=True, evidence={}, now=self.now)

    async def cap_usage(self, cap: str, task: Task | None = None) -> CapUsage:
        """Return the usage of one cap."""
        cap_usages = await self.store.ledger.cap_usages(self.caps, self.now, task or self.task)
        return next(cap_usage for cap_usage in cap_usages if cap_usage.cap == cap)

    async def records(self) -> tuple[LogRecord, ...]:
        """Return all log records, without the name of the host, which only those of several hosts have."""
        records = await self.store.log_records.after(0, limit=10_000)
        return tuple(
            replace(each, fields={name: value for name, value in each.fields.items() if name != "host"})
            for each in records
        )

    async def kinds(self, run: Run) -> list[str]:
        """Return the kinds of the run's events, in order."""
        return [event.kind for event in await self.store.runs.timeline(run.id)]

    async def sends(self, run: Run) -> list[str]:
        """Return the verdicts of the run's sends, in order."""
        sql = "select verdict from sends where run_id = :id order by n"
        rows = await self.store.database.read(lambda tx: tx.rows(sql, {"id": run.id}))
        return [row["verdict"] for row in rows]

    async def hold(self, run: Run) -> tuple[str, int | None] | None:
        """Return state and settled amount of the run's hold, or None if it has none."""
        sql = "select state, settled from holds where run_id = :id"
        rows = list(await self.store.database.read(lambda tx: tx.rows(sql, {"id": run.id})))
        return (rows[0]["state"], rows[0]["settled"]) if rows else None

    async def run(self, run: Run) -> Run:
        """Return the run as it is stored now."""
        row = await self.store.runs.get(run.id)
        assert row is not None
        return row


async def open_harness(folder: Path, clock: ManualClock | None = None, **options: Any) -> StoreHarness:
    """Open the store of `folder` in a harness, with a manual clock of its own unless one is given."""
    clock = clock or ManualClock()
    return StoreHarness(await Store.open(folder, now=clock.now(), **options), clock)


OPEN_STATES = (State.CLAIMED, State.SENDING, State.RUNNING, State.STOPPING, State.UNCONFIRMED)


async def run_in(harness: StoreHarness, state: State) -> Run:
    """Return a run in that state."""
    return await {
        State.CLAIMED: harness.claimed,
        State.SENDING: harness.sending,
        State.RUNNING: harness.running,
        State.STOPPING: harness.stopping,
        State.UNCONFIRMED: harness.unconfirmed,
    }[state]()


async def record_progress(runs: RunRepository, run: Run, progress: Progress, now: Timestamp) -> Run:
    """Store the progress of one run; raise what it comes to where that is an error."""
    (outcome,) = await runs.record_progress_of_many([ProgressUpdate(run=run, progress=progress)], now)
    if isinstance(outcome, Run):
        return outcome
    raise outcome
