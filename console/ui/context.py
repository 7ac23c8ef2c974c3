"""What the caller gives to a console (`Context`) and what the console returns at its end (`ExitResult`)."""

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
"""Hands the runs of this process over to a background process. Raises an error with a one-line text where it cannot."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """Given to every screen when it is created."""

    engine: EnginePort
    clock: Clock
    glyphs: Glyphs
    by: str
    """The acting user, `NAME tty=yes`; recorded with every action."""
    read_only: bool = False
    """True for a console that offers no key that changes anything."""
    liftable: bool = False
    """True if the caller opens a console with full access after a read-only one has ended with `ExitReason.WRITE`."""
    leave: Leave | None = None
    """None if this console cannot hand its runs over, as in the demo."""
    command: tuple[str, ...] = ("nightdesk",)
    """The command and options that reach the same state folder from a shell."""


EXPECTED = (OperationRefused, OwnershipLost, StaleRun, StoreError)
"""Errors whose text is one line that an operator understands."""


def trouble_line(error: BaseException) -> str:
    """The text of an expected error; of other errors also the type. One sanitized line."""
    text = sanitize_cell(str(error), limit=300).strip()
    if text and (isinstance(error, EXPECTED) or type(error) in (LookupError, ValueError)):
        return text
    name = type(error).__name__
    return f"{name}: {text}" if text else name


class ExitReason(StrEnum):
    """Why the console ended."""

    QUIT = "quit"
    """The operator left while no run was live."""
    LEFT = "left"
    """The operator left and the runs were handed over to a background process."""
    STOPPED = "stopped"
    """The operator stopped all runs, and the provider has shown the end of each."""
    WRITE = "write"
    """The operator asked to leave read-only mode; the caller opens a console with full access."""
    LINE_DROPPED = "line_dropped"
    """The terminal is gone and descriptors 0 to 2 are /dev/null; the caller goes on without a screen."""
    TERMINATED = "terminated"
    """The process received SIGTERM."""
    CRASHED = "crashed"
    """The screen failed; the runs are not affected."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExitResult:
    """How the console ended."""

    reason: ExitReason
    message: str = ""
    """Sanitized text for the terminal: one line, or a traceback after a crash; may be empty."""
