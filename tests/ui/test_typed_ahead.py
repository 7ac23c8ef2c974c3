"""Keys that arrive in one piece, as over a slow line: text for a line never acts on the table behind it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.ui.console_process import on_a_terminal

ESCAPE = b"\x1b[27u"


@pytest.mark.parametrize(
    ("screen", "keys", "opened"),
    [
        (b"2", b"/xx", "outcome:"),
        (b"1", b"lxx", "Launch which task"),
        (b"1", b":xx", "Commands"),
        (b"1", b"?xx", "│ Keys"),
    ],
)
def test_letters_right_behind_an_opening_key_stop_no_run(
    tmp_path: Path, screen: bytes, keys: bytes, opened: str
) -> None:
    with on_a_terminal(tmp_path) as console:
        console.shows("nightly-report")
        console.press(screen)
        console.shows("everything, newest first" if screen == b"2" else "cut-off")
        console.press(keys)
        console.shows(opened)
        console.press(ESCAPE)
        console.press(ESCAPE)
        console.until(lambda: opened not in "\n".join(console.lines()), "nothing is open any more")
        assert console.leave("6 runs are live")["asked"] == []


def test_a_key_right_behind_enter_is_no_letter_of_the_filter(tmp_path: Path) -> None:
    with on_a_terminal(tmp_path) as console:
        console.shows("nightly-report")
        console.press(b"2")
        console.shows("everything, newest first")
        console.press(b"/")
        console.shows("and words")
        console.press(b"outcome:ok ")
        console.shows("no entry matches this filter")
        console.press(b"\r")
        console.press(b"4")
        console.shows("units a day by task")
        console.press(b"2")
        console.until(lambda: "outcome:ok" in console.lines()[2], "the filter is as it was")
        assert "outcome:ok 4" not in console.lines()[2]
        console.leave("6 runs are live")


def test_text_with_a_line_end_in_the_reason_answers_no_question(tmp_path: Path) -> None:
    with on_a_terminal(tmp_path) as console:
        console.shows("crawl-docs")
        console.press(b" ")
        console.shows("1 marked")
        console.press(b"x")
        console.shows("Cancel 1 marked run?")
        console.press(b"r")
        console.shows("enter to the answers")
        console.press(b"a x\rx")
        console.shows("a x  r changes it")
        console.press(ESCAPE)
        console.until(lambda: "Cancel 1 marked run?" not in "\n".join(console.lines()), "the question is closed")
        assert console.leave("6 runs are live")["asked"] == []


def test_a_key_that_was_typed_into_the_shell_stops_no_run(tmp_path: Path) -> None:
    with on_a_terminal(tmp_path) as console:
        console.press(b"x")
        console.shows("nightly-report")
        console.shows("x was ignored: it was typed before the screen was shown; press it again")
        assert console.leave("6 runs are live")["asked"] == []
