"""The driver on real pseudo-terminals: read, not read, closed, resized, stopped, killed. Work goes on in each."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from console.ui.terminal.driver import LEAVE, MOUSE_ON
from tests.ui.pseudo import Pseudo, on_a_terminal
from tests.ui.ptyapp import CANARY
from tests.waiting import until_sync

NULL = ["/dev/null"] * 3


def settle(pseudo: Pseudo) -> None:
    """Until the terminal and Textual agree; between two ticks they always do."""
    pseudo.until(pseudo.agrees, "the terminal shows what was drawn")


def leave(pseudo: Pseudo) -> None:
    """Quit, and hand the runs over."""
    pseudo.press(b"q")
    pseudo.shows("runs are live")
    pseudo.press(b"\r")


def test_the_terminal_shows_what_was_drawn_after_keys_and_another_size(tmp_path: Path) -> None:
    with on_a_terminal(tmp_path) as pseudo:
        pseudo.shows("nightly-report")
        settle(pseudo)
        for keys in (b"j", b"\x1b[B", b"?", b"\x1b", b"X", b"\x1b"):
            pseudo.press(keys)
            settle(pseudo)
        pseudo.resize(80, 24)
        pseudo.shows("? help")
        settle(pseudo)


def test_a_paste_is_not_taken_for_keys(tmp_path: Path) -> None:
    with on_a_terminal(tmp_path) as pseudo:
        pseudo.shows("nightly-report")
        pseudo.press(b"\x1b[200~xxXq\x1b[201~")
        pseudo.press(b"j")
        settle(pseudo)
        assert "Kill switch" not in "\n".join(pseudo.terminal.lines())
        leave(pseudo)
        assert pseudo.end()["asked"] == []


def test_quitting_gives_the_terminal_back_as_it_was(tmp_path: Path) -> None:
    with on_a_terminal(tmp_path, "idle") as pseudo:
        pseudo.shows("No runs and no proposals")
        assert pseudo.mode_now() != pseudo.mode_before
        pseudo.press(b"q")
        story = pseudo.end()
        assert story["end"] == "quit"
        assert NULL[0] not in story["descriptors"]
        assert LEAVE.encode() in pseudo.received
        assert pseudo.mode_now() == pseudo.mode_before


@pytest.mark.parametrize("keys", [b"q", b"\x03", b"\x11"])
def test_with_live_runs_leaving_asks_and_hands_them_over(tmp_path: Path, keys: bytes) -> None:
    with on_a_terminal(tmp_path) as pseudo:
        pseudo.shows("nightly-report")
        pseudo.press(keys)
        pseudo.shows("6 runs are live")
        pseudo.press(b"\r")
        assert pseudo.end()["end"] == "left"
        assert (tmp_path / "left").exists()


def test_a_terminal_that_nobody_reads_holds_nothing_up_and_is_right_again_later(tmp_path: Path) -> None:
    with on_a_terminal(tmp_path, "storm", rows=40) as pseudo:
        until_sync(lambda: pseudo.beats() > 0, within=30, what="the process works")
        unread = pseudo.beats()
        until_sync(lambda: pseudo.beats() > unread + 60, within=60, what="60 beats with nobody reading")
        (tmp_path / "calm").touch()
        settle(pseudo)
        leave(pseudo)
        story = pseudo.end()
    assert story["end"] == "left"
    assert story["longest_gap"] < 3, "a stalled terminal stopped the loop"


def test_when_the_window_closes_the_screen_goes_and_the_work_goes_on(tmp_path: Path) -> None:
    with on_a_terminal(tmp_path) as pseudo:
        pseudo.shows("nightly-report")
        before = pseudo.beats()
        pseudo.drop()
        until_sync((tmp_path / "end.json").exists, within=30)
        story = pseudo.end()
    assert story["end"] == "line_dropped"
    assert story["beats"] >= before + 20
    assert story["descriptors"] == NULL


def test_sighup_is_the_same_as_a_closed_window(tmp_path: Path) -> None:
    with on_a_terminal(tmp_path) as pseudo:
        pseudo.shows("nightly-report")
        pseudo.send(signal.SIGHUP)
        pseudo.send(signal.SIGCONT)
        pseudo.send(signal.SIGHUP)
        story = pseudo.end()
    assert story["end"] == "line_dropped"
    assert story["descriptors"] == NULL


def test_a_window_that_closes_while_nobody_reads_is_noticed_too(tmp_path: Path) -> None:
    with on_a_terminal(tmp_path, "storm", rows=40) as pseudo:
        until_sync(lambda: pseudo.beats() > 30, within=30)
        pseudo.drop()
        until_sync((tmp_path / "end.json").exists, within=30)
        assert pseudo.end()["end"] == "line_dropped"


def test_sigterm_ends_the_screen_and_gives_the_terminal_back(tmp_path: Path) -> None:
    with on_a_terminal(tmp_path) as pseudo:
        pseudo.shows("nightly-report")
        pseudo.send(signal.SIGTERM)
        assert pseudo.end()["end"] == "terminated"
        assert pseudo.mode_now() == pseudo.mode_before


def test_stop_keys_do_not_stop_supervision_and_a_continue_paints_everything_anew(tmp_path: Path) -> None:
    with on_a_terminal(tmp_path) as pseudo:
        pseudo.shows("nightly-report")
        pseudo.press(b"\x1a")
        pseudo.send(signal.SIGTSTP)
        beats = pseudo.beats()
        until_sync(lambda: pseudo.beats() > beats + 10, within=30)
        pseudo.send(signal.SIGSTOP)
        pseudo.read()
        pseudo.terminal.feed("\x1b[2J\x1b[Hshell prompt $")
        pseudo.send(signal.SIGCONT)
        pseudo.shows("nightly-report")
        settle(pseudo)


def test_a_failing_screen_says_where_and_never_what_was_in_memory(tmp_path: Path) -> None:
    with on_a_terminal(tmp_path, "crash") as pseudo:
        pseudo.shows("nightly-report")
        pseudo.press(b"l")
        story = pseudo.end()
        assert pseudo.mode_now() == pseudo.mode_before
    assert story["end"] == "crashed"
    assert "RuntimeError: no settings" in story["message"]
    assert "\x1b" not in story["message"]
    for text in (story["message"], pseudo.received.decode("utf-8", "replace")):
        assert CANARY not in text
        assert CANARY[::-1] not in text


@pytest.mark.parametrize(("environ", "mouse"), [({}, True), ({"SSH_CONNECTION": "10.0.0.9 51234 10.0.0.1 22"}, False)])
def test_the_mouse_is_left_alone_over_ssh(tmp_path: Path, environ: dict[str, str], mouse: bool) -> None:
    with on_a_terminal(tmp_path, environ=environ) as pseudo:
        pseudo.shows("nightly-report")
        assert (MOUSE_ON.encode() in pseudo.received) is mouse


@pytest.mark.parametrize(
    ("environ", "shown"),
    [
        ({"TERM": "linux", "COLORTERM": ""}, "* running"),
        ({"PYTHONIOENCODING": "ascii"}, "* running"),
        ({"NO_COLOR": "1"}, "● running"),
    ],
)
def test_poor_terminals_get_what_they_can_show(tmp_path: Path, environ: dict[str, str], shown: str) -> None:
    with on_a_terminal(tmp_path, environ=environ) as pseudo:
        pseudo.shows(shown)
        settle(pseudo)
        assert (b";48;2;" in pseudo.received) is (environ.get("COLORTERM") != "" and "NO_COLOR" not in environ)
        assert pseudo.received.isascii() is ("NO_COLOR" not in environ)


def test_the_size_is_what_the_terminal_says_whatever_the_environment_says(tmp_path: Path) -> None:
    with on_a_terminal(tmp_path, environ={"COLUMNS": "200", "LINES": "60"}) as pseudo:
        pseudo.shows("nightly-report")
        settle(pseudo)
        pseudo.resize(80, 24)
        pseudo.shows("? help")
        settle(pseudo)


def test_a_late_answer_of_the_terminal_leaves_the_keys_working(tmp_path: Path) -> None:
    with on_a_terminal(tmp_path) as pseudo:
        pseudo.shows("nightly-report")
        pseudo.press(b"\x1b[?62;22c\x1b]11;rgb:1e1e/1e1e/2e2e\x1b\\\x1b[?")
        pseudo.press(b"997;1n")
        pseudo.press(b"2")
        pseudo.shows("everything, newest first")
        pseudo.press(b"\x11")
        pseudo.shows("6 runs are live")
        pseudo.press(b"\r")
        assert pseudo.end()["asked"] == []
