"""Run a program in a terminal of a fixed size, and measure the time until it shows given texts."""

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
from dataclasses import dataclass
from pathlib import Path

import pyte

COLUMNS, ROWS = 120, 72
"""High enough for 40 rows above the panel of the selected run."""

SETTLE_SECONDS = 3
"""Seconds after the first frame that are not counted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """The cost of a process, in seconds."""

    wall: float
    cpu: float
    """User and system time, which is more reliable than `wall` on a busy machine."""


def cost_of(command: Sequence[str], *, cwd: Path, environment: Mapping[str, str]) -> Cost:
    """Return the cost from fork to exit. Output is discarded. Raises RuntimeError for an exit code other than 0."""
    started = time.perf_counter()
    discarded = [(os.POSIX_SPAWN_OPEN, stream, os.devnull, os.O_WRONLY, 0) for stream in (1, 2)]
    in_folder = ["env", "-C", str(cwd), *command]
    pid = os.posix_spawnp("env", in_folder, dict(environment), file_actions=discarded)
    _, status, used = os.wait4(pid, 0)
    if status != 0:
        raise RuntimeError(f"{' '.join(command)} ended with status {status}")
    return Cost(wall=time.perf_counter() - started, cpu=used.ru_utime + used.ru_stime)


def cost_until_shown(
    command: Sequence[str], *, marks: Sequence[str], cwd: Path, environment: Mapping[str, str], within: float = 20.0
) -> Cost:
    """Return the cost from fork to the frame that shows all of `marks`. Raises TimeoutError with the last screen."""
    started = time.perf_counter()
    pid, terminal = start(command, cwd, environment)
    try:
        shown_after = _shown(terminal, marks, started, within)
    finally:
        cpu = _end(pid, terminal)
    return Cost(wall=shown_after, cpu=cpu)


def bytes_by_second(
    command: Sequence[str], seconds: int, *, marks: Sequence[str], cwd: Path, environment: Mapping[str, str]
) -> list[int]:
    """Return the bytes written in each second, starting a few seconds after the frame that shows all of `marks`."""
    pid, terminal = start(command, cwd, environment)
    try:
        _shown(terminal, marks, time.perf_counter(), 20.0)
        counts = [_read_for(terminal, 1.0) for _ in range(SETTLE_SECONDS + seconds)]
    finally:
        _end(pid, terminal)
    return counts[SETTLE_SECONDS:]


def start(command: Sequence[str], cwd: Path, environment: Mapping[str, str]) -> tuple[int, int]:
    """Start a program in a terminal. Returns its process id and the descriptor of the terminal."""
    pid, terminal = pty.fork()
    if pid == 0:
        os.chdir(cwd)
        os.execvpe(command[0], list(command), dict(environment))
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
    return pid, terminal


def _read_for(terminal: int, seconds: float) -> int:
    deadline, count = time.perf_counter() + seconds, 0
    while (left := deadline - time.perf_counter()) > 0:
        if select.select([terminal], [], [], left)[0]:
            count += len(os.read(terminal, 65536))
    return count


def _shown(terminal: int, marks: Sequence[str], started: float, within: float) -> float:
    screen = pyte.Screen(COLUMNS, ROWS)
    stream = pyte.ByteStream(screen)
    while time.perf_counter() - started < within:
        if not select.select([terminal], [], [], 0.05)[0]:
            continue
        try:
            stream.feed(os.read(terminal, 65536))
        except OSError:
            break
        text = "\n".join(screen.display)
        if all(mark in text for mark in marks):
            return time.perf_counter() - started
    raise TimeoutError(f"did not show {marks}:\n" + "\n".join(line.rstrip() for line in screen.display))


def _end(pid: int, terminal: int) -> float:
    """Kill the program and return its CPU seconds."""
    os.kill(pid, signal.SIGKILL)
    _, _, used = os.wait4(pid, 0)
    os.close(terminal)
    return used.ru_utime + used.ru_stime
