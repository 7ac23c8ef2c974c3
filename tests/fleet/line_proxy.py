"""A line to the database server that a test can cut: it goes silent, as a dead route does, or refuses, as a dead host.

Kept apart because every suite of the fleet that cuts lines uses it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from urllib.parse import parse_qs, urlsplit


class LineProxy:
    """Carries bytes between its port of this machine and the socket of the server."""

    def __init__(self, socket_path: Path) -> None:
        self._socket_path = socket_path
        self._open = asyncio.Event()
        self._open.set()
        self._refuses = False
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None
        self.port = 0

    @property
    def url(self) -> str:
        """The URL of the database behind the line."""
        return f"postgresql://nightdesk@127.0.0.1:{self.port}/postgres"

    def silence(self) -> None:
        """Let nothing pass, in either direction; connections stay open."""
        self._open.clear()

    def refuse(self) -> None:
        """End all connections, and each further one at once."""
        self._refuses = True
        for writer in self._writers:
            writer.transport.abort()

    def restore(self) -> None:
        """Let everything pass again, what was held back too."""
        self._refuses = False
        self._open.set()

    async def start(self) -> None:
        """Listen on any free port of this machine."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]

    async def close(self) -> None:
        """End all connections."""
        self._open.set()
        self.refuse()
        if self._server is not None:
            self._server.close()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        if self._refuses:
            writer.transport.abort()
            return
        there, back = await asyncio.open_unix_connection(self._socket_path)
        ends = {writer, back}
        self._writers |= ends
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._carry(reader, back))
                group.create_task(self._carry(there, writer))
        except* OSError:
            pass
        finally:
            self._writers -= ends
            for end in ends:
                end.close()

    async def _carry(self, source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
        while data := await source.read(65_536):
            await self._open.wait()
            target.write(data)
            await target.drain()
        with suppress(OSError):
            target.write_eof()


@asynccontextmanager
async def line_to(url: str) -> AsyncIterator[LineProxy]:
    """A line to the server of `url`, which names the folder of its socket."""
    folder = parse_qs(urlsplit(url).query)["host"][0]
    proxy = LineProxy(Path(folder) / ".s.PGSQL.5432")
    await proxy.start()
    try:
        yield proxy
    finally:
        await proxy.close()
