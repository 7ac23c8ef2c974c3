"""One cell of the fault matrix: a simulated service and an engine of its own, all in one event loop."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from console.domain.run import Run, RunId, State
from console.engine.settings import ProcessKind
from console.provider.contract import Provider
from console.provider.http.clients import Bounds
from console.provider.http.secret import Secret
from console.simulator.control import run_facts
from console.simulator.faults import CallKind
from console.simulator.process import bind, url_of
from console.simulator.server import serve
from console.simulator.state import SimulatorState
from tests.at_service import CLIENTS, settings_at
from tests.engine.building import BY, QUICK, EngineHarness, a_task, engine_harness
from tests.evidence import gather
from tests.faults.matrix import Cell, Position, expected
from tests.invariants import violations
from tests.waiting import until

PACING = replace(QUICK, save_ms=200, overdue_ms=60_000, fresh_send_ms=60_000, handover_s=5.0)
PATIENCE_S = 60.0
"""Far longer than any cell takes, even beside others on a busy machine."""
SILENCE_S = 2.5
"""How long a client waits for a silent service; the answers that are not delayed take less on a busy machine too."""
STRUCK = 3
"""A fault of every call ends after so many calls."""
WITHOUT_END = frozenset({CallKind.GET, CallKind.STREAM, CallKind.CANCEL, CallKind.ENV_DELETE})
"""Calls that the engine repeats until they work."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """The state of one simulated service, in the form of its control calls."""

    state: SimulatorState

    def stats(self) -> Mapping[str, object]:
        """All counts."""
        return self.state.stats()

    def runs(self) -> list[Mapping[str, object]]:
        """Every agent that was ever started."""
        return [run_facts(self.state, run) for run in self.state.runs()]


@asynccontextmanager
async def served(state: SimulatorState, kind: str) -> AsyncIterator[str]:
    """The state on a port of its own, in this event loop."""
    stop, ready = asyncio.Event(), asyncio.Event()
    listening = bind(0)
    serving = asyncio.create_task(serve(state, listening, stop, ready.set, kind))
    await ready.wait()
    try:
        yield url_of(listening)
    finally:
        stop.set()
        await serving


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One cell while it runs."""

    cell: Cell
    folder: Path
    state: SimulatorState
    url: str
    client: Callable[..., Provider]

    @asynccontextmanager
    async def engine(self, kind: ProcessKind = ProcessKind.RUN) -> AsyncIterator[EngineHarness]:
        """An engine on the folder of the case."""
        silent = self.cell.is_silent
        bounds = Bounds(
            create_s=SILENCE_S if silent and self.cell.call is CallKind.CREATE else PATIENCE_S,
            call_s=SILENCE_S if silent and self.cell.call is not CallKind.CREATE else PATIENCE_S,
            silence_s=SILENCE_S if silent else PATIENCE_S,
            pause_s=0.005,
        )
        provider = self.client(base_url=self.url, secret=Secret("kept-in-mind-only"), bounds=bounds)
        use = settings_at(self.cell.kind, a_task(prompt=self.cell.scenario.prompt()), kind)
        async with engine_harness(self.folder, provider, use, timings=PACING) as here:
            yield here
        await provider.aclose()

    async def reaches_rest(self, here: EngineHarness, run_id: RunId) -> Run:
        """Waits until nothing more happens to the run without a person. A fault of every call ends after `STRUCK`."""

        async def at_rest() -> bool:
            run = await here.engine.get_run(run_id)
            if (
                run.state is State.RUNNING
                and run.stop is None
                and self.cell.call in (CallKind.CANCEL, CallKind.ENV_DELETE)
            ):
                await here.engine.operations.stop(run_id, by=BY)
            if self.cell.call in WITHOUT_END and self.state.calls(self.cell.call) >= STRUCK:
                self.state.clear_faults()
            is_alarm = expected(self.cell).state is State.STOPPING and run.stop is not None and run.stop.alarmed
            return run.state in (State.ENDED, State.UNCONFIRMED) or is_alarm

        await until(at_rest, within=PATIENCE_S, what=f"rest of {self.cell}")
        run = await here.run(run_id)
        # Waiting for the end of a run includes its line in the log.
        return run if run.state is State.STOPPING else await here.engine.wait(run_id)


async def _played(case: Case) -> Run:
    """Runs the cell and returns the run at rest."""
    if case.cell.position is not Position.RECOVERY:
        case.state.set_faults(case.cell.faults)
        async with case.engine() as here:
            return await case.reaches_rest(here, (await here.launch()).run.id)
    run_id = await _left_behind(case)
    case.state.set_faults(case.cell.faults)
    async with case.engine() as here:
        return await case.reaches_rest(here, run_id)


async def _left_behind(case: Case) -> RunId:
    """A run whose engine has ended: claimed where the launch is the subject, else running."""
    if case.cell.call in (CallKind.CREATE, CallKind.ENV_CREATE):
        async with case.engine(ProcessKind.COMMAND) as here:
            return (await here.launch()).run.id
    async with case.engine() as here:
        run_id = (await here.launch()).run.id
        await until(_has_id(here, run_id), within=PATIENCE_S, what="running")
        return run_id


def _has_id(here: EngineHarness, run_id: RunId) -> Callable[[], Awaitable[bool]]:
    async def has_id() -> bool:
        return (await here.run(run_id)).remote_id is not None

    return has_id


async def run_cell(cell: Cell, folder: Path, client: Callable[..., Provider] | None = None) -> list[str]:
    """Runs a cell; returns what was wrong."""
    state = SimulatorState()
    async with AsyncExitStack() as stack:
        url = await stack.enter_async_context(served(state, cell.kind))
        case = Case(cell=cell, folder=folder, state=state, url=url, client=client or CLIENTS[cell.kind])
        try:
            run = await _played(case)
        except AssertionError as error:
            return [f"{cell}: {error}"]
    wrong = [f"{cell}: {breach}" for breach in violations(gather(folder, Service(state=state)))]
    verdict = expected(cell)
    if run.state is not verdict.state or (run.outcome is not None and run.outcome not in verdict.outcomes):
        wrong.append(f"{cell}: the run is {run.state} {run.outcome} {run.note}, not {verdict}")
    if state.posts() != verdict.posts:
        wrong.append(f"{cell}: {state.posts()} POSTs, not {verdict.posts}")
    if state.calls("elsewhere"):
        wrong.append(f"{cell}: a redirect was followed")
    return wrong
