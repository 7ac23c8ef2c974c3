"""What a process writes to: a terminal, a pipe, the disk of its log. Each may block, break or be full.

A write that blocks in a thread holds up that thread. On the event loop it holds up the whole process, as the kernel
does. `os.write` of the program reaches the outputs of the process that runs; every other descriptor stays the kernel's.
"""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Callable
from enum import StrEnum
from typing import TYPE_CHECKING

from tests.simulation.virtual_loop import PROCESS, Process, VirtualLoop

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

FIRST_DESCRIPTOR = 1 << 20
"""Descriptors from here on are none of the kernel's."""
PIECE = 4096
"""Bytes that an output takes at a time."""


class Trouble(StrEnum):
    """What is wrong with an output."""

    BLOCKS = "blocks"
    """A terminal that was stopped with ctrl-s, a pipe that nobody reads, a disk that stands still."""
    CLOSED = "has no reader"
    """EPIPE."""
    LOST = "is gone"
    """EIO: a terminal whose other end is closed, a disk that fails."""
    FULL = "is full"
    """ENOSPC."""


ERRORS = {Trouble.CLOSED: errno.EPIPE, Trouble.LOST: errno.EIO, Trouble.FULL: errno.ENOSPC}


class Output:
    """One output of one or several processes."""

    def __init__(self, loop: VirtualLoop, name: str) -> None:
        self._loop = loop
        self.name = name
        self.written = 0
        """Bytes."""
        self.struck: list[tuple[float, float]] = []
        """From when to when something was wrong, in seconds of the world."""
        self._trouble: Trouble | None = None
        self._until = 0.0
        self._is_over = False
        self._changed = threading.Condition()
        self._world = threading.get_ident()

    def strike(self, trouble: Trouble, seconds: float) -> None:
        """From now on there is trouble for so many seconds; nothing new before the last one is over."""
        if self.trouble is None and not self._is_over:
            now = self._loop.time()
            self._trouble, self._until = trouble, now + seconds
            self.struck.append((now, self._until))
            self._loop.outside(seconds, self._wake)

    def close(self) -> None:
        """Ends all trouble, for good, and the threads that write."""
        with self._changed:
            self._is_over = True
            self._until = min(self._until, self._loop.time())
            self._changed.notify_all()

    @property
    def trouble(self) -> Trouble | None:
        """What is wrong now."""
        return self._trouble if self._loop.time() < self._until else None

    def was_struck(self, at: float) -> bool:
        """True where something was wrong at that second of the world."""
        return any(begun <= at <= ended for begun, ended in self.struck)

    def write(self, data: ReadableBuffer) -> int:
        """As `os.write`. Raises OSError; SystemExit in a thread of a world that is over."""
        if threading.get_ident() != self._world:
            return self._write_in_thread(len(memoryview(data)))
        trouble = self.trouble
        if trouble is Trouble.BLOCKS:
            self._loop.hold_up(PROCESS.get(), self._until - self._loop.time())
        elif trouble is not None:
            raise OSError(ERRORS[trouble], os.strerror(ERRORS[trouble]))
        self.written += len(memoryview(data))
        return min(PIECE, len(memoryview(data)))

    def write_now(self, data: ReadableBuffer) -> int:
        """As `os.write` to a descriptor that does not block. Raises BlockingIOError, OSError."""
        if self.trouble is Trouble.BLOCKS:
            raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))
        return self.write(data)

    def when_writable(self, callback: Callable[[], object]) -> None:
        """Calls `callback` in the running process once this output does not block."""
        self._loop.call_at(max(self._until, self._loop.time()), callback)

    def check(self) -> None:
        """Touches it without writing. Raises OSError."""
        self.write(b"")

    def _write_in_thread(self, size: int) -> int:
        """A thread has no time of its own: it waits until the world has moved on."""
        with self._changed:
            self._changed.wait_for(lambda: self._is_over or self.trouble is not Trouble.BLOCKS)
            if self._is_over:
                raise SystemExit
            trouble = self.trouble
        if trouble is not None and trouble in ERRORS:
            raise OSError(ERRORS[trouble], os.strerror(ERRORS[trouble]))
        return min(PIECE, size)

    def _wake(self) -> None:
        with self._changed:
            self._changed.notify_all()


class Descriptors:
    """The descriptors of simulated processes that lead to outputs."""

    def __init__(self) -> None:
        self._outputs: dict[int, Output] = {}
        self._standard: dict[Process, Output] = {}
        self._nonblocking: set[int] = set()

    def open(self, output: Output) -> int:
        """A new descriptor of `output` that blocks."""
        descriptor = FIRST_DESCRIPTOR + len(self._outputs)
        self._outputs[descriptor] = output
        return descriptor

    def lead(self, descriptor: int, output: Output) -> None:
        """A descriptor of the kernel leads to `output` from now on, and does not block."""
        self._outputs[descriptor] = output
        self._nonblocking.add(descriptor)

    def set_standard(self, process: Process, output: Output) -> None:
        """The descriptors 1 and 2 of `process` lead to `output`."""
        self._standard[process] = output

    def write(self, descriptor: int, data: ReadableBuffer) -> int | None:
        """As `os.write`; None for a descriptor of the kernel. Raises OSError."""
        process = PROCESS.get()
        output = self._outputs.get(descriptor)
        if output is None and descriptor in (1, 2) and process is not None:
            output = self._standard.get(process)
        if output is None:
            return None
        return output.write_now(data) if descriptor in self._nonblocking else output.write(data)

    def when_writable(self, descriptor: int, callback: Callable[[], object]) -> None:
        """As `Output.when_writable`."""
        self._outputs[descriptor].when_writable(callback)
