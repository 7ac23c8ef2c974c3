"""What every screen is given: the engine, who is sitting there, the signs, and how to hand the runs over."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import StrEnum

from console.domain.timestamps import Clock
from console.engine.errors import OperationRefused, OwnershipLost, StaleRun, StoreError
from console.ui.glyphs import Glyphs
from console.ui.ports import EnginePort
from console.ui.spans import sanitize_cell

Leave = Callable[[], Awaitable[None]]
"""Hands the runs of this process to the background; raises with one clear line where it cannot."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """Handed to every screen at its construction."""

    engine: EnginePort
    clock: Clock
    glyphs: Glyphs
    by: str
    """`USER tty=yes`; recorded with every act."""
    read_only: bool = False
    """No key that writes is offered."""
    liftable: bool = False
    """The caller opens a console that writes where a read-only one ends with `End.WRITE`."""
    leave: Leave | None = None
    """None: this console cannot leave runs behind, as in the demo."""
    command: tuple[str, ...] = ("nightdesk",)
    """What a shell is to run to reach the same state folder."""


EXPECTED = (OperationRefused, OwnershipLost, StaleRun, StoreError)
"""Errors whose text is one clear line."""


def trouble_line(error: BaseException) -> str:
    """An expected error's own sentence; for others the kind too. One cleaned line."""
    text = sanitize_cell(str(error), limit=300).strip()
    if text and (isinstance(error, EXPECTED) or type(error) in (LookupError, ValueError)):
        return text
    name = type(error).__name__
    return f"{name}: {text}" if text else name


class ExitReason(StrEnum):
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
class ExitResult:
    """What the screen leaves behind."""

    reason: ExitReason
    message: str = ""
    """Cleaned text for the terminal, a line or, after a crash, where it failed; empty for none."""
