"""The state that the screens show after one refresh, and the poller that reads it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from zoneinfo import ZoneInfo

from console.domain.run import Run, RunId, State
from console.domain.timestamps import Timestamp
from console.engine.errors import StoreUnreachable
from console.engine.models import RunDetail, Snapshot
from console.ui.context import Context, trouble_line
from console.ui.format import zone
from console.ui.state.row_order import RowOrder


@dataclass(frozen=True, slots=True, kw_only=True)
class ViewState:
    """The result of one refresh.

    While the store cannot be read, `now` advances and `snapshot` stays, so countdowns go on.
    """

    snapshot: Snapshot
    now: Timestamp
    detail: RunDetail | None = None
    """The details of the selected run, as old as `snapshot`."""
    trouble: str = ""
    """Why the store could not be read at this refresh; empty if it was read."""
    is_cut_off: bool = False
    """True where that is because the database of several hosts does not answer."""
    guarded: frozenset[RunId] = frozenset()
    """Runs that this process supervises."""

    @property
    def now_ms(self) -> int:
        """The wall clock time of this refresh."""
        return self.now.wall_ms

    @property
    def stale_ms(self) -> int:
        """The age of the snapshot in milliseconds; 0 if it was read at this refresh."""
        return self.now.since(self.snapshot.taken) if self.trouble else 0

    @property
    def zone(self) -> ZoneInfo:
        """The time zone of the caps, in which all times of day are shown."""
        return zone(self.snapshot.time_zone)

    def run(self, run_id: RunId | None) -> Run | None:
        """The run with that id, among the live and the recent ones."""
        return next((run for run in (*self.snapshot.live, *self.snapshot.recent) if run.id == run_id), None)

    def elapsed_ms(self, run: Run) -> int:
        """Milliseconds since the run was sent, suspended time included; 0 if nothing was sent."""
        if run.state is State.ENDED or run.sent is None:
            return run.elapsed_ms
        return self.now.since(run.sent)


def waits_for_a_person(run: Run) -> bool:
    """True for proposals, unconfirmed runs, and stops that are overdue and not proven."""
    unproven = run.stop is not None and run.stop.alarmed and run.state is State.STOPPING
    return run.state in (State.PROPOSED, State.UNCONFIRMED) or unproven


def can_settle(run: Run) -> bool:
    """True if only a person can say what became of the run."""
    return run.state is not State.PROPOSED and waits_for_a_person(run)


def can_stop(run: Run) -> bool:
    """True if the run can be stopped. A proposal is declined instead."""
    return run.state not in (State.PROPOSED, State.ENDED)


class StatePoller:
    """Reads the state from the engine. Of two reads that run at the same time the later one counts."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._asked = self._answered = 0
        self._last: ViewState | None = None

    async def read(self, run_id: RunId | None) -> ViewState | None:
        """The present state, with the details of `run_id`; None if a later read has finished meanwhile. Never raises:
        an error of the store becomes the `trouble` of the state that was read last.

        The first look brings the detail of the run that a cursor will stand on, so that the first frame is whole.
        """
        self._asked += 1
        asked, clock = self._asked, self._context.clock
        try:
            view = await self._read_state(run_id)
        except Exception as error:
            now = clock.now()
            view = replace(self._last or ViewState(snapshot=Snapshot(taken=now), now=now), now=now)
            view = replace(view, trouble=trouble_line(error), is_cut_off=isinstance(error, StoreUnreachable))
        if asked < self._answered:
            return None
        self._answered, self._last = asked, view
        return view

    async def _read_state(self, run_id: RunId | None) -> ViewState:
        engine = self._context.engine
        snapshot = await engine.queries.snapshot()
        if run_id is None and self._last is None:
            run_id = RowOrder.of(snapshot, RowOrder(), frozen=False).first()
        detail = await engine.queries.detail(run_id) if run_id is not None else None
        return ViewState(snapshot=snapshot, now=self._context.clock.now(), detail=detail, guarded=engine.guarded)
