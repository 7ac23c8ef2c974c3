"""The console over a fake engine, in a process of its own on a real pseudo-terminal that a test reads, or does not."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from tests.terminal_session import TerminalSession
from tests.tree import ROOT
from tests.waiting import until_sync


class ConsoleProcess:
    """One `tests.ui.ptyapp` and the terminal it runs on."""

    def __init__(self, folder: Path, mode: str, rows: int, size: tuple[int, int], environ: Mapping[str, str]) -> None:
        self.folder = folder
        self.session = TerminalSession(
            [sys.executable, "-m", "tests.ui.ptyapp", str(folder), mode, str(rows)],
            environment={**os.environ, "PYTHONPATH": str(ROOT), "COLORTERM": "truecolor", **environ},
            folder=ROOT,
            size=size,
        )
        self.mode_before = self.session.mode()

    @property
    def received(self) -> bytes:
        """All bytes that were read from the terminal."""
        return self.session.received

    def lines(self) -> list[str]:
        """The lines on the screen."""
        return self.session.screen.split("\n")

    def read(self) -> int:
        """Reads what has arrived; returns how many bytes that were."""
        before = len(self.session.received)
        self.session.read()
        return len(self.session.received) - before

    def until(self, condition: Callable[[], object], what: str = "") -> None:
        """Reads the terminal until `condition()` is true. Fails, with the screen, after 30 s."""

        def met() -> object:
            self.read()
            return condition()

        try:
            until_sync(met, within=30, what=what)
        except AssertionError as error:
            raise AssertionError("\n".join([str(error), *self.lines()])) from None

    def shows(self, text: str) -> None:
        """Reads the terminal until the screen shows `text`."""
        self.until(lambda: text in self.session.screen, what=f"{text!r} on the screen")

    def press(self, data: bytes) -> None:
        """Sends keys, as a terminal does."""
        self.session.send(data.decode())

    def send(self, number: signal.Signals) -> None:
        """Sends a signal to the process."""
        self.session.signal(number)

    def resize(self, width: int, height: int) -> None:
        """Gives the window another size."""
        self.session.resize(width, height)

    def drop(self) -> None:
        """Closes the window."""
        self.session.hang_up()

    def beats(self) -> int:
        """How often the process's own work has come round."""
        with contextlib.suppress(OSError, ValueError):
            return int((self.folder / "beats").read_text())
        return 0

    def agrees(self) -> bool:
        """True where the terminal shows what Textual has drawn; what was drawn last may still be on its way."""
        answer = self.folder / "screen"
        answer.unlink(missing_ok=True)
        (self.folder / "ask").touch()
        self.until(answer.exists, "an answer about the screen")
        drawn = answer.read_text().split("\n")
        return self.lines() == drawn[: len(self.lines())]

    def mode_now(self) -> list[Any]:
        """The terminal's mode."""
        return self.session.mode()

    def leave(self, question: str) -> dict[str, Any]:
        """Quits, answers the question with Enter and returns the report as `end`.

        Enter is pressed again after a while: one that comes while the question is being drawn does not count.
        """
        self.press(b"\x11")
        self.shows(question)
        for _ in range(5):
            self.press(b"\r")
            with contextlib.suppress(AssertionError):
                until_sync(self._has_ended, within=3)
                break
        return self.end()

    def _has_ended(self) -> bool:
        self.read()
        return (self.folder / "end.json").exists()

    def end(self) -> dict[str, Any]:
        """Waits for the end of the process; returns the report it left."""
        self.until((self.folder / "end.json").exists, "the end")
        self.session.ended()
        report: dict[str, Any] = json.loads((self.folder / "end.json").read_text())
        return report

    def close(self) -> None:
        """Kills the process and closes the terminal."""
        self.session.close()


@contextlib.contextmanager
def on_a_terminal(
    folder: Path,
    mode: str = "plain",
    *,
    rows: int = 6,
    size: tuple[int, int] = (120, 36),
    environ: Mapping[str, str] | None = None,
) -> Iterator[ConsoleProcess]:
    """The console on a pseudo-terminal of that size."""
    console = ConsoleProcess(folder, mode, rows, size, environ or {})
    try:
        yield console
    finally:
        console.close()
