"""One simulated machine: its clocks, its disk, and the processes on it. Processes die and stand still here."""

from __future__ import annotations

import asyncio
import contextvars
import random
import shutil
import sqlite3
import tempfile
import uuid
from collections.abc import Callable, Coroutine
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from console.app import LazyProvider
from console.domain.run import RunId
from console.domain.timestamps import Timestamp
from console.engine.engine import Engine
from console.engine.kernel_locks import KernelLocks
from console.engine.settings import EngineSettings, Timings
from console.journal.log_files import JournalError
from console.os_files import LockedFile
from console.provider.contract import LaunchOrder, Provider, Verdict
from console.store.errors import StoreBusy, StoreError
from console.store.store import Store
from tests.clock import ManualClock
from tests.memory import memory_folder
from tests.simulation.access import Access, Key
from tests.simulation.exception_injector import ExceptionInjector
from tests.simulation.fault_injector import Fault, FaultInjector
from tests.simulation.outputs import Output
from tests.simulation.ports import MemoryJournal, MemoryLog, RaisingProvider
from tests.simulation.service import Agent, Service
from tests.simulation.simulated_provider import SimulatedProvider
from tests.simulation.virtual_loop import PROCESS, Process, VirtualLoop
from tests.sync_database import Turn, sync_store

T = TypeVar("T")
ACTING: contextvars.ContextVar[asyncio.Task[Any] | None] = contextvars.ContextVar("acting", default=None)
"""The task of an operator's act. Tasks that it starts inherit the variable, but are not the task it names."""
START = ManualClock().now()
SLOW = Timings(
    tick_s=8.0,
    save_ms=10_000,
    beat_ms=300_000,
    usage_waits_s=(2.0, 8.0),
    stream_waits_s=(120.0,),
    cancel_first_s=2.0,
)
"""Few ticks in a simulated minute, for speed. Every time limit is that of the program."""


class MachineClock:
    """Both clocks of the machine. The boot clock follows the loop; the wall clock can be set."""

    def __init__(self, loop: VirtualLoop) -> None:
        self._loop = loop
        self._boots = 1
        self._booted_at = -1000.0
        self._stepped_ms = 0
        self.was_stepped = False

    def now(self) -> Timestamp:
        """Both clocks, as every process of the machine reads them."""
        passed = self._loop.time()
        return Timestamp(
            wall_ms=START.wall_ms + int(passed * 1000) + self._stepped_ms,
            boot_ms=int((passed - self._booted_at) * 1000),
            boot_id=f"boot-{self._boots}",
        )

    def step_wall(self, seconds: float) -> None:
        """The wall clock is set."""
        self.was_stepped = True
        self._stepped_ms += int(seconds * 1000)

    def world_time(self, boot_ms: int) -> float:
        """The second of the world at which the boot clock of this boot showed `boot_ms`."""
        return boot_ms / 1000 + self._booted_at

    @property
    def is_honest(self) -> bool:
        """False where elapsed time cannot be known: the wall clock was set, and the machine restarted."""
        return not (self.was_stepped and self._boots > 1)

    def reboot(self) -> None:
        """The machine restarts: the boot clock begins anew."""
        self._boots += 1
        self._booted_at = self._loop.time()


class Disk:
    """`runs.log` and `launch.journal`: written data stays, whichever process dies."""

    def __init__(self) -> None:
        self.lines: list[bytes] = []
        self.launched: dict[RunId, str] = {}
        self.writing: Process | None = None
        """The process that holds the lock of the log."""
        self.is_full = False
        """Nothing can be appended to the log."""
        self.output: Output | None = None
        """What its files are written to, where that may block or fail."""

    def check_files(self) -> None:
        """Waits for the disk as a read or a write does. Raises JournalError."""
        if self.output is not None:
            try:
                self.output.check()
            except OSError as error:
                raise JournalError(str(error)) from error


@dataclass(kw_only=True)
class Site:
    """One state folder: its database, its files and its lock files."""

    name: str
    folder: Path
    connection: sqlite3.Connection
    disk: Disk = field(default_factory=Disk)
    turns: Callable[[EngineProcess], Turn] | None = None
    """Makes for each process the wait for its turn at the store; None where the store never blocks."""


