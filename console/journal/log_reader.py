"""Which line numbers were read. They are gap-free at the source: a hole is a lost line, a repeat is a double."""

from __future__ import annotations

import asyncio
import os
from bisect import bisect_right
from collections.abc import AsyncGenerator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Self

from console.domain.log_record import MAX_LINE, LogParseError, LogRecord, parse_line
from console.journal.log_files import (
    Identity,
    LogFile,
    log_files,
    look_up,
    open_log,
    read_into,
    read_some,
    translate_os_error,
)

MAX_SPANS = 1000


class IntervalSet:
    """A set of numbers as spans, oldest first; a whole log is one span.

    Where there are too many holes the oldest one is given up: a line that fills it later counts as a double.
    """

    def __init__(self, max_spans: int = MAX_SPANS) -> None:
        self._max_spans = max_spans
        self._firsts: list[int] = []
        self._lasts: list[int] = []

    @property
    def lowest(self) -> int | None:
        """The smallest number; None while there is none."""
        return self._firsts[0] if self._firsts else None

    def add(self, number: int) -> bool:
        """Takes `number` in. False where it was there already."""
        return self.add_span(number, 1)

    def add_span(self, first: int, count: int) -> bool:
        """Takes in `count` numbers from `first` on. False, with nothing taken, where one of them was there already."""
        last = first + count - 1
        at = bisect_right(self._firsts, last)
        if at and self._lasts[at - 1] >= first:
            return False
        joins_left = at > 0 and self._lasts[at - 1] == first - 1
        joins_right = at < len(self._firsts) and self._firsts[at] == last + 1
        if joins_left and joins_right:
            self._lasts[at - 1] = self._lasts.pop(at)
            del self._firsts[at]
        elif joins_left:
            self._lasts[at - 1] = last
        elif joins_right:
            self._firsts[at] = first
        else:
            self._firsts.insert(at, first)
            self._lasts.insert(at, last)
            self._give_up_oldest_hole()
        return True

    def holes(self) -> tuple[tuple[int, int], ...]:
        """First and last number of each run of missing ones, oldest first; what lies before the first line is none."""
        return tuple((last + 1, first - 1) for last, first in zip(self._lasts[:-1], self._firsts[1:], strict=True))

    def _give_up_oldest_hole(self) -> None:
        if len(self._firsts) > self._max_spans:
            del self._lasts[0], self._firsts[1]


