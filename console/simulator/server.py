"""The simulator in a thread, for tests; the process for demo and drill goes by this name too.

The listening socket is bound first, so the address is known and no call is refused, however early it comes.
"""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Callable
from types import TracebackType

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.routing import Mount, Route, Router
from uvicorn.config import Config
from uvicorn.server import ServerState

from console.simulator.control import control_routes
from console.simulator.gemini.api import EnvironmentsApi, InteractionsApi, RequestPipeline
from console.simulator.process import BACKLOG, SimulatorProcess, bind, url_of
from console.simulator.replies import RawConnectionProtocol
from console.simulator.state import SimulatorState

__all__ = ["SimulatorProcess", "SimulatorThread"]

START_S = 20.0
"""Longest wait for a start or a stop; more means that the machine is stuck."""


class SimulatorThread:
    """`with SimulatorThread(world) as simulator:` serves `simulator.world` at `simulator.url`."""

    def __init__(self, state: SimulatorState | None = None, *, port: int = 0) -> None:
        """`port` 0 is any free one."""
        self.state = state if state is not None else SimulatorState()
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
        await serve(self.state, listening, self._stop, self._ready.set)


async def serve(
    state: SimulatorState, listening: socket.socket, stop: asyncio.Event, ready: Callable[[], None]
) -> None:
    """Answers on `listening` until `stop` is set, then cuts every connection and closes the socket.

    uvicorn's server loop is not used: it looks for its end only ten times a second and waits for open streams.
    """
    config = Config(
        build_app(state),
        http=RawConnectionProtocol,
        ws="none",
        lifespan="off",
        log_config=None,
        log_level="critical",
        access_log=False,
    )
    config.load()
    server_state = ServerState()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(
        lambda: RawConnectionProtocol(config=config, server_state=server_state, app_state={}),
        sock=listening,
        backlog=BACKLOG,
    )
    ready()
    await stop.wait()
    server.close()
    for connection in tuple(server_state.connections):
        connection.transport.abort()
    tasks = tuple(server_state.tasks)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    await server.wait_closed()


def build_app(state: SimulatorState) -> Starlette:
    """The whole service of `world`. Needs `LineProtocol` below it for the faults of the transport."""
    gate = RequestPipeline(state)
    service, catalogue = InteractionsApi(state, gate), EnvironmentsApi(state, gate)
    routes = [
        Route("/interactions", service.create, methods=["POST"]),
        Route("/interactions/{name}", service.get, methods=["GET"]),
        Route("/interactions/{name}", service.post, methods=["POST"]),
        Route("/interactions/{name}", service.delete, methods=["DELETE"]),
        Route("/interactions/{name}/cancel", service.cancel, methods=["POST"]),
        *catalogue.routes(),
    ]
    versioned = Router(routes=routes, redirect_slashes=False)
    return Starlette(
        routes=[Mount("/v1", app=versioned), Mount("/v1beta", app=versioned), *control_routes(state)],
        exception_handlers={HTTPException: gate.no_such_method},
    )
