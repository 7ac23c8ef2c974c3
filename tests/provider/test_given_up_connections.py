"""Connections that are given up while they are made."""

from __future__ import annotations

import asyncio
import gc
import socket
import warnings
from contextlib import suppress

from console.provider.http.network import AsyncioNetwork

TURNS = 12
"""Turns of the event loop within which a connection on this machine is made."""


async def test_a_connection_that_is_given_up_leaves_no_socket_open() -> None:
    """A poll may be cancelled in any turn of the loop, also in that in which its connection has been made."""
    made = 0
    # The kernel makes the connections; nobody needs to accept them.
    with socket.create_server(("127.0.0.1", 0), backlog=TURNS * 10) as server:
        port = server.getsockname()[1]
        with warnings.catch_warnings(record=True) as warned:
            warnings.simplefilter("always")
            for turns in [*range(TURNS)] * 10:
                connecting = asyncio.create_task(AsyncioNetwork().connect_tcp("127.0.0.1", port, 5.0))
                for _ in range(turns):
                    await asyncio.sleep(0)
                connecting.cancel()
                with suppress(asyncio.CancelledError):
                    stream = await connecting
                    made += 1
                    await stream.aclose()
                del connecting
            gc.collect()
        assert not [str(warning.message) for warning in warned]
    assert 0 < made < TURNS * 10, "some connections were made in time, others were given up"
