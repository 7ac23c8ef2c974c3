"""A terminal that nobody reads, painted as fast as it can be: the deadline of a run is kept all the same."""

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
"""So long after its deadline the cancel has reached the service: one poll and a busy machine."""
TASK = """
[[tasks]]
name = "unread"
max_seconds = {deadline}
prompt = '''{prompt}'''
"""


@pytest.fixture
def sitting(nightdesk: Nightdesk, seconds: float) -> Iterator[TerminalSession]:
    """A console right here: over SSH the buffers in between would swallow minutes of frames."""
    nightdesk.configure(CAPS + TASK.format(deadline=seconds / 2, prompt=ENDLESS.prompt("Go.")))
    command = [sys.executable, "-m", "console", "--state-dir", str(nightdesk.state)]
    one = TerminalSession(command, environment=nightdesk.environment, folder=nightdesk.folder)
    yield one
    one.close()


@pytest.mark.parametrize("seconds", [8.0, pytest.param(60.0, marks=pytest.mark.soak)])
def test_a_terminal_that_is_not_read_holds_up_no_deadline(
    nightdesk: Nightdesk, sitting: TerminalSession, seconds: float
) -> None:
    sitting.shows("UTC")
    sitting.type("l")
    sitting.shows("Launch which task")
    sitting.type("unread")
    sitting.shows("unread")
    sitting.type("\r")
    sitting.shows("Launch unread")
    sitting.type("\r")
    until_sync(lambda: nightdesk.service.started() == 1, within=30, what="the launch")
    launched, cancelled = time.monotonic(), 0.0
    before = cpu_seconds(sitting.pid)

    while (passed := time.monotonic() - launched) < seconds:
        # Each size paints the whole screen anew: many times what a pseudo-terminal holds.
        sitting.resize(100 + int(passed * 20) % 20, 36, fresh=False)
        if not cancelled and nightdesk.service.calls("cancel"):
            cancelled = passed
        time.sleep(0.05)

    assert cancelled, "the cancel did not reach the service"
    late = cancelled - seconds / 2
    share = (cpu_seconds(sitting.pid) - before) / seconds
    report(f"unread for {seconds:g} s: cancel {late:+.2f} s after the deadline, {share:.0%} of a processor")
    assert late < LATEST_S
    assert nightdesk.service.live() == 0
    os.kill(sitting.pid, 0)
    sitting.resize(120, 36)
    sitting.shows(r"timeout\s+unread")
    sitting.type("q")
    assert sitting.ended() == 0
