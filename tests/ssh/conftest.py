"""Fixtures: a state folder with a simulated service, and an SSH server to log in to."""

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
"""The variables that an SSH session gets; TERM is sent by the client."""
TERM = "xterm-256color"
Login = Callable[..., TerminalSession]


@pytest.fixture
def nightdesk(tmp_path: Path) -> Iterator[Nightdesk]:
    """A state folder and a service. After the test, every process that was started on them is killed."""
    with SimulatorThread() as simulator:
        nightdesk = Nightdesk(folder=tmp_path, url=simulator.url, service=simulator.state)
        try:
            yield nightdesk
        finally:
            end_all(tmp_path)
            nightdesk.close()


@pytest.fixture
def machine(nightdesk: Nightdesk, tmp_path: Path) -> Iterator[Sshd]:
    """An SSH server."""
    folder = tmp_path / "sshd"
    folder.mkdir()
    environment = {name: nightdesk.environment[name] for name in KEPT if name in nightdesk.environment}
    with sshd(folder, {**environment, "SHELL": os.environ.get("SHELL", "/bin/sh")}) as daemon:
        yield daemon


@pytest.fixture
def login(nightdesk: Nightdesk, machine: Sshd) -> Iterator[Login]:
    """Logs in and runs nightdesk, or only the commands in `around`, on the remote terminal."""
    opened: list[TerminalSession] = []

    def log_in(
        *arguments: str, around: tuple[str, ...] = (), bare: bool = False, term: str = TERM, size: Size = WIDE
    ) -> TerminalSession:
        ours = () if bare else command(nightdesk, *arguments)
        session = machine.login([*around, *ours], term=term, size=size)
        opened.append(session)
        return session

    try:
        yield log_in
    finally:
        for session in opened:
            session.close()


def command(nightdesk: Nightdesk, *arguments: str) -> list[str]:
    """The command line of nightdesk, independent of the working directory."""
    config = str(nightdesk.folder / "nightdesk.toml")
    return [sys.executable, "-m", "console", "--config", config, "--state-dir", str(nightdesk.state), *arguments]
