"""Textual's driver for slow, stalled and dying terminals: no thread, no queue of frames, only changed cells are sent.

Relies on one more detail of Textual 8.2.8: its compositor writes nothing but text, `CSI m` and `CSI H`. A test holds
that.
"""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from textual import events
from textual.driver import Driver
from textual.geometry import Size
from textual.message import Message

from console.ui.terminal.input import InputReader
from console.ui.terminal.renderer import RESTORE_TITLE, SYNC, DiffRenderer
from console.ui.terminal.tty import Tty, terminal_path, terminal_size

if TYPE_CHECKING:
    from textual.app import App


class TerminalLost(Message):
    """The terminal can be neither read nor written any more."""


ENTER = "\x1b[?1049h\x1b[?25l\x1b[?7l\x1b[?2004h\x1b[>1u"
"""Alternate screen, hidden cursor, no line wrap, bracketed pastes, unambiguous keys (kitty protocol, level 1)."""
LEAVE = f"\x1b[?{SYNC}l\x1b[m\x1b[?2004l\x1b[?7h\x1b[<u\x1b[?1049l\x1b[?25h"
MOUSE_ON, MOUSE_OFF = "\x1b[?1000h\x1b[?1006h", "\x1b[?1006l\x1b[?1000l"
"""Clicks and the wheel. Reports of motion would cost bytes and are not used."""
ASK_SYNC = f"\x1b[?{SYNC}$p"

RESTORE_S = 0.3
"""The time that leaving waits for a stalled terminal to accept the sequences that restore it."""

IGNORED = (signal.SIGTSTP, signal.SIGTTIN, signal.SIGTTOU)
"""Job control signals that are ignored, because a stopped process supervises no run."""


class ScreenDriver(Driver):
    """Sends differences, reads in the event loop, and posts `TerminalLost` when the terminal is gone."""

    def __init__(
        self, app: App[Any], *, debug: bool = False, mouse: bool = True, size: tuple[int, int] | None = None
    ) -> None:
        super().__init__(app, debug=debug, mouse=mouse, size=size)
        self._forced_size = size
        self._renderer = DiffRenderer(*self._terminal_size())
        self._tty: Tty | None = None
        self._reader = InputReader()
        self._send_scheduled = False
        self._writes = 0
        self._sent_writes = 0
        """The number of writes whose result was sent last."""
        self._awaited: list[tuple[int, Callable[[float], None]]] = []
        """By number of write: whom to call when the terminal has accepted its result."""
        self._handlers_before: dict[signal.Signals, Any] = {}
        self._silence: asyncio.TimerHandle | None = None

    def write(self, data: str) -> None:
        """Take what Textual writes into the picture; the terminal follows when it can. Never blocks."""
        self._writes += 1
        self._renderer.feed(data)
        if not self._send_scheduled:
            self._send_scheduled = True
            self._loop.call_soon(self._send)

    def when_next_write_is_shown(self, callback: Callable[[float], None]) -> None:
        """Call `callback` with the time at which the terminal has accepted the next write."""
        self._awaited.append((self._writes + 1, callback))

    def start_application_mode(self) -> None:
        """Take over the terminal and the signals that concern it."""
        self._tty = Tty(terminal_path(), on_input=self._on_input, on_drained=self._drained, on_gone=self._on_gone)
        self._handle(signal.SIGWINCH, self._on_resize)
        self._handle(signal.SIGCONT, self._on_continue)
        self._handle(signal.SIGHUP, self._tty.hang_up)
        for number in IGNORED:
            self._handlers_before[number] = signal.signal(number, signal.SIG_IGN)
        self._take_over()
        self._on_resize()

    def disable_input(self) -> None:
        """Stop reading."""
        if self._tty is not None:
            self._tty.stop_reading()

    def stop_application_mode(self) -> None:
        """Restore the terminal, as far as it still accepts output."""
        if self._tty is None:
            return
        self._tty.stop_reading()
        restore = MOUSE_OFF * self._mouse + RESTORE_TITLE * self._renderer.has_set_title + LEAVE
        self._tty.finish(restore.encode(), within=RESTORE_S)
        self._tty.close()

    def close(self) -> None:
        """Restore the signal handlers; where the terminal is gone, SIGHUP stays ignored."""
        if self._tty is None:
            return
        gone = self._tty.is_gone
        self._tty.close()
        # Without a handler the signal kills, and the kernel may send it a while after the terminal was read as gone.
        blocked_before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGHUP})
        for number, before in self._handlers_before.items():
            if number not in IGNORED:
                self._loop.remove_signal_handler(number)
            signal.signal(number, signal.SIG_IGN if gone and number == signal.SIGHUP else before)
        signal.pthread_sigmask(signal.SIG_SETMASK, blocked_before)
        self._handlers_before.clear()
        if self._silence is not None:
            self._silence.cancel()
        self._tty = None

    def _handle(self, number: signal.Signals, action: Callable[[], None]) -> None:
        self._handlers_before[number] = signal.getsignal(number)
        self._loop.add_signal_handler(number, action)

    def _take_over(self) -> None:
        assert self._tty is not None
        self._tty.raw()
        self._tty.listen()
        self._renderer.forget()
        self._tty.send((ENTER + MOUSE_ON * self._mouse + ASK_SYNC).encode())

    def _send(self) -> None:
        """Send the difference between picture and terminal, unless the terminal is still busy with the last one."""
        self._send_scheduled = False
        if self._tty is None or self._tty.is_busy or self._tty.is_gone:
            return
        self._sent_writes = self._writes
        self._tty.send(self._renderer.frame().encode("utf-8", "replace"))
        if not self._tty.is_busy:
            self._accepted()

    def _drained(self) -> None:
        """The terminal has accepted the rest of a frame."""
        self._accepted()
        self._send()

    def _accepted(self) -> None:
        now = self._loop.time()
        shown = [callback for number, callback in self._awaited if number <= self._sent_writes]
        self._awaited = [each for each in self._awaited if each[0] > self._sent_writes]
        for callback in shown:
            callback(now)

    def _terminal_size(self) -> tuple[int, int]:
        if self._forced_size is not None:
            return self._forced_size
        return terminal_size()

    def _on_resize(self) -> None:
        width, height = self._terminal_size()
        self._renderer.resize(width, height)
        size = Size(width, height)
        self.send_message(events.Resize(size, size))

    def _on_continue(self) -> None:
        """Take over again after a stop, because the shell has put the terminal into its own mode.

        A process in the background must not touch the terminal.
        """
        if self._tty is not None and not self._tty.is_gone and self._tty.is_ours:
            self._take_over()
            self._on_resize()

    def _on_input(self, data: bytes) -> None:
        self._process(self._reader.feed(data))

    def _on_silence(self) -> None:
        self._process(self._reader.silence())

    def _process(self, found: Iterable[Message]) -> None:
        for message in found:
            self.process_message(message)
        if self._silence is not None:
            self._silence.cancel()
            self._silence = None
        patience = self._reader.patience_s
        if patience is not None:
            self._silence = self._loop.call_later(patience, self._on_silence)

    def _on_gone(self) -> None:
        with suppress(RuntimeError):
            self.send_message(TerminalLost())


def when_shown(app: App[Any], callback: Callable[[float], None]) -> None:
    """Call `callback` with the time from which the terminal of `app` shows what is being painted now.

    To be called while a widget is painted. The time is on the clock of Textual's events; without a terminal it is the
    present one.
    """
    driver = app._driver
    if isinstance(driver, ScreenDriver):
        driver.when_next_write_is_shown(callback)
    else:
        callback(time.monotonic())
