"""Colour is written only to terminals, and only if the user permits it."""

from __future__ import annotations

import io
from collections.abc import Mapping

import pytest

from console.cli.render.table import Style, Tone


class Terminal(io.StringIO):
    """A stream that reports itself as a terminal."""

    def isatty(self) -> bool:
        return True


CLEVER = {"TERM": "xterm-256color"}


@pytest.mark.parametrize(
    ("wish", "stream", "environment", "enabled"),
    [
        ("auto", Terminal(), CLEVER, True),
        ("auto", io.StringIO(), CLEVER, False),
        ("auto", Terminal(), {"TERM": "dumb"}, False),
        ("auto", Terminal(), {}, False),
        ("auto", Terminal(), {**CLEVER, "NO_COLOR": "1"}, False),
        ("auto", Terminal(), {**CLEVER, "NO_COLOR": ""}, True),
        ("always", io.StringIO(), {"NO_COLOR": "1"}, True),
        ("never", Terminal(), CLEVER, False),
    ],
)
def test_who_gets_colour(wish: str, stream: io.StringIO, environment: Mapping[str, str], enabled: bool) -> None:
    assert Style.choose(wish, stream, environment).enabled is enabled


def test_plain_text_is_left_alone() -> None:
    assert Style(enabled=True).paint("a", Tone.PLAIN) == "a"
    assert Style(enabled=False).paint("a", Tone.BAD) == "a"
    assert Style(enabled=True).paint("", Tone.BAD) == ""
