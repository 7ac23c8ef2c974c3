"""Keys that arrive in one piece, as over a slow line: what is typed into a line never acts on the table behind it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.ui.pseudo import on_a_terminal

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
def test_letters_on_the_heels_of_an_opening_key_stop_no_run(
    tmp_path: Path, screen: bytes, keys: bytes, opened: str
) -> None:
    with on_a_terminal(tmp_path) as pseudo:
        pseudo.shows("nightly-report")
        pseudo.press(screen)
        pseudo.shows("everything, newest first" if screen == b"2" else "cut-off")
        pseudo.press(keys)
        pseudo.shows(opened)
        pseudo.press(ESCAPE)
        pseudo.press(ESCAPE)
        pseudo.until(lambda: opened not in "\n".join(pseudo.terminal.lines()), "nothing is open any more")
        pseudo.press(b"\x11")
        pseudo.shows("6 runs are live")
        pseudo.press(b"\r")
        assert pseudo.end()["asked"] == []


def test_a_key_on_the_heels_of_enter_is_no_letter_of_the_filter(tmp_path: Path) -> None:
    with on_a_terminal(tmp_path) as pseudo:
        pseudo.shows("nightly-report")
        pseudo.press(b"2")
        pseudo.shows("everything, newest first")
        pseudo.press(b"/")
        pseudo.shows("and words")
        pseudo.press(b"outcome:ok ")
        pseudo.shows("no entry matches this filter")
        pseudo.press(b"\r")
        pseudo.press(b"4")
        pseudo.shows("units a day by task")
        pseudo.press(b"2")
        pseudo.until(lambda: "outcome:ok" in pseudo.terminal.lines()[2], "the filter is as it was")
        assert "outcome:ok 4" not in pseudo.terminal.lines()[2]
        pseudo.press(b"\x11")
        pseudo.shows("6 runs are live")
        pseudo.press(b"\r")
        pseudo.end()
