"""diag.log: what went wrong inside, for whoever looks after the machine. Cleaned lines, places but no values."""

from __future__ import annotations

import logging
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from console.domain.text import sanitize
from console.domain.timestamps import Clock, iso_ms
from console.journal.append_file import AppendFile
from console.journal.log_files import JournalError

LOGGER = "nightdesk"
MAX_BYTES = 4 << 20
"""Beyond this the file is kept once as `diag.log.1` and begun anew."""


class DiagHandler(logging.Handler):
    """Appends one line per record; a log that cannot be written never disturbs the work."""

    def __init__(self, path: Path, clock: Clock) -> None:
        super().__init__(logging.INFO)
        self._file = AppendFile(path)
        self._clock = clock

    def emit(self, record: logging.LogRecord) -> None:
        """Writes `record`; of an exception the places in the code, not its message."""
        text = sanitize(record.getMessage(), limit=2000)
        if record.exc_info and record.exc_info[1]:
            text += " | " + sanitize(crash_summary(record.exc_info[1]).replace("\n  ", " < "), limit=2000)
        line = f"{iso_ms(self._clock.now().wall_ms)} pid={record.process} {record.levelname.lower()} {text}\n"
        with suppress(JournalError, OSError):
            if self._file.size() > MAX_BYTES:
                self._file.path.replace(self._file.path.with_name("diag.log.1"))
            self._file.append(line.encode("utf-8", "backslashreplace"))

    def close(self) -> None:
        """Lets go of the file."""
        self._file.close()
        super().close()


def logger() -> logging.Logger:
    """What all floors tell the machine's keeper through."""
    return logging.getLogger(LOGGER)


@contextmanager
def diag_log(path: Path, clock: Clock) -> Iterator[None]:
    """While it lasts, what the program says of itself goes to `path` and nowhere else."""
    ours = logger()
    handler = DiagHandler(path, clock)
    ours.addHandler(handler)
    ours.setLevel(logging.INFO)
    ours.propagate = False
    try:
        yield
    finally:
        ours.removeHandler(handler)
        ours.propagate = True
        handler.close()


def crash_summary(error: BaseException) -> str:
    """Where a mistake of this program happened: places only, no values, since a value may be a secret."""
    frames = [f"{frame.filename}:{frame.lineno} in {frame.name}" for frame in traceback.extract_tb(error.__traceback__)]
    return sanitize(f"internal error: {type(error).__name__}\n  " + "\n  ".join(frames[-12:]), newlines=True)
