"""Which row stands where. Eye and finger are slower than a refresh, so rows move as little as they may."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from console.domain.run import RunId, State
from console.engine.models import Snapshot

URGENCY = {State.PROPOSED: 0, State.UNCONFIRMED: 1}

SEPARATOR = RunId("")
"""Stands between what is open and what ended; no cursor rests on it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RowOrder:
    """The rows from top to bottom."""

    ids: tuple[RunId, ...] = ()

    @classmethod
    def of(cls, snapshot: Snapshot, before: RowOrder, *, frozen: bool) -> RowOrder:
        """What waits for a person first, else as it comes; `frozen` keeps every row and puts new ones at the end."""
        live = [run.id for run in sorted(snapshot.live, key=lambda run: URGENCY.get(run.state, len(URGENCY)))]
        recent = [run.id for run in snapshot.recent]
        fresh = [*live, SEPARATOR, *recent] if recent else live
        if not frozen:
            return cls(ids=tuple(fresh))
        known = set(fresh)
        kept = [each for each in before.ids if each in known]
        placed = set(kept)
        return cls(ids=(*kept, *(each for each in fresh if each not in placed)))

    def index(self, run_id: RunId | None) -> int | None:
        """The row of that run; None where it has none."""
        return self.ids.index(run_id) if run_id is not None and run_id in self.ids else None

    def first(self) -> RunId | None:
        """The topmost run."""
        return next((each for each in self.ids if each != SEPARATOR), None)

    def moved(self, run_id: RunId | None, rows: int, *, from_row: int = 0) -> RunId | None:
        """The run `rows` below (or above) that of `run_id`, at most the last or first; the separator is skipped.

        A run that is not here any more counts as standing at `from_row`.
        """
        runs = [each for each in self.ids if each != SEPARATOR]
        if not runs:
            return None
        if run_id not in runs:
            return runs[max(0, min(from_row, len(runs) - 1))]
        return runs[max(0, min(runs.index(run_id) + rows, len(runs) - 1))]


def marked_in_order(order: RowOrder, marks: Sequence[RunId] | frozenset[RunId]) -> tuple[RunId, ...]:
    """The marked runs that are still here, top to bottom."""
    return tuple(each for each in order.ids if each in marks)
