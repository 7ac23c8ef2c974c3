"""Records and writers for the tests of the log."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable
from pathlib import Path

from console.domain.log_record import LogRecord, parse_line

NOON_MS = 1_795_435_200_000
"""2026-11-23T12:00:00Z."""


def record(ev: int, status: str = "ok", **fields: str) -> LogRecord:
    """Return a record, one second after the previous one."""
    return LogRecord(
        ev=ev,
        at_ms=NOON_MS + ev * 1000,
        key="9f2c51ab03de7714",
        status=status,
        elapsed_ms=1200,
        units=500,
        fields=fields,
    )


def ending(ev: int) -> LogRecord:
    """Return the ending of a run of 0.5 units, 1.2 s and 0.50 USD on 2026-11-23."""
    return record(ev, task="fix", run=f"r{ev}", stage="semi", day="2026-11-23", cost="0.50", currency="USD")


def evs(path: Path) -> list[int]:
    """Return the numbers of all lines in file order. Raises LogParseError for a line that is not complete."""
    return [parse_line(line).ev for line in path.read_bytes().split(b"\n") if line]


class StutteringWrite:
    """An `os.write` that follows a script of short writes and errors, and then works normally."""

    def __init__(self, script: Iterable[int | OSError]) -> None:
        self._script = list(script)
        self.calls = 0

    def __call__(self, descriptor: int, data: bytes) -> int:
        """Write as many bytes as the script allows."""
        self.calls += 1
        told = self._script.pop(0) if self._script else len(data)
        if isinstance(told, OSError):
            raise told
        return os.write(descriptor, data[:told]) if told else 0


def no_space() -> OSError:
    """Return the error of a full disk."""
    return OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
