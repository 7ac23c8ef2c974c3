"""A command on a real pseudo-terminal, with a terminal emulator that shows what a person would see."""

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
from codecs import getincrementaldecoder
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.ui.emulator import TerminalEmulator
from tests.waiting import until_sync

Size = tuple[int, int]
"""Columns and lines."""
WIDE: Size = (120, 36)
REACTION_S = 0.2
"""A person's reaction time. The console drops faster keys where they could be pasted or answer a dialog unseen."""


class TerminalSession:
    """One command on a pseudo-terminal, in a session of its own. Nothing is read unless a method reads."""

    def __init__(
        self, command: Sequence[str], *, environment: Mapping[str, str], folder: Path, size: Size = WIDE
    ) -> None:
        self.received = b""
        """All bytes that were read."""
        self._emulator = TerminalEmulator(*size)
        self._decoder = getincrementaldecoder("utf-8")("replace")
        self.pid, self._master = pty.fork()
        if self.pid == 0:
            os.chdir(folder)
            for number in (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT):
                # As a terminal starts a program, also where these tests were started by nohup.
                signal.signal(number, signal.SIG_DFL)
            fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", size[1], size[0], 0, 0))
            os.execve(command[0], list(command), dict(environment))
        os.set_blocking(self._master, False)
        self._code: int | None = None
        self._active_at = 0.0

    @property
    def screen(self) -> str:
        """The text on the screen, after all that has arrived."""
        self.read()
        return "\n".join(self._emulator.lines())

    def type(self, keys: str) -> None:
        """Sends keys as a person types them: not at once after the last ones or after a change of the screen."""
        latest = time.monotonic() + 5 * REACTION_S
        until_sync(lambda: self._quiet_for(REACTION_S) or time.monotonic() >= latest, what="time to type")
        self._active_at = time.monotonic()
        self.send(keys)

    def _quiet_for(self, seconds: float) -> bool:
        """True where nothing was typed or shown for so long."""
        before = len(self.received)
        self.read()
        if len(self.received) != before:
            self._active_at = time.monotonic()
        return time.monotonic() >= self._active_at + seconds

    def send(self, keys: str) -> None:
        """Sends keys at once."""
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
        """Reads what has arrived; waits for something to arrive for at most `seconds`."""
        if self._master < 0:
            return
        select.select([self._master], [], [], seconds)
        try:
            while data := os.read(self._master, 1 << 16):
                self.received += data
                self._emulator.feed(self._decoder.decode(data))
        except OSError:
            # Nothing more has arrived, or (EIO on Linux) the other side is closed.
            return

    def resize(self, width: int, height: int, *, fresh: bool = True) -> None:
        """Gives the window another size; the kernel sends SIGWINCH. With `fresh`, the emulator starts empty."""
        if fresh:
            self.read()
            self._emulator = TerminalEmulator(width, height)
        fcntl.ioctl(self._master, termios.TIOCSWINSZ, struct.pack("HHHH", height, width, 0, 0))

    def overwrite(self, text: str) -> None:
        """Shows `text` on the screen, as if another program had written it."""
        self._emulator.feed(text)

    def mode(self) -> list[Any]:
        """The terminal's mode, as `termios.tcgetattr` returns it."""
        return termios.tcgetattr(self._master)

    def hang_up(self) -> None:
        """Closes the window; the kernel sends SIGHUP."""
        os.close(self._master)
        self._master = -1

    def signal(self, *numbers: signal.Signals) -> None:
        """Sends signals to the process at the terminal, one after the other."""
        for number in numbers:
            os.kill(self.pid, number)

    def ended(self, *, within: float = 30) -> int:
        """Waits for the end; returns the exit code, or minus the signal that killed it. Fails where it goes on."""
        until = time.monotonic() + within
        while not self._has_ended():
            assert time.monotonic() < until, f"it goes on:\n{self.screen}"
            self.read(0.05)
        assert self._code is not None
        return self._code

    def close(self) -> None:
        """Kills the process, reads the rest and closes the terminal."""
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
