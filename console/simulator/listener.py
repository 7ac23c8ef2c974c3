"""Serves a world on a socket somebody else bound. Starts and stops within milliseconds, leaves nothing open."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable

from uvicorn.config import Config
from uvicorn.server import ServerState

from console.simulator.address import BACKLOG
from console.simulator.app import build_app
from console.simulator.line import LineProtocol
from console.simulator.world import World


async def serve(world: World, listening: socket.socket, stop: asyncio.Event, ready: Callable[[], None]) -> None:
    """Answers on `listening` until `stop` is set, then cuts every connection and closes the socket.

    uvicorn's server loop is not used: it looks for its end only ten times a second and waits for open streams.
    """
    config = Config(
        build_app(world),
        http=LineProtocol,
        ws="none",
        lifespan="off",
        log_config=None,
        log_level="critical",
        access_log=False,
    )
    config.load()
    state = ServerState()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(
        lambda: LineProtocol(config=config, server_state=state, app_state={}), sock=listening, backlog=BACKLOG
    )
    ready()
    await stop.wait()
    server.close()
    for connection in tuple(state.connections):
        connection.transport.abort()
    tasks = tuple(state.tasks)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    await server.wait_closed()
