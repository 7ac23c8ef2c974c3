"""The files of one log: errors in using them, finding them in the order of writing, and reading them from their end.

A log consists of the file that grows and its rotated files, which Nightdesk or logrotate renamed. An error never loses
a log line for good, because its event stays in the database. The last whole line is the cursor of those who write: its
number says how far the log is written, whatever process wrote it and however that process ended.
"""

from __future__ import annotations

import errno
import gzip
import io
import os
import re
import stat
import zlib
from collections.abc import Generator, Iterator
from contextlib import closing, suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import BinaryIO, cast

from console.domain.log_record import MAX_LINE, LogParseError, LogRecord, parse_line
from console.domain.text import sanitize

_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_LINK = frozenset({errno.ELOOP, errno.EMLINK})


class JournalError(Exception):
    """A log file could not be used; `str()` is one sanitized line that names the file."""

    written: int = 0
    """How many of the lines passed in are nevertheless complete in the file."""

    def __init__(self, message: str) -> None:
        super().__init__(sanitize(message))


class JournalFull(JournalError):
    """The disk, a quota or a size limit leaves no room."""


class JournalUnsafe(JournalError):
    """The file is a symbolic link, is not a regular file, has another owner or can be written by others."""


class JournalBusy(JournalError):
    """Another process held the lock for too long."""


def translate_os_error(error: OSError, path: Path) -> JournalError:
    """Return the JournalError for an operating system error on `path`."""
    if error.errno in _FULL:
        return JournalFull(f"no room for {path}: {error.strerror}")
    if error.errno in _LINK:
        return JournalUnsafe(f"{path} is a symbolic link; nothing is written through it")
    return JournalError(f"cannot use {path}: {error.strerror or error}")


Identity = tuple[int, int]
"""Device and inode numbers."""

_NUMBERED = re.compile(r"\.(\d+)(\.gz)?\Z", re.ASCII)
_DATED = 1 << 62
"""Sort value of files with a date in their name: older than any numbered file."""
_LISTINGS = 20
"""How often the folder is listed while its names keep changing."""
_FIRST, _NEXT = 2 * MAX_LINE, 1 << 18
"""Bytes read at once: first as many as hold the last whole line, then large blocks."""
_KEPT = 1 << 20
"""Bytes of a compressed file that are looked at, from its end back."""
_TORN = b"\0"
"""Stands for the rest of a line that is longer than any whole one."""
_UNREADABLE = (EOFError, gzip.BadGzipFile, zlib.error)
"""Errors of an incomplete compressed file; while logrotate writes it, the uncompressed file still exists."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LogFile:
    """One file of a log, as it was when it was found."""

    path: Path
    identity: Identity
    ended_ms: int
    """Time of the last write in UTC milliseconds."""

    @property
    def packed(self) -> bool:
        """True for a compressed file, which no longer grows."""
        return self.path.suffix == ".gz"


def log_files(path: Path) -> list[LogFile]:
    """Return all files of the log `path`, oldest first; the growing file, if it exists, is last. Raises OSError.

    The list is empty if there is no log, and if files keep being renamed during the search; try again later.
    """
    before: list[tuple[Path, Identity]] | None = None
    for _ in range(_LISTINGS):
        files = [file for name in (*rotated_names(path), path) if (file := look_up(name)) is not None]
        names = [(file.path, file.identity) for file in files]
        # A rotation renames files one by one, so a file can move from a name not yet listed to one already listed.
        if names == before:
            growing = [file for file in files if file.path == path]
            return _by_age([file for file in files if file.path != path]) + growing
        before = names
    return []


def look_up(path: Path) -> LogFile | None:
    """Return the file that `path` leads to now; None if there is none. Raises OSError."""
    try:
        status = os.stat(path, follow_symlinks=False)
    except FileNotFoundError:
        return None
    return LogFile(path=path, identity=(status.st_dev, status.st_ino), ended_ms=status.st_mtime_ns // 1_000_000)


def open_log(path: Path) -> tuple[BinaryIO, Identity]:
    """Open the content of `path`, decompressed, for unbuffered reading.

    Raises OSError, and JournalUnsafe for anything but a regular file.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode):
        os.close(descriptor)
        raise JournalUnsafe(f"{path} is not a regular file")
    file = cast(BinaryIO, os.fdopen(descriptor, "rb", buffering=0))
    identity = (status.st_dev, status.st_ino)
    return (cast(BinaryIO, _Gunzip(file)) if path.suffix == ".gz" else file), identity


def read_some(file: BinaryIO, size: int) -> bytes:
    """Read up to `size` more bytes; empty at the end, and where a compressed file is incomplete."""
    try:
        return file.read(size)
    except _UNREADABLE:
        return b""


def read_into(file: BinaryIO, view: memoryview) -> int:
    """Read into `view` as `read_some` does and return the number of bytes."""
    try:
        return cast(io.RawIOBase, file).readinto(view) or 0
    except _UNREADABLE:
        return 0


def rotated_names(path: Path) -> tuple[Path, ...]:
    """Return the rotated files of a log: `runs.log.1` (ours) and `runs.log-20261123` (logrotate), also with `.gz`."""
    if not path.parent.is_dir():
        return ()
    form = re.compile(re.escape(path.name) + r"[.-]\d+(\.gz)?\Z", re.ASCII)
    return tuple(sorted(found for found in path.parent.iterdir() if form.match(found.name)))


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


def newest_records(path: Path, most: int) -> list[LogRecord]:
    """Return at most so many of the newest records of the log, the newest first, as far as they can be read."""
    records: list[LogRecord] = []
    with suppress(JournalError), closing(LogEnd(path).newest_first()) as newest:
        records.extend(islice(newest, most))
    return records


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


class _Gunzip(gzip.GzipFile):
    """A GzipFile that also closes the file it reads from."""

    def __init__(self, compressed: BinaryIO) -> None:
        super().__init__(fileobj=compressed, mode="rb")
        self._compressed = compressed

    def close(self) -> None:
        super().close()
        self._compressed.close()


def _by_age(files: list[LogFile]) -> list[LogFile]:
    """Sort by name, because a restored copy may have lost its times; if both kinds of name are present, by time."""
    numbers = {file: int(found[1]) for file in files if (found := _NUMBERED.search(file.path.name)) is not None}
    both = 0 < len(numbers) < len(files)

    def age(file: LogFile) -> tuple[int, int, str]:
        return file.ended_ms if both else 0, -numbers.get(file, _DATED), file.path.name

    return sorted(files, key=age)
