"""Signals that ask a command to end: they set a flag and never interrupt what is under way."""

from __future__ import annotations

import asyncio
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from console.cli.exit_codes import ExitCode

EXIT_CODES = {
    signal.SIGINT: ExitCode.INTERRUPTED,
    signal.SIGQUIT: ExitCode.QUIT,
    signal.SIGTERM: ExitCode.TERMINATED,
    signal.SIGHUP: ExitCode.HUNG_UP,
}


class ShutdownRequest:
    """Whether this process was asked to end, and the exit code that this gives."""

    def __init__(self) -> None:
        self._asked = asyncio.Event()
        self.code: ExitCode | None = None
        """None until somebody asks."""

    async def wait(self, seconds: float | None = None) -> None:
        """Return when somebody asks, or after `seconds`."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._asked.wait()

    def ask(self, code: ExitCode) -> None:
        """Record the request; only the first one counts."""
        if self.code is None:
            self.code = code
            self._asked.set()

    def reset(self) -> None:
        """Forget the request: it could not be followed."""
        self.code = None
        self._asked.clear()


@contextmanager
def shutdown_on_signals(
    *numbers: signal.Signals, on_suspend: Callable[[], None] | None = None
) -> Iterator[ShutdownRequest]:
    """Turn these signals (default: all of EXIT_CODES) into a ShutdownRequest for the block. Needs a running loop.

    With `on_suspend` ctrl-z calls it instead of stopping the process, for a process that guards runs.
    """
    loop, shutdown = asyncio.get_running_loop(), ShutdownRequest()
    numbers = numbers or tuple(EXIT_CODES)
    for number in numbers:
        loop.add_signal_handler(number, shutdown.ask, EXIT_CODES[number])
    if on_suspend is not None:
        loop.add_signal_handler(signal.SIGTSTP, on_suspend)
    try:
        yield shutdown
    finally:
        for number in numbers:
            loop.remove_signal_handler(number)
        if on_suspend is not None:
            loop.remove_signal_handler(signal.SIGTSTP)


@contextmanager
def not_stopped_by_terminal() -> Iterator[None]:
    """Let a background job write to its terminal for the block, where `stty tostop` would stop the process."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    # Ignored, not handled: the kernel repeats a write that a handler interrupted, and the signal with it.
    before = {number: signal.signal(number, signal.SIG_IGN) for number in (signal.SIGTTOU, signal.SIGTTIN)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
