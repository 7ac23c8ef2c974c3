"""Over SSH: the console works as it does at home, and a line that drops costs nobody the guard of a run."""

from __future__ import annotations

import os
import re
import shutil
import signal
import time
from collections.abc import Callable

import pytest

from console.domain.run import Outcome
from tests.cli.nightdesk import Nightdesk
from tests.ssh.conftest import Login
from tests.ssh.processes import console_of, cpu_seconds, descriptors, lives
from tests.terminal_session import TerminalSession
from tests.waiting import until_sync

NOTHING = ["/dev/null"] * 3
IDLE_S = 2.0
CTRL_C, CTRL_Q, ESCAPE = "\x03", "\x11", "\x1b"
COUNTDOWN = re.compile(r"\b(\d+):(\d\d)\b")


def with_a_live_run(sitting: TerminalSession, nightdesk: Nightdesk) -> TerminalSession:
    """A console at whose keyboard an endless run was launched."""
    sitting.shows("UTC")
    sitting.type("l")
    sitting.shows("Launch which task")
    sitting.type("endless")
    sitting.shows("endless")
    sitting.type("\r")
    sitting.shows("Launch endless")
    sitting.type("\r")
    sitting.shows(r"running\s+endless")
    return sitting


def seconds_left(sitting: TerminalSession) -> int:
    """The countdown of the only run."""
    found = COUNTDOWN.search(next(line for line in sitting.screen.splitlines() if "endless" in line))
    return int(found[1]) * 60 + int(found[2]) if found else -1


def outcomes(nightdesk: Nightdesk) -> list[str]:
    """How everything ended, newest first."""
    return [run["outcome"] for run in nightdesk("history", "--json").json]


def test_watch_a_countdown_change_the_size_cancel_by_key(nightdesk: Nightdesk, login: Login) -> None:
    sitting = with_a_live_run(login(), nightdesk)
    began = seconds_left(sitting)
    until_sync(lambda: 0 < seconds_left(sitting) <= began - 2, what="a countdown that moves")
    sitting.resize(80, 24)
    sitting.shows(r"running\s+endless")
    assert sitting.screen.splitlines()[23].strip(), "the keys stand in the last line of the smaller screen"
    sitting.resize(200, 60)
    sitting.shows(r"running\s+endless")
    assert b"\x1b[?1000h" not in sitting.received, "the mouse stays the terminal's over SSH"
    sitting.type("x")
    until_sync(lambda: nightdesk.service.live() == 0, what="the cancel at the service")
    sitting.shows(r"cancelled\s+endless")
    assert outcomes(nightdesk) == [Outcome.CANCELLED]
    sitting.type("q")
    assert sitting.ended() == 0


def _killed(sitting: TerminalSession) -> None:
    sitting.signal(signal.SIGKILL)


def _closed(sitting: TerminalSession) -> None:
    sitting.hang_up()


def _stopped_then_killed(sitting: TerminalSession) -> None:
    sitting.signal(signal.SIGSTOP, signal.SIGKILL)


@pytest.mark.parametrize("drop", [_killed, _closed, _stopped_then_killed])
def test_the_line_drops_and_the_run_is_found_again(
    nightdesk: Nightdesk, login: Login, drop: Callable[[TerminalSession], None]
) -> None:
    first = with_a_live_run(login(), nightdesk)
    pid = console_of(nightdesk.state)
    drop(first)
    until_sync(lambda: descriptors(pid) == NOTHING, what="a process that has let go of its terminal")
    (run,) = nightdesk.live()
    polled = nightdesk.service.calls("get")
    before, began = cpu_seconds(pid), time.monotonic()
    until_sync(lambda: time.monotonic() - began >= IDLE_S)
    share = (cpu_seconds(pid) - before) / (time.monotonic() - began)
    assert share < 0.25, f"{share:.0%} of a processor without a screen"
    assert nightdesk.service.calls("get") > polled, "it goes on following the run"
    assert run["state"] == "running"

    second = login()
    second.shows(r"running\s+endless")
    second.type("x")
    until_sync(lambda: nightdesk.service.live() == 0, what="the cancel at the service")
    second.shows(r"cancelled\s+endless")
    until_sync(lambda: not lives(pid), what="the headless process has nothing left to do")
    assert outcomes(nightdesk) == [Outcome.CANCELLED]
    second.type("q")
    assert second.ended() == 0


