"""The open runs, read without an engine.

Kept apart because `ps --json` loads it without the engine: scripts call it every few seconds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from console.domain.formatting import counted
from console.domain.run import Run, State
from console.domain.text import sanitize
from console.domain.timestamps import Timestamp
from console.store.errors import StoreBusy, StoreError, StoreUnfinished
from console.store.fast_read import open_runs, open_runs_of_copy, peek_open_runs
from console.store.fleet_settings import FleetSettings
from console.store.rows import RunListing

WAITING = (State.PROPOSED, State.UNCONFIRMED)
"""Runs that wait for a person come first."""


READ_BUSY_MS = 2_000
"""How long a list of runs waits for a store that another process holds."""
UNREADABLE = "unreadable runs"
"""The topic of the problem that rows of open runs cannot be read."""
SHOWN = 3
"""Rows that cannot be read of which the reason is shown."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveRuns:
    """The open runs, and what is to be said about the list."""

    runs: tuple[Run, ...]
    """In the order of `by_urgency`."""
    unreadable: str = ""
    """A line about rows that cannot be read; empty without any."""
    busy: str = ""
    """Why the list may be out of date: another process holds the store, or died in a commit. Empty if it is not."""


def live_runs(folder: Path, now: Timestamp, fleet: FleetSettings | None = None) -> LiveRuns:
    """All runs that are not ended; with `fleet` those of all hosts.

    A store that another process holds, or died in, is read past that. Raises StoreError.
    """
    try:
        listing, busy = _open_runs(folder, now, fleet), ""
    except StoreBusy as error:
        busy = f"{error}; this is what its file holds, which may be in the middle of a change"
        listing = _instead(error, peek_open_runs, folder)
    except StoreUnfinished as error:
        busy = f"{error}; this is read from a copy in which it is undone"
        listing = _instead(error, open_runs_of_copy, folder)
    unreadable = unreadable_line([row.why for row in listing.unreadable])
    return LiveRuns(runs=by_urgency(listing.runs), unreadable=unreadable, busy=busy)


def _open_runs(folder: Path, now: Timestamp, fleet: FleetSettings | None) -> RunListing:
    if fleet is None:
        return open_runs(folder, now=now, busy_ms=READ_BUSY_MS)
    # The driver is loaded where there is a fleet only: it takes a tenth of a second.
    from console.store.postgres.peek import open_runs_of_fleet

    return open_runs_of_fleet(fleet)


def _instead(error: StoreError, read: Callable[[Path], RunListing], folder: Path) -> RunListing:
    """Read the open runs in another way. Raises `error` where that fails too."""
    try:
        return read(folder)
    except (StoreError, OSError):
        raise error from None


def unreadable_line(reasons: Sequence[str]) -> str:
    """One line about rows of open runs that cannot be read, which nobody supervises; empty without any."""
    if not reasons:
        return ""
    named = "; ".join(reasons[:SHOWN])
    more = f" and {len(reasons) - SHOWN} more" if len(reasons) > SHOWN else ""
    what = counted(len(reasons), "open run")
    return sanitize(f"{what} cannot be read and not be supervised; `nightdesk cancel --all` stops them: {named}{more}")


def by_urgency(runs: Iterable[Run]) -> tuple[Run, ...]:
    """Proposals first, then unconfirmed runs, then the rest; oldest first within each kind."""
    return tuple(sorted(runs, key=_urgency_of))


def _urgency_of(run: Run) -> tuple[int, int]:
    return (WAITING.index(run.state) if run.state in WAITING else len(WAITING)), run.created_ms
