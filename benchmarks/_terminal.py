"""A terminal of a fixed size that a program draws into, and the time until it shows what a person waits for."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import signal
import struct
import termios
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import pyte

COLUMNS, ROWS = 120, 40


def seconds_until_shown(
    command: Sequence[str], *, marks: Sequence[str], cwd: Path, environment: Mapping[str, str], within: float = 20.0
) -> float:
    """From fork to the frame that holds all of `marks`. Raises TimeoutError with the screen as it stood."""
    started = time.perf_counter()
    pid, terminal = pty.fork()
    if pid == 0:
        os.chdir(cwd)
        os.execvpe(command[0], list(command), dict(environment))
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
    screen = pyte.Screen(COLUMNS, ROWS)
    stream = pyte.ByteStream(screen)
    try:
        while time.perf_counter() - started < within:
            if not select.select([terminal], [], [], 0.05)[0]:
                continue
            try:
                stream.feed(os.read(terminal, 65536))
            except OSError:
                break
            shown = "\n".join(screen.display)
            if all(mark in shown for mark in marks):
                return time.perf_counter() - started
    finally:
        _end(pid, terminal)
    raise TimeoutError(f"never showed {marks}:\n" + "\n".join(line.rstrip() for line in screen.display))


def _end(pid: int, terminal: int) -> None:
    """Like a window that is closed; then for certain."""
    os.close(terminal)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