def test_a_run_command_whose_line_drops_is_handed_over(nightdesk: Nightdesk, login: Login) -> None:
    sitting = login("run", "endless", "--origin", "manual")
    until_sync(lambda: nightdesk.service.started() == 1, within=30, what="the launch")
    sitting.shows("running")
    pid = console_of(nightdesk.state)
    sitting.signal(signal.SIGKILL)

    until_sync(lambda: not lives(pid), within=15, what="the end of `run`")
    assert nightdesk.service.live() == 1
    assert nightdesk("cancel", "--all").code == 0
    assert outcomes(nightdesk) == [Outcome.CANCELLED]


def test_serve_goes_within_ten_seconds_and_leaves_its_run_guarded(nightdesk: Nightdesk, login: Login) -> None:
    sitting = login("serve")
    sitting.shows("serving 9 tasks")
    nightdesk.launch("endless", "--no-wait")
    pid = console_of(nightdesk.state)
    began = time.monotonic()
    os.kill(pid, signal.SIGTERM)
    assert sitting.ended() == 0

    assert time.monotonic() - began < 10
    assert not lives(pid)
    assert nightdesk.service.live() == 1
    assert nightdesk("cancel", "--all").code == 0


def test_every_way_of_leaving_asks_alike(nightdesk: Nightdesk, login: Login) -> None:
    sitting = with_a_live_run(login(), nightdesk)
    for keys in (CTRL_C, CTRL_Q, "q"):
        sitting.type(keys)
        sitting.shows("Leave them under guard")
        if keys != "q":
            sitting.type(ESCAPE)
            sitting.shows("cancel   enter detail")
            until_sync(lambda: "Leave them" not in sitting.screen, what="the question is gone")
    asked = time.monotonic()
    sitting.type("\r")

    assert sitting.ended() == 0
    assert time.monotonic() - asked < 5
    sitting.shows(r"guarded by the background supervisor \(pid \d+\)")
    assert nightdesk.service.live() == 1
    assert nightdesk("cancel", "--all").code == 0


def test_in_tmux_the_line_may_drop_and_the_screen_is_there_again(nightdesk: Nightdesk, login: Login) -> None:
    if shutil.which("tmux") is None:
        pytest.skip("needs tmux")
    tmux = ("tmux", "-f", "/dev/null", "-S", str(nightdesk.folder / "tmux"))
    first = with_a_live_run(login(around=(*tmux, "new-session")), nightdesk)
    pid = console_of(nightdesk.state)
    first.signal(signal.SIGKILL)
    second = login(around=(*tmux, "attach"), bare=True)
    second.shows(r"running\s+endless")
    assert console_of(nightdesk.state) == pid, "the same console, which noticed nothing"
    second.type("x")
    second.shows(r"cancelled\s+endless")
    second.type("q")
    second.ended()
    assert outcomes(nightdesk) == [Outcome.CANCELLED]


def test_every_terminal_gets_what_it_can_show(nightdesk: Nightdesk, login: Login) -> None:
    nightdesk.launch("endless", "--no-wait")
    for term, ascii_only in (("screen-256color", False), ("linux", True), ("vt100", True)):
        sitting = login(term=term, size=(80, 24))
        sitting.shows(r"running\s+endless")
        assert sitting.screen.isascii() is ascii_only
        assert (b"38;5;" in sitting.received) is not ascii_only, "256 colours only where there are so many"
        sitting.type("q")
        sitting.shows("Leave")
        sitting.type("\r")
        assert sitting.ended() == 0
    assert nightdesk("cancel", "--all").code == 0


def test_a_dumb_terminal_gets_one_line_and_the_plain_table(nightdesk: Nightdesk, login: Login) -> None:
    sitting = login(term="dumb")

    assert sitting.ended() == 0
    told, *table = sitting.received.decode().splitlines()
    assert told.startswith("TERM is dumb")
    assert table[-1] == "nothing is live"
    assert b"\x1b" not in sitting.received
