"""One simulated machine: its clocks, its disk, and the processes on it. Processes die and stand still here."""

from __future__ import annotations

import asyncio
import contextvars
import os
import random
import shutil
import sqlite3
import tempfile
import uuid
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine, Sequence
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
from console.os_files import LockedFile
from console.provider.contract import (
    CancelAnswer,
    LaunchOrder,
    LostLaunch,
    Provider,
    RemoteRun,
    Resolution,
    StreamEvent,
    Unstarted,
    Verdict,
)
from console.provider.traits import Traits
from console.store.errors import StoreBusy, StoreError
from console.store.store import Store
from tests.clock import ManualClock
from tests.simulation.exception_injector import ExceptionInjector
from tests.simulation.fault_injector import Fault, FaultInjector
from tests.simulation.service import Service
from tests.simulation.simulated_provider import SimulatedProvider
from tests.simulation.virtual_loop import PROCESS, Process, VirtualLoop
from tests.sync_database import sync_store

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


class MemoryLog(LogWriter):
    """The writer of the log without a file. As with a kernel lock, the death of its holder frees the lock."""

    def __init__(self, path: Path, process: EngineProcess) -> None:
        super().__init__(path)
        self._disk = process.machine.disk
        self._process = process

    @asynccontextmanager
    async def locked_async(self, wait: float = WAIT_SECONDS) -> AsyncIterator[None]:
        """As `LogWriter.locked_async`, in simulated time."""
        self._process.check("before log.lock")
        disk, waited = self._disk, 0.0
        while disk.writing is not None and not disk.writing.is_dead:
            if waited >= wait:
                raise JournalBusy("another process keeps the lock")
            waited += 0.25
            await asyncio.sleep(0.25)
        disk.writing = self._process
        try:
            yield
        finally:
            if disk.writing is self._process:
                disk.writing = None

    def append(self, lines: Sequence[LogRecord], *, sync: bool) -> None:
        """As `LogWriter.append`."""
        self._process.check("before log.append")
        self._disk.lines += [format_line(record) for record in lines]
        self._process.check("after log.append")


class MemoryJournal(LaunchJournal):
    """The launch journal without a file."""

    def __init__(self, path: Path, process: EngineProcess) -> None:
        super().__init__(path)
        self._disk = process.machine.disk
        self._process = process

    def append(self, run_id: RunId, attempt: int, remote_id: str) -> None:
        """As `LaunchJournal.append`."""
        if self._process.machine.faults.strikes(Fault.JOURNAL_FULL):
            raise JournalError("the disk is full")
        self._process.check("before journal.append")
        self._disk.launched[run_id] = remote_id
        self._process.check("after journal.append")

    def read(self) -> dict[RunId, str]:
        """As `LaunchJournal.read`."""
        self._process.check("before journal.read")
        return dict(self._disk.launched)


class RaisingProvider:
    """A provider whose calls may raise undeclared exceptions before and after their effect."""

    def __init__(self, inner: Provider, process: EngineProcess) -> None:
        self._inner = inner
        self._process = process

    async def _around(self, name: str, call: Coroutine[Any, Any, T]) -> T:
        try:
            self._process.check(f"before provider.{name}")
        except BaseException:
            call.close()
            raise
        result = await call
        self._process.check(f"after provider.{name}")
        return result

    @property
    def traits(self) -> Traits:
        return self._inner.traits

    async def review(self, order: LaunchOrder) -> tuple[str, ...]:
        return await self._inner.review(order)

    async def prepared_exists(self, prepared_id: str) -> bool:
        return await self._inner.prepared_exists(prepared_id)

    async def unstarted(self) -> tuple[Unstarted, ...]:
        return await self._inner.unstarted()

    async def resolve(self, lost: LostLaunch) -> Resolution:
        return await self._around("resolve", self._inner.resolve(lost))

    async def prepare(self, order: LaunchOrder) -> str:
        return await self._around("prepare", self._inner.prepare(order))

    async def discard(self, prepared_id: str) -> None:
        await self._around("discard", self._inner.discard(prepared_id))

    async def create(self, order: LaunchOrder) -> Verdict:
        return await self._around("create", self._inner.create(order))

    async def get(self, remote_id: str) -> RemoteRun:
        return await self._around("get", self._inner.get(remote_id))

    async def follow(self, remote_id: str) -> AsyncGenerator[StreamEvent, None]:
        self._process.check("before provider.follow")
        async for event in self._inner.follow(remote_id):
            self._process.check("event of provider.follow")
            yield event

    async def cancel(self, remote_id: str) -> CancelAnswer:
        return await self._around("cancel", self._inner.cancel(remote_id))

    async def aclose(self) -> None:
        await self._inner.aclose()


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
        self.connection = connection
        self.faults = faults
        self.exceptions = exceptions
        self.engine = engine
        """The class of the engines; a planted bug replaces it."""
        self.service = Service(loop, self.faults)
        self.clock = MachineClock(loop)
        self.disk = Disk()
        self.folder = Path(tempfile.mkdtemp(prefix="sim-", dir=_memory_folder()))
        self.processes: list[EngineProcess] = []
        self.on_write: Callable[[EngineProcess], None] = lambda process: None
        self.on_post: Callable[[EngineProcess, LaunchOrder], None] = lambda process, order: None
        self.history: list[str] = []
        """What happened from outside, for a failing seed."""

    def note(self, what: str) -> None:
        """Adds a line to the history."""
        self.history.append(f"{self.loop.time():8.1f}s {what}")

    def spawn(self, settings: EngineSettings) -> EngineProcess:
        """Starts a process with an engine in it."""
        process = EngineProcess(self, f"p{len(self.processes)}", settings)
        self.processes.append(process)
        self.note(f"{process} starts as {settings.kind}")
        return process

    def living(self) -> list[EngineProcess]:
        """The processes that neither died nor left."""
        return [process for process in self.processes if not process.is_dead and not process.has_left]

    def throw_away(self) -> None:
        """Ends the world."""
        for process in self.processes:
            process.die()
        shutil.rmtree(self.folder, ignore_errors=True)


