"""The exit codes, all in one place: scripts and cron lines act on them, so they never change their meaning."""

from __future__ import annotations

from enum import IntEnum


class Exit(IntEnum):
    """What a command says to the shell."""

    OK = 0
    """Ended ok, or skipped: already done, or already running."""
    AGENT = 1
    """The agent ended failed or incomplete."""
    USAGE = 2
    """Usage or config error, unknown task or run."""
    TIMEOUT = 3
    """Cut off by the clock."""
    BUDGET = 4
    """Cut off by the budget."""
    CANCELLED = 5
    """Cancelled, declined or expired."""
    REFUSED = 6
    """Refused here or by the provider. Nothing was launched."""
    UNCONFIRMED = 7
    """Something may have happened, or a stop is not proven."""
    STORE = 8
    """The state store is missing, damaged, busy or full. Nothing was sent."""
    INTERNAL = 70
    """A mistake in this program (EX_SOFTWARE); what was stored before it stands."""
    TRY_LATER = 75
    """Not sent: offline, or rate limited (EX_TEMPFAIL)."""
    HUNG_UP = 129
    """The terminal went away; a run goes on under another guard."""
    INTERRUPTED = 130
    """Ctrl-C; a run goes on under another guard."""
    PIPE = 141
    """Whoever read our output went away."""
    TERMINATED = 143
    """SIGTERM; a run goes on under another guard."""
