"""The terminal as a device that never blocks: what it does not take now waits, and nothing else waits for it."""

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
    """The device of this process's terminal. Raises OSError where it has none."""
    for descriptor in STANDARD:
        with suppress(OSError):
            return os.ttyname(descriptor)
    return "/dev/tty"


def terminal_size() -> tuple[int, int]:
    """Columns and rows as the terminal itself reports them; 80 and 24 where it does not know.

    COLUMNS and LINES are not read: in the environment of a console they are older than the window.
    """
    for descriptor in STANDARD:
        with suppress(OSError):
            columns, rows = os.get_terminal_size(descriptor)
            return columns or FALLBACK_SIZE[0], rows or FALLBACK_SIZE[1]
    return FALLBACK_SIZE


class Tty:
    """Our own open file of the terminal: non-blocking, so that the shell's descriptors keep their mode."""

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
        """True while the terminal has not taken what it was given."""
        return bool(self._pending)

    @property
    def is_gone(self) -> bool:
        """True once there is no terminal."""
        return self._gone

    @property
    def is_ours(self) -> bool:
        """True while this process is in the terminal's foreground."""
        try:
            return os.tcgetpgrp(self._fd) == os.getpgrp()
        except OSError:
            return False

    def raw(self) -> None:
        """Keys come one by one and unchanged, ctrl+c included; remembers the mode before the first time."""
        with suppress(termios.error):
            mode = termios.tcgetattr(self._fd)
            self._before = self._before or [*mode[:6], list(mode[6])]
            mode[tty.IFLAG] &= ~(termios.IXON | termios.IXOFF | termios.ICRNL | termios.INLCR | termios.IGNCR)
            mode[tty.LFLAG] &= ~(termios.ECHO | termios.ICANON | termios.IEXTEN | termios.ISIG)
            mode[tty.CC][termios.VMIN] = 1
            mode[tty.CC][termios.VTIME] = 0
            termios.tcsetattr(self._fd, termios.TCSANOW, mode)

    def listen(self) -> None:
        """Begins to read, or goes on."""
        if not self._gone:
            self._loop.add_reader(self._fd, self._readable)

    def stop_reading(self) -> None:
        """Reads no more."""
        if self._fd >= 0:
            self._loop.remove_reader(self._fd)

    def send(self, data: bytes) -> None:
        """Writes what the terminal takes now; the rest follows when it can. Discards where it is gone or given back."""
        if data and not self._gone and self._fd >= 0:
            self._pending += data
            self._pump()

    def finish(self, data: bytes, *, within: float) -> None:
        """Writes the last words, waiting at most `within` seconds for a terminal that is slow."""
        deadline = self._loop.time() + within
        self.send(data)
        while self._pending and not self._gone and (left := deadline - self._loop.time()) > 0:
            select.select([], [self._fd], [], left)
            self._pump()

    def close(self) -> None:
        """Gives the terminal back in the mode it had."""
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
        """There is no terminal any more: nothing is read or written, descriptors 0 to 2 become /dev/null.

        The kernel reports a hung-up terminal as readable and writable for ever, so that every later look at
        it would spin.
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
    """Puts /dev/null in the place of standard descriptors that are a terminal."""
    null = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
    try:
        for descriptor in STANDARD:
            with suppress(OSError):
                if os.isatty(descriptor) or _is_hung_up(descriptor):
                    os.dup2(null, descriptor)
    finally:
        os.close(null)


def _is_hung_up(descriptor: int) -> bool:
    """True for a terminal whose other end is closed: isatty says no to it already."""
    poller = select.poll()
    poller.register(descriptor, select.POLLIN)
    return any(flags & select.POLLHUP and os.fstat(descriptor).st_rdev for _, flags in poller.poll(0))
