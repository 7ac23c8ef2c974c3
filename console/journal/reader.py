"""The log, record by record: each once, in the order of the file, whatever was torn, doubled or rotated meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from console.domain.record import BadLine, LogRecord, parse_line
from console.journal.seen import Seen
from console.journal.tail import LogTail

_POLITE = 200
"""Lines after which a follower lets others on its event loop have a turn."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One line of ours."""

    text: str
    """ASCII, without its newline: fit for any terminal."""
    record: LogRecord


class LogReader:
    """Strict and whole; for sums over a long log `UsageLog` is many times faster."""

    def __init__(self, path: Path, *, since_ms: int | None = None, last: int | None = None) -> None:
        """`since_ms`: rotated files last written before this UTC instant are left out.

        `last`: begin so many lines before the end.
        """
        self._tail = LogTail(path, since_ms=since_ms, last=last)
        self._seen = Seen()
        self._restarted = False
        self.foreign = 0
        """Lines that no writer of ours finished: torn, or not ours at all."""
        self.doubles = 0
        """Lines whose number was there before."""

    @property
    def gaps(self) -> tuple[tuple[int, int], ...]:
        """First and last `ev` of each run of lines that are missing so far."""
        return self._seen.holes()

    def read(self) -> Iterator[Line]:
        """What is new since the last time. A torn last line is left for the next time. Raises JournalError."""
        for block in self._tail.blocks():
            self._restarted |= block.restart
            for line in block.data.split(b"\n"):
                if line and (found := self._take(line)) is not None:
                    yield found

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Lets go of the file."""
        self._tail.close()

    def _take(self, line: bytes) -> Line | None:
        try:
            record = parse_line(line)
        except BadLine:
            self.foreign += 1
            return None
        if self._restarted and record.ev < (self._seen.lowest or 0):
            return None
        if not self._seen.add(record.ev):
            # What a restart brings again was read in good order the first time.
            self.doubles += not self._restarted
            return None
        return Line(text=line.decode("ascii"), record=record)


async def follow(reader: LogReader, *, every: float = 0.5) -> AsyncGenerator[Line, None]:
    """All lines of `reader`, then each new one within about `every` seconds, for ever. Raises JournalError."""
    while True:
        for number, line in enumerate(reader.read()):
            yield line
            if number % _POLITE == _POLITE - 1:
                await asyncio.sleep(0)
        await asyncio.sleep(every)
