"""A terminal emulator in memory: shows the bytes that were sent as a terminal does.

Kept apart because the tests of the renderer use it without a process.
"""

from __future__ import annotations

import re

import pyte

_KITTY = re.compile(r"\x1b\[[<>][0-9]*u")
"""The emulator does not know these and would print their last letter."""


class TerminalEmulator:
    """A screen that is fed with bytes or text."""

    def __init__(self, width: int, height: int) -> None:
        self._screen = pyte.Screen(width, height)
        self._stream = pyte.Stream(self._screen)

    def feed(self, data: str) -> None:
        """Shows what is written."""
        self._stream.feed(_KITTY.sub("", data))

    def resize(self, width: int, height: int) -> None:
        """Another size."""
        self._screen.resize(height, width)

    def lines(self) -> list[str]:
        """The text, line by line, blanks at the ends left out."""
        return [line.rstrip() for line in self._screen.display]

    def cells(self) -> list[list[tuple[object, ...]]]:
        """Every cell: its character, colours and attributes."""
        return [
            [tuple(self._screen.buffer[y][x]) for x in range(self._screen.columns)] for y in range(self._screen.lines)
        ]
