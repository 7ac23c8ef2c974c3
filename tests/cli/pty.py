"""A terminal that a test sits at: what is typed goes in, what is painted comes out, and the line can drop."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import signal
import struct
import sys
import termios
import time
from collections.abc import Mapping
from pathlib import Path

SIZE = (36, 120)


class Terminal:
    """A command on a pseudo-terminal of its own session."""

    def __init__(self, *arguments: str, folder: Path, environment: Mapping[str, str]) -> None:
        self.seen = b""
        self.pid, self._master = pty.fork()
        if self.pid == 0:
            os.chdir(folder)
            os.execve(sys.executable, [sys.executable, "-m", "console", *arguments], dict(environment))
        fcntl.ioctl(self._master, termios.TIOCSWINSZ, struct.pack("HHHH", *SIZE, 0, 0))

    def type(self, keys: str) -> None:
        """Keys, as the terminal sends them."""
        os.write(self._master, keys.encode())

    def reads(self, text: str, *, within: float = 20) -> None:
        """Returns once `text` was painted since the last call. Fails where it is not."""
        until = time.monotonic() + within
        while text.encode() not in self.seen:
            assert time.monotonic() < until, f"no {text!r} in {self.seen[-2000:]!r}"
            self._read(0.1)
        self.seen = self.seen[self.seen.index(text.encode()) + len(text.encode()) :]

    def settles(self, *, within: float = 20) -> None:
        """Returns once nothing was painted for a while. Fails where painting goes on."""
        until = time.monotonic() + within
        while True:
            before = len(self.seen)
            self._read(0.3)
            if len(self.seen) == before:
                return
            assert time.monotonic() < until, f"it paints on; last seen {self.seen[-2000:]!r}"

    def drop(self) -> None:
        """The line drops: the kernel hangs up."""
        os.close(self._master)
        self._master = -1

    def signal(self, number: signal.Signals) -> None:
        """As from `kill`."""
        os.kill(self.pid, number)

    def ended(self, *, within: float = 20) -> int:
        """The exit code; minus the signal where one killed it. Fails where it goes on."""
        until = time.monotonic() + within
        while True:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.close()
                return os.waitstatus_to_exitcode(status)
            assert time.monotonic() < until, f"it goes on; last seen {self.seen[-2000:]!r}"
            self._read(0.05)

    def close(self) -> None:
        """Lets go of the terminal."""
        if self._master >= 0:
            self._read(0)
            os.close(self._master)
            self._master = -1

    def _read(self, seconds: float) -> None:
        if self._master < 0:
            select.select([], [], [], seconds)
            return
        ready, _, _ = select.select([self._master], [], [], seconds)
        if ready:
            try:
                self.seen += os.read(self._master, 1 << 16)
            except OSError:
                # Linux answers EIO once the other side is closed.
                select.select([], [], [], seconds)
