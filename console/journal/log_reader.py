"""Read `runs.log` incrementally through rotation, and check that every line number occurs exactly once.

`LogTail` returns new complete lines as blocks of bytes, `LogReader` turns them into records.
"""

from __future__ import annotations

import os
from bisect import bisect_right
from collections.abc import Iterator
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
"""Intervals that an `IntervalSet` keeps."""


class IntervalSet:
    """A set of line numbers, stored as intervals in ascending order; a log without losses is one interval.

    If there are too many gaps, the oldest is closed; a line that fills it later counts as a duplicate.
    """

    def __init__(self, max_spans: int = MAX_SPANS) -> None:
        self._max_spans = max_spans
        self._firsts: list[int] = []
        self._lasts: list[int] = []

    @property
    def lowest(self) -> int | None:
        """The smallest number; None if the set is empty."""
        return self._firsts[0] if self._firsts else None

    def add(self, number: int) -> bool:
        """Add `number`. Returns False if it was in the set already."""
        return self.add_span(number, 1)

    def add_span(self, first: int, count: int) -> bool:
        """Add `count` numbers from `first` on. Returns False and adds none if one of them was in the set already."""
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
            self._close_oldest_gap()
        return True

    def gaps(self) -> tuple[tuple[int, int], ...]:
        """Return first and last number of each gap, in ascending order. Numbers below the smallest are no gap."""
        return tuple((last + 1, first - 1) for last, first in zip(self._lasts[:-1], self._firsts[1:], strict=True))

    def _close_oldest_gap(self) -> None:
        if len(self._firsts) > self._max_spans:
            del self._lasts[0], self._firsts[1]


BLOCK = 1 << 20
"""Bytes read at once: large enough to be fast, small enough that a screen can draw between two blocks."""
_MAX_TORN = 16 * MAX_LINE
"""Bytes without a newline after which they are returned as one line."""
_RESTARTS = 3
"""How often one call to `blocks` starts over before it leaves the rest to the next call."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """Complete lines, each with its newline."""

    data: bytes
    restart: bool = False
    """True if the log is read again from its start: everything returned so far is obsolete."""


class LogTail:
    """Reads the new lines of one log, starting with its oldest rotated file. Not thread-safe.

    The file being read stays open, so that its inode is not reused. When its path leads to another file, it is read
    to its end, then the files written after it. If it is not among the rotated files (the log was rebuilt, truncated
    or compressed), the whole log is read again, announced by a block with `restart`.
    """

    def __init__(self, path: Path, *, since_ms: int | None = None, last: int | None = None) -> None:
        """`since_ms`: skip rotated files last written before this UTC time.

        `last`: start this many lines before the end.
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
        """Inode of the file being read, and the number of its bytes returned in complete lines."""
        return self._identity[1], self._read - len(self._rest)

    def blocks(self) -> Iterator[Block]:
        """Yield what was written since the last call; nothing if there is no log. Raises JournalError."""
        try:
            yield from self._blocks()
        except OSError as error:
            raise translate_os_error(error, self._path) from error

    def close(self) -> None:
        """Close the file; the next call to `blocks` starts over."""
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
        """Yield the rest of a renamed file: a process that had it open may have written to it until just now."""
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
        """True if the file was truncated, as logrotate does with `copytruncate`."""
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
        """Switch to `file`. Returns False, and keeps the current file, if the path leads to another file by now."""
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
    """Return how many of the last `wanted` lines the file has, and their offset. Blank lines count."""
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


@dataclass(frozen=True, slots=True, kw_only=True)
class LogLine:
    """One valid log line."""

    text: str
    """The line without its newline; ASCII, safe for any terminal."""
    record: LogRecord


class LogReader:
    """Reads a log record by record, each once, in file order. For sums over a long log, `UsageLog` is much faster."""

    def __init__(self, path: Path, *, since_ms: int | None = None, last: int | None = None) -> None:
        """`since_ms`: skip rotated files last written before this UTC time.

        `last`: start this many lines before the end.
        """
        self._tail = LogTail(path, since_ms=since_ms, last=last)
        self._seen = IntervalSet()
        self._restarted = False
        self.foreign = 0
        """Number of lines that are torn or not in our format."""
        self.duplicates = 0
        """Number of lines whose number occurred before."""

    @property
    def gaps(self) -> tuple[tuple[int, int], ...]:
        """First and last number of each range of missing lines."""
        return self._seen.gaps()

    def read(self) -> Iterator[LogLine]:
        """Yield the lines written since the last call. An incomplete last line waits for the next call.

        Raises JournalError.
        """
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
        """Close the file."""
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
            # After a restart every line is read a second time; that is no duplicate.
            self.duplicates += not self._restarted
            return None
        return LogLine(text=line.decode("ascii"), record=record)
