"""A terminal in tmux, on a tmux server of its own."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.terminal_session import REACTION_S
from tests.waiting import until_sync


def needs_tmux() -> None:
    """Skips the test where there is no tmux; fails it in CI."""
    if shutil.which("tmux") is None:
        if os.environ.get("CI") == "true":
            pytest.fail("tmux is not installed")
        pytest.skip("tmux is not installed")


class Tmux:
    """One window of the tmux server."""

    def __init__(self, folder: Path, *, environment: Mapping[str, str], size: tuple[int, int] = (120, 36)) -> None:
        self._socket = str(folder / "tmux.sock")
        self._environment = dict(environment)
        self._typed_at = 0.0
        width, height = size
        self._call("new-session", "-d", "-s", "e2e", "-x", str(width), "-y", str(height), "-c", str(folder), "sh")

    def run(self, *words: str) -> None:
        """Types a command line; the exit code is printed after it as `rc=N.`."""
        self.type(" ".join(words) + "; echo rc=$?.", "Enter")

    def type(self, *keys: str) -> None:
        """Sends keys by the names of tmux, or text, not at once after the last ones, as a person would."""
        until_sync(lambda: time.monotonic() >= self._typed_at + REACTION_S, what="time to type")
        self._typed_at = time.monotonic()
        self._call("send-keys", "-t", "e2e", *keys)

    def screen(self) -> str:
        """The text on the screen."""
        return self._call("capture-pane", "-p", "-t", "e2e")

    def reads(self, *texts: str, within: float = 30) -> str:
        """Waits until the screen shows all `texts` and returns it. Fails, with the screen, where it does not."""
        try:
            until_sync(lambda: all(text in self.screen() for text in texts), within=within)
        except AssertionError:
            raise AssertionError(f"not within {within:g} s: {texts} on\n{self.screen()}") from None
        return self.screen()

    def close(self) -> None:
        """Ends the server and everything in it."""
        subprocess.run(["tmux", "-S", self._socket, "kill-server"], capture_output=True, check=False)

    def _call(self, *words: str) -> str:
        done = subprocess.run(
            ["tmux", "-S", self._socket, "-f", os.devnull, *words],
            env=self._environment,
            capture_output=True,
            text=True,
            check=True,
        )
        return done.stdout
