"""One seed, one world: a few processes, one to three runs, and a day's worth of bad luck within some minutes."""

from __future__ import annotations

import asyncio
import logging
import random
import re
import sqlite3
from collections import Counter
from dataclasses import dataclass
from enum import StrEnum

from console.domain.caps import Caps
from console.domain.task import Stage
from console.engine.engine import Engine
from console.journal.log_files import JournalError
from console.provider.contract import LaunchOrder
from console.store.errors import StoreError
from tests.simulation.blocked_worlds import BESIDE_BLOCKS, BlockedStore
from tests.simulation.config_worlds import BESIDE_EDITS, ChangingConfig
from tests.simulation.copy_worlds import BESIDE_COPIES, CopiedFolders
from tests.simulation.exception_injector import ExceptionInjector, is_injected
from tests.simulation.fault_injector import Fault, FaultInjector
from tests.simulation.hazard import Hazard
from tests.simulation.invariant_checker import Broken, InvariantChecker
from tests.simulation.machine import EngineProcess, Machine, patch_kernel
from tests.simulation.output_worlds import BESIDE_OUTPUTS, FailingOutputs
from tests.simulation.scenario import BY, RandomScenario, random_caps
from tests.simulation.service_worlds import BESIDE_SERVICES, TwoServices
from tests.simulation.supervision_checker import SupervisionChecker
from tests.simulation.virtual_loop import VirtualLoop
from tests.sync_database import sync_store

IGNORED = re.compile(r"injected|Event loop is closed")
"""Complaints of asyncio about injected exceptions and about the end of the world."""
LIMIT_S = 900.0
"""Once no fault strikes any more, every run has ended or raises an alarm within this."""


class Mode(StrEnum):
    """What a world is about."""

    SAFETY = "safety"
    """Every fault; the invariants hold."""
    LIVENESS = "liveness"
    """Every fault; once the faults end, every run ends or raises an alarm."""
    EXCEPTIONS = "exceptions"
    """Undeclared exceptions at the ports of the engines; supervision recovers from each of them."""
    BLOCKED = "blocked"
    """Stores and logs that do not answer for a while; cut-offs leave in time."""
    COPIES = "copies"
    """State folders that are copied, and databases that are put back; they launch nothing."""
    SERVICES = "services"
    """Two services in one state folder, and keys that are missing or refused; who cannot guard takes nothing."""
    OUTPUTS = "outputs"
    """Terminals, pipes and logs that block, break and fail; cut-offs leave in time."""
    CONFIGS = "configs"
    """A config that changes, and processes that read it late or never; runs keep their limits."""


BESIDE_EXCEPTIONS = frozenset(
    {Fault.NEVER_ENDS, Fault.SPENDS, Fault.FAILS, Fault.USAGE_LATE, Fault.STREAM, Fault.CRASH, Fault.HAND_OVER}
)
"""Faults in a world of exceptions: none of them delays a cancel."""


