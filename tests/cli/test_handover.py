"""The screen goes, the guard stays: by a key, by a dropped line, by SIGTERM."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator

import pytest

from tests.cli.nightdesk import Nightdesk
from tests.cli.pty import Terminal
from tests.waiting import until_sync

Sit = Callable[..., Terminal]


@pytest.fixture
def sit(nightdesk: Nightdesk) -> Iterator[Sit]:
    """A terminal with a command of ours."""
    opened: list[Terminal] = []

    def at(*arguments: str) -> Terminal:
        terminal = Terminal(
            "--state-dir", str(nightdesk.state), *arguments, folder=nightdesk.folder, environment=nightdesk.environment
        )
        opened.append(terminal)
        return terminal

    yield at
    for terminal in opened:
        terminal.close()


def with_a_live_run(nightdesk: Nightdesk, sit: Sit) -> Terminal:
    """A console that guards an endless run, launched at its keyboard."""
    terminal = sit()
    # The clock of the header is painted with the first look at the state folder.
    terminal.reads("UTC")
    terminal.type("l")
    terminal.reads("Launch which task")
    # A key that comes before a dialog can be seen does not count.
    terminal.settles()
    # Few keys at once: many would be taken for pasted text, and the Enter after them would be ignored.
    terminal.type("en")
    terminal.reads("endless")
    terminal.type("\r")
    terminal.reads("Launch endless")
    terminal.settles()
    terminal.type("\r")
    until_sync(lambda: nightdesk.service.started() == 1, what="the launch")
    terminal.reads("running")
    return terminal


def test_left_under_guard(nightdesk: Nightdesk, sit: Sit) -> None:
    terminal = with_a_live_run(nightdesk, sit)
    terminal.type("q")
    terminal.reads("Leave them under guard")
    terminal.settles()
    asked = time.monotonic()
    terminal.type("\r")

    assert terminal.ended() == 0
    assert time.monotonic() - asked < 5
    assert b"guarded by the background supervisor (pid " in terminal.seen
    (run,) = nightdesk.live()
    assert run["state"] == "running"
    assert nightdesk("cancel", "--all").code == 0


def test_the_line_drops_and_the_same_process_guards_on(nightdesk: Nightdesk, sit: Sit) -> None:
    terminal = with_a_live_run(nightdesk, sit)
    terminal.drop()

    until_sync(lambda: _descriptors_are_nothing(terminal.pid), what="a process without its terminal")
    (run,) = nightdesk.live()
    assert run["state"] == "running"
    assert nightdesk("cancel", "--all").code == 0
    assert terminal.ended() == 129
    assert nightdesk.live() == []


def _descriptors_are_nothing(pid: int) -> bool:
    return all(os.readlink(f"/proc/{pid}/fd/{number}") == "/dev/null" for number in range(3))


def test_sigterm_hands_over(nightdesk: Nightdesk, sit: Sit) -> None:
    terminal = with_a_live_run(nightdesk, sit)
    terminal.signal(signal.SIGTERM)

    assert terminal.ended() == 143
    until_sync(lambda: nightdesk.service.live() == 1, what="a run that goes on")
    assert nightdesk("cancel", "--all").code == 0


def test_ctrl_c_at_a_run_stops_nothing(nightdesk: Nightdesk, sit: Sit) -> None:
    terminal = sit("run", "endless")
    terminal.reads("running")
    terminal.type("\x03")

    assert terminal.ended() == 130
    assert b"goes on, guarded by the background supervisor" in terminal.seen
    assert nightdesk.service.live() == 1
    assert nightdesk("cancel", "--all").code == 0


def test_a_dumb_terminal_gets_the_plain_table(nightdesk: Nightdesk, sit: Sit) -> None:
    nightdesk.environment["TERM"] = "dumb"
    terminal = sit()

    assert terminal.ended() == 0
    assert b"nothing is live" in terminal.seen
    assert b"\x1b" not in terminal.seen


def test_the_demo_ends_with_its_terminal(nightdesk: Nightdesk, sit: Sit) -> None:
    terminal = sit("demo")
    terminal.reads("nightly-report")
    terminal.drop()

    assert terminal.ended() == 129
