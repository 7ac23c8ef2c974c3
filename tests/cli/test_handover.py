"""A console that ends by a key, a hang-up or SIGTERM leaves its runs supervised."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable, Iterator

import pytest

from tests.cli.nightdesk import Nightdesk
from tests.terminal_session import TerminalSession
from tests.waiting import until_sync

Sit = Callable[..., TerminalSession]


@pytest.fixture
def sit(nightdesk: Nightdesk) -> Iterator[Sit]:
    """Starts a command on a terminal and returns the session."""
    opened: list[TerminalSession] = []

    def at(*arguments: str) -> TerminalSession:
        command = [sys.executable, "-m", "console", "--state-dir", str(nightdesk.state), *arguments]
        terminal = TerminalSession(command, environment=nightdesk.environment, folder=nightdesk.folder)
        opened.append(terminal)
        return terminal

    yield at
    for terminal in opened:
        terminal.close()


def with_a_live_run(nightdesk: Nightdesk, sit: Sit) -> TerminalSession:
    """Open a console and launch an endless run in it."""
    terminal = sit()
    # The clock in the header appears with the first read of the state folder.
    terminal.shows("UTC")
    terminal.type("l")
    terminal.shows("Launch which task")
    terminal.type("endless")
    terminal.shows(r"\b1 of \d")
    terminal.type("\r")
    terminal.shows("Launch endless")
    terminal.type("\r")
    until_sync(lambda: nightdesk.service.started() == 1, what="the launch")
    terminal.shows("running")
    return terminal


@pytest.mark.proofs
def test_the_quit_dialog_leaves_the_run_supervised(nightdesk: Nightdesk, sit: Sit) -> None:
    terminal = with_a_live_run(nightdesk, sit)
    terminal.type("q")
    terminal.shows("Leave them in the background")
    asked = time.monotonic()
    terminal.type("\r")

    assert terminal.ended() == 0
    assert time.monotonic() - asked < 5
    assert b"supervised by the background supervisor (pid " in terminal.received
    (run,) = nightdesk.live()
    assert run["state"] == "running"
    assert nightdesk("cancel", "--all").code == 0


def test_after_a_hang_up_the_same_process_continues_to_supervise(nightdesk: Nightdesk, sit: Sit) -> None:
    terminal = with_a_live_run(nightdesk, sit)
    terminal.hang_up()

    until_sync(lambda: _descriptors_are_nothing(terminal.pid), what="a process without its terminal")
    (run,) = nightdesk.live()
    assert run["state"] == "running"
    assert nightdesk("cancel", "--all").code == 0
    assert terminal.ended() == 129
    assert nightdesk.live() == []


def _descriptors_are_nothing(pid: int) -> bool:
    return all(os.readlink(f"/proc/{pid}/fd/{number}") == "/dev/null" for number in range(3))


@pytest.mark.proofs
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGQUIT, signal.SIGINT, signal.SIGUSR1])
def test_a_signal_to_end_hands_over(nightdesk: Nightdesk, sit: Sit, number: signal.Signals) -> None:
    terminal = with_a_live_run(nightdesk, sit)
    terminal.signal(number)

    assert terminal.ended() == 143
    assert b"supervised by the background supervisor (pid " in terminal.received
    assert nightdesk("cancel", "--all").code == 0


@pytest.mark.proofs
def test_ctrl_c_does_not_stop_the_run(nightdesk: Nightdesk, sit: Sit) -> None:
    terminal = sit("run", "endless")
    terminal.shows("running")
    terminal.type("\x03")

    assert terminal.ended() == 130
    assert b"goes on, supervised by the background supervisor" in terminal.received
    assert nightdesk.service.live() == 1
    assert nightdesk("cancel", "--all").code == 0


def test_a_dumb_terminal_gets_the_plain_table(nightdesk: Nightdesk, sit: Sit) -> None:
    nightdesk.environment["TERM"] = "dumb"
    terminal = sit()

    assert terminal.ended() == 0
    assert b"nothing is live" in terminal.received
    assert b"\x1b" not in terminal.received


def test_the_demo_ends_with_its_terminal(nightdesk: Nightdesk, sit: Sit) -> None:
    terminal = sit("demo")
    terminal.shows("nightly-report")
    terminal.hang_up()

    assert terminal.ended() == 129
