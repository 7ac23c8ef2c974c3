"""The simulator in a thread, for tests; the process for demo and drill goes by this name too.

The listening socket is bound first, so the address is known and no call is refused, however early it comes.
"""

from __future__ import annotations

import asyncio
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
        """Binds the socket already. Raises OSError where the port is taken."""
        self.world = world if world is not None else World()
        self._listening = bind(port)
        self.url = url_of(self._listening)
        self._ready = threading.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop: asyncio.Event | None = None
        self._trouble: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="simulator", daemon=True)

    def __enter__(self) -> SimulatorThread:
        """Returns once it answers."""
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
        try:
            asyncio.run(self._serve())
        except BaseException as exc:
            self._trouble = exc
        finally:
            self._listening.close()
            self._ready.set()

    async def _serve(self) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        await serve(self.world, self._listening, self._stop, self._ready.set)
