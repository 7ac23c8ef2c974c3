"""Ends a server of the event loop without losing a connection that has just come in.

Kept apart because the simulator and the page of metrics both end servers, and share nothing else.
"""

from __future__ import annotations

import asyncio

LAST_ROUNDS = 10
"""Rounds of the loop after the last connection was accepted; after two or three of them its transport is known."""


async def stop_listening(server: asyncio.Server) -> None:
    """Accept nothing more, wait until all that was accepted has its transport, then close the listening sockets.

    `Server.close` alone loses the socket of a connection that was accepted in the same round (CPython 3.11): nothing
    closes it, and its caller waits. Does not wait for connections to end.
    """
    loop = asyncio.get_running_loop()
    for listening in server.sockets:
        loop.remove_reader(listening)
    for _ in range(LAST_ROUNDS):
        await asyncio.sleep(0)
    server.close()
