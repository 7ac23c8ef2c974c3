"""Starts, stops, kills and cuts off hosts of a fleet that are processes of their own, and reads what they left."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import psycopg
from psycopg.rows import dict_row

from console.store.fleet_settings import FleetSettings
from tests.fleet.host_process import HostOrder
from tests.fleet.line_proxy import LineProxy, line_to
from tests.waiting import until


@dataclass
class HostProcess:
    """A host with a line of its own to the database, that can be started again on the same state folder."""

    order: HostOrder
    line: LineProxy
    said: list[str] = field(default_factory=list)
    """What its processes printed, line by line."""
    owners: list[str] = field(default_factory=list)
    """The owner ids of its processes so far."""
    process: asyncio.subprocess.Process | None = None
    is_stopped: bool = False
    _reader: asyncio.Task[None] | None = None

    @property
    def name(self) -> str:
        return self.order.name

    @property
    def is_alive(self) -> bool:
        return self.process is not None and self.process.returncode is None

    async def start(self) -> None:
        """Start a process."""
        stderr = Path(f"{self.order.folder}.stderr").open("ab")  # noqa: SIM115, ASYNC230 -- the child has it
        with stderr:
            self.process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-P", "-m", "tests.fleet.host_process", msgspec.json.encode(self.order).decode()),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=stderr,
                cwd=Path(__file__).parents[2],
                env={"PYTHONPATH": str(Path(__file__).parents[2])},
            )
        self.is_stopped = False
        self._reader = asyncio.create_task(self._read(self.process))

    async def ready(self) -> None:
        """Wait until the process that was started last supervises."""
        before = len(self.owners)
        await until(lambda: len(self.owners) > before or not self.is_alive, what=f"the start of {self.name}")
        assert self.is_alive, self.errors()

    def launch(self, target: str) -> None:
        """Have it launch a target, if it lives."""
        if self.process is not None and self.process.stdin is not None and self.is_alive:
            with suppress(OSError):
                self.process.stdin.write(f"{target}\n".encode())

    def kill(self) -> None:
        """Kill it, as the kernel does."""
        self._signal(signal.SIGKILL)

    def stop(self) -> None:
        """Stop it, as swapping or a hypervisor does."""
        self.is_stopped = True
        self._signal(signal.SIGSTOP)

    def go_on(self) -> None:
        """Let it go on after a stop."""
        self.is_stopped = False
        self._signal(signal.SIGCONT)

    async def end(self) -> None:
        """Have it hand over and end; kill it if it does not."""
        if self.process is None:
            return
        self.go_on()
        self.line.restore()
        if self.process.stdin is not None:
            self.process.stdin.close()
        with suppress(TimeoutError):
            await asyncio.wait_for(self.process.wait(), 20)
        self.kill()
        await self.process.wait()
        if self._reader is not None:
            await self._reader

    def errors(self) -> str:
        """What its processes wrote to their standard error."""
        return Path(f"{self.order.folder}.stderr").read_text(errors="replace")[-4000:]

    def _signal(self, number: int) -> None:
        if self.process is not None and self.is_alive:
            with suppress(ProcessLookupError):
                self.process.send_signal(number)

    async def _read(self, process: asyncio.subprocess.Process) -> None:
        assert process.stdout is not None
        async for line in process.stdout:
            text = line.decode().strip()
            self.said.append(text)
            if text.startswith("ready "):
                self.owners.append(text.removeprefix("ready "))


@asynccontextmanager
async def host_processes(
    fleet: FleetSettings, folder: Path, service: str, names: tuple[str, ...], **more: Any
) -> AsyncIterator[dict[str, HostProcess]]:
    """Start a host of each name, and wait until all supervise; `more` are fields of their orders."""
    async with AsyncExitStack() as stack:
        hosts = {}
        for name in names:
            line = await stack.enter_async_context(line_to(fleet.url))
            order = HostOrder(
                folder=str(folder / name), name=name, url=line.url, schema=fleet.schema, service=service, **more
            )
            hosts[name] = HostProcess(order, line)
            stack.push_async_callback(hosts[name].end)
            await hosts[name].start()
        await asyncio.gather(*(one.ready() for one in hosts.values()))
        yield hosts


def rows(fleet: FleetSettings, sql: str, **named: object) -> list[Mapping[str, Any]]:
    """Read rows past all lines."""
    with psycopg.connect(fleet.url, row_factory=dict_row, options=f"-c search_path={fleet.schema}") as connection:
        return list(connection.execute(sql.encode(), named).fetchall())


def now_s() -> float:
    """A clock for durations."""
    return time.monotonic()
