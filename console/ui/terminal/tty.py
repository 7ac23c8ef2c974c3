"""The terminal as a non-blocking device: output that it does not accept now is kept, and nothing waits for it."""

from __future__ import annotations

import asyncio
import os
import select
import termios
import tty
from collections.abc import Callable
from contextlib import suppress
from typing import Any

READ_BYTES = 65_536
STANDARD = (0, 1, 2)
FALLBACK_SIZE = (80, 24)


def terminal_path() -> str:
    """The path of this process's terminal device."""
    for descriptor in STANDARD:
        with suppress(OSError):
            return os.ttyname(descriptor)
    return "/dev/tty"


def terminal_size() -> tuple[int, int]:
    """Columns and rows as the terminal itself reports them; 80 and 24 if it does not know.

    COLUMNS and LINES are not read: in the environment of a console they are older than the window.
    """
    for descriptor in STANDARD:
        with suppress(OSError):
            columns, rows = os.get_terminal_size(descriptor)
            return columns or FALLBACK_SIZE[0], rows or FALLBACK_SIZE[1]
    return FALLBACK_SIZE


class Tty:
    """An open file of the terminal. It is opened anew, so that the descriptors of the shell stay blocking."""

    def __init__(
        self,
        path: str,
        *,
        on_input: Callable[[bytes], None],
        on_drained: Callable[[], None],
        on_gone: Callable[[], None],
    ) -> None:
        """`on_gone` is called once, when the terminal can be neither read nor written any more. Raises OSError."""
        self._loop = asyncio.get_running_loop()
        self._fd = os.open(path, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK | os.O_CLOEXEC)
        self._on_input = on_input
        self._on_drained = on_drained
        self._on_gone = on_gone
        self._pending = b""
        self._gone = False
        self._before: list[Any] | None = None

    @property
    def is_busy(self) -> bool:
        """True while the terminal has not accepted all output."""
        return bool(self._pending)

    @property
    def is_gone(self) -> bool:
        """True once the terminal is gone."""
        return self._gone

    @property
    def is_ours(self) -> bool:
        """True while this process is in the foreground of the terminal."""
        try:
            return os.tcgetpgrp(self._fd) == os.getpgrp()
        except OSError:
            return False

    def raw(self) -> None:
        """Switch to raw mode: keys arrive one by one and unchanged, Ctrl+C included. The first call saves the mode."""
        with suppress(termios.error):
            mode = termios.tcgetattr(self._fd)
            self._before = self._before or [*mode[:6], list(mode[6])]
            mode[tty.IFLAG] &= ~(termios.IXON | termios.IXOFF | termios.ICRNL | termios.INLCR | termios.IGNCR)
            mode[tty.LFLAG] &= ~(termios.ECHO | termios.ICANON | termios.IEXTEN | termios.ISIG)
            mode[tty.CC][termios.VMIN] = 1
            mode[tty.CC][termios.VTIME] = 0
            termios.tcsetattr(self._fd, termios.TCSANOW, mode)

    def listen(self) -> None:
        """Start or resume reading."""
        if not self._gone:
            self._loop.add_reader(self._fd, self._readable)

    def stop_reading(self) -> None:
        """Stop reading."""
        if self._fd >= 0:
            self._loop.remove_reader(self._fd)

    def send(self, data: bytes) -> None:
        """Write what the terminal accepts now and keep the rest for later.

        Output for a terminal that is gone is discarded.
        """
        if data and not self._gone and self._fd >= 0:
            self._pending += data
            self._pump()

    def finish(self, data: bytes, *, within: float) -> None:
        """Write the last output, waiting at most `within` seconds for a slow terminal."""
        deadline = self._loop.time() + within
        self.send(data)
        # Not `select`, which takes no descriptor above 1023.
        poller = select.poll()
        poller.register(self._fd, select.POLLOUT)
        while self._pending and not self._gone and (left := deadline - self._loop.time()) > 0:
            poller.poll(left * 1000)
            self._pump()

    def close(self) -> None:
        """Restore the mode of the terminal and close it."""
        if self._fd < 0:
            return
        self.stop_reading()
        self._loop.remove_writer(self._fd)
        if self._before is not None and not self._gone:
            with suppress(termios.error):
                termios.tcflush(self._fd, termios.TCIFLUSH)
                termios.tcsetattr(self._fd, termios.TCSANOW, self._before)
        with suppress(OSError):
            os.close(self._fd)
        self._fd = -1

    def hang_up(self) -> None:
        """Stop using a terminal that is gone: nothing is read or written, descriptors 0 to 2 become /dev/null.

        The kernel reports such a terminal as readable and writable for ever, so reading it would be a busy loop.
        """
        if self._gone or self._fd < 0:
            return
        self._gone = True
        self._pending = b""
        self.stop_reading()
        self._loop.remove_writer(self._fd)
        detach_stdio()
        self._on_gone()

    def _readable(self) -> None:
        try:
            data = os.read(self._fd, READ_BYTES)
        except BlockingIOError:
            return
        except OSError:
            if self._is_in_background():
                self.stop_reading()
            else:
                self.hang_up()
            return
        if data:
            self._on_input(data)
        else:
            self.hang_up()

    def _is_in_background(self) -> bool:
        try:
            return os.tcgetpgrp(self._fd) != os.getpgrp()
        except OSError:
            return False

    def _pump(self) -> None:
        try:
            written = os.write(self._fd, self._pending)
        except BlockingIOError:
            written = 0
        except OSError:
            self.hang_up()
            return
        self._pending = self._pending[written:]
        if self._pending:
            self._loop.add_writer(self._fd, self._pump_on)
        else:
            self._loop.remove_writer(self._fd)

    def _pump_on(self) -> None:
        self._pump()
        if not self._pending and not self._gone:
            self._on_drained()


def detach_stdio() -> None:
    """Replace the standard descriptors that are a terminal with /dev/null."""
    null = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
    try:
        for descriptor in STANDARD:
            with suppress(OSError):
                if os.isatty(descriptor) or _is_hung_up(descriptor):
                    os.dup2(null, descriptor)
    finally:
        os.close(null)


def _is_hung_up(descriptor: int) -> bool:
    """True for a terminal whose other end is closed; `isatty` is already False for it."""
    poller = select.poll()
    poller.register(descriptor, select.POLLIN)
    return any(flags & select.POLLHUP and os.fstat(descriptor).st_rdev for _, flags in poller.poll(0))
