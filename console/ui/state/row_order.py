"""The order of the rows in the live table.

Rows move as little as possible, because people are slower than a refresh.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from console.domain.run import RunId, State
from console.engine.models import Snapshot

URGENCY = {State.PROPOSED: 0, State.UNCONFIRMED: 1}

SEPARATOR = RunId("")
"""The row between live and recent runs; the cursor skips it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RowOrder:
    """The rows from top to bottom."""

    ids: tuple[RunId, ...] = ()

    @classmethod
    def of(cls, snapshot: Snapshot, before: RowOrder, *, frozen: bool) -> RowOrder:
        """Runs that need a person first, the others as they are listed.

        `frozen` keeps all rows and adds new ones at the end.
        """
        live = sorted(snapshot.live, key=lambda run: URGENCY.get(run.state, len(URGENCY)))
        return cls.of_rows([run.id for run in live], [run.id for run in snapshot.recent], before, frozen=frozen)

    @classmethod
    def of_rows(cls, live: Sequence[RunId], recent: Sequence[RunId], before: RowOrder, *, frozen: bool) -> RowOrder:
        """The live rows over the recent ones, as they are given. `frozen` is as for `of`."""
        fresh = [*live, SEPARATOR, *recent] if recent else live
        if not frozen:
            return cls(ids=tuple(fresh))
        known = set(fresh)
        kept = [each for each in before.ids if each in known]
        placed = set(kept)
        return cls(ids=(*kept, *(each for each in fresh if each not in placed)))

    def keeping(self, run_id: RunId, row: int) -> RowOrder:
        """The same rows with `run_id` at `row`, or at the end of the rows above the separator if that is higher."""
        others = [each for each in self.ids if each != run_id]
        above = others.index(SEPARATOR) if SEPARATOR in others else len(others)
        at = min(row, above)
        ids = (*others[:at], run_id, *others[at:])
        # A separator with nothing below it is none.
        return RowOrder(ids=ids[:-1] if ids[-1] == SEPARATOR else ids)

    def live(self) -> tuple[RunId, ...]:
        """The rows above the separator."""
        return self.ids[: self.ids.index(SEPARATOR)] if SEPARATOR in self.ids else self.ids

    def index(self, run_id: RunId | None) -> int | None:
        """The row of that run; None if it has none."""
        return self.ids.index(run_id) if run_id is not None and run_id in self.ids else None

    def first(self) -> RunId | None:
        """The run in the first row."""
        return next((each for each in self.ids if each != SEPARATOR), None)

    def moved(self, run_id: RunId | None, rows: int, *, from_row: int = 0) -> RunId | None:
        """The run `rows` below (or above) `run_id`, at most the last or first one; the separator is skipped.

        A run that has no row any more counts as being at `from_row`.
        """
        runs = [each for each in self.ids if each != SEPARATOR]
        if not runs:
            return None
        if run_id not in runs:
            return runs[max(0, min(from_row, len(runs) - 1))]
        return runs[max(0, min(runs.index(run_id) + rows, len(runs) - 1))]


def marked_in_order(order: RowOrder, marks: Sequence[RunId] | frozenset[RunId]) -> tuple[RunId, ...]:
    """The marked runs that still have a row, from top to bottom."""
    return tuple(each for each in order.ids if each in marks)
