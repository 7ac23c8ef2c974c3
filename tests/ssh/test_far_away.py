"""Over SSH the console works as locally, and a run stays guarded when the connection drops."""

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
from tests.ssh.processes import console_of, cpu_seconds, descriptors, is_living, standing
from tests.terminal_session import TerminalSession
from tests.waiting import until_sync

NOTHING = ["/dev/null"] * 3
IDLE_S = 2.0
CTRL_C, CTRL_Q, ESCAPE = "\x03", "\x11", "\x1b"
COUNTDOWN = re.compile(r"\b(\d+):(\d\d)\b")


def with_a_live_run(session: TerminalSession, nightdesk: Nightdesk) -> TerminalSession:
    """Launches an endless run with the keys of the console."""
    session.shows("UTC")
    session.type("l")
    session.shows("Launch which task")
    session.type("endless")
    session.shows(r"\b1 of \d")
    session.type("\r")
    session.shows("Launch endless")
    session.type("\r")
    session.shows(r"running\s+endless")
    return session


def seconds_left(session: TerminalSession) -> int:
    """The time left of the only run, in seconds."""
    found = COUNTDOWN.search(next(line for line in session.screen.splitlines() if "endless" in line))
    return int(found[1]) * 60 + int(found[2]) if found else -1


def outcomes(nightdesk: Nightdesk) -> list[str]:
    """The outcomes of all runs, newest first."""
    return [run["outcome"] for run in nightdesk("history", "--json").json]


def test_watch_a_countdown_change_the_size_cancel_by_key(nightdesk: Nightdesk, login: Login) -> None:
    session = with_a_live_run(login(), nightdesk)
    began = seconds_left(session)
    until_sync(lambda: 0 < seconds_left(session) <= began - 2, what="a countdown that moves")
    session.resize(80, 24)
    session.shows(r"running\s+endless")
    assert session.screen.splitlines()[23].strip(), "the keys are shown in the last line of the smaller screen"
    session.resize(200, 60)
    session.shows(r"running\s+endless")
    assert b"\x1b[?1000h" not in session.received, "over SSH the console does not ask for the mouse"
    session.type("x")
    until_sync(lambda: nightdesk.service.live() == 0, what="the cancel at the service")
    session.shows(r"cancelled\s+endless")
    assert outcomes(nightdesk) == [Outcome.CANCELLED]
    session.type("q")
    assert session.ended() == 0


def _killed(session: TerminalSession) -> None:
    session.signal(signal.SIGKILL)


def _closed(session: TerminalSession) -> None:
    session.hang_up()


def _stopped_then_killed(session: TerminalSession) -> None:
    session.signal(signal.SIGSTOP, signal.SIGKILL)


@pytest.mark.parametrize("drop", [_killed, _closed, _stopped_then_killed])
def test_after_a_dropped_connection_the_run_is_found_again(
    nightdesk: Nightdesk, login: Login, drop: Callable[[TerminalSession], None]
) -> None:
    first = with_a_live_run(login(), nightdesk)
    pid = console_of(nightdesk.state)
    drop(first)
    try:
        until_sync(lambda: descriptors(pid) == NOTHING, what="a process that has closed its terminal")
    except AssertionError as error:
        raise AssertionError(f"{error}; {standing(pid)}; ssh: {standing(first.pid)}") from None
    (run,) = nightdesk.live()
    polled = nightdesk.service.calls("get")
    before, began = cpu_seconds(pid), time.monotonic()
    until_sync(lambda: time.monotonic() - began >= IDLE_S)
    share = (cpu_seconds(pid) - before) / (time.monotonic() - began)
    assert share < 0.25, f"{share:.0%} of a processor without a screen"
    assert nightdesk.service.calls("get") > polled, "it goes on polling the run"
    assert run["state"] == "running"

    second = login()
    second.shows(r"running\s+endless")
    second.type("x")
    until_sync(lambda: nightdesk.service.live() == 0, what="the cancel at the service")
    second.shows(r"cancelled\s+endless")
    until_sync(lambda: not is_living(pid), what="the end of the headless process, which has nothing left to do")
    assert outcomes(nightdesk) == [Outcome.CANCELLED]
    second.type("q")
    assert second.ended() == 0