BESIDE = {
    Mode.EXCEPTIONS: BESIDE_EXCEPTIONS,
    Mode.BLOCKED: BESIDE_BLOCKS,
    Mode.SERVICES: BESIDE_SERVICES,
    Mode.COPIES: BESIDE_COPIES,
    Mode.OUTPUTS: BESIDE_OUTPUTS,
    Mode.CONFIGS: BESIDE_EDITS,
}
"""The faults of each kind of world that does not have all of them."""
ALWAYS = {
    Mode.BLOCKED: {Fault.NEVER_ENDS: 0.7},
    Mode.OUTPUTS: {Fault.NEVER_ENDS: 0.7},
    Mode.SERVICES: {Fault.NEVER_ENDS: 0.5},
    Mode.CONFIGS: {Fault.NEVER_ENDS: 0.5},
}
"""The faults without which there is little to see in a kind of world."""
UNCHECKED = (Mode.SAFETY, Mode.LIVENESS)
"""Worlds that add nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WorldFigures:
    """What happened in one world, in numbers."""

    posts: int
    agents: int
    runs: int
    deaths: int
    simulated_s: float
    struck: frozenset[tuple[str, str]]
    """Sites of port calls and kinds of exceptions raised there."""
    reached: frozenset[str]
    """Sites of port calls that were reached while exceptions could be raised."""
    latest_s: float
    """The longest time that an agent worked past its limit."""
    counts: Counter[str]
    """What the checks of this kind of world had before them."""


class World:
    """Everything of one seed."""

    def __init__(self, seed: int, connection: sqlite3.Connection, mode: Mode, *, engine: type[Engine] = Engine) -> None:
        """`connection` is an empty store; `engine` the class of the engines, replaced by a planted bug."""
        patch_kernel()
        self._mode = mode
        self._loop = VirtualLoop()
        self._rng = rng = random.Random(seed)
        random.seed(seed)
        self.machine = Machine(
            self._loop,
            rng,
            connection,
            faults=FaultInjector(rng, self._loop.time, BESIDE.get(mode, tuple(Fault)), ALWAYS.get(mode)),
            exceptions=ExceptionInjector(rng, self._loop.time, enabled=mode is Mode.EXCEPTIONS),
            engine=engine,
        )
        caps = random_caps(rng)
        self._checker = InvariantChecker(self.machine, caps)
        self._supervision = SupervisionChecker(self.machine, self._checker)
        self._scenario = RandomScenario(self.machine, self._checker, caps)
        self._hazard = self._make_hazard(caps)
        self._lasts_s = rng.choice((20.0, 60.0, 150.0) if mode not in (Mode.BLOCKED, Mode.OUTPUTS) else (60.0, 150.0))

    def _make_hazard(self, caps: Caps) -> Hazard:
        """What this kind of world adds, connected with the others."""
        machine, checker, scenario = self.machine, self._checker, self._scenario
        match self._mode:
            case Mode.EXCEPTIONS:
                hazard = Hazard(check=self._supervision.check)
            case Mode.BLOCKED:
                hazard = BlockedStore(machine, checker, scenario).hazard()
            case Mode.OUTPUTS:
                hazard = FailingOutputs(machine, checker, scenario).hazard()
            case Mode.SERVICES:
                hazard = TwoServices(machine, checker, scenario).hazard()
            case Mode.COPIES:
                hazard = CopiedFolders(machine, checker, scenario).hazard()
            case Mode.CONFIGS:
                hazard = ChangingConfig(machine, checker, scenario, self._supervision, caps).hazard()
            case _:
                hazard = Hazard()

        def on_post(process: EngineProcess, order: LaunchOrder) -> None:
            if process.site is machine.site:
                checker.before_post(process, order)
            hazard.on_post(process, order)

        machine.on_post, machine.on_answer, machine.on_started = on_post, hazard.on_answer, hazard.on_started
        checker.on_change = hazard.on_change
        scenario.hazard = hazard
        return hazard

    def run(self) -> WorldFigures:
        """Runs the world to its end. Raises Broken where an invariant does not hold."""
        log = _ErrorLog()
        logging.getLogger("nightdesk").addHandler(log)
        # A coroutine that is closed while no loop runs may start tasks: they belong to this loop, and end with it.
        asyncio.set_event_loop(self._loop)
        try:
            self._loop.run_until_complete(self._run())
        finally:
            logging.getLogger("nightdesk").removeHandler(log)
            self.machine.throw_away()
            self._loop.close()
            asyncio.set_event_loop(None)
        if self._checker.broken:
            raise self._checker.broken
        if complaints := log.lines + [line for line in self._loop.complaints if not IGNORED.search(line)]:
            raise Broken("an engine raised: " + "\n".join(complaints[:3]))
        service, exceptions = self.machine.service, self.machine.exceptions
        return WorldFigures(
            posts=sum(service.posts.values()),
            agents=len(service.agents),
            runs=len(list(self._checker.rows)),
            deaths=sum(process.is_dead and not process.has_left for process in self.machine.processes),
            simulated_s=self._loop.time(),
            struck=frozenset((strike.site, strike.kind) for strike in exceptions.strikes),
            reached=frozenset(exceptions.reached),
            latest_s=self._supervision.latest_s,
            counts=self._hazard.counts,
        )

    async def _run(self) -> None:
        await self._set_stages()
        for _ in range(self._rng.choice((2, 2, 3))):
            self._scenario.spawn()
        acts = self._rng.choice((3, 5, 8))
        for _ in range(acts):
            await self._scenario.act()
            await self._wait(self._rng.choice((0.0, 0.2, 2.0, self._lasts_s / acts)))
            self._checker.check_keys()
            if self._checker.broken:
                return
        await self._wait_until_over(self._lasts_s)
        await self._end()

    async def _end(self) -> None:
        """No fault strikes any more and every process goes on; then everything is checked."""
        machine = self.machine
        if self._mode is Mode.EXCEPTIONS and len(machine.living()) > 1:
            await self._leave(machine.living()[0])
        machine.faults.clear()
        machine.exceptions.clear()
        self._hazard.clear()
        machine.note("the faults end")
        for process in machine.living():
            process.dies_at = None
            if process.is_stuck:
                self._loop.resume(process)
        if not machine.living():
            self._scenario.spawn()
        if self._mode not in (Mode.SAFETY, Mode.COPIES):
            await self._wait_until_over(LIMIT_S)
            self._checker.check_all_over()
        checked = self._hazard.check_end()
        if checked is not None:
            await checked
        for process in machine.living():
            await self._leave(process)
        await self._flush_log()
        self._checker.check_keys()
        self._checker.check_store_and_log()

    async def _leave(self, process: EngineProcess) -> None:
        await self._scenario.finished(process.leave())
        if not self._hazard.may_hand_over_late():
            self._supervision.check_hand_over(process)

    async def _wait(self, seconds: float) -> None:
        """Lets time pass; what the world adds is checked meanwhile."""
        until = self._loop.time() + seconds
        await asyncio.sleep(0.0)
        while (left := until - self._loop.time()) > 0:
            await asyncio.sleep(left if self._mode in UNCHECKED else min(left, 5.0))
            self._hazard.check()

    async def _wait_until_over(self, seconds: float) -> None:
        """Waits until every run has ended, for at most so long."""
        for _ in range(int(seconds / 5.0)):
            if all(row.state in ("ended", "proposed", "unconfirmed") for row in self._checker.rows):
                return
            await self._wait(5.0)

    async def _flush_log(self) -> None:
        """A last process writes the lines that are missing in the log."""
        if self._checker.has_unlogged_events():
            last = self._scenario.spawn()
            await asyncio.sleep(10.0)
            await self._leave(last)

    async def _set_stages(self) -> None:
        """Puts each task at a random stage of its rollout."""
        store, now = sync_store(self.machine.site.folder, self.machine.site.connection), self.machine.clock.now()
        for task in (*self._scenario.tasks, *self._hazard.tasks):
            for stage in range(1, self._rng.choice((1, 2, 3, 3))):
                await store.stages.change(task.name, Stage(stage), by=BY, reason="-", forced=True, evidence={}, now=now)


class _ErrorLog(logging.Handler):
    """Errors that engines logged, but for those of the injectors and of dead processes, whose coroutines are closed."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        error = record.exc_info[1] if record.exc_info else None
        if error is not None and (is_injected(error) or isinstance(error, GeneratorExit | StoreError | JournalError)):
            return
        line = logging.Formatter().format(record)
        if "GeneratorExit" not in line:
            self.lines.append(line)
