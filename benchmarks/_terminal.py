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
from dataclasses import dataclass
from pathlib import Path

import pyte

COLUMNS, ROWS = 120, 72
"""High enough for 40 rows above the panel of the run that is looked at."""

SETTLES = 3
"""Seconds until a program that was just opened does nothing but tick."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """What a process took, in seconds."""

    wall: float
    cpu: float
    """Its own and the kernel's for it: says more than `wall` on a busy machine."""


def cost_of(command: Sequence[str], *, cwd: Path, environment: Mapping[str, str]) -> Cost:
    """From fork to the end; its output goes nowhere. Raises RuntimeError where it does not exit 0."""
    started = time.perf_counter()
    nowhere = [(os.POSIX_SPAWN_OPEN, stream, os.devnull, os.O_WRONLY, 0) for stream in (1, 2)]
    inside = ["env", "-C", str(cwd), *command]
    pid = os.posix_spawnp("env", inside, dict(environment), file_actions=nowhere)
    _, status, used = os.wait4(pid, 0)
    if status != 0:
        raise RuntimeError(f"{' '.join(command)} ended with status {status}")
    return Cost(wall=time.perf_counter() - started, cpu=used.ru_utime + used.ru_stime)


def cost_until_shown(
    command: Sequence[str], *, marks: Sequence[str], cwd: Path, environment: Mapping[str, str], within: float = 20.0
) -> Cost:
    """From fork to the frame that holds all of `marks`. Raises TimeoutError with the screen as it stood."""
    started = time.perf_counter()
    pid, terminal = _start(command, cwd, environment)
    try:
        shown_after = _shown(terminal, marks, started, within)
    finally:
        cpu = _end(pid, terminal)
    return Cost(wall=shown_after, cpu=cpu)


def bytes_by_second(
    command: Sequence[str], seconds: int, *, marks: Sequence[str], cwd: Path, environment: Mapping[str, str]
) -> list[int]:
    """What the program writes in each second, beginning a few seconds after the frame that holds all of `marks`."""
    pid, terminal = _start(command, cwd, environment)
    try:
        _shown(terminal, marks, time.perf_counter(), 20.0)
        counts = [_read_for(terminal, 1.0) for _ in range(SETTLES + seconds)]
    finally:
        _end(pid, terminal)
    return counts[SETTLES:]


def _start(command: Sequence[str], cwd: Path, environment: Mapping[str, str]) -> tuple[int, int]:
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
    raise TimeoutError(f"never showed {marks}:\n" + "\n".join(line.rstrip() for line in screen.display))


def _end(pid: int, terminal: int) -> float:
    """Its CPU seconds, once it is gone for certain."""
    os.kill(pid, signal.SIGKILL)
    _, _, used = os.wait4(pid, 0)
    os.close(terminal)
    return used.ru_utime + used.ru_stime
