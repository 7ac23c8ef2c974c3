"""Output that can neither stop nor end the process that guards a run, and whose failure has an exit code of its own.

A terminal may be stopped with ctrl-s, a pipe may have lost its reader, a disk may be full. Messages for the person
are therefore written by a thread of their own: what cannot be written is dropped, and the caller never waits.
"""

from __future__ import annotations

import io
import os
import select
import threading
from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING, Protocol, TextIO

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

MAX_PENDING = 256 << 10
"""Bytes that wait to be written; messages beyond them are dropped and counted."""
FLUSH_S = 0.2
"""How long `flush` waits, so that messages and data on one terminal keep their order."""


class OutputClosed(Exception):
    """Stdout takes nothing more: its reader closed it, or its disk is full.

    Not an OSError: click ends the process with 1 for a broken pipe, which would read as "the agent failed".
    """


class DataOutput(io.RawIOBase):
    """The raw stream below a text stream for data; raises OutputClosed where the descriptor takes nothing more.

    A descriptor that another process made non-blocking is waited for: without that, Python drops what it does not take.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._is_closed = False

    @classmethod
    def text(cls, descriptor: int, encoding: str) -> TextIO:
        """Return a text stream; a character that `encoding` does not have is written as an escape."""
        return io.TextIOWrapper(io.BufferedWriter(cls(descriptor)), encoding, "backslashreplace")

    def writable(self) -> bool:
        """True, as BufferedWriter asks for."""
        return True

    def fileno(self) -> int:
        """Return the descriptor."""
        return self._descriptor

    def isatty(self) -> bool:
        """Return whether it is a terminal."""
        return os.isatty(self._descriptor)

    def write(self, data: ReadableBuffer, /) -> int:
        """Write some of `data` and return how many bytes. After an error the rest is dropped. Raises OutputClosed."""
        content = bytes(data)
        while not self._is_closed:
            try:
                return os.write(self._descriptor, content)
            except BlockingIOError:
                select.select([], [self._descriptor], [])
            except OSError as error:
                self._is_closed = True
                raise OutputClosed from error
        return len(content)


class MessageStream(Protocol):
    """Where messages for the person go; `io.StringIO` is one."""

    def write(self, text: str, /) -> object: ...

    def flush(self) -> object: ...

    def isatty(self) -> bool: ...


class BackgroundWriter:
    """A MessageStream over a descriptor. Never blocks for longer than FLUSH_S, never raises."""

    def __init__(self, descriptor: int, encoding: str = "utf-8") -> None:
        """`encoding` is that of the terminal; a character it does not have is written as an escape."""
        self._descriptor = descriptor
        self._encoding = encoding
        self._pending: deque[bytes] = deque()
        self._pending_bytes = 0
        self._dropped = 0
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None

    def write(self, text: str, /) -> None:
        """Queue `text`; drop it if too much is queued already."""
        data = text.encode(self._encoding, "backslashreplace")
        with self._changed:
            if self._pending_bytes + len(data) > MAX_PENDING:
                self._dropped += 1
                return
            if self._dropped:
                note = f"({self._dropped} messages could not be shown)\n".encode()
                self._dropped = 0
                data = note + data
            self._pending.append(data)
            self._pending_bytes += len(data)
            if self._thread is None:
                # A daemon: a terminal that never takes its output must not keep the process from ending.
                thread = threading.Thread(target=self._write_all, name="messages", daemon=True)
                try:
                    thread.start()
                except RuntimeError:
                    # The system lets this process start no thread, for want of memory or by its limit of processes.
                    self._write_what_fits()
                else:
                    self._thread = thread
            self._changed.notify_all()

    def flush(self) -> None:
        """Wait until everything is written, for at most FLUSH_S."""
        self.drain(FLUSH_S)

    def isatty(self) -> bool:
        """Return whether it is a terminal."""
        return os.isatty(self._descriptor)

    def drain(self, seconds: float) -> bool:
        """Wait until everything is written, for at most `seconds`. Return whether it is."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._pending, seconds)

    def _write_what_fits(self) -> None:
        """Write what is queued without waiting, and drop the rest."""
        for data in self._pending:
            with suppress(OSError, ValueError):
                if select.select([], [self._descriptor], [], 0)[1]:
                    os.write(self._descriptor, data[: select.PIPE_BUF])
        self._pending.clear()
        self._pending_bytes = 0

    def _write_all(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: bool(self._pending))
                data = self._pending[0]
            self._write_one(data)
            with self._changed:
                self._pending.popleft()
                self._pending_bytes -= len(data)
                self._changed.notify_all()

    def _write_one(self, data: bytes) -> None:
        # os.write, not a Python file: a thread that is stuck in it holds no lock that the interpreter takes at exit.
        while data:
            try:
                data = data[os.write(self._descriptor, data) :]
            except BlockingIOError:
                # Somebody made the descriptor non-blocking; it is shared with other processes and stays as it is.
                select.select([], [self._descriptor], [], 1.0)
            except OSError:
                return
