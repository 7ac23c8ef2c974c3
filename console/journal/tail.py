"""Whole new lines of a log and nothing twice, through rotation: a refresh costs only the bytes that came since.

The file that is being read stays open, so its inode cannot be given to another file meanwhile. Where its name
stands for another file now, it is read to its end, then all that came after it. Where it cannot be found among the
rotated files (rebuilt, truncated, compressed), everything is read again, and the reader is told to forget.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from console.domain.record import MAX_LINE
from console.journal.errors import translated
from console.journal.files import Identity, LogFile, log_files, look_up, open_log, read_into, read_some

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
            raise translated(error, self._path) from error

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
