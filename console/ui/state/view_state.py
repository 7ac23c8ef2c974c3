"""What the screen shows at one tick: the last snapshot, the run looked at, and how old both are."""

from __future__ import annotations

from dataclasses import dataclass, replace
from zoneinfo import ZoneInfo

from console.domain.run import Run, RunId, State
from console.domain.timestamps import Timestamp
from console.engine.models import RunDetail, Snapshot
from console.ui.context import Context, trouble_line
from console.ui.format import zone
from console.ui.state.row_order import RowOrder


@dataclass(frozen=True, slots=True, kw_only=True)
class ViewState:
    """One tick. Countdowns go on while the store cannot be read: `now` moves, `snapshot` stays."""

    snapshot: Snapshot
    now: Timestamp
    detail: RunDetail | None = None
    """Of the run under the cursor, as old as `snapshot`."""
    trouble: str = ""
    """Why the store could not be read at this tick; empty when it could."""
    guarded: frozenset[RunId] = frozenset()
    """Runs that this process guards."""

    @property
    def now_ms(self) -> int:
        """The wall clock of this tick."""
        return self.now.wall_ms

    @property
    def stale_ms(self) -> int:
        """Age of the snapshot; 0 where it was read at this tick."""
        return self.now.since(self.snapshot.taken) if self.trouble else 0

    @property
    def zone(self) -> ZoneInfo:
        """Where the day begins; every time of day on the screen is in it."""
        return zone(self.snapshot.time_zone)

    def run(self, run_id: RunId | None) -> Run | None:
        """The run of that id, live or ended lately."""
        return next((run for run in (*self.snapshot.live, *self.snapshot.recent) if run.id == run_id), None)

    def elapsed_ms(self, run: Run) -> int:
        """Real milliseconds since it was sent; 0 where nothing was."""
        if run.state is State.ENDED or run.sent is None:
            return run.elapsed_ms
        return self.now.since(run.sent)


def waits_for_a_person(run: Run) -> bool:
    """True for proposals, unconfirmed runs, and stops that are not proven after the alarm."""
    unproven = run.stop is not None and run.stop.alarmed and run.state is State.STOPPING
    return run.state in (State.PROPOSED, State.UNCONFIRMED) or unproven


def can_settle(run: Run) -> bool:
    """True where only a person can say what became of it."""
    return run.state is not State.PROPOSED and waits_for_a_person(run)


def can_stop(run: Run) -> bool:
    """True where a stop can be asked for; a proposal is declined instead."""
    return run.state not in (State.PROPOSED, State.ENDED)


class StatePoller:
    """Asks the engine; of two questions under way at once the later one counts."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._asked = self._answered = 0
        self._last: ViewState | None = None

    async def take(self, run_id: RunId | None) -> ViewState | None:
        """The state of things with the detail of `run_id`; None where a later question was answered meanwhile.

        The first look brings the detail of the run that a cursor will stand on, so that the first frame is whole.
        """
        self._asked += 1
        asked, clock = self._asked, self._context.clock
        try:
            view = await self._read(run_id)
        except Exception as error:
            now = clock.now()
            view = replace(self._last or ViewState(snapshot=Snapshot(taken=now), now=now), now=now)
            view = replace(view, trouble=trouble_line(error))
        if asked < self._answered:
            return None
        self._answered, self._last = asked, view
        return view

    async def _read(self, run_id: RunId | None) -> ViewState:
        engine = self._context.engine
        snapshot = await engine.queries.snapshot()
        if run_id is None and self._last is None:
            run_id = RowOrder.of(snapshot, RowOrder(), frozen=False).first()
        detail = await engine.queries.detail(run_id) if run_id is not None else None
        return ViewState(snapshot=snapshot, now=self._context.clock.now(), detail=detail, guarded=engine.guarded)
