"""A process on a real pseudo-terminal, and somebody who reads it, or does not."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import pty
import signal
import struct
import subprocess
import sys
import termios
import time
from codecs import getincrementaldecoder
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from tests.ui.emulator import TerminalEmulator
from tests.waiting import until_sync

ROOT = Path(__file__).parents[2]


class Pseudo:
    """The master's side of the terminal of one `tests.ui.ptyapp`."""

    def __init__(self, folder: Path, mode: str, rows: int, size: tuple[int, int], environ: Mapping[str, str]) -> None:
        self.folder = folder
        self.size = size
        self.terminal = TerminalEmulator(*size)
        self.received = b""
        self._decoder = getincrementaldecoder("utf-8")("replace")
        self.master, slave = pty.openpty()
        self.mode_before = termios.tcgetattr(slave)
        self._set_size(slave)
        self._slave_name = os.ttyname(slave)
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.ui.ptyapp", str(folder), mode, str(rows)],
            stdin=slave,
            stdout=slave,
            stderr=slave,
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT), "COLORTERM": "truecolor", **environ},
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
        )
        os.close(slave)
        os.set_blocking(self.master, False)

    def read(self) -> int:
        """Takes what there is; how many bytes that were."""
        count = 0
        with contextlib.suppress(BlockingIOError, OSError):
            while data := os.read(self.master, 65_536):
                count += len(data)
                self.received += data
                self.terminal.feed(self._decoder.decode(data))
        return count

    def until(self, condition: Callable[[], object], what: str = "") -> None:
        """Reads until `condition()`."""

        def met() -> object:
            self.read()
            return condition()

        try:
            until_sync(met, within=30, what=what)
        except AssertionError as error:
            raise AssertionError("\n".join([str(error), *self.terminal.lines()])) from None

    def shows(self, text: str) -> None:
        """Reads until the screen shows `text`."""
        self.until(lambda: text in "\n".join(self.terminal.lines()), what=f"{text!r} on the screen")

    def press(self, data: bytes) -> None:
        """Keys as a terminal sends them."""
        os.write(self.master, data)

    def send(self, number: signal.Signals) -> None:
        """A signal to the process."""
        os.kill(self.process.pid, number)

    def resize(self, width: int, height: int) -> None:
        """The window gets another size; the kernel tells the process."""
        self.size = (width, height)
        self.read()
        self.terminal = TerminalEmulator(width, height)
        self._set_size(self.master)

    def drop(self) -> None:
        """The window is closed."""
        os.close(self.master)
        self.master = -1

    def beats(self) -> int:
        """How often the process's own work came round."""
        with contextlib.suppress(OSError, ValueError):
            return int((self.folder / "beats").read_text())
        return 0

    def agrees(self) -> bool:
        """True where the terminal shows what Textual has drawn."""
        answer = self.folder / "screen"
        answer.unlink(missing_ok=True)
        (self.folder / "ask").touch()
        self.until(answer.exists, "an answer about the screen")
        time.sleep(0.05)
        self.read()
        return self.terminal.lines() == [*answer.read_text().split("\n")][: self.size[1]]

    def mode_now(self) -> list[Any]:
        """The terminal's mode."""
        return termios.tcgetattr(self.master)

    def end(self) -> dict[str, Any]:
        """What the process left behind."""
        self.until((self.folder / "end.json").exists, "the end")
        self.process.wait(timeout=10)
        story: dict[str, Any] = json.loads((self.folder / "end.json").read_text())
        return story

    def close(self) -> None:
        """Away with everything."""
        self.process.kill()
        self.process.wait()
        if self.master >= 0:
            os.close(self.master)

    def _set_size(self, descriptor: int) -> None:
        fcntl.ioctl(descriptor, termios.TIOCSWINSZ, struct.pack("HHHH", self.size[1], self.size[0], 0, 0))


@contextlib.contextmanager
def on_a_terminal(
    folder: Path,
    mode: str = "plain",
    *,
    rows: int = 6,
    size: tuple[int, int] = (120, 36),
    environ: Mapping[str, str] | None = None,
) -> Iterator[Pseudo]:
    """The console on a pseudo-terminal of that size."""
    pseudo = Pseudo(folder, mode, rows, size, environ or {})
    try:
        yield pseudo
    finally:
        pseudo.close()
