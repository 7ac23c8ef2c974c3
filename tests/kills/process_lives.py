"""What one process of a trial does: it asks for a launch as cron would, guards every run it finds, and ends when all is
quiet, or dies at its crash point."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import httpx

from console.domain.launch import LaunchKind
from console.domain.run import KEY_FREEING_OUTCOMES, Outcome, Run, State
from console.domain.timestamps import Timestamp
from console.engine.clock import SystemClock
from console.engine.engine import Engine
from console.engine.errors import OperationRefused, StaleRun
from console.engine.kernel_locks import KernelLocks
from console.engine.models import LaunchRequest
from console.journal.launch_journal import LaunchJournal
from console.journal.log_reader import LogReader
from console.journal.runs_log import LogWriter
from console.provider.contract import Provider
from console.provider.http.clients import Bounds
from console.provider.http.secret import Secret
from console.simulator.control_client import ControlClient
from console.store.bootstrap import prepare_store
from console.store.store import Store
from tests.at_service import CLIENTS, settings_at
from tests.engine.building import BY, QUICK, a_task
from tests.faults.matrix import SESSION_SERVICES
from tests.kills.crash_injector import (
    ANSWER_IS_KNOWN,
    ASKING_BEGINS,
    LAUNCH_BEGINS,
    LAUNCH_IS_KNOWN,
    REQUEST,
    CrashingDatabase,
    CrashingProvider,
    CrashingTransport,
    CrashInjector,
    Point,
    Span,
    crashing_database,
    is_start,
)
from tests.kills.scenarios import SHORT_MS, FaultClass, RunScenario
from tests.waiting import until

DATE = "2026-11-23"
WITHIN_S = 15.0
"""Far longer than any recovery takes, even on a busy machine."""
PACING = replace(
    QUICK,
    tick_s=0.03,
    save_ms=100,
    stream_waits_s=(0.02,),
    cancel_first_s=0.01,
    cancel_longest_s=0.05,
    sandbox_after_ms=60,
    alarm_after_ms=5_000,
    overdue_ms=1_000,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessLife:
    """The parameters of one process."""

    folder: Path
    url: str
    target: str
    scenario: RunScenario
    fault: FaultClass
    kind: str = "gemini"
    """The kind of the service."""
    point: Point | None = None
    """Where it dies; None: it lives until all is quiet."""
    asks: bool = True
    """False: it launches nothing and only takes over what it finds."""
    within_s: float = WITHIN_S
    """It fails where all is not quiet by then."""
    shift_ms: int = 0
    """How far its clocks are ahead, as if time had passed while no process lived."""

    @property
    def stderr(self) -> Path:
        """The standard error of the processes; beside the state folder, which may not exist yet."""
        return self.folder.with_suffix(".stderr")

    @property
    def died_launching(self) -> Path:
        """This file exists once a process has died in the middle of a launch."""
        return self.folder.with_suffix(".dark")

    @property
    def died_asking(self) -> Path:
        """This file exists once a process has died between the deletion of a session and the record of what it proves.

        Also where it died shortly before the deletion.
        """
        return self.folder.with_suffix(".asking")

    @property
    def spans(self) -> tuple[Span, ...]:
        """The spans of a process in which a death leaves what nobody can know."""
        return (
            Span(begins=LAUNCH_BEGINS, ends=LAUNCH_IS_KNOWN, mark=self.died_launching),
            Span(begins=ASKING_BEGINS, ends=ANSWER_IS_KNOWN, mark=self.died_asking),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class EnginePorts:
    """Builds the ports of an engine; a planted bug replaces one of them."""

    database: Callable[[Path, CrashInjector], Awaitable[CrashingDatabase]] = crashing_database
    store: Callable[[CrashingDatabase], Store] = Store
    provider: Callable[[Provider], Provider] = field(default=lambda provider: provider)
    journal: Callable[..., LaunchJournal] = LaunchJournal
    log: Callable[..., LogWriter] = LogWriter


class ShiftedClock(SystemClock):
    """The system's clocks, both ahead by the same time."""

    def __init__(self, shift_ms: int) -> None:
        super().__init__()
        self._shift_ms = shift_ms

    def now(self) -> Timestamp:
        """Both clocks now."""
        now = super().now()
        return replace(now, wall_ms=now.wall_ms + self._shift_ms, boot_ms=now.boot_ms + self._shift_ms)


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveEngine:
    """A running engine."""

    life: ProcessLife
    engine: Engine
    store: Store
    clock: SystemClock
    gone: frozenset[str] = frozenset()
    """The sessions that were deleted before the process began."""

    @property
    def request(self) -> LaunchRequest:
        """The launch that every process asks for."""
        return LaunchRequest(task="report", date=DATE, target=self.life.target, by=BY)


def provider_of(life: ProcessLife, injector: CrashInjector) -> Provider:
    """The real provider; its transport fails or dies where the trial wants that."""
    transport: Callable[[], httpx.AsyncBaseTransport] | None = None
    if life.point is not None and life.point.step == REQUEST:
        transport = partial(CrashingTransport, injector)
    elif life.fault.refuses:
        transport = Refusing(life.fault.refuses).transport
    inner = CLIENTS[life.kind](
        base_url=life.url,
        secret=Secret("kept-in-mind-only"),
        bounds=Bounds(create_s=life.fault.create_s, call_s=10.0, pause_s=0.005),
        transport=transport,
    )
    return CrashingProvider(inner, injector, streams=life.fault.streams)


class Refusing:
    """Refuses the connection of the first creates."""

    def __init__(self, count: int) -> None:
        self._left = count

    def transport(self) -> httpx.AsyncBaseTransport:
        """A transport that shares the count of refusals."""
        refusing = self

        class Transport(httpx.AsyncHTTPTransport):
            async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
                if is_start(request) and refusing._left > 0:
                    refusing._left -= 1
                    raise httpx.ConnectError("refused")
                return await super().handle_async_request(request)

        return Transport(trust_env=False)