class Machine:
    """What all processes share."""

    def __init__(
        self,
        loop: VirtualLoop,
        rng: random.Random,
        connection: sqlite3.Connection,
        *,
        faults: FaultInjector,
        exceptions: ExceptionInjector,
        engine: type[Engine] = Engine,
    ) -> None:
        self.loop = loop
        self.rng = rng
        self.faults = faults
        self.exceptions = exceptions
        self.engine = engine
        """The class of the engines; a planted bug replaces it."""
        self.service = Service(loop, self.faults)
        self.services = [self.service]
        """All services; the first one is that of processes which know of no other."""
        self.clock = MachineClock(loop)
        self.base = Path(tempfile.mkdtemp(prefix="sim-", dir=memory_folder()))
        self.site = Site(name="state", folder=self.base / "state", connection=connection)
        """The state folder of all processes that are started without another."""
        self.site.folder.mkdir()
        self.processes: list[EngineProcess] = []
        self.on_write: Callable[[EngineProcess], None] = lambda process: None
        """Called after each transaction on `site`."""
        self.on_post: Callable[[EngineProcess, LaunchOrder], None] = lambda process, order: None
        self.on_answer: Callable[[EngineProcess, LaunchOrder, Verdict], None] = lambda process, order, verdict: None
        """Called when a process knows what its POST proved."""
        self.on_started: Callable[[EngineProcess], None] = lambda process: None
        """Called within a process once its engine runs."""
        self.history: list[str] = []
        """What happened from outside, for a failing seed."""
        self.at_end = ExitStack()
        """What is undone when the world ends."""

    def note(self, what: str) -> None:
        """Adds a line to the history."""
        self.history.append(f"{self.loop.time():8.1f}s {what}")

    def spawn(
        self, settings: EngineSettings, *, site: Site | None = None, access: Access | None = None
    ) -> EngineProcess:
        """Starts a process with an engine in it, on `site` and with `access` to a service, where these are given."""
        process = EngineProcess(self, f"p{len(self.processes)}", settings, site or self.site, access)
        self.processes.append(process)
        where = "" if process.site is self.site else f" on {process.site.name}"
        how = "" if access is None else f" with {access}"
        self.note(f"{process} starts as {settings.kind}{where}{how}")
        return process

    def living(self, site: Site | None = None) -> list[EngineProcess]:
        """The processes of a state folder, by default of `self.site`, that neither died nor left."""
        wanted = site or self.site
        return [
            process
            for process in self.processes
            if not process.is_dead and not process.has_left and process.site is wanted
        ]

    def agents_of(self, run_id: RunId) -> list[Agent]:
        """Every agent with the label of the run, at whichever service."""
        return [agent for service in self.services for agent in service.of_run(run_id)]

    def unproven_posts(self, run_id: str, attempt: int | str) -> int:
        """POSTs of a run that left, less those that provably launched nothing."""
        return sum(service.posts[run_id, str(attempt)] for service in self.services)

    def throw_away(self) -> None:
        """Ends the world."""
        for process in self.processes:
            process.die()
        self.at_end.close()
        shutil.rmtree(self.base, ignore_errors=True)


