"""Signals that ask a command to end: they set a flag and never interrupt what is under way."""

from __future__ import annotations

import asyncio
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial

from console.cli.exit_codes import ExitCode

OTHERS = (
    *(signal.SIGUSR1, signal.SIGUSR2, signal.SIGALRM, signal.SIGVTALRM, signal.SIGPROF, signal.SIGXCPU),
    *(signal.SIGPWR, signal.SIGIO, signal.SIGSTKFLT, *range(signal.SIGRTMIN, signal.SIGRTMAX + 1)),
)
"""Further signals that end a process by default. They come by mistake, from a limit of processor time, or as the stop
signal of a container; a run must not lose its guard to any of them."""
EXIT_CODES: dict[int, ExitCode] = {
    signal.SIGINT: ExitCode.INTERRUPTED,
    signal.SIGQUIT: ExitCode.QUIT,
    signal.SIGTERM: ExitCode.TERMINATED,
    signal.SIGHUP: ExitCode.HUNG_UP,
    **dict.fromkeys(OTHERS, ExitCode.TERMINATED),
}
WITHOUT_HANG_UP = tuple(number for number in EXIT_CODES if number != signal.SIGHUP)
"""For a process that has no terminal, or that lives on without it."""


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
    *numbers: int, on_suspend: Callable[[], None] | None = None, on_hang_up: Callable[[], None] = lambda: None
) -> Iterator[ShutdownRequest]:
    """Turn these signals (default: all of EXIT_CODES) into a ShutdownRequest for the block. Needs a running loop.

    The others of EXIT_CODES do nothing meanwhile, except that SIGHUP calls `on_hang_up`. With `on_suspend` ctrl-z calls
    it instead of stopping the process, for a process that guards runs.
    """
    loop, shutdown = asyncio.get_running_loop(), ShutdownRequest()
    handlers: dict[int, Callable[[], None]] = dict.fromkeys(EXIT_CODES, lambda: None)
    handlers[signal.SIGHUP] = on_hang_up
    for number in numbers or EXIT_CODES:
        handlers[number] = partial(shutdown.ask, EXIT_CODES[number])
    if on_suspend is not None:
        handlers[signal.SIGTSTP] = on_suspend
    for number, handler in handlers.items():
        loop.add_signal_handler(number, handler)
    # The mask is inherited: a parent that blocks these signals must not make this process one that only SIGKILL ends.
    signal.pthread_sigmask(signal.SIG_UNBLOCK, handlers)
    try:
        yield shutdown
    finally:
        for number in handlers:
            loop.remove_signal_handler(number)


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
