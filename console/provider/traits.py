"""What a provider declares that it is able to do, once, as a constant.

Kept apart because the config reads it for every command, without the port and the HTTP library.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from console.domain.server_limit import ServerLimitKind


class Prepares(StrEnum):
    """What `prepare` makes."""

    SANDBOX = "sandbox"
    """Where the agent works; the run gets an id of its own at its start."""
    SESSION = "session"
    """The run itself, not started: its id is the id of the run."""


class DiscardUse(StrEnum):
    """What `discard` is good for."""

    MAY_STOP = "may_stop"
    """It ends a run that ignores its cancel."""
    AFTER_STOP = "after_stop"
    """The service refuses it while the run works; afterwards it removes what is left."""


class UsageReport(StrEnum):
    """How current the usage of a live run is."""

    LIVE = "live"
    BEST_EFFORT = "best_effort"
    """It may be missing until the run ends."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Traits:
    """What one provider is able to do; a constant of its adapter."""

    prepares: Prepares
    can_find_launch: bool
    """True if `resolve` can find out what became of a launch without an answer."""
    start_repeats: bool
    """True if `create` may be sent again for the same order: the service recognises the repetition."""
    discard: DiscardUse
    server_limit: ServerLimitKind
    usage: UsageReport
    tells_money: bool
    """True if the service reports what a run has cost."""
    least_poll_ms: int
    """Polls of one run in a shorter interval are not allowed by the config."""
