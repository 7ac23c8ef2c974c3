"""Stdout of a command that goes on printing until it is told to end: `log -f`, `show -f`, `watch`.

A reader that does not read must not keep the command from ending, and one that has gone ends it at once instead of at
the next change.
"""

from __future__ import annotations

import io
import json
import select

from console.cli.invocation import Invocation
from console.cli.signals import ShutdownRequest
from console.cli.streams import OutputClosed

CHUNK = 400
"""Characters written at once. A pipe that takes anything takes 4,096 bytes, and an escaped character has up to ten."""
ROOM_S = 0.05
"""Seconds between two looks at whether a full pipe or a stopped terminal takes more."""
GONE = select.POLLERR | select.POLLHUP


class FollowOutput:
    """Writes lines of data as long as nobody asks for the end."""

    def __init__(self, invocation: Invocation, shutdown: ShutdownRequest) -> None:
        self._invocation = invocation
        self._shutdown = shutdown
        self._poll: select.poll | None = None
        try:
            descriptor = invocation.stdout.fileno()
        except io.UnsupportedOperation:
            return  # in memory: it always takes everything
        self._poll = select.poll()
        self._poll.register(descriptor, select.POLLOUT)

    @property
    def is_open(self) -> bool:
        """False once somebody has asked for the end."""
        return self._shutdown.code is None

    async def lines(self, *lines: str) -> None:
        """Write lines, already sanitized. Once somebody asks for the end, what finds no room is dropped.

        Raises OutputClosed.
        """
        text = "".join(f"{line}\n" for line in lines)
        for start in range(0, len(text), CHUNK):
            while not self._events() & (select.POLLOUT | GONE):
                if not self.is_open:
                    return
                await self._shutdown.wait(ROOM_S)
            self._invocation.write(text[start : start + CHUNK])
            self._invocation.flush()

    async def json_line(self, value: object) -> None:
        """Write one object on one line, as `lines` does. ASCII only. Raises OutputClosed."""
        await self.lines(json.dumps(value, ensure_ascii=True, allow_nan=False))

    async def wait(self, seconds: float) -> None:
        """Return after `seconds`, or once somebody asks for the end. Raises OutputClosed where the reader has gone."""
        await self._shutdown.wait(seconds)
        if self._events() & GONE:
            raise OutputClosed

    def _events(self) -> int:
        if self._poll is None:
            return select.POLLOUT
        return next((events for _, events in self._poll.poll(0)), 0)
