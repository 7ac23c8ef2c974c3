"""How the screen ended. The engine goes on either way; what becomes of it is for the caller to decide."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class End(StrEnum):
    """Why there is no screen any more."""

    QUIT = "quit"
    """The operator left and nothing was live."""
    LEFT = "left"
    """The operator left; the runs were handed to the background."""
    STOPPED = "stopped"
    """The operator stopped everything, and the provider showed every end."""
    WRITE = "write"
    """The operator of a read-only console wants one that writes; the caller opens it."""
    LINE_DROPPED = "line_dropped"
    """The terminal is gone; descriptors 0 to 2 are /dev/null now. Go on without a screen."""
    TERMINATED = "terminated"
    """SIGTERM."""
    CRASHED = "crashed"
    """The screen failed; the runs are not touched by that."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Farewell:
    """What the screen leaves behind."""

    end: End
    message: str = ""
    """Cleaned text for the terminal, a line or, after a crash, where it failed; empty for none."""
