"""Signals that ask a command to go: remembered, never obeyed in the middle of something."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from console.cli.exit_codes import ExitCode

EXITS = {
    signal.SIGINT: ExitCode.INTERRUPTED,
    signal.SIGTERM: ExitCode.TERMINATED,
    signal.SIGHUP: ExitCode.HUNG_UP,
}


class ShutdownRequest:
    """Whether somebody asked this process to go, and how."""

    def __init__(self) -> None:
        self._asked = asyncio.Event()
        self.code: ExitCode | None = None
        """What the process then says; None while nobody asked."""

    async def wait(self, seconds: float | None = None) -> None:
        """Until somebody asks, for at most `seconds` where they are given."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._asked.wait()

    def ask(self, code: ExitCode) -> None:
        """The first one counts."""
        if self.code is None:
            self.code = code
            self._asked.set()


@contextmanager
def shutdown_on_signals(*numbers: signal.Signals) -> Iterator[ShutdownRequest]:
    """While it lasts, these signals (none given: all of EXITS) only set the flag. Needs a running event loop."""
    loop, shutdown = asyncio.get_running_loop(), ShutdownRequest()
    heard = numbers or tuple(EXITS)
    for number in heard:
        loop.add_signal_handler(number, shutdown.ask, EXITS[number])
    try:
        yield shutdown
    finally:
        for number in heard:
            loop.remove_signal_handler(number)
