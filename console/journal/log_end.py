"""The end of a log: its last whole lines, the newest first.

The last line is the cursor of those who write: its number says how far the log is written, whatever process wrote it
and however that process ended.
"""

from __future__ import annotations

import io
import os
from collections.abc import Generator, Iterator
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

from console.domain.log_record import MAX_LINE, LogParseError, LogRecord, parse_line
from console.journal.log_files import (
    JournalBusy,
    JournalError,
    LogFile,
    log_files,
    look_up,
    open_log,
    read_some,
    rotated_names,
    translate_os_error,
)

_FIRST, _NEXT = 2 * MAX_LINE, 1 << 18
"""Bytes read at once: first as many as hold the last whole line, then large blocks."""
_KEPT = 1 << 20
"""Bytes of a compressed file that are looked at, from its end back."""
_TORN = b"\0"
"""Stands for the rest of a line that is longer than any whole one."""


class LogEnd:
    """Reads the end of one log. Not thread-safe. Use it while no other process writes to the log."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._files: list[LogFile] = []
        self._last: LogRecord | None = None
        """The last line of the log, as long as its files are `_files`."""

    def last(self) -> LogRecord | None:
        """Return the last whole line; None if the log has none. Raises JournalError.

        Where the growing file has none, as after a rotation, its rotated files are read again only after a change.
        """
        for record in self._of_growing_file():
            return record
        files = self._find()
        if files != self._files or not files:
            self._last = next(self._of_files(files), None)
            self._files = files
        return self._last

    def newest_first(self) -> Generator[LogRecord]:
        """Yield the whole lines of the log, from the last one back; of a compressed file only the last ones.

        Raises JournalError.
        """
        yield from self._of_growing_file()
        yield from self._of_files(self._find())

    def _of_growing_file(self) -> Iterator[LogRecord]:
        try:
            yield from _whole_lines(self._path)
        except FileNotFoundError:
            return
        except OSError as error:
            raise translate_os_error(error, self._path) from error

    def _of_files(self, files: list[LogFile]) -> Iterator[LogRecord]:
        """Yield the lines of the rotated files. One that cannot be read is passed over: its lines are written again."""
        for file in reversed(files):
            if file.path != self._path:
                with suppress(OSError, JournalError):
                    yield from _whole_lines(file.path)

    def _find(self) -> list[LogFile]:
        """Return all files of the log, oldest first. Raises JournalError."""
        try:
            files = log_files(self._path)
            if not files and (look_up(self._path) is not None or rotated_names(self._path)):
                # Taken for an empty log, it would be written from its beginning.
                raise JournalBusy(f"the files of {self._path} keep being renamed")
        except OSError as error:
            raise translate_os_error(error, self._path) from error
        return files


def _whole_lines(path: Path) -> Iterator[LogRecord]:
    """Yield the records of the whole lines of one file, from its end back. Raises OSError, JournalUnsafe."""
    opened, _ = open_log(path)
    with opened:
        for line in _lines_back(_unpacked_end(opened) if path.suffix == ".gz" else opened):
            if line:
                with suppress(LogParseError):
                    yield parse_line(line)


def _unpacked_end(file: BinaryIO) -> BinaryIO:
    """Return the last `_KEPT` bytes of a compressed file, or some more; it can only be read from its beginning."""
    end = bytearray()
    while block := read_some(file, _NEXT):
        end += block
        if len(end) > 2 * _KEPT:
            del end[:-_KEPT]
    return io.BytesIO(end)


def _lines_back(file: BinaryIO) -> Iterator[bytes]:
    """Yield the lines of a file from the last one back, without their newlines. Raises OSError."""
    end, size, rest = file.seek(0, os.SEEK_END), _FIRST, b""
    while end > 0:
        start = max(0, end - size)
        first, *lines = (_read(file, start, end) + rest).split(b"\n")
        yield from reversed(lines)
        rest, end, size = (first if len(first) <= MAX_LINE else _TORN), start, _NEXT
    yield rest


def _read(file: BinaryIO, start: int, end: int) -> bytes:
    """Read the bytes from `start` to `end`; fewer if the file is shorter by now."""
    file.seek(start)
    parts = []
    while start < end and (part := file.read(end - start)):
        parts.append(part)
        start += len(part)
    return b"".join(parts)
