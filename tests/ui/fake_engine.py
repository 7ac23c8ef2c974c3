"""An engine in memory that implements the ports of the console and records what was asked of it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace

from console.domain.caps import CapUsage, Refusal
from console.domain.key import key_of
from console.domain.rollout import Evidence
from console.domain.run import HOLDING, KEY_FREEING_OUTCOMES, Outcome, Run, RunId, State, StopReason, StopRequest
from console.domain.task import Fingerprint, Stage
from console.domain.timestamps import Timestamp
from console.engine.models import (
    AuditEntry,
    AuditFilter,
    Cursor,
    HistoryFilter,
    KeyState,
    KeyStatus,
    LaunchKind,
    LaunchPreview,
    LaunchRequest,
    LaunchResult,
    NextLaunch,
    Owner,
    Page,
    Pause,
    PauseResult,
    RunDetail,
    Snapshot,
    TaskRollout,
    TypicalUsage,
)
from console.engine.problems import Problem
from console.engine.prompts import PromptComparison
from console.engine.scheduling.agenda import Agenda
from console.engine.scheduling.daily_demand import DailyDemand
from console.engine.settings import EngineSettings
from console.engine.usage import UsageQuery, UsageReport
from tests.clock import ManualClock
from tests.ui import samples

Hook = Callable[[], Awaitable[None]]


class SampleClock(ManualClock):
    """A clock that shows `samples.NOW` and can be moved."""

    def __init__(self) -> None:
        super().__init__(samples.NOW.utc(), boot_ms=samples.NOW.boot_ms, boot_id=samples.NOW.boot_id)


@dataclass
class FakeEngine:
    """An `EnginePort` without an engine: tests set what it knows and read what was asked of it."""

    clock: SampleClock = field(default_factory=SampleClock)
    settings: EngineSettings = field(default_factory=samples.settings)
    live: list[Run] = field(default_factory=list)
    recent: list[Run] = field(default_factory=list)
    cap_usages: tuple[CapUsage, ...] = field(default_factory=samples.cap_usages)
    paused: Pause | None = None
    problems: tuple[Problem, ...] = ()
    scheduler: Owner | None = field(
        default_factory=lambda: Owner(id="serve", kind="serve", pid=812, alive=True, mine=False)
    )
    others: tuple[Owner, ...] = ()
    """Living processes besides this one and the scheduler."""
    stages: Mapping[str, Stage] = field(default_factory=dict)
    guarded: frozenset[RunId] = frozenset()
    holder: Run | None = None
    """The run that holds the key of the next preview."""
    refusal: Refusal | None = None
    """The refusal of the next preview or launch."""
    evidence: Evidence | None = None
    """The evidence in the details of every run."""
    broken: Exception | None = None
    """An error that every read raises while it is set."""
    rollouts: tuple[TaskRollout, ...] = ()
    """The stages of the tasks; if empty, every task is at manual without evidence."""
    approved_text: str | None = None
    """The prompt of the run that was approved last."""
    unstored: str = ""
    """Why stops are not stored; empty if they are."""
    hooks: dict[str, Hook] = field(default_factory=dict)
    """By `snapshot`, `detail`, `preview` or `stop`: awaited before it is answered, and for `stop` before it acts.

    A hook may wait or raise.
    """
    asked: list[tuple[str, ...]] = field(default_factory=list)
    """The operations that were called, in order, with their arguments."""
    queries: FakeQueries = field(init=False)
    operations: FakeOperations = field(init=False)
    rollout: FakeRollout = field(init=False)
    usage: FakeUsage = field(init=False)
    agenda: FakeAgenda = field(init=False)

    def __post_init__(self) -> None:
        self.queries, self.operations = FakeQueries(self), FakeOperations(self)
        self.rollout, self.usage, self.agenda = FakeRollout(self), FakeUsage(self), FakeAgenda(self)

    def all(self) -> dict[RunId, Run]:
        """Return every run by its id."""
        return {run.id: run for run in (*self.live, *self.recent)}

    def change(self, run: Run) -> Run:
        """Replace the run with the same id; a run that ended moves to the recent ones."""
        self.live = [run if each.id == run.id else each for each in self.live]
        if run.state is State.ENDED:
            self.live = [each for each in self.live if each.id != run.id]
            self.recent = [run, *(each for each in self.recent if each.id != run.id)]
        return run

    def end(self, run_id: RunId, outcome: Outcome) -> Run:
        """End a run, as the provider does."""
        run = self.all()[run_id]
        return self.change(replace(run, state=State.ENDED, outcome=outcome, ended_ms=self.now().wall_ms))

    def now(self) -> Timestamp:
        """Return the time of the clock."""
        return self.clock.now()

    def fail_if_broken(self) -> None:
        """Raise the error that every read raises now, if there is one."""
        if self.broken is not None:
            raise self.broken

    async def run_hook(self, name: str) -> None:
        """Wait for the hook of that name, if a test has set one."""
        hook = self.hooks.get(name)
        if hook is not None:
            await hook()


class FakeQueries:
    """The read operations, on the state of the engine."""

    def __init__(self, engine: FakeEngine) -> None:
        self._engine = engine

    async def snapshot(self) -> Snapshot:
        self._engine.fail_if_broken()
        me = Owner(id="me", kind="console", pid=4121, alive=True, mine=True)
        scheduler = self._engine.scheduler
        others = {each.id: each for each in (*self._engine.others, *filter(None, [scheduler]))}
        snapshot = Snapshot(
            taken=self._engine.clock.now(),
            live=tuple(self._engine.live),
            recent=tuple(self._engine.recent),
            cap_usages=self._engine.cap_usages,
            paused=self._engine.paused,
            owners={**others, "me": me},
            scheduler=scheduler,
            next_launch=NextLaunch(task="nightly-report", at_ms=self._engine.now().wall_ms + 7_988_000),
            stages=self._engine.stages,
            read_only=self._engine.settings.read_only,
            time_zone="Europe/Berlin",
            problems=self._engine.problems,
        )
        await self._engine.run_hook("snapshot")
        return snapshot

    async def detail(self, run_id: RunId) -> RunDetail | None:
        self._engine.fail_if_broken()
        run = self._engine.all().get(run_id)
        if run is None:
            return None
        same = [each for each in self._engine.all().values() if each.key == run.key and each.attempt > 0]
        attempts = tuple(sorted(same, key=lambda each: each.attempt)) or (run,)
        detail = replace(samples.detail(run), attempts=attempts)
        await self._engine.run_hook("detail")
        return detail if self._engine.evidence is None else replace(detail, evidence=self._engine.evidence)

    async def prompt(self, task: str) -> PromptComparison | None:
        found = self._engine.settings.task(task)
        if found is None:
            return None
        runs = [run for run in self._engine.all().values() if run.task == task and run.sent is not None]
        approved = max(runs, key=lambda run: run.created_ms, default=None)
        return PromptComparison(
            text=found.prompt,
            sha256=Fingerprint.of(found).prompt_sha256,
            approved=approved,
            approved_text=self._engine.approved_text,
        )

    async def history(self, wanted: HistoryFilter, *, limit: int = 50, after: Cursor | None = None) -> Page:
        self._engine.fail_if_broken()
        runs = self._fitting(wanted)
        start = after.seq if after is not None else 0
        end = start + limit
        last = Cursor(place=0, seq=end) if end < len(runs) else None
        return Page(runs=tuple(runs[start:end]), after=last)

    async def count(self, wanted: HistoryFilter, *, at_most: int | None = None) -> int:
        self._engine.fail_if_broken()
        found = len(self._fitting(wanted))
        return found if at_most is None else min(found, at_most)

    async def audit(self, wanted: AuditFilter, *, limit: int) -> tuple[tuple[AuditEntry, ...], bool]:
        self._engine.fail_if_broken()
        return samples.acts(), False

    async def keys(self, keys: Iterable[str]) -> Mapping[str, KeyStatus]:
        return {key: self.key_status(key) for key in keys}

    def key_status(self, key: str) -> KeyStatus:
        """What a launch of the key would meet."""
        runs = [run for run in self._engine.all().values() if run.key == key and run.attempt > 0]
        holder = max(runs, key=lambda run: run.attempt, default=None)
        if holder is None or holder.outcome in KEY_FREEING_OUTCOMES:
            return KeyStatus(state=KeyState.FREE, attempts=len(runs))
        state = KeyState.DONE if holder.outcome is Outcome.OK else KeyState.HELD
        return KeyStatus(state=state, attempts=len(runs), holder=holder)

    def _fitting(self, wanted: HistoryFilter) -> list[Run]:
        """The matching entries, newest first, by the rules of the store as far as the console needs them."""
        runs = [
            run
            for run in self._engine.all().values()
            if (not wanted.tasks or run.task in wanted.tasks)
            and (not wanted.outcomes or run.outcome in wanted.outcomes)
            and (not wanted.stages or run.stage in wanted.stages)
            and (not wanted.origins or run.origin in wanted.origins)
            and (wanted.since_ms is None or run.created_ms >= wanted.since_ms)
            and (wanted.until_ms is None or run.created_ms < wanted.until_ms)
            and not any(run.task in each.tasks or run.outcome in each.outcomes for each in wanted.without)
            and all(word.lower() in f"{run.task} {run.target} {run.note}".lower() for word in wanted.text.split())
        ]
        if wanted.folded:
            tried = {run.key: max(r.attempt for r in runs if r.key == run.key) for run in runs}
            runs = [run for run in runs if run.attempt in (0, tried[run.key])]
        return sorted(runs, key=lambda run: (-run.created_ms, run.id))

    async def preview(self, request: LaunchRequest) -> LaunchPreview:
        self._engine.fail_if_broken()
        await self._engine.run_hook("preview")
        task = self._engine.settings.task(request.task)
        if task is None:
            raise LookupError(f"no task is named {request.task!r}")
        date = request.date or "2026-11-23"
        answer = LaunchKind.LAUNCHED
        if self._engine.refusal is not None:
            answer = LaunchKind.REFUSED
        elif self._engine.holder is not None:
            answer = LaunchKind.SKIPPED
        return LaunchPreview(
            task=task,
            target=request.target or task.target,
            date=date,
            key=key_of(task.type, task.target, date),
            stage=Stage.SEMI,
            limits=samples.run(1, of=task).limits,
            typical=TypicalUsage(runs=12, median_units=38_200, p95_units=61_000, p95_ms=432_000),
            worst_case_micro=4_200_000,
            currency="USD",
            cap_usages=self._engine.cap_usages,
            answer=answer,
            refusal=self._engine.refusal,
            holder=self._engine.holder,
        )


class FakeUsage:
    """Usage reports with sample figures."""

    def __init__(self, engine: FakeEngine) -> None:
        self._engine = engine

    async def report(self, query: UsageQuery) -> UsageReport:
        self._engine.asked.append(("report", str(query.days), query.measure, query.group))
        self._engine.fail_if_broken()
        return samples.usage_report(query)


class FakeRollout:
    """The stages of the tasks."""

    def __init__(self, engine: FakeEngine) -> None:
        self._engine = engine

    async def tasks(self) -> tuple[TaskRollout, ...]:
        self._engine.fail_if_broken()
        return self._engine.rollouts or tuple(
            TaskRollout(
                task=task,
                stage=Stage.MANUAL,
                effective=Stage.MANUAL,
                evidence=Evidence(since_ms=None),
                unmet_criteria=("1 run",),
            )
            for task in self._engine.settings.tasks
        )

    async def demand(self, name: str) -> DailyDemand | None:
        self._engine.fail_if_broken()
        return samples.demand()

    async def move(self, name: str, to: Stage, *, by: str, reason: str, forced: bool = False) -> TaskRollout:
        self._engine.asked.append(("move", name, to.label, reason, str(forced)))
        rollout = next(rollout for rollout in await self.tasks() if rollout.task.name == name)
        return replace(rollout, stage=to, effective=to)


class FakeAgenda:
    """What the schedules are going to do, with sample times."""

    def __init__(self, engine: FakeEngine) -> None:
        self._engine = engine

    async def upcoming(self, hours: int) -> Agenda:
        self._engine.asked.append(("agenda", str(hours)))
        self._engine.fail_if_broken()
        return samples.agenda(hours)


class FakeOperations:
    """The write operations: each records what was asked and changes the state of the engine."""

    def __init__(self, engine: FakeEngine) -> None:
        self._engine = engine

    async def launch(self, request: LaunchRequest) -> LaunchResult:
        self._engine.asked.append(("launch", request.task, request.date or "", request.reason))
        task = self._engine.settings.task(request.task)
        assert task is not None
        run = replace(
            samples.run(900 + len(self._engine.live), State.CLAIMED, of=task, sent_ago=None), date=request.date or ""
        )
        self._engine.live.append(run)
        return LaunchResult(kind=LaunchKind.LAUNCHED, run=run)

    async def stop(self, run_id: RunId, *, by: str, reason: StopReason = StopReason.OPERATOR, why: str = "") -> Run:
        await self._engine.run_hook("stop")
        self._engine.asked.append(("stop", run_id, by, *([why] if why else [])))
        run = self._engine.all()[run_id]
        if run.state is State.ENDED:
            return run
        if self._engine.unstored:
            return replace(run, trouble=self._engine.unstored)
        request = run.stop or StopRequest(reason=reason, by=by, at_ms=self._engine.now().wall_ms, tries=1)
        state = State.STOPPING if run.state is State.RUNNING else run.state
        return self._engine.change(replace(run, state=state, stop=request))

    async def stop_all(self, *, by: str) -> tuple[Run, ...]:
        return tuple([await self.stop(run.id, by=by) for run in list(self._engine.live) if run.state in HOLDING])

    async def pause(self, *, by: str, cancel: bool = False, why: str = "") -> PauseResult:
        self._engine.asked.append(("pause", str(cancel), *([why] if why else [])))
        self._engine.paused = Pause(since_ms=self._engine.now().wall_ms, by=by)
        return PauseResult(stopped=await self.stop_all(by=by) if cancel else ())

    async def resume(self, *, by: str, why: str = "") -> None:
        self._engine.asked.append(("resume", *([why] if why else [])))
        self._engine.paused = None

    async def approve(self, run_id: RunId, *, by: str, why: str = "") -> LaunchResult:
        self._engine.asked.append(("approve", run_id, *([why] if why else [])))
        run = self._engine.change(replace(self._engine.all()[run_id], state=State.CLAIMED))
        return LaunchResult(kind=LaunchKind.LAUNCHED, run=run)

    async def decline(self, run_id: RunId, *, by: str, reason: str) -> Run:
        self._engine.asked.append(("decline", run_id, reason))
        return self._engine.end(run_id, Outcome.DECLINED)

    async def settle_adopt(self, run_id: RunId, remote_id: str, *, by: str, reason: str) -> Run:
        self._engine.asked.append(("adopt", run_id, remote_id, reason))
        return self._engine.change(replace(self._engine.all()[run_id], state=State.RUNNING, remote_id=remote_id))

    async def settle_not_launched(self, run_id: RunId, *, by: str, reason: str) -> Run:
        self._engine.asked.append(("not_launched", run_id, reason))
        return self._engine.end(run_id, Outcome.NOT_SENT)

    async def settle_write_off(self, run_id: RunId, *, by: str, reason: str) -> Run:
        self._engine.asked.append(("write_off", run_id, reason))
        return self._engine.end(run_id, Outcome.WRITTEN_OFF)
