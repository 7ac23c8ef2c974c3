"""Build tasks, settings and engines for tests, with a real store, log and journal and a fake provider."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from console.domain.caps import Caps
from console.domain.log_record import LogRecord, parse_line
from console.domain.run import Run, RunId, State
from console.domain.task import Guardrails, Task
from console.domain.timestamps import Clock
from console.domain.usage import Price, Units
from console.engine.clock import SystemClock
from console.engine.concerns import BackgroundTasks
from console.engine.context import EngineContext
from console.engine.engine import Engine
from console.engine.kernel_locks import KernelLocks
from console.engine.log_flush import LogFlusher
from console.engine.models import LaunchRequest, LaunchResult
from console.engine.problems import Problems
from console.engine.settings import EngineSettings, ProcessKind, ServiceSettings, Timings
from console.journal.launch_journal import LaunchJournal
from console.journal.runs_log import LogWriter
from console.provider.contract import Provider
from console.store.store import Store
from tests.waiting import until

BY = "tester tty=no"
MODEL = "gemini-3.8-flash"
QUICK = Timings(
    tick_s=0.05,
    save_ms=0,
    not_sent_waits_s=(0.01, 0.01),
    rate_limit_waits_s=(0.01, 0.01, 0.01),
    resolve_first_waits_s=(0.01, 0.01),
    resolve_waits_s=(0.05,),
    usage_waits_s=(0.01, 0.01),
    stream_waits_s=(0.05,),
    cancel_first_s=0.02,
    cancel_longest_s=0.1,
    sandbox_after_ms=300,
    alarm_after_ms=600,
    overdue_ms=200,
    handover_s=1.0,
    intent_wait_s=0.5,
    own_overdue_ms=500,
)
"""Short intervals of real time, so that a test with a system clock takes little of it."""
CAPS = Caps(
    daily_units=2_000_000, monthly_units=20_000_000, daily_runs=100, concurrent_runs=8, time_zone="Europe/Berlin"
)
PRICE = Price(input_micro=750_000, cached_micro=75_000, output_micro=3_750_000, currency="USD")


def a_task(
    name: str = "report",
    *,
    target: str | None = None,
    max_ms: int = 60_000,
    budget: int = 50_000,
    guardrails: Guardrails | None = None,
    schedule: str | None = None,
    time_zone: str = "UTC",
    window: str = "day",
    prompt: str = "Summarise yesterday's errors.",
) -> Task:
    """Return a task that the config would accept."""
    return Task(
        name=name,
        type="report",
        target=target or name,
        prompt=prompt,
        agent="antigravity-preview-09-2026",
        model=MODEL,
        guardrails=guardrails or Guardrails(max_ms=max_ms, budget=budget),
        schedule=schedule,
        time_zone=time_zone,
        window=window,
    )


def settings(
    *tasks: Task,
    kind: ProcessKind = ProcessKind.CONSOLE,
    caps: Caps = CAPS,
    poll_ms: int = 20,
    service: str | None = None,
) -> EngineSettings:
    """Return engine settings with a price for the model and a short poll interval."""
    return EngineSettings(
        tasks=tasks or (a_task(),),
        caps=caps,
        units=Units(tokens_per_unit=10_000, cached_weight_milli=100),
        prices={MODEL: PRICE},
        services=(ServiceSettings(poll_ms=poll_ms, service=service),),
        kind=kind,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineHarness:
    """A running engine with its store and state folder, so that tests can check what was stored."""

    engine: Engine
    store: Store
    folder: Path

    async def launch(self, task: str = "report", **more: object) -> LaunchResult:
        """Launch the task, by default as an operator; `more` sets other fields of the request."""
        request = replace(LaunchRequest(task=task, by=BY), **more)  # type: ignore[arg-type]  # any field of the request
        return await self.engine.operations.launch(request)

    async def run(self, run_id: RunId) -> Run:
        """Return the row of the run from the store."""
        run = await self.store.runs.get(run_id)
        assert run is not None
        return run

    async def reaches(self, run_id: RunId, *states: State) -> Run:
        """Wait until the run is in one of `states`, and return its row."""

        async def reached() -> bool:
            return (await self.run(run_id)).state in states

        await until(reached, what=f"run in {states}")
        return await self.run(run_id)

    async def next_tick(self) -> None:
        """Wait until every periodic duty of the engine, the scheduler included, has started and finished once more."""
        seldom = ("heartbeat", "dead owners", "unstarted", "queue")
        concerns = [name for name in self.engine.rounds if name not in seldom]
        before = dict(self.engine.rounds)
        await until(lambda: all(self.engine.rounds[name] >= before[name] + 2 for name in concerns), what="two ticks")

    def log(self) -> list[LogRecord]:
        """Return the records of runs.log."""
        path = self.folder / "runs.log"
        return [parse_line(line) for line in path.read_bytes().splitlines()] if path.exists() else []

    def statuses(self) -> list[str]:
        """Return the status of each record of runs.log."""
        return [record.status for record in self.log()]


def engine_context(
    store: Store,
    folder: Path,
    *,
    clock: Clock,
    provider: Provider,
    use: EngineSettings,
    owner: str = "",
    timings: Timings | None = None,
) -> EngineContext:
    """Return the context that the parts of an engine share; `folder` holds the log and the journal."""
    problems = Problems(lambda: clock.now().wall_ms)
    return EngineContext(
        store=store,
        log_flusher=LogFlusher(store, LogWriter(folder / "runs.log"), problems),
        launches=LaunchJournal(folder / "launch.journal"),
        providers={"default": provider},
        clock=clock,
        settings=use,
        owner=owner,
        problems=problems,
        background=BackgroundTasks(problems),
        timings=timings or QUICK,
    )


@asynccontextmanager
async def engine_harness(
    folder: Path,
    provider: Provider,
    use: EngineSettings | None = None,
    *,
    clock: Clock | None = None,
    timings: Timings = QUICK,
    key_trouble: Callable[[str], str | None] = lambda name: None,
    others: Mapping[str, Provider] | None = None,
) -> AsyncIterator[EngineHarness]:
    """Run an engine on `folder`; at the end, hand over its runs and close its files.

    `others` are providers beside the default one, by name.
    """
    clock = clock or SystemClock()
    store = await Store.open(folder, now=clock.now())
    log = LogWriter(folder / "runs.log")
    launches = LaunchJournal(folder / "launch.journal")
    use = use or settings()
    engine = Engine(
        store=store,
        log=log,
        launches=launches,
        providers={"default": provider, **(others or {})},
        clock=clock,
        settings=use,
        folder=folder,
        ownership=KernelLocks(folder, supervises=use.supervises),
        timings=timings,
        key_trouble=key_trouble,
    )
    try:
        async with engine:
            yield EngineHarness(engine=engine, store=store, folder=folder)
    finally:
        log.close()
        await store.close()
