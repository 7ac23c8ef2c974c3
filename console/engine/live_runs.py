"""The open runs, read without an engine.

Kept apart because `ps --json` loads it without the engine: scripts call it every few seconds.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from console.domain.run import Run, State
from console.domain.timestamps import Timestamp
from console.store.fast_read import open_runs

WAITING = (State.PROPOSED, State.UNCONFIRMED)
"""Runs that wait for a person come first."""


def live_runs(folder: Path, now: Timestamp) -> tuple[Run, ...]:
    """All runs that are not ended, in the order of `by_urgency`. Raises StoreError."""
    return by_urgency(open_runs(folder, now=now).runs)


def by_urgency(runs: Iterable[Run]) -> tuple[Run, ...]:
    """Proposals first, then unconfirmed runs, then the rest; oldest first within each kind."""
    return tuple(sorted(runs, key=_urgency_of))


def _urgency_of(run: Run) -> tuple[int, int]:
    return (WAITING.index(run.state) if run.state in WAITING else len(WAITING)), run.created_ms
