"""A console whose terminal is not read still keeps the time limit of a run."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator

import pytest

from tests.cli.nightdesk import CAPS, ENDLESS, Nightdesk
from tests.reporting import report
from tests.ssh.processes import cpu_seconds
from tests.terminal_session import TerminalSession
from tests.waiting import until_sync

LATEST_S = 3.0
"""How long after the time limit the cancel may reach the service: one poll on a busy machine."""
TASK = """
[[tasks]]
name = "unread"
max_seconds = {deadline}
prompt = '''{prompt}'''
"""


@pytest.fixture
def session(nightdesk: Nightdesk, seconds: float) -> Iterator[TerminalSession]:
    """A local console: over SSH, the buffers in between would hold minutes of frames."""
    nightdesk.configure(CAPS + TASK.format(deadline=seconds / 2, prompt=ENDLESS.prompt("Go.")))
    command = [sys.executable, "-m", "console", "--state-dir", str(nightdesk.state)]
    one = TerminalSession(command, environment=nightdesk.environment, folder=nightdesk.folder)
    yield one
    one.close()


@pytest.mark.parametrize("seconds", [8.0, pytest.param(60.0, marks=pytest.mark.soak)])
def test_a_terminal_that_is_not_read_delays_no_cut_off(
    nightdesk: Nightdesk, session: TerminalSession, seconds: float
) -> None:
    session.shows("UTC")
    session.type("l")
    session.shows("Launch which task")
    session.type("unread")
    session.shows(r"\b1 of \d")
    session.type("\r")
    session.shows("Launch unread")
    session.type("\r")
    until_sync(lambda: nightdesk.service.started() == 1, within=30, what="the launch")
    launched = time.monotonic()
    cancelled: list[float] = []
    before = cpu_seconds(session.pid)

    def is_over() -> bool:
        """Change the size twenty times a second: each redraws the whole screen, far more than a terminal buffers."""
        passed = time.monotonic() - launched
        session.resize(100 + int(passed * 20) % 20, 36, fresh=False)
        if not cancelled and nightdesk.service.calls("cancel"):
            cancelled.append(passed)
        return passed >= seconds

    until_sync(is_over, within=seconds + 30)
    assert cancelled, "the cancel did not reach the service"
    late = cancelled[0] - seconds / 2
    share = (cpu_seconds(session.pid) - before) / seconds
    report(f"unread for {seconds:g} s: cancel {late:+.2f} s after the time limit, {share:.0%} of a processor")
    assert late < LATEST_S
    assert nightdesk.service.live() == 0
    os.kill(session.pid, 0)
    session.resize(120, 36)
    session.shows(r"timeout\s+unread")
    session.type("q")
    assert session.ended() == 0
