"""The ports of one simulated process beside its store: the log, the launch journal and the way to a service.

Written data outlives the process. Each call may raise an undeclared exception, before and after its effect.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Coroutine, Generator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from console.domain.log_record import LogRecord, format_line, parse_line
from console.domain.run import RunId
from console.journal.launch_journal import LaunchJournal
from console.journal.log_files import JournalBusy, JournalError
from console.journal.runs_log import WAIT_SECONDS, LogWriter
from console.provider.contract import Provider, StreamEvent
from tests.provider_in_steps import ProviderInSteps
from tests.simulation.fault_injector import Fault

if TYPE_CHECKING:
    from tests.simulation.machine import EngineProcess

T = TypeVar("T")


class MemoryLog(LogWriter):
    """The writer of the log without a file. As with a kernel lock, the death of its holder frees the lock."""

    def __init__(self, path: Path, process: EngineProcess) -> None:
        super().__init__(path)
        self._disk = process.site.disk
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

    def last(self) -> LogRecord | None:
        """As `LogWriter.last`."""
        self._process.check("before log.last")
        self._disk.check_files()
        return next(self.newest_first(), None)

    def newest_first(self) -> Generator[LogRecord]:
        """As `LogWriter.newest_first`."""
        yield from map(parse_line, reversed(self._disk.lines))

    def append(self, lines: Sequence[LogRecord], *, sync: bool) -> None:
        """As `LogWriter.append`."""
        self._process.check("before log.append")
        self._disk.check_files()
        if self._disk.is_full:
            raise JournalError("the disk is full")
        self._disk.lines += [format_line(record) for record in lines]
        self._process.check("after log.append")


class MemoryJournal(LaunchJournal):
    """The launch journal without a file."""

    def __init__(self, path: Path, process: EngineProcess) -> None:
        super().__init__(path)
        self._disk = process.site.disk
        self._process = process

    def append(self, run_id: RunId, attempt: int, remote_id: str) -> None:
        """As `LaunchJournal.append`."""
        if self._process.machine.faults.strikes(Fault.JOURNAL_FULL):
            raise JournalError("the disk is full")
        self._process.check("before journal.append")
        self._disk.check_files()
        self._disk.launched[run_id] = remote_id
        self._process.check("after journal.append")

    def read(self) -> dict[RunId, str]:
        """As `LaunchJournal.read`."""
        self._process.check("before journal.read")
        return dict(self._disk.launched)


class RaisingProvider(ProviderInSteps):
    """A provider whose calls may raise undeclared exceptions before and after their effect."""

    def __init__(self, inner: Provider, process: EngineProcess) -> None:
        super().__init__(inner, self._raising)
        self._process = process

    async def _raising(self, name: str, call: Coroutine[Any, Any, T], /) -> T:
        try:
            self._process.check(f"before provider.{name}")
        except BaseException:
            call.close()
            raise
        result = await call
        self._process.check(f"after provider.{name}")
        return result

    async def follow(self, remote_id: str) -> AsyncGenerator[StreamEvent, None]:
        self._process.check("before provider.follow")
        async for event in self._inner.follow(remote_id):
            self._process.check("event of provider.follow")
            yield event