BLOCK = 1 << 20
"""Bytes read at once: large enough to be fast, small enough that a screen can draw between two."""
_MAX_TORN = 16 * MAX_LINE
_RESTARTS = 3
"""How often one look may start over before it leaves the rest to the next one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """Lines, each with its newline."""

    data: bytes
    restart: bool = False
    """All that came before is to be forgotten: it comes again."""


class LogTail:
    """Reads one log from its oldest rotated file on. Not for use by several threads at once."""

    def __init__(self, path: Path, *, since_ms: int | None = None, last: int | None = None) -> None:
        """`since_ms`: rotated files last written before this UTC instant are left out.

        `last`: begin so many lines before the end.
        """
        self._path = path
        self._since_ms = since_ms
        self._last = last
        self._file: BinaryIO | None = None
        self._identity: Identity = (0, 0)
        self._packed = False
        self._read = 0
        self._rest = b""
        self._buffer = bytearray(BLOCK)
        self._begun = False

    @property
    def position(self) -> tuple[int, int]:
        """Inode of the file that is being read, and how many of its bytes were given out in whole lines."""
        return self._identity[1], self._read - len(self._rest)

    def blocks(self) -> Iterator[Block]:
        """What is new; nothing where there is no log. Raises JournalError."""
        try:
            yield from self._blocks()
        except OSError as error:
            raise translate_os_error(error, self._path) from error

    def close(self) -> None:
        """Lets go of the file; the next look starts over."""
        if self._file is not None:
            self._file.close()
            self._file = None
        self._read, self._rest = 0, b""

    def _blocks(self) -> Iterator[Block]:
        restarts = 0
        if self._file is None:
            if self._begun:
                yield Block(data=b"", restart=True)
            self._begin()
        while self._file is not None:
            yield from self._new_lines()
            growing, shrank = look_up(self._path), self._shrank()
            if growing is None or (growing.identity == self._identity and not shrank):
                return
            files = log_files(self._path)
            if not files:
                return
            follower = None if shrank else self._follower(files)
            if follower is not None:
                yield from self._finish()
                self._open(follower)
            elif restarts < _RESTARTS:
                restarts += 1
                self.close()
                yield Block(data=b"", restart=True)
                self._begin()
            else:
                return

    def _follower(self, files: list[LogFile]) -> LogFile | None:
        identities = [file.identity for file in files]
        if self._identity not in identities[:-1]:
            return None
        return files[identities.index(self._identity) + 1]

    def _finish(self) -> Iterator[Block]:
        """The rest of a file that was renamed: who had it open may have written to it up to that moment."""
        yield from self._new_lines()
        if self._rest:
            torn, self._rest = self._rest, b""
            yield Block(data=torn + b"\n")

    def _new_lines(self) -> Iterator[Block]:
        view = memoryview(self._buffer)
        while self._file is not None and (size := read_into(self._file, view)):
            self._read += size
            cut = self._buffer.rfind(b"\n", 0, size) + 1
            before, self._rest = self._rest, bytes(view[cut:size])
            if cut:
                yield Block(data=b"".join((before, view[:cut])))
            elif len(before) + size > _MAX_TORN:
                torn, self._rest = before + self._rest + b"\n", b""
                yield Block(data=torn)
            else:
                self._rest = before + self._rest

    def _shrank(self) -> bool:
        """True where somebody cut the file off, as logrotate's copytruncate does."""
        if self._file is None or self._packed:
            return False
        return os.fstat(self._file.fileno()).st_size < self._read

    def _begin(self) -> None:
        for _ in range(_RESTARTS):
            files = log_files(self._path)
            if self._last is not None:
                self._begin_before_end(files, self._last)
                return
            since = self._since_ms
            kept = [file for file in files[:-1] if since is None or file.ended_ms >= since] + files[-1:]
            if not kept or self._open(kept[0]):
                return

    def _begin_before_end(self, files: list[LogFile], lines: int) -> None:
        for file in reversed(files):
            if self._open(file) and self._file is not None:
                found, start = _last_lines(self._file, lines)
                lines -= found
                if lines <= 0 or file is files[0]:
                    self._file.seek(start)
                    self._read = start
                    return

    def _open(self, file: LogFile) -> bool:
        """False where the name stands for another file by now; what is being read is then kept."""
        try:
            opened, identity = open_log(file.path)
        except FileNotFoundError:
            return False
        if identity != file.identity:
            opened.close()
            return False
        self.close()
        self._file, self._identity, self._packed = opened, identity, file.packed
        self._begun = True
        return True


def _last_lines(file: BinaryIO, wanted: int) -> tuple[int, int]:
    """How many of the last `wanted` lines the file has, and where they start. Blank lines count."""
    starts = [0]
    end = 0
    while chunk := read_some(file, BLOCK):
        at = chunk.find(b"\n")
        while at >= 0:
            starts.append(end + at + 1)
            at = chunk.find(b"\n", at + 1)
        end += len(chunk)
        del starts[: -wanted - 1]
    if starts[-1] == end:
        starts.pop()
    starts = starts[-wanted:] if wanted else []
    return len(starts), (starts[0] if starts else end)


_POLITE = 200
"""Lines after which a follower lets others on its event loop have a turn."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LogLine:
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
        self._seen = IntervalSet()
        self._restarted = False
        self.foreign = 0
        """Lines that no writer of ours finished: torn, or not ours at all."""
        self.doubles = 0
        """Lines whose number was there before."""

    @property
    def gaps(self) -> tuple[tuple[int, int], ...]:
        """First and last `ev` of each run of lines that are missing so far."""
        return self._seen.holes()

    def read(self) -> Iterator[LogLine]:
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

    def _take(self, line: bytes) -> LogLine | None:
        try:
            record = parse_line(line)
        except LogParseError:
            self.foreign += 1
            return None
        if self._restarted and record.ev < (self._seen.lowest or 0):
            return None
        if not self._seen.add(record.ev):
            # What a restart brings again was read in good order the first time.
            self.doubles += not self._restarted
            return None
        return LogLine(text=line.decode("ascii"), record=record)


async def follow(reader: LogReader, *, every: float = 0.5) -> AsyncGenerator[LogLine, None]:
    """All lines of `reader`, then each new one within about `every` seconds, for ever. Raises JournalError."""
    while True:
        for number, line in enumerate(reader.read()):
            yield line
            if number % _POLITE == _POLITE - 1:
                await asyncio.sleep(0)
        await asyncio.sleep(every)
