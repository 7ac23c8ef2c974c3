"""The driver on real pseudo-terminals: read, not read, closed, resized, stopped, killed.

The work goes on in each case.
"""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from console.ui.terminal.driver import LEAVE, MOUSE_ON
from tests.ui.console_process import ConsoleProcess, on_a_terminal
from tests.ui.ptyapp import CANARY
from tests.waiting import until_sync

NULL = ["/dev/null"] * 3


def settle(console: ConsoleProcess) -> None:
    """Waits until the terminal shows what Textual has drawn, as it does between two refreshes."""
    console.until(console.agrees, "the terminal shows what was drawn")


def leave(console: ConsoleProcess) -> None:
    """Quit, and hand the runs over."""
    console.press(b"q")
    console.shows("runs are live")
    console.press(b"\r")


def test_the_terminal_shows_what_was_drawn_after_keys_and_another_size(tmp_path: Path) -> None:
    with on_a_terminal(tmp_path) as console:
        console.shows("nightly-report")
        settle(console)
        for keys in (b"j", b"\x1b[B", b"?", b"\x1b", b"X", b"\x1b"):
            console.press(keys)
            settle(console)
        console.resize(80, 24)
        console.shows("? help")
        settle(console)


def test_a_paste_is_not_taken_for_keys(tmp_path: Path) -> None:
    with on_a_terminal(tmp_path) as console:
        console.shows("nightly-report")
        console.press(b"\x1b[200~xxXq\x1b[201~")
        console.press(b"j")
        settle(console)
        assert "Kill switch" not in "\n".join(console.lines())
        leave(console)
        assert console.end()["asked"] == []


def test_quitting_gives_the_terminal_back_as_it_was(tmp_path: Path) -> None:
    with on_a_terminal(tmp_path, "idle") as console:
        console.shows("No runs and no proposals")
        assert console.mode_now() != console.mode_before
        console.press(b"q")
        story = console.end()
        assert story["end"] == "quit"
        assert NULL[0] not in story["descriptors"]
        assert LEAVE.encode() in console.received
        assert console.mode_now() == console.mode_before


@pytest.mark.parametrize("keys", [b"q", b"\x03", b"\x11"])
def test_with_live_runs_leaving_asks_and_hands_them_over(tmp_path: Path, keys: bytes) -> None:
    with on_a_terminal(tmp_path) as console:
        console.shows("nightly-report")
        console.press(keys)
        console.shows("6 runs are live")
        console.press(b"\r")
        assert console.end()["end"] == "left"
        assert (tmp_path / "left").exists()


def test_a_terminal_that_nobody_reads_holds_nothing_up_and_is_right_again_later(tmp_path: Path) -> None:
    with on_a_terminal(tmp_path, "storm", rows=40) as console:
        until_sync(lambda: console.beats() > 0, within=30, what="the process works")
        unread = console.beats()
        until_sync(lambda: console.beats() > unread + 60, within=60, what="60 beats with nobody reading")
        (tmp_path / "calm").touch()
        settle(console)
        leave(console)
        story = console.end()
    assert story["end"] == "left"
    assert story["longest_gap"] < 3, "a stalled terminal stopped the loop"


def test_when_the_window_closes_the_screen_goes_and_the_work_goes_on(tmp_path: Path) -> None:
    with on_a_terminal(tmp_path) as console:
        console.shows("nightly-report")
        before = console.beats()
        console.drop()
        until_sync((tmp_path / "end.json").exists, within=30)
        story = console.end()
    assert story["end"] == "line_dropped"
    assert story["beats"] >= before + 20
    assert story["descriptors"] == NULL


def test_sighup_is_the_same_as_a_closed_window(tmp_path: Path) -> None:
    with on_a_terminal(tmp_path) as console:
        console.shows("nightly-report")
        console.send(signal.SIGHUP)
        console.send(signal.SIGCONT)
        console.send(signal.SIGHUP)
        story = console.end()
    assert story["end"] == "line_dropped"
    assert story["descriptors"] == NULL


