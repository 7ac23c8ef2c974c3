"""One simulated machine: its clocks, its disk, and the processes on it. Processes die and stand still here."""

from __future__ import annotations

import asyncio
import contextvars
import os
import random
import shutil
import sqlite3
import tempfile
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

from console.domain.log_record import LogRecord, format_line
from console.domain.run import RunId
from console.domain.timestamps import Timestamp
from console.engine.engine import Engine
from console.engine.settings import EngineSettings, Timings
from console.journal.launch_journal import LaunchJournal
from console.journal.log_files import JournalBusy, JournalError
from console.journal.runs_log import WAIT_SECONDS, LogWriter
from console.provider.contract import LaunchOrder
from console.store.errors import StoreBusy, StoreError
from console.store.store import Store
from tests.clock import ManualClock
from tests.simulation.fault_injector import Fault, FaultInjector
from tests.simulation.service import Service
from tests.simulation.simulated_provider import SimulatedProvider
from tests.simulation.virtual_loop import Process, VirtualLoop
from tests.sync_database import sync_store

T = TypeVar("T")
ACTING: contextvars.ContextVar[asyncio.Task[Any] | None] = contextvars.ContextVar("acting", default=None)
"""The task in which an operator acts; tasks that it starts inherit the word and are told by not being it."""
START = ManualClock().now()
SLOW = Timings(
    tick_s=8.0,
    save_ms=10_000,
    beat_ms=300_000,
    usage_waits_s=(2.0, 8.0),
    stream_waits_s=(120.0,),
    cancel_first_s=2.0,
)
"""Few looks in a simulated minute; what is judged by them keeps the engine's own figures."""


class MachineClock:
    """Both clocks of the machine. Real time is the loop's; the wall clock may be set."""

    def __init__(self, loop: VirtualLoop) -> None:
        self._loop = loop
        self._boots = 1
        self._booted_at = -1000.0
        self._stepped_ms = 0
        self.was_stepped = False

    def now(self) -> Timestamp:
        """As every process of the machine reads them."""
        passed = self._loop.time()
        return Timestamp(
            wall_ms=START.wall_ms + int(passed * 1000) + self._stepped_ms,
            boot_ms=int((passed - self._booted_at) * 1000),
            boot_id=f"boot-{self._boots}",
        )

    def step_wall(self, seconds: float) -> None:
        """Somebody sets the wall clock."""
        self.was_stepped = True
        self._stepped_ms += int(seconds * 1000)

    def world_time(self, boot_ms: int) -> float:
        """The second of the world at which the boot clock of this boot showed that."""
        return boot_ms / 1000 + self._booted_at

    @property
    def is_honest(self) -> bool:
        """Elapsed time can be known: not where the wall clock was set and the boot clock began anew."""
        return not (self.was_stepped and self._boots > 1)

    def reboot(self) -> None:
        """The boot clock begins anew."""
        self._boots += 1
        self._booted_at = self._loop.time()


class Papers:
    """`runs.log` and `launch.journal`: what is written stays, whoever dies."""

    def __init__(self) -> None:
        self.lines: list[bytes] = []
        self.launched: dict[RunId, str] = {}
        self.writing: Process | None = None
        """Who holds the lock beside the log."""


class MemoryLog(LogWriter):
    """The writer of the log without a file. The lock is the kernel's: the death of its holder frees it."""

    def __init__(self, path: Path, papers: Papers, process: Process) -> None:
        super().__init__(path)
        self._papers = papers
        self._process = process

    @asynccontextmanager
    async def locked_async(self, wait: float = WAIT_SECONDS) -> AsyncIterator[None]:
        """As `LogWriter.turn`, in simulated time."""
        papers, waited = self._papers, 0.0
        while papers.writing is not None and not papers.writing.is_dead:
            if waited >= wait:
                raise JournalBusy("another process keeps the lock")
            waited += 0.25
            await asyncio.sleep(0.25)
        papers.writing = self._process
        try:
            yield
        finally:
            if papers.writing is self._process:
                papers.writing = None

    def append(self, lines: Sequence[LogRecord], *, sync: bool) -> None:
        """The lines are in the file."""
        self._papers.lines += [format_line(record) for record in lines]


class MemoryJournal(LaunchJournal):
    """The launch journal without a file."""

    def __init__(self, path: Path, papers: Papers, broken: Callable[[], bool]) -> None:
        super().__init__(path)
        self._papers = papers
        self._broken = broken

    def append(self, run_id: RunId, attempt: int, remote_id: str) -> None:
        """On disk from here on."""
        if self._broken():
            raise JournalError("the disk is full")
        self._papers.launched[run_id] = remote_id

    def read(self) -> dict[RunId, str]:
        """Every id that was ever received."""
        return dict(self._papers.launched)


class Machine:
    """What all processes share, and what may befall them."""

    def __init__(self, loop: VirtualLoop, rng: random.Random, connection: sqlite3.Connection) -> None:
        self.loop = loop
        self.rng = rng
        self.connection = connection
        self.weather = FaultInjector(rng, loop.time)
        self.service = Service(loop, self.weather)
        self.clock = MachineClock(loop)
        self.papers = Papers()
        self.folder = Path(tempfile.mkdtemp(prefix="sim-", dir=_memory_folder()))
        self.processes: list[EngineProcess] = []
        self.on_write: Callable[[EngineProcess], None] = lambda process: None
        self.on_post: Callable[[EngineProcess, LaunchOrder], None] = lambda process, order: None
        self.history: list[str] = []
        """What happened from outside, for a failing seed."""

    def note(self, what: str) -> None:
        """A line of the history."""
        self.history.append(f"{self.loop.time():8.1f}s {what}")

    def spawn(self, settings: EngineSettings) -> EngineProcess:
        """A new process with an engine in it."""
        process = EngineProcess(self, f"p{len(self.processes)}", settings)
        self.processes.append(process)
        self.note(f"{process} starts as {settings.kind}")
        return process

    def living(self) -> list[EngineProcess]:
        """Those that did not die and did not leave."""
        return [process for process in self.processes if not process.is_dead and not process.has_left]

    def throw_away(self) -> None:
        """The end of the world."""
        for process in self.processes:
            process.die()
        shutil.rmtree(self.folder, ignore_errors=True)


