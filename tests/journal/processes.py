"""What other processes do in the tests; importable by a fresh interpreter."""

from __future__ import annotations

import multiprocessing
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from console.journal.runs_log import LogWriter
from tests.journal.samples import ending, record

_FRESH = multiprocessing.get_context("spawn")


@contextmanager
def started(work: Callable[[Path, int], None], path: Path, count: int) -> Iterator[Callable[[], bool]]:
    """Run `work(path, number)` in `count` fresh interpreters at once and check that each succeeds.

    Gives a function that returns True while one of them is running.
    """
    processes = [_FRESH.Process(target=work, args=(path, number)) for number in range(count)]
    for process in processes:
        process.start()
    try:
        yield lambda: any(process.is_alive() for process in processes)
        for process in processes:
            process.join(60)
        assert [process.exitcode for process in processes] == [0] * count
    finally:
        for process in processes:
            process.kill()


def in_processes(work: Callable[[Path, int], None], path: Path, count: int) -> None:
    """Run `work` as `started` does and wait for the end."""
    with started(work, path, count):
        pass


LINES = 20_000
"""Lines that each concurrent writer writes."""


def append_thousands(path: Path, number: int) -> None:
    """Append LINES lines as fast as possible, without the lock."""
    writer = LogWriter(path)
    for index in range(LINES):
        writer.append([record(number * LINES + index, writer=f"{number} {'x' * (index % 200)}")], sync=False)


def append_and_rotate(path: Path, number: int) -> None:
    """Append 1,000 lines under the lock, with a rotation whenever the file exceeds 20 kB."""
    writer = LogWriter(path)
    for index in range(1000):
        with writer.locked(wait=30):
            writer.append([ending(number * 1000 + index)], sync=False)
            writer.rotate(keep=100, max_bytes=20_000)


def append_until_killed(path: str, number: str) -> None:
    """Append lines for ever and print the number of each once it is written."""
    writer = LogWriter(Path(path))
    ev = int(number) * 1_000_000
    while True:
        writer.append([record(ev, text="x" * 200)], sync=False)
        os.write(1, b"%d\n" % ev)
        ev += 1


if __name__ == "__main__":
    append_until_killed(sys.argv[1], sys.argv[2])