def test_a_run_command_whose_connection_drops_hands_its_run_over(nightdesk: Nightdesk, login: Login) -> None:
    session = login("run", "endless", "--origin", "manual")
    until_sync(lambda: nightdesk.service.started() == 1, within=30, what="the launch")
    session.shows("running")
    pid = console_of(nightdesk.state)
    session.signal(signal.SIGKILL)

    until_sync(lambda: not is_living(pid), within=15, what="the end of `run`")
    assert nightdesk.service.live() == 1
    assert nightdesk("cancel", "--all").code == 0
    assert outcomes(nightdesk) == [Outcome.CANCELLED]


def test_serve_ends_within_ten_seconds_and_leaves_its_run_guarded(nightdesk: Nightdesk, login: Login) -> None:
    session = login("serve")
    session.shows("serving 9 tasks")
    nightdesk.launch("endless", "--no-wait")
    pid = console_of(nightdesk.state)
    began = time.monotonic()
    os.kill(pid, signal.SIGTERM)
    assert session.ended() == 0

    assert time.monotonic() - began < 10
    assert not is_living(pid)
    assert nightdesk.service.live() == 1
    assert nightdesk("cancel", "--all").code == 0


def test_every_key_that_quits_asks_the_same_question(nightdesk: Nightdesk, login: Login) -> None:
    session = with_a_live_run(login(), nightdesk)
    for keys in (CTRL_C, CTRL_Q, "q"):
        session.type(keys)
        session.shows("Leave them in the background")
        if keys != "q":
            session.type(ESCAPE)
            session.shows("cancel   enter detail")
            until_sync(lambda: "Leave them" not in session.screen, what="the question is gone")
    asked = time.monotonic()
    session.type("\r")

    assert session.ended() == 0
    assert time.monotonic() - asked < 5
    session.shows(r"supervised by the background supervisor \(pid \d+\)")
    assert nightdesk.service.live() == 1
    assert nightdesk("cancel", "--all").code == 0


def test_in_tmux_the_screen_is_back_after_a_dropped_connection(nightdesk: Nightdesk, login: Login) -> None:
    if shutil.which("tmux") is None:
        pytest.skip("needs tmux")
    tmux = ("tmux", "-f", "/dev/null", "-S", str(nightdesk.folder / "tmux"))
    first = with_a_live_run(login(around=(*tmux, "new-session")), nightdesk)
    pid = console_of(nightdesk.state)
    first.signal(signal.SIGKILL)
    second = login(around=(*tmux, "attach"), bare=True)
    second.shows(r"running\s+endless")
    assert console_of(nightdesk.state) == pid, "the same process, which noticed nothing"
    second.type("x")
    second.shows(r"cancelled\s+endless")
    second.type("q")
    second.ended()
    assert outcomes(nightdesk) == [Outcome.CANCELLED]


def test_every_terminal_gets_only_what_it_can_show(nightdesk: Nightdesk, login: Login) -> None:
    nightdesk.launch("endless", "--no-wait")
    for term, ascii_only in (("screen-256color", False), ("linux", True), ("vt100", True)):
        session = login(term=term, size=(80, 24))
        session.shows(r"running\s+endless")
        assert session.screen.isascii() is ascii_only
        assert (b"38;5;" in session.received) is not ascii_only, "256 colours only where the terminal has them"
        # The background process supervises the run, so nothing is lost and nothing is asked.
        session.type("q")
        assert session.ended() == 0
        assert b"1 run goes on, supervised by other processes" in session.received
    assert nightdesk("cancel", "--all").code == 0


def test_a_dumb_terminal_gets_one_line_and_the_plain_table(nightdesk: Nightdesk, login: Login) -> None:
    session = login(term="dumb")

    assert session.ended() == 0
    notice, *table = session.received.decode().splitlines()
    assert notice.startswith("TERM is dumb")
    assert table[-1] == "nothing is live"
    assert b"\x1b" not in session.received