class EngineProcess(Process):
    """A process that lives for its engine."""

    def __init__(self, machine: Machine, name: str, settings: EngineSettings) -> None:
        super().__init__(name)
        self.machine = machine
        self.has_left = False
        self.dies_at: int | None = None
        """The step between two awaits at which it dies."""
        self._steps = 0
        wire = SimulatedProvider(service=machine.service, leaving=lambda order: machine.on_post(self, order))
        papers, weather = machine.papers, machine.weather
        self.store: Store = sync_store(machine.folder, machine.connection, self._between)
        before = _descriptors(machine.folder)
        self.engine = Engine(
            store=self.store,
            log=MemoryLog(machine.folder / "runs.log", papers, self),
            launches=MemoryJournal(
                machine.folder / "launch.journal", papers, lambda: weather.strikes(Fault.JOURNAL_FULL)
            ),
            provider=wire,
            clock=machine.clock,
            settings=settings,
            folder=machine.folder,
            timings=SLOW,
            randomness=machine.rng.randbytes,
        )
        self._locks = _descriptors(machine.folder) - before
        self.owner = _owner_of(self._locks)
        self._living = machine.loop.start(self, self._live())

    async def _live(self) -> None:
        """A process that cannot open its store ends at once."""
        try:
            async with self.engine:
                await asyncio.Event().wait()
        except StoreError:
            self.machine.note(f"{self} could not start")
            self._drop_dead()

    def act(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Something an operator does in this process."""
        return self.machine.loop.start(self, self._acted(work))

    @staticmethod
    async def _acted(work: Coroutine[Any, Any, T]) -> T:
        ACTING.set(asyncio.current_task())
        return await work

    def leave(self) -> asyncio.Task[int]:
        """It hands over and ends, as on SIGTERM."""
        self.machine.note(f"{self} hands over")
        return self.machine.loop.start(self, self._leave())

    async def _leave(self) -> int:
        """Once it has let go it may take its time to be gone."""
        left = await self.engine.hand_over()
        self.has_left = True
        self._locks = set()
        await asyncio.sleep(self.machine.rng.choice((0.0, 0.5, 20.0)))
        self.is_dead = True
        return left

    def _lock(self) -> Path:
        return self.machine.folder / "owners" / f"{self.owner}.lock"

    def lose_lock(self) -> None:
        """Its lock file is removed, as a careless clean-up would: all others take it for dead."""
        if self.owner is not None:
            self._lock().unlink(missing_ok=True)

    def holds_its_lock(self) -> bool:
        """It lives and guards, for everybody to see."""
        return not self.is_dead and self._lock().exists()

    def die(self) -> None:
        """kill -9: nothing of it runs again, and the kernel lets go of its locks."""
        self.end()
        for descriptor in _descriptors(self.machine.folder) & self._locks:
            os.close(descriptor[0])
        # Once: the same number may come to stand for the same file in another process.
        self._locks = set()
        if self.machine.papers.writing is self:
            self.machine.papers.writing = None

    def _drop_dead(self) -> None:
        """Dies of itself: what it leaves is closed between two steps, since a running coroutine cannot be."""
        self.is_dead = True

        async def find() -> None:
            self.die()

        self.machine.service.keep(self.machine.loop.start(None, find()))

    async def _between(self, what: str) -> None:
        """Before and after every unit of the store: others get their turn, the store fails, the process dies."""
        machine, rng = self.machine, self.machine.rng
        if what == "after write":
            machine.on_write(self)
        self._steps += 1
        if self._steps == self.dies_at:
            machine.note(f"{self} dies {what}")
            self._drop_dead()
        if self.is_dead:
            await asyncio.Event().wait()
        if rng.random() < 0.2:
            await asyncio.sleep(rng.choice((0.0, 0.0, 0.01, 1.0)))
        if what.startswith("before") and machine.weather.strikes(Fault.STORE_DOWN) and rng.random() < 0.3:
            raise StoreBusy("the state store is busy")


def _memory_folder() -> str | None:
    return "/dev/shm" if os.path.isdir("/dev/shm") else None


def _descriptors(folder: Path) -> set[tuple[int, str]]:
    """The open files of this machine in `folder`."""
    found = set()
    for name in os.listdir("/proc/self/fd"):
        try:
            target = os.readlink(f"/proc/self/fd/{name}")
        except OSError:
            continue
        if target.startswith(str(folder)):
            found.add((int(name), target))
    return found


def _owner_of(locks: set[tuple[int, str]]) -> str | None:
    """The owner whose lock is among them; None for a process that guards nothing."""
    return next((Path(target).stem for _, target in locks if target.endswith(".lock") and "/owners/" in target), None)


def is_operator() -> bool:
    """True where the running task is an operator's act."""
    acting = ACTING.get()
    return acting is not None and acting is asyncio.current_task()
