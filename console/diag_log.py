"""diag.log: what happens inside a guarding process, for the administrator. It holds code locations but no values."""

from __future__ import annotations

import logging
import queue
import threading
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from console.domain.text import sanitize
from console.domain.timestamps import Clock, iso_ms
from console.journal.append_file import AppendFile

LOGGER = "nightdesk"
MAX_BYTES = 4 << 20
"""A longer file is renamed to `diag.log.1`, and a new one is started."""


MOST_PENDING = 1_000
"""Lines that wait to be written; further ones are dropped."""
CLOSE_S = 1.0
"""How long the end of the process waits for the last lines."""


class DiagHandler(logging.Handler):
    """Appends one sanitized line per record, in a thread of its own: a disk that does not answer holds up no guard.

    A record that cannot be written is dropped.
    """

    def __init__(self, path: Path, clock: Clock) -> None:
        super().__init__(logging.INFO)
        self._file = AppendFile(path)
        self._clock = clock
        self._pending: queue.Queue[bytes | None] = queue.Queue(MOST_PENDING)
        """None: the thread ends."""
        self._thread: threading.Thread | None = None

    def emit(self, record: logging.LogRecord) -> None:
        """Have `record` written; of an exception the code locations, not the message."""
        text = sanitize(record.getMessage(), limit=2000)
        if record.exc_info and record.exc_info[1]:
            text += " | " + sanitize(crash_summary(record.exc_info[1]).replace("\n  ", " < "), limit=2000)
        line = f"{iso_ms(self._clock.now().wall_ms)} pid={record.process} {record.levelname.lower()} {text}\n"
        with suppress(queue.Full):
            self._pending.put_nowait(line.encode("utf-8", "backslashreplace"))
        if self._thread is None:
            # A daemon: a disk that never answers must not keep the process from ending.
            thread = threading.Thread(target=self._write_all, name="diag.log", daemon=True)
            # Where no thread can be started, for want of memory, the lines wait for the next record.
            with suppress(RuntimeError):
                thread.start()
                self._thread = thread

    def close(self) -> None:
        """Write what waits, for at most CLOSE_S, and close the file."""
        thread, self._thread = self._thread, None
        if thread is not None:
            with suppress(queue.Full):
                self._pending.put(None, timeout=CLOSE_S)
            thread.join(CLOSE_S)
        if thread is None or not thread.is_alive():
            self._file.close()
        super().close()

    def _write_all(self) -> None:
        while (line := self._pending.get()) is not None:
            with suppress(Exception):
                if self._file.size() > MAX_BYTES:
                    self._file.path.replace(self._file.path.with_name("diag.log.1"))
                self._file.append(line)


def logger() -> logging.Logger:
    """Return the logger that every package of this program uses."""
    return logging.getLogger(LOGGER)


@contextmanager
def diag_log(path: Path, clock: Clock) -> Iterator[None]:
    """Write what the program logs to `path`, and nowhere else, for the block."""
    own = logger()
    handler = DiagHandler(path, clock)
    own.addHandler(handler)
    own.setLevel(logging.INFO)
    own.propagate = False
    try:
        yield
    finally:
        own.removeHandler(handler)
        own.propagate = True
        handler.close()


def crash_summary(error: BaseException) -> str:
    """Return the code locations of an error in this program; no values, since a value may be a secret."""
    frames = [f"{frame.filename}:{frame.lineno} in {frame.name}" for frame in traceback.extract_tb(error.__traceback__)]
    return sanitize(f"internal error: {type(error).__name__}\n  " + "\n  ".join(frames[-12:]), newlines=True)