class EngineProcess(Process):
    """A process that runs one engine."""

    def __init__(self, machine: Machine, name: str, settings: EngineSettings) -> None:
        super().__init__(name)
        self.machine = machine
        self.settings = settings
        self.is_leaving = False
        self.has_left = False
        self.started_at = machine.loop.time()
        self.dies_at: int | None = None
        """The number of the store call at which it dies."""
        self.locks: list[LockedFile] = []
        """Every kernel lock that it took."""
        self._steps = 0
        self.store: Store = sync_store(machine.folder, machine.connection, self._between)
        context = contextvars.copy_context()
        context.run(PROCESS.set, self)
        self._started = asyncio.Event()
        self._living: asyncio.Task[None] | None = None
        self.engine: Engine = context.run(self._make_engine)
        self._living = machine.loop.start(self, self._live())

    def _make_engine(self) -> Engine:
        machine = self.machine
        provider = SimulatedProvider(service=machine.service, leaving=lambda order: machine.on_post(self, order))
        return machine.engine(
            store=self.store,
            log=MemoryLog(machine.folder / "runs.log", self),
            launches=MemoryJournal(machine.folder / "launch.journal", self),
            providers={"default": RaisingProvider(provider, self) if machine.exceptions.enabled else provider},
            clock=machine.clock,
            settings=self.settings,
            folder=machine.folder,
            timings=SLOW,
            randomness=machine.rng.randbytes,
        )

    @property
    def owner(self) -> str | None:
        """The id of its owner lock; None for a process that guards nothing."""
        paths = [lock.path for lock in self.locks if lock.path.parent.name == "owners"]
        return paths[0].stem if paths else None

    def check(self, site: str) -> None:
        """Called at each port call of supervision. Raises where the exception injector says so.

        The start of a process and the acts of operators are spared: their errors reach whoever started them.
        """
        if not is_operator() and asyncio.current_task() is not self._living:
            self.machine.exceptions.check(self.name, site)

    async def _live(self) -> None:
        """A process that cannot open its store ends at once."""
        try:
            async with self.engine:
                self._started.set()
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
        return self.machine.folder / "owners" / f"{self.owner}.lock"

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
        if self.machine.disk.writing is self:
            self.machine.disk.writing = None

    def _drop_dead(self) -> None:
        """Dies by itself. What it leaves is closed in the next step, because a running coroutine cannot be closed."""
        self.is_dead = True

        async def close() -> None:
            self.die()

        self.machine.service.keep(self.machine.loop.start(None, close()))

    async def _between(self, what: str) -> None:
        """Before and after every transaction: others get their turn, the store fails, the process dies."""
        machine, rng = self.machine, self.machine.rng
        if what.startswith("after write"):
            machine.on_write(self)
        self._steps += 1
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


def _memory_folder() -> str | None:
    return "/dev/shm" if os.path.isdir("/dev/shm") else None


def is_operator() -> bool:
    """True where the running task is an operator's act."""
    acting = ACTING.get()
    return acting is not None and acting is asyncio.current_task()
