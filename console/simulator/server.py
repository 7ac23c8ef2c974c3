"""The HTTP server of a simulated service, and the simulator in a thread, for tests.

The listening socket is bound before the server starts: its address is known, and no early call is refused.
"""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import Protocol

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute
from uvicorn.config import Config
from uvicorn.server import ServerState

from console.listening import stop_listening
from console.simulator.anthropic.api import AnthropicFace
from console.simulator.control import ControlApi
from console.simulator.gemini.api import GeminiFace
from console.simulator.openai.api import OpenAIFace
from console.simulator.process import BACKLOG, bind, url_of
from console.simulator.replies import RawConnectionProtocol
from console.simulator.state import SimulatorState

START_S = 20.0
"""The longest wait for a start or a stop."""


class Face(Protocol):
    """The wire format of one kind of service over the state of the simulator."""

    def routes(self) -> Sequence[BaseRoute]:
        """Return the routes of its calls."""
        ...

    async def unknown_route(self, request: Request, exc: Exception) -> Response:
        """Refuse a path or method that does not exist."""
        ...


FACES: Mapping[str, Callable[[SimulatorState], Face]] = {
    "gemini": GeminiFace,
    "anthropic": AnthropicFace,
    "openai": OpenAIFace,
}
"""The faces by the kind of the service."""


def build_app(state: SimulatorState, face_name: str = "gemini") -> Starlette:
    """Return the ASGI application of a service. Its server must use `RawConnectionProtocol`."""
    face = FACES[face_name](state)
    return Starlette(
        routes=[*face.routes(), *ControlApi(state).routes()],
        exception_handlers={HTTPException: face.unknown_route},
    )


async def serve(
    state: SimulatorState,
    listening: socket.socket,
    stop: asyncio.Event,
    ready: Callable[[], None],
    face_name: str = "gemini",
) -> None:
    """Serve one face on `listening` until `stop` is set, then close every connection and the socket.

    `ready` is called when the server accepts connections. uvicorn's own server loop is not used, because it notices a
    stop only ten times a second and waits for open streams.
    """
    config = Config(
        build_app(state, face_name),
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
    await stop_listening(server)
    for connection in tuple(server_state.connections):
        connection.transport.abort()
    tasks = tuple(server_state.tasks)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    await server.wait_closed()


class SimulatorThread:
    """`with SimulatorThread(state) as simulator:` serves `simulator.state` at `simulator.url`."""

    def __init__(self, state: SimulatorState | None = None, *, port: int = 0, face: str = "gemini") -> None:
        """`port` 0 is any free port; `face` is the kind of service that is simulated."""
        self._face = face
        self.state = state if state is not None else SimulatorState()
        self.url = ""
        """`http://127.0.0.1:PORT`, once started."""
        self._port = port
        self._listening: socket.socket | None = None
        self._ready = threading.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop: asyncio.Event | None = None
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="simulator", daemon=True)

    def __enter__(self) -> SimulatorThread:
        """Start the thread and wait until it serves. Raises OSError if the port is in use."""
        self._listening = bind(self._port)
        self.url = url_of(self._listening)
        self._thread.start()
        if not self._ready.wait(START_S) or self._error is not None:
            raise RuntimeError(f"the simulator did not start: {self._error!r}")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close every connection and wait for the end of the thread."""
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
                self._error = exc
            finally:
                self._ready.set()

    async def _serve(self, listening: socket.socket) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        await serve(self.state, listening, self._stop, self._ready.set, self._face)
