"""Somebody who sits at a terminal: types, looks at the screen as an emulator shows it, looks away, or is gone."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import signal
import struct
import termios
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.ui.emulator import TerminalEmulator
from tests.waiting import until_sync

Size = tuple[int, int]
"""Columns and lines."""
WIDE: Size = (120, 36)


class TerminalSession:
    """One command on a pseudo-terminal of its own session."""

    def __init__(
        self, command: Sequence[str], *, environment: Mapping[str, str], folder: Path, size: Size = WIDE
    ) -> None:
        self.received = b""
        """All bytes that were read."""
        self._emulator = TerminalEmulator(*size)
        self.pid, self._master = pty.fork()
        if self.pid == 0:
            os.chdir(folder)
            fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", size[1], size[0], 0, 0))
            os.execve(command[0], list(command), dict(environment))
        os.set_blocking(self._master, False)
        self._code: int | None = None

    @property
    def screen(self) -> str:
        """What stands on the screen now, after what has arrived."""
        self.read()
        return "\n".join(self._emulator.lines())

    def type(self, keys: str) -> None:
        """Keys, as a terminal sends them."""
        os.write(self._master, keys.encode())

    def shows(self, text: str, *, within: float = 30) -> None:
        """Returns once the screen shows `text`, a regular expression. Fails, with the screen, where it does not."""
        pattern = re.compile(text, re.MULTILINE)
        try:
            until_sync(lambda: pattern.search(self.screen), within=within)
        except AssertionError:
            raise AssertionError(f"not within {within:g} s: {text!r} on\n{self.screen}") from None

    def hides(self, text: str, *, within: float = 30) -> None:
        """Returns once the screen does not show `text`. Fails, with the screen, where it goes on to."""
        try:
            until_sync(lambda: text not in self.screen, within=within)
        except AssertionError:
            raise AssertionError(f"still after {within:g} s: {text!r} on\n{self.screen}") from None

    def read(self, seconds: float = 0) -> None:
        """Takes what there is; waits for something for at most `seconds`."""
        if self._master < 0:
            return
        select.select([self._master], [], [], seconds)
        try:
            while data := os.read(self._master, 1 << 16):
                self.received += data
                self._emulator.feed(data.decode("utf-8", "replace"))
        except OSError:
            # Nothing more now, or, on Linux, nobody at the other side any more.
            return

    def resize(self, width: int, height: int, *, fresh: bool = True) -> None:
        """The window gets another size, and the kernel tells the other side."""
        if fresh:
            self.read()
            self._emulator = TerminalEmulator(width, height)
        fcntl.ioctl(self._master, termios.TIOCSWINSZ, struct.pack("HHHH", height, width, 0, 0))

    def hang_up(self) -> None:
        """The window is closed."""
        os.close(self._master)
        self._master = -1

    def signal(self, *numbers: signal.Signals) -> None:
        """As from `kill`, to the process at the terminal."""
        for number in numbers:
            os.kill(self.pid, number)

    def ended(self, *, within: float = 30) -> int:
        """The exit code, minus the signal where one killed it. Fails where it goes on."""
        until = time.monotonic() + within
        while not self._has_ended():
            assert time.monotonic() < until, f"it goes on:\n{self.screen}"
            self.read(0.05)
        assert self._code is not None
        return self._code

    def close(self) -> None:
        """Away with it, whatever it does."""
        if not self._has_ended():
            os.kill(self.pid, signal.SIGKILL)
            self.ended()
        self.read()
        if self._master >= 0:
            self.hang_up()

    def _has_ended(self) -> bool:
        if self._code is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self._code = os.waitstatus_to_exitcode(status)
        return self._code is not None
