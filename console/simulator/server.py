"""The simulator in a thread, for tests; the process for demo and drill goes by this name too.

The listening socket is bound first, so the address is known and no call is refused, however early it comes.
"""

from __future__ import annotations

import asyncio
import socket
import threading
from types import TracebackType

from console.simulator.address import bind, url_of
from console.simulator.listener import serve
from console.simulator.process import SimulatorProcess
from console.simulator.world import World

__all__ = ["SimulatorProcess", "SimulatorThread"]

START_S = 20.0
"""Longest wait for a start or a stop; more means that the machine is stuck."""


class SimulatorThread:
    """`with SimulatorThread(world) as simulator:` serves `simulator.world` at `simulator.url`."""

    def __init__(self, world: World | None = None, *, port: int = 0) -> None:
        """`port` 0 is any free one."""
        self.world = world if world is not None else World()
        self.url = ""
        """`http://127.0.0.1:PORT`, from the start on."""
        self._port = port
        self._listening: socket.socket | None = None
        self._ready = threading.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop: asyncio.Event | None = None
        self._trouble: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="simulator", daemon=True)

    def __enter__(self) -> SimulatorThread:
        """Returns once it answers. Raises OSError where the port is taken."""
        self._listening = bind(self._port)
        self.url = url_of(self._listening)
        self._thread.start()
        if not self._ready.wait(START_S) or self._trouble is not None:
            raise RuntimeError(f"the simulator did not start: {self._trouble!r}")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Cuts every connection; returns once the thread has ended."""
        if self._loop is not None and self._stop is not None:
            self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(START_S)
        if self._thread.is_alive():
            raise RuntimeError("the simulator did not stop")

    def _run(self) -> None:
        if self._listening is None:
            return
        with self._listening as listening:
            try:
                asyncio.run(self._serve(listening))
            except BaseException as exc:
                self._trouble = exc
            finally:
                self._ready.set()

    async def _serve(self, listening: socket.socket) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        await serve(self.world, listening, self._stop, self._ready.set)
