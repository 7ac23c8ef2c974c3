"""Which rows the live table shows and in which order: its filter, and what runs can be sorted by."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

from console.domain.run import Outcome, Run, State
from console.domain.task import Origin, Stage
from console.ui.filtering.controls import Order
from console.ui.filtering.rows import FieldNames, RowFields, RowFilter
from console.ui.state.row_order import URGENCY
from console.ui.state.view_state import ViewState

RATE_MS = 10_000
"""The age from which on the rate of a run is used for a forecast."""
STEADY_MS = 10_000
"""Ends that differ by less are in no order, so that rows do not change places with every poll."""

URGENT = Order("urgency", "most urgent first", "least urgent first")
ENDS = Order("ends", "ends first", "ends last")
RATE = Order("rate", "fastest spending first", "slowest spending first")
COST = Order("cost", "most expensive first", "cheapest first")
TASK = Order("task", "by task", "by task, from Z to A")
STARTED = Order("started", "newest first", "oldest first")
HOST = Order("host", "by host", "by host, from Z to A")
"""Only where runs have a host, as `host:` is a filter there."""
ORDERS = (URGENT, ENDS, RATE, COST, TASK, STARTED)

NAMES = FieldNames(
    texts=("task", "state", "outcome", "stage", "origin", "target", "key"),
    figures=("cost", "units"),
    dated=True,
    values={
        "state": tuple(state.value for state in State),
        "outcome": tuple(outcome.value for outcome in Outcome),
        "stage": tuple(stage.label for stage in Stage),
        "origin": tuple(origin.value for origin in Origin),
    },
)

NAMES_IN_FLEET = replace(NAMES, texts=(*NAMES.texts, "host"))


def row_fields(run: Run) -> RowFields:
    """What a run offers to a filter."""
    return RowFields(
        named={
            "task": run.task,
            "state": run.state.value,
            "outcome": run.outcome.value if run.outcome else "",
            "stage": run.stage.label,
            "origin": run.origin.value,
            "target": run.target,
            "key": run.key,
            "host": run.host,
        },
        figures={
            "cost": None if run.cost_micro is None else Decimal(run.cost_micro) / 1_000_000,
            "units": Decimal(run.used) / 1_000,
        },
        text=" ".join((run.task, run.target, run.key, run.note, run.trouble, run.last_step, run.id)),
        at_ms=run.created_ms,
    )


def budget_in_ms(run: Run, view: ViewState) -> int | None:
    """Milliseconds until the budget is reached at the rate of the run so far; None while nothing can be said."""
    passed, cap = view.elapsed_ms(run), run.limits.budget
    if run.state is not State.RUNNING or run.used <= 0 or run.used >= cap or passed < RATE_MS:
        return None
    return (cap - run.used) * passed // run.used


def ends_ms(run: Run, view: ViewState) -> int | None:
    """When the run is over at the latest, UTC ms: at its deadline, or earlier at its budget; a proposal expires."""
    if run.state is State.PROPOSED:
        return run.expires_ms
    reached = budget_in_ms(run, view)
    if reached is None:
        return run.deadline_ms
    return min(view.now_ms + reached, run.deadline_ms) if run.deadline_ms is not None else view.now_ms + reached


EVERYTHING = RowFilter()


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrangement:
    """The filter and the order of the live table."""

    wanted: RowFilter = EVERYTHING
    order: Order = URGENT
    reverse: bool = False

    def live(self, view: ViewState) -> list[Run]:
        """The live runs that fit, in this order."""
        runs = self._fitting(view.snapshot.live)
        if self.order is not URGENT:
            return self._sorted(runs, _keys(view)[self.order])
        runs.sort(key=lambda run: URGENCY.get(run.state, len(URGENCY)))
        return runs[::-1] if self.reverse else runs

    def recent(self, view: ViewState) -> list[Run]:
        """The runs that ended and fit: by cost, task or host where the live ones are, else as they ended."""
        runs = self._fitting(view.snapshot.recent)
        return self._sorted(runs, _keys(view)[self.order]) if self.order in (COST, TASK, HOST) else runs

    def _fitting(self, runs: Iterable[Run]) -> list[Run]:
        return list(runs) if self.wanted.is_everything else [run for run in runs if self.wanted.fits(row_fields(run))]

    def _sorted(self, runs: list[Run], key: Callable[[Run], Any]) -> list[Run]:
        """Sorted by `key`; a run without a value stays last either way."""
        valued = [run for run in runs if key(run) is not None]
        valued.sort(key=lambda run: (key(run), run.id), reverse=self.reverse)
        return [*valued, *(run for run in runs if key(run) is None)]


def _keys(view: ViewState) -> dict[Order, Callable[[Run], Any]]:
    """By order: what comes first has the smallest value; None for what has none."""

    def ends(run: Run) -> int | None:
        at_ms = ends_ms(run, view)
        return None if at_ms is None else at_ms // STEADY_MS

    def rate(run: Run) -> int | None:
        passed = view.elapsed_ms(run)
        return None if passed < RATE_MS or run.state is State.ENDED else -(run.used * 60_000 // passed)

    return {
        ENDS: ends,
        RATE: rate,
        COST: lambda run: None if run.cost_micro is None else -run.cost_micro,
        TASK: lambda run: run.task,
        HOST: lambda run: run.host or None,
        STARTED: lambda run: -run.created_ms,
    }
