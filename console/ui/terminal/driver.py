"""Textual's way to the terminal, made for slow, stalled and dying lines: no thread, no queue, only changed cells.

Leans on two seams of Textual 8.2.8: what its compositor writes is text, `CSI m`, `CSI H`, and `XTermParser` reads
keys. Both are held by tests.
"""

from __future__ import annotations

import asyncio
import shutil
import signal
from codecs import getincrementaldecoder
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from textual import constants, events
from textual._xterm_parser import XTermParser
from textual.driver import Driver
from textual.geometry import Size
from textual.message import Message

from console.ui.terminal.renderer import RESTORE_TITLE, SYNC, DiffRenderer
from console.ui.terminal.tty import Tty, terminal_path

if TYPE_CHECKING:
    from textual.app import App


class TerminalLost(Message):
    """The terminal is gone."""


ENTER = "\x1b[?1049h\x1b[?25l\x1b[?7l\x1b[?2004h\x1b[>1u"
"""Alternate screen, no cursor, no wrap, marked pastes, keys told apart (kitty's protocol, its first level)."""
LEAVE = f"\x1b[?{SYNC}l\x1b[m\x1b[?2004l\x1b[?7h\x1b[<u\x1b[?1049l\x1b[?25h"
MOUSE_ON, MOUSE_OFF = "\x1b[?1000h\x1b[?1006h", "\x1b[?1006l\x1b[?1000l"
"""Clicks and the wheel; motion would send bytes for nothing."""
ASK_SYNC = f"\x1b[?{SYNC}$p"

LAST_WORDS_S = 0.3
"""How long leaving waits for a terminal that takes nothing."""

IGNORED = (signal.SIGTSTP, signal.SIGTTIN, signal.SIGTTOU)
"""A stopped process supervises nothing."""


class ScreenDriver(Driver):
    """Paints by difference, reads in the event loop, and tells the app when the line has dropped."""

    def __init__(
        self, app: App[Any], *, debug: bool = False, mouse: bool = True, size: tuple[int, int] | None = None
    ) -> None:
        super().__init__(app, debug=debug, mouse=mouse, size=size)
        self._forced_size = size
        self._painter = DiffRenderer(*self._terminal_size())
        self._tty: Tty | None = None
        self._parser = XTermParser(debug)
        self._decoder = getincrementaldecoder("utf-8")(errors="replace")
        self._send_scheduled = False
        self._before: dict[signal.Signals, Any] = {}
        self._escape: asyncio.TimerHandle | None = None

    def write(self, data: str) -> None:
        """Takes the picture in; the terminal follows when it can. Never blocks."""
        self._painter.feed(data)
        if not self._send_scheduled:
            self._send_scheduled = True
            self._loop.call_soon(self._send)

    def start_application_mode(self) -> None:
        """Takes the terminal over."""
        self._tty = Tty(terminal_path(), on_input=self._on_input, on_drained=self._send, on_gone=self._on_gone)
        self._handle(signal.SIGWINCH, self._on_resize)
        self._handle(signal.SIGCONT, self._on_continue)
        self._handle(signal.SIGHUP, self._tty.hang_up)
        for number in IGNORED:
            self._before[number] = signal.signal(number, signal.SIG_IGN)
        self._take()
        self._on_resize()

    def disable_input(self) -> None:
        """Reads no more."""
        if self._tty is not None:
            self._tty.stop_reading()

    def stop_application_mode(self) -> None:
        """Gives the terminal back, as far as it still listens."""
        if self._tty is None:
            return
        self._tty.stop_reading()
        last_words = MOUSE_OFF * self._mouse + RESTORE_TITLE * self._painter.entitled + LEAVE
        self._tty.finish(last_words.encode(), within=LAST_WORDS_S)
        self._tty.close()

    def close(self) -> None:
        """Takes the signal handlers away; where the line has dropped, SIGHUP stays ignored."""
        if self._tty is None:
            return
        gone = self._tty.is_gone
        self._tty.close()
        for number, before in self._before.items():
            if number not in IGNORED:
                self._loop.remove_signal_handler(number)
            signal.signal(number, signal.SIG_IGN if gone and number == signal.SIGHUP else before)
        self._before.clear()
        if self._escape is not None:
            self._escape.cancel()
        self._tty = None

    def _handle(self, number: signal.Signals, action: Callable[[], None]) -> None:
        self._before[number] = signal.getsignal(number)
        self._loop.add_signal_handler(number, action)

    def _take(self) -> None:
        assert self._tty is not None
        self._tty.raw()
        self._tty.listen()
        self._painter.forget()
        self._tty.send((ENTER + MOUSE_ON * self._mouse + ASK_SYNC).encode())

    def _send(self) -> None:
        """The difference between the picture and the terminal, unless the terminal is still busy with the last."""
        self._send_scheduled = False
        if self._tty is not None and not self._tty.is_busy and not self._tty.is_gone:
            self._tty.send(self._painter.frame().encode("utf-8", "replace"))

    def _terminal_size(self) -> tuple[int, int]:
        width, height = self._forced_size or shutil.get_terminal_size()
        return width or 80, height or 25

    def _on_resize(self) -> None:
        width, height = self._terminal_size()
        self._painter.resize(width, height)
        size = Size(width, height)
        self.send_message(events.Resize(size, size))

    def _on_continue(self) -> None:
        """After a stop the shell has put the terminal in its own mode. In the background it is not ours to touch."""
        if self._tty is not None and not self._tty.is_gone and self._tty.is_ours:
            self._take()
            self._on_resize()

    def _on_input(self, data: bytes) -> None:
        for message in self._parser.feed(self._decoder.decode(data)):
            self.process_message(message)
        if self._escape is not None:
            self._escape.cancel()
        self._escape = self._loop.call_later(constants.ESCAPE_DELAY * 1.1, self._on_silence)

    def _on_silence(self) -> None:
        """An escape that nothing followed is the key of that name."""
        for message in self._parser.tick():
            self.process_message(message)

    def _on_gone(self) -> None:
        with suppress(RuntimeError):
            self.send_message(TerminalLost())
