"""Colour for people at a terminal, and for nobody else: words carry the meaning, colour only repeats it."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import TextIO


class Tone(StrEnum):
    """What a colour says, as the parameters of its control sequence (SGR, ECMA-48)."""

    PLAIN = ""
    STRONG = "1"
    FAINT = "2"
    GOOD = "32"
    WATCH = "33"
    BAD = "31"


class Style:
    """Paints, or does not."""

    def __init__(self, *, enabled: bool) -> None:
        self.enabled = enabled

    @classmethod
    def choose(cls, wish: str, stream: TextIO, environment: Mapping[str, str]) -> Style:
        """`wish` is auto, always or never. NO_COLOR counts where it is not empty (no-color.org)."""
        if wish != "auto":
            return cls(enabled=wish == "always")
        dumb = environment.get("TERM", "dumb") in ("", "dumb")
        return cls(enabled=stream.isatty() and not dumb and not environment.get("NO_COLOR"))

    def paint(self, text: str, tone: Tone) -> str:
        """`text`, already cleaned, in that tone."""
        if not self.enabled or tone is Tone.PLAIN or not text:
            return text
        return f"\x1b[{tone}m{text}\x1b[0m"
