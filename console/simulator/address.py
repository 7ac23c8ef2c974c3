"""Where a simulator listens: on loopback and nowhere else."""

from __future__ import annotations

import socket

BACKLOG = 512


def bind(port: int = 0) -> socket.socket:
    """A listening socket on 127.0.0.1; port 0 is any free one. Raises OSError where the port is taken."""
    # Named, since asyncio turns Nagle's delay off (40 ms a reply) only where the socket says that it is TCP.
    listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(("127.0.0.1", port))
        listening.listen(BACKLOG)
    except OSError:
        listening.close()
        raise
    return listening


def url_of(listening: socket.socket) -> str:
    """`http://127.0.0.1:PORT`."""
    host, port = listening.getsockname()[:2]
    return f"http://{host}:{port}"
