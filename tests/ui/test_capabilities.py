"""What is decided from the kind of terminal: size, signs, theme, mouse."""

from __future__ import annotations

import io

import pytest

from console.ui.glyphs import ASCII, UNICODE, Glyphs
from console.ui.terminal.capabilities import (
    fitting_glyphs,
    fitting_theme,
    is_remote,
    prepare_environment,
    wants_mouse,
    why_no_screen,
)


class Tty(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("term", ["", "dumb", "unknown"])
def test_a_terminal_that_cannot_move_its_cursor_gets_no_screen(term: str) -> None:
    reason = why_no_screen({"TERM": term}, Tty(), Tty())
    assert reason is not None
    assert "\n" not in reason


def test_a_pipe_gets_no_screen() -> None:
    assert why_no_screen({"TERM": "xterm"}, io.StringIO(), Tty()) is not None
    assert why_no_screen({"TERM": "xterm"}, Tty(), io.StringIO()) is not None
    assert why_no_screen({"TERM": "xterm"}, Tty(), Tty()) is None


def test_textual_gets_no_animations_unless_they_are_set_already() -> None:
    local: dict[str, str] = {"NO_COLOR": "", "COLUMNS": "200", "LINES": "60"}
    prepare_environment(local)
    assert local == {"TEXTUAL_ANIMATIONS": "none", "TEXTUAL_FPS": "30"}
    remote = {"SSH_CONNECTION": "a b c d", "TEXTUAL_ANIMATIONS": "full", "NO_COLOR": "1"}
    prepare_environment(remote)
    assert remote["TEXTUAL_FPS"] == "15"
    assert remote["TEXTUAL_ANIMATIONS"] == "full"
    assert remote["NO_COLOR"] == "1"


def test_over_ssh_the_mouse_is_off_unless_asked_for() -> None:
    remote = {"SSH_TTY": "/dev/pts/1"}
    assert is_remote(remote)
    assert not wants_mouse(remote, None)
    assert wants_mouse(remote, True)
    assert wants_mouse({}, None)
    assert not wants_mouse({}, False)


@pytest.mark.parametrize(
    ("term", "encoding", "unicode"),
    [
        ("xterm-256color", "utf-8", True),
        ("tmux-256color", "UTF-8", True),
        ("linux", "utf-8", False),
        ("vt100", "utf-8", False),
        ("xterm", "ascii", False),
        ("xterm", "latin-1", False),
        ("xterm", None, False),
        ("xterm", "no-such-codec", False),
    ],
)
def test_signs_that_cannot_be_shown_are_not_used(term: str, encoding: str | None, unicode: bool) -> None:
    assert fitting_glyphs({"TERM": term}, encoding) is (UNICODE if unicode else ASCII)


@pytest.mark.parametrize(
    ("environ", "theme"),
    [
        ({"TERM": "xterm-256color"}, "night"),
        ({"TERM": "xterm", "COLORTERM": "truecolor"}, "night"),
        ({"TERM": "xterm"}, "sixteen"),
        ({"TERM": "linux"}, "sixteen"),
        ({"TERM": "xterm-256color", "NO_COLOR": "1"}, "mono"),
        ({"TERM": "xterm-256color", "NO_COLOR": ""}, "night"),
    ],
)
def test_the_theme_fits_the_terminal(environ: dict[str, str], theme: str) -> None:
    assert fitting_theme(environ) == theme


@pytest.mark.parametrize(
    ("environ", "glyphs"),
    [
        ({"LANG": "C"}, ASCII),
        ({"LC_ALL": "POSIX", "LANG": "de_DE.UTF-8"}, ASCII),
        ({"LANG": "C.UTF-8"}, UNICODE),
        ({"LC_ALL": "en_US.UTF-8", "LANG": "C"}, UNICODE),
        ({}, UNICODE),
        ({"NIGHTDESK_ASCII": "1", "LANG": "de_DE.UTF-8"}, ASCII),
        ({"NIGHTDESK_ASCII": "0"}, UNICODE),
    ],
)
def test_a_c_locale_and_a_switch_ask_for_ascii(environ: dict[str, str], glyphs: Glyphs) -> None:
    assert fitting_glyphs(environ, "utf-8") is glyphs
