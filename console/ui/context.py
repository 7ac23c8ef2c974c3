"""What the caller gives to a console (`Context`) and what the console returns at its end (`ExitResult`)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from console.domain.text import os_error_text
from console.domain.timestamps import Clock
from console.engine.errors import OperationRefused, OwnershipLost, StaleRun, StoreError
from console.ui.glyphs import Glyphs
from console.ui.ports import EnginePort
from console.ui.spans import sanitize_cell
from console.ui.state.preferences import Preferences

Leave = Callable[[], Awaitable[None]]
"""Hands the runs of this process, or its schedule too, over to a background process. Raises an error with a one-line
text where it cannot."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionInfo:
    """Where a console runs and what it acts on, so that nobody takes one ledger for another. All texts are sanitized;
    an empty one is not shown."""

    user: str = ""
    host: str = ""
    name: str = ""
    """What the config calls this ledger."""
    context: str = ""
    """The named context that this console is of."""
    folder: str = ""
    """The state folder."""
    is_default_folder: bool = True
    """False for a state folder that was chosen by an option, the environment or the config."""
    config: str = ""
    provider: str = ""
    """Kind and address of the service."""
    version: str = ""
    is_demo: bool = False
    in_fleet: bool = False
    """True where the runs of several hosts are shown."""

    @property
    def who_where(self) -> str:
        """`ops@web1`."""
        return "@".join(filter(None, (self.user, self.host)))

    @property
    def label(self) -> str:
        """The shortest name for it: the context's, else that of the ledger, else the host's."""
        return self.context or self.name or self.host

    @property
    def ledger(self) -> str:
        """`prod`, or `prod (billing)` where the context and the ledger have different names."""
        if self.context and self.name and self.name != self.context:
            return f"{self.context} ({self.name})"
        return self.context or self.name


@dataclass(frozen=True, slots=True, kw_only=True)
class Contexts:
    """The contexts whose consoles this one can be left for."""

    files: Mapping[str, str] = field(default_factory=dict)
    """The config of each, by name; sanitized."""
    check: Callable[[str], None] = lambda name: None
    """Reads the config of a context. Blocks; raises ValueError, in one line, where its console could not open."""


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
    is_locked: bool = False
    """True for a read-only console for somebody who must write no file here either."""
    leave: Leave | None = None
    """Hands the runs over; None if this console cannot, as in the demo."""
    leave_scheduler: Leave | None = None
    """Hands the runs over to a background process that also schedules; None if this console cannot."""
    in_tmux: bool = False
    session: SessionInfo = field(default_factory=SessionInfo)
    contexts: Contexts = field(default_factory=Contexts)
    preferences: Preferences = field(default_factory=Preferences)
    command: tuple[str, ...] = ("nightdesk",)
    """The command and options that reach the same state folder from a shell."""


EXPECTED = (OperationRefused, OwnershipLost, StaleRun, StoreError)
"""Errors whose text is one line that an operator understands."""


def trouble_line(error: BaseException) -> str:
    """The text of an expected error; of other errors also the type. One sanitized line."""
    text = sanitize_cell(str(error), limit=300).strip()
    if text and (isinstance(error, EXPECTED) or type(error) in (LookupError, ValueError)):
        return text
    if isinstance(error, OSError):
        return os_error_text(error)
    name = type(error).__name__
    return f"{name}: {text}" if text else name


class ExitReason(StrEnum):
    """Why the console ended."""

    QUIT = "quit"
    """The operator left while no run was live."""
    LEFT = "left"
    """The operator left and the runs were handed over to a background process."""
    SCHEDULER_LEFT = "scheduler_left"
    """The operator left, and a background process supervises the runs and schedules."""
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
    context: str = ""
    """The context whose console is opened next; empty for none."""
    message: str = ""
    """Sanitized text for the terminal: one line, or a traceback after a crash; may be empty."""