class EngineProcess(Process):
    """A process that runs one engine."""

    def __init__(
        self, machine: Machine, name: str, settings: EngineSettings, site: Site, access: Access | None
    ) -> None:
        super().__init__(name)
        self.machine = machine
        self.settings = settings
        self.site = site
        self.access = access
        """Its service and its key; None where there is one service for all and each has a key."""
        self.is_leaving = False
        self.has_left = False
        self.started_at = machine.loop.time()
        self.dies_at: int | None = None
        """The number of the store call at which it dies."""
        self.at_step: dict[int, Callable[[], None]] = {}
        """What happens to it at which further store call."""
        self.locks: list[LockedFile] = []
        """Every kernel lock that it took."""
        self._steps = 0
        turn = site.turns(self) if site.turns is not None else None
        self.store: Store = sync_store(site.folder, site.connection, self._between, turn)
        context = contextvars.copy_context()
        context.run(PROCESS.set, self)
        self._started = asyncio.Event()
        self._living: asyncio.Task[None] | None = None
        self.engine: Engine = context.run(self._make_engine)
        self._living = machine.loop.start(self, self._live())

    def _make_engine(self) -> Engine:
        machine, folder, access = self.machine, self.site.folder, self.access
        return machine.engine(
            store=self.store,
            log=MemoryLog(folder / "runs.log", self),
            launches=MemoryJournal(folder / "launch.journal", self),
            providers={"default": self._make_provider()},
            clock=machine.clock,
            settings=self.settings,
            folder=folder,
            ownership=KernelLocks(folder, supervises=self.settings.supervises),
            key_trouble=lambda name: None if access is None else access.key_trouble(),
            timings=SLOW,
            randomness=machine.rng.randbytes,
        )

    def _make_provider(self) -> Provider:
        """The way to the service of this process, as the program has it: without a key none is made."""
        machine, access = self.machine, self.access
        provider = SimulatedProvider(
            service=machine.service if access is None else access.service,
            leaving=lambda order: machine.on_post(self, order),
            answered=lambda order, verdict: machine.on_answer(self, order, verdict),
            denies=lambda: access is not None and access.key is Key.REFUSED,
        )
        if machine.exceptions.enabled:
            return RaisingProvider(provider, self)
        if access is None:
            return provider

        def make() -> Provider:
            access.require_key()
            return provider

        return LazyProvider(make)

    @property
    def owner(self) -> str | None:
        """The id of its owner lock; None for a process that guards nothing."""
        paths = [lock.path for lock in self.locks if lock.path.parent.name == "owners"]
        return paths[0].stem if paths else None

    def check(self, site: str) -> None:
        """Called at each port call of supervision. Raises where the exception injector says so.

        The start of a process and the acts of operators are spared: their errors reach the test that started them.
        """
        if not is_operator() and asyncio.current_task() is not self._living:
            self.machine.exceptions.check(self.name, site)

    async def _live(self) -> None:
        """A process that cannot open its store ends at once."""
        try:
            async with self.engine:
                self._started.set()
                self.machine.on_started(self)
                await asyncio.Event().wait()
        except StoreError:
            self.machine.note(f"{self} could not start")
            self._drop_dead()

    def act(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Starts an operator's act in this process."""
        return self.machine.loop.start(self, self._acted(work))

    @staticmethod
    async def _acted(work: Coroutine[Any, Any, T]) -> T:
        ACTING.set(asyncio.current_task())
        return await work

    def leave(self) -> asyncio.Task[int]:
        """Starts to hand over and to end, as on SIGTERM."""
        self.is_leaving = True
        self.machine.note(f"{self} hands over")
        return self.machine.loop.start(self, self._leave())

    async def _leave(self) -> int:
        """Once it has released its lock, the process may take its time to end."""
        await self._started.wait()
        try:
            left = await self.engine.hand_over()
        finally:
            self.has_left = True
        await asyncio.sleep(self.machine.rng.choice((0.0, 0.5, 20.0)))
        self.is_dead = True
        return left

    def _lock_path(self) -> Path:
        return self.site.folder / "owners" / f"{self.owner}.lock"

    def lose_lock(self) -> None:
        """Somebody removes its lock file: all others take it for dead."""
        if self.owner is not None:
            self._lock_path().unlink(missing_ok=True)

    def holds_its_lock(self) -> bool:
        """True where every other process must take it for alive."""
        return not self.is_dead and self._lock_path().exists()

    def held_locks(self) -> list[Path]:
        """The kernel locks that it has not released."""
        return [lock.path for lock in self.locks if lock._descriptor is not None]

    def die(self) -> None:
        """kill -9: nothing of it runs again, and the kernel frees its locks."""
        self.end()
        for lock in self.locks:
            lock.release()
        if self.site.disk.writing is self:
            self.site.disk.writing = None

    def _drop_dead(self) -> None:
        """Dies by itself. What it leaves is closed in the next step, because a running coroutine cannot be closed."""
        self.is_dead = True

        async def close() -> None:
            self.die()

        self.machine.service.keep(self.machine.loop.start(None, close()))

    async def _between(self, what: str) -> None:
        """Before and after every transaction: others get their turn, the store fails, the process dies."""
        machine, rng = self.machine, self.machine.rng
        if what.startswith("after write") and self.site is machine.site:
            machine.on_write(self)
        self._steps += 1
        self.at_step = {number - 1: act for number, act in self.at_step.items() if number > 0}
        if (act := self.at_step.pop(0, None)) is not None:
            act()
        if self._steps == self.dies_at:
            machine.note(f"{self} dies {what}")
            self._drop_dead()
        if self.is_dead:
            await asyncio.Event().wait()
        if rng.random() < 0.2:
            await asyncio.sleep(rng.choice((0.0, 0.0, 0.01, 1.0)))
        self.check(what)
        if what.startswith("before") and machine.faults.strikes(Fault.STORE_DOWN) and rng.random() < 0.3:
            raise StoreBusy("the state store is busy")


def patch_kernel() -> None:
    """From here on, every lock that a simulated process takes is recorded in it, and taking one may raise.

    Random ids of simulated processes come from the seed, because they decide the order of files and rows.
    """
    if hasattr(LockedFile, "_records"):
        return
    real_uuid4 = uuid.uuid4

    def uuid4() -> uuid.UUID:
        if PROCESS.get() is None:
            return real_uuid4()
        return uuid.UUID(int=random.getrandbits(128), version=4)

    uuid.uuid4 = uuid4
    try_lock, create = LockedFile.try_lock.__func__, LockedFile.create.__func__  # type: ignore[attr-defined]  # of classmethods

    def recorded(lock: LockedFile | None) -> LockedFile | None:
        process = PROCESS.get()
        if isinstance(process, EngineProcess) and lock is not None:
            process.locks.append(lock)
        return lock

    def recording_try_lock(cls: type[LockedFile], path: Path, *, create: bool = True) -> LockedFile | None:
        process = PROCESS.get()
        if isinstance(process, EngineProcess):
            process.check("before lock.try")
        return recorded(try_lock(cls, path, create=create))

    def recording_create(cls: type[LockedFile], path: Path) -> LockedFile | None:
        return recorded(create(cls, path))

    patches = {
        "try_lock": classmethod(recording_try_lock),
        "create": classmethod(recording_create),
        "_records": True,
    }
    for name, value in patches.items():
        setattr(LockedFile, name, value)


def is_operator() -> bool:
    """True where the running task is an operator's act."""
    acting = ACTING.get()
    return acting is not None and acting is asyncio.current_task()
