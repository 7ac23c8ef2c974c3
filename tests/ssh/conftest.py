"""A state folder, a simulated service, and a machine to log in to."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from console.simulator.server import SimulatorThread
from tests.cli.nightdesk import Nightdesk
from tests.ssh.daemon import Sshd, sshd
from tests.ssh.processes import end_all
from tests.terminal_session import WIDE, Size, TerminalSession

KEPT = ("HOME", "XDG_RUNTIME_DIR", "LC_ALL", "PATH", "GEMINI_API_KEY", "PYTHONPATH")
"""What a session gets of our environment; TERM comes over the line."""
TERM = "xterm-256color"
Login = Callable[..., TerminalSession]


@pytest.fixture
def nightdesk(tmp_path: Path) -> Iterator[Nightdesk]:
    """A desk; when the test is over, however it ended, nothing of it runs any more."""
    with SimulatorThread() as simulator:
        nightdesk = Nightdesk(folder=tmp_path, url=simulator.url, service=simulator.state)
        try:
            yield nightdesk
        finally:
            end_all(tmp_path)
            nightdesk.close()


@pytest.fixture
def machine(nightdesk: Nightdesk, tmp_path: Path) -> Iterator[Sshd]:
    """What one logs in to."""
    folder = tmp_path / "sshd"
    folder.mkdir()
    environment = {name: nightdesk.environment[name] for name in KEPT if name in nightdesk.environment}
    with sshd(folder, {**environment, "SHELL": os.environ.get("SHELL", "/bin/sh")}) as daemon:
        yield daemon


@pytest.fixture
def login(nightdesk: Nightdesk, machine: Sshd) -> Iterator[Login]:
    """Logs in and runs a command of ours, or only what is `around` it, on the far terminal."""
    opened: list[TerminalSession] = []

    def log_in(
        *arguments: str, around: tuple[str, ...] = (), bare: bool = False, term: str = TERM, size: Size = WIDE
    ) -> TerminalSession:
        ours = () if bare else command(nightdesk, *arguments)
        sitting = machine.login([*around, *ours], term=term, size=size)
        opened.append(sitting)
        return sitting

    try:
        yield log_in
    finally:
        for sitting in opened:
            sitting.close()


def command(nightdesk: Nightdesk, *arguments: str) -> list[str]:
    """The command line of ours, from any folder."""
    config = str(nightdesk.folder / "nightdesk.toml")
    return [sys.executable, "-m", "console", "--config", config, "--state-dir", str(nightdesk.state), *arguments]