def test_a_window_that_closes_while_nobody_reads_is_noticed_too(tmp_path: Path) -> None:
    with on_a_terminal(tmp_path, "storm", rows=40) as console:
        until_sync(lambda: console.beats() > 30, within=30)
        console.drop()
        until_sync((tmp_path / "end.json").exists, within=30)
        assert console.end()["end"] == "line_dropped"


def test_sigterm_ends_the_screen_and_gives_the_terminal_back(tmp_path: Path) -> None:
    with on_a_terminal(tmp_path) as console:
        console.shows("nightly-report")
        console.send(signal.SIGTERM)
        assert console.end()["end"] == "terminated"
        assert console.mode_now() == console.mode_before


def test_stop_keys_do_not_stop_supervision_and_a_continue_paints_everything_anew(tmp_path: Path) -> None:
    with on_a_terminal(tmp_path) as console:
        console.shows("nightly-report")
        console.press(b"\x1a")
        console.send(signal.SIGTSTP)
        beats = console.beats()
        until_sync(lambda: console.beats() > beats + 10, within=30)
        console.send(signal.SIGSTOP)
        console.read()
        console.session.overwrite("\x1b[2J\x1b[Hshell prompt $")
        console.send(signal.SIGCONT)
        console.shows("nightly-report")
        settle(console)


def test_a_failing_screen_says_where_and_never_what_was_in_memory(tmp_path: Path) -> None:
    with on_a_terminal(tmp_path, "crash") as console:
        console.shows("nightly-report")
        (tmp_path / "fails").touch()
        console.press(b"l")
        story = console.end()
        assert console.mode_now() == console.mode_before
    assert story["end"] == "crashed"
    assert "RuntimeError: no settings" in story["message"]
    assert "\x1b" not in story["message"]
    for text in (story["message"], console.received.decode("utf-8", "replace")):
        assert CANARY not in text
        assert CANARY[::-1] not in text


@pytest.mark.parametrize(("environ", "mouse"), [({}, True), ({"SSH_CONNECTION": "10.0.0.9 51234 10.0.0.1 22"}, False)])
def test_the_mouse_is_left_alone_over_ssh(tmp_path: Path, environ: dict[str, str], mouse: bool) -> None:
    with on_a_terminal(tmp_path, environ=environ) as console:
        console.shows("nightly-report")
        assert (MOUSE_ON.encode() in console.received) is mouse


@pytest.mark.parametrize(
    ("environ", "shown"),
    [
        ({"TERM": "linux", "COLORTERM": ""}, "* running"),
        ({"PYTHONIOENCODING": "ascii"}, "* running"),
        ({"NO_COLOR": "1"}, "● running"),
    ],
)
def test_poor_terminals_get_what_they_can_show(tmp_path: Path, environ: dict[str, str], shown: str) -> None:
    with on_a_terminal(tmp_path, environ=environ) as console:
        console.shows(shown)
        settle(console)
        assert (b";48;2;" in console.received) is (environ.get("COLORTERM") != "" and "NO_COLOR" not in environ)
        assert console.received.isascii() is ("NO_COLOR" not in environ)


def test_the_size_is_what_the_terminal_says_whatever_the_environment_says(tmp_path: Path) -> None:
    with on_a_terminal(tmp_path, environ={"COLUMNS": "200", "LINES": "60"}) as console:
        console.shows("nightly-report")
        settle(console)
        console.resize(80, 24)
        console.shows("? help")
        settle(console)


def test_a_late_answer_of_the_terminal_leaves_the_keys_working(tmp_path: Path) -> None:
    with on_a_terminal(tmp_path) as console:
        console.shows("nightly-report")
        console.press(b"\x1b[?62;22c\x1b]11;rgb:1e1e/1e1e/2e2e\x1b\\\x1b[?")
        console.press(b"997;1n")
        console.press(b"2")
        console.shows("everything, newest first")
        assert console.leave("6 runs are live")["asked"] == []
