"""The one poll. It never raises, for a failing interval would end the screen: trouble comes back as a stale look."""

from __future__ import annotations

from dataclasses import replace

from console.domain.run import RunId
from console.engine.snapshot import Snapshot
from console.ui.context import Context, trouble_line
from console.ui.look import Look
from console.ui.order import Order


class Poll:
    """Asks the engine; of two questions under way at once the later one counts."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._asked = self._answered = 0
        self._last: Look | None = None

    async def take(self, run_id: RunId | None) -> Look | None:
        """The state of things with the detail of `run_id`; None where a later question was answered meanwhile.

        The first look brings the detail of the run that a cursor will stand on, so that the first frame is whole.
        """
        self._asked += 1
        asked, clock = self._asked, self._context.clock
        try:
            look = await self._read(run_id)
        except Exception as error:
            now = clock.now()
            look = replace(self._last or Look(snapshot=Snapshot(taken=now), now=now), now=now)
            look = replace(look, trouble=trouble_line(error))
        if asked < self._answered:
            return None
        self._answered, self._last = asked, look
        return look

    async def _read(self, run_id: RunId | None) -> Look:
        engine = self._context.engine
        snapshot = await engine.view.snapshot()
        if run_id is None and self._last is None:
            run_id = Order.of(snapshot, Order(), frozen=False).first()
        detail = await engine.view.detail(run_id) if run_id is not None else None
        return Look(snapshot=snapshot, now=self._context.clock.now(), detail=detail, guarded=engine.guarded)