@asynccontextmanager
async def running_engine(life: ProcessLife, ports: EnginePorts) -> AsyncIterator[LiveEngine]:
    """An engine on the state folder, assembled as the command does it."""
    injector, clock = CrashInjector(life.point, life.spans), ShiftedClock(life.shift_ms)
    prepare_store(life.folder, now=clock.now(), read_only=False, busy_ms=30_000)
    database = await ports.database(life.folder, injector)
    store = ports.store(database)
    log = ports.log(life.folder / "runs.log", write=injector.write("log"))
    launches = ports.journal(life.folder / "launch.journal", write=injector.write("journal"))
    provider = ports.provider(provider_of(life, injector))
    agent = life.scenario.scenario(life.fault.of_run)
    settings = settings_at(life.kind, a_task(max_ms=life.scenario.max_ms, prompt=agent.prompt()))
    engine = Engine(
        store=store,
        log=log,
        launches=launches,
        providers={"default": provider},
        clock=clock,
        settings=settings,
        folder=life.folder,
        ownership=KernelLocks(life.folder, supervises=settings.supervises),
        timings=PACING,
    )
    gone = _deleted_sessions(life.url) if life.kind in SESSION_SERVICES else frozenset()
    async with engine:
        yield LiveEngine(life=life, engine=engine, store=store, clock=clock, gone=gone)
    await provider.aclose()
    await store.close()


def _deleted_sessions(url: str) -> frozenset[str]:
    deleted = ControlClient(url).stats()["sessions_deleted"]
    assert isinstance(deleted, list)
    return frozenset(deleted)


async def live(life: ProcessLife, ports: EnginePorts) -> None:
    """Runs the process until all is quiet or it dies. Raises AssertionError where it does not become quiet in time."""
    async with running_engine(life, ports) as alive:
        if life.asks:
            await alive.engine.operations.launch(alive.request)
        await until(lambda: _is_quiet(alive), within=life.within_s, what="quiet")
        await _check_key(alive)


async def _is_quiet(alive: LiveEngine) -> bool:
    rows = await alive.store.runs.open_runs()
    for run in rows:
        await _act_as_person(alive, run)
    return all(_is_at_rest(alive, run) for run in rows) and await _is_logged(alive)


async def _is_logged(alive: LiveEngine) -> bool:
    """True where each record of the store has a line in the log."""
    with LogReader(alive.life.folder / "runs.log") as reader:
        lines = {line.record.ev for line in reader.read()}
    return lines.issuperset(record.ev for record in await alive.store.log_records.after(0))


def _is_at_rest(alive: LiveEngine, run: Run) -> bool:
    """True where nothing happens any more without a person."""
    if run.state is not State.UNCONFIRMED or alive.life.scenario.is_ruled:
        return False
    if alive.life.kind in SESSION_SERVICES:
        # A session that was deleted by a process that died proves nothing to the next one.
        return run.sandbox_id in alive.gone
    overdue = run.sent is not None and alive.clock.now().since(run.sent) >= run.limits.max_ms
    must_go = run.stop is not None or overdue or alive.life.scenario.max_ms == SHORT_MS
    return not (must_go and run.sandbox_own) or run.sandbox_deleted_ms is not None


async def _act_as_person(alive: LiveEngine, run: Run) -> None:
    """Stops or settles the run where the scenario has a person do so."""
    scenario = alive.life.scenario
    try:
        if scenario is RunScenario.STOPPED and run.stop is None and run.state in (State.RUNNING, State.UNCONFIRMED):
            await alive.engine.operations.stop(run.id, by=BY)
        if scenario.is_ruled and run.state is State.UNCONFIRMED:
            await _settle(alive, run)
    except (OperationRefused, StaleRun):
        # The sandbox could not be deleted, or the engine was quicker; a person would try again.
        return


async def _settle(alive: LiveEngine, run: Run) -> None:
    operations, scenario = alive.engine.operations, alive.life.scenario
    if scenario is RunScenario.WRITTEN_OFF:
        await operations.settle_write_off(run.id, by=BY, reason="enough")
        return
    labelled = [remote for remote in ControlClient(alive.life.url).runs() if _label(remote) == run.id]
    if scenario is RunScenario.ADOPTED and labelled:
        await operations.settle_adopt(run.id, str(labelled[0]["id"]), by=BY, reason="it is this one")
    else:
        await operations.settle_not_launched(run.id, by=BY, reason="nothing is there")


def _label(remote: object) -> str:
    labels = remote.get("labels") if isinstance(remote, dict) else None
    return str(labels.get("nightdesk-run")) if isinstance(labels, dict) else ""


async def _check_key(alive: LiveEngine) -> None:
    """A launch with another prompt is claimed only where the key is free, and so is the same launch again."""
    terms = alive.engine.operations.terms(alive.request)
    runs = await alive.store.runs.by_key(terms.key)
    other = replace(terms, task=replace(terms.task, prompt="Something else."))
    answer = await alive.store.claims.preview(alive.request, other, alive.clock.now())
    is_free = all(run.outcome in KEY_FREEING_OUTCOMES for run in runs)
    assert (answer.kind is LaunchKind.LAUNCHED) == is_free, f"another fingerprint: {answer.kind}, runs {runs}"
    again = await alive.store.claims.preview(alive.request, terms, alive.clock.now())
    done = any(run.outcome is Outcome.OK for run in runs)
    assert (again.kind is LaunchKind.LAUNCHED) == is_free, f"the key again: {again.kind}, runs {runs}"
    assert (again.kind is LaunchKind.SKIPPED) == done
