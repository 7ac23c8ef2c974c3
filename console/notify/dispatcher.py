"""Tells people what came up: one concern of the engine that reads what every screen reads, and waits for nobody.

Of all processes on a state folder one has the turn to send messages; another one takes it when that one ends or does
not come round any more. What was told is in a file, so that nothing is told twice and an ending between two processes
is told all the same.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path

from console.config.settings import NotifySettings
from console.domain.formatting import zone_or_utc
from console.domain.notice import Notice
from console.domain.text import sanitize
from console.domain.timestamps import Clock
from console.engine.engine import Engine
from console.engine.errors import StoreError
from console.engine.models import Snapshot
from console.engine.notices import problem_notices, standing_notices
from console.engine.problems import TELLING
from console.notify.channels import Channel
from console.notify.delivery import TOPIC, WAITS_S, Deliveries
from console.notify.history import FILE, LOCK, read_history
from console.notify.message import NoticeMessage, NoticeSource, message_of
from console.notify.planner import Planner
from console.notify.summary import summary_lines
from console.turn import ROUND_S, SHORT_PATIENCE, Turn


class NoticeDispatcher:
    """Finds what is new in each round and hands it to the channels."""

    def __init__(
        self,
        engine: Engine,
        clock: Clock,
        folder: Path,
        source: NoticeSource,
        *,
        settings: Callable[[], NotifySettings],
        make_channels: Callable[[NotifySettings], Sequence[Channel]],
        waits_s: Sequence[float] = WAITS_S,
    ) -> None:
        """`settings` are those in force, read in each round. `make_channels` raises ValueError with one line."""
        self._engine = engine
        self._clock = clock
        self._folder = folder
        self._source = source
        self._settings = settings
        self._make_channels = make_channels
        self._waits_s = waits_s
        self._turn = Turn(folder / LOCK, patience=SHORT_PATIENCE)
        self._planner: Planner | None = None
        self._deliveries: Deliveries | None = None
        self._made_for: NotifySettings | None = None
        self._written = ""
        self._is_over = False
        self._one_round = asyncio.Lock()

    async def round(self) -> None:
        """Hand what is new to the channels. Raises OSError where the state folder cannot be used.

        The last round waits for one that is under way: each would tell what neither has told yet.
        """
        async with self._one_round:
            await self._round()

    async def _round(self) -> None:
        use = self._settings()
        if self._is_over or not use.is_on or not await self._take_turn():
            return
        if self._deliveries is None or use != self._made_for:
            await self._make_deliveries(use)
        planner, deliveries = self._planner, self._deliveries
        if planner is None or deliveries is None:
            return
        await self._plan(planner, deliveries, use)
        await self._write(planner)

    async def finish(self, within_s: float) -> None:
        """Tell what happened last, for at most `within_s` seconds, and let another process send what is left."""
        try:
            async with asyncio.timeout(within_s):
                await self.round()
                if self._deliveries is not None and self._planner is not None:
                    await self._deliveries.drain(within_s)
                    await self._write(self._planner)
        except (TimeoutError, OSError):
            # Not told, and so told by the next process.
            pass
        finally:
            # The engine's own rounds go on until the runs are handed over, and must not take the turn again.
            self._is_over = True
            await self._forget()
            self._turn.release()

    async def _plan(self, planner: Planner, deliveries: Deliveries, use: NotifySettings) -> None:
        zone, now_ms = zone_or_utc(self._engine.settings.caps.time_zone), self._clock.now().wall_ms
        try:
            async with asyncio.timeout(ROUND_S):
                snapshot = await self._engine.queries.snapshot()
                notices = planner.plan(_told(standing_notices(snapshot)), snapshot.stages, now_ms, use, zone)
                if planner.summary_is_due(now_ms, use, zone):
                    await self._summarise(snapshot, deliveries)
        except (StoreError, TimeoutError):
            found = problem_notices(self._engine.problems.entries(), now_ms)
            notices = planner.plan_in_trouble(_told(tuple(found)), now_ms, use, zone)
        if notices:
            message = message_of(notices, source=self._source, at_ms=now_ms)
            deliveries.send(message, lambda sent: planner.finished(sent.notices))

    async def _summarise(self, snapshot: Snapshot, deliveries: Deliveries) -> None:
        zone = zone_or_utc(self._engine.settings.caps.time_zone)
        lines = await summary_lines(self._engine.queries, snapshot, zone)
        at_ms = snapshot.taken.wall_ms
        message = NoticeMessage(source=self._source, kind="summary", at_ms=at_ms, lines=tuple(map(sanitize, lines)))
        deliveries.send(message, lambda sent: None)

    async def _take_turn(self) -> bool:
        """True while this process is the one that sends messages."""
        if not await asyncio.to_thread(self._turn.take):
            await self._forget()
            return False
        if self._planner is None:
            self._planner = Planner(await asyncio.to_thread(read_history, self._folder))
        return True

    async def _forget(self) -> None:
        """Send no more and drop what is known: what was not told, another process tells."""
        if self._deliveries is not None:
            await self._deliveries.close()
        self._planner, self._deliveries, self._made_for, self._written = None, None, None, ""

    async def _make_deliveries(self, use: NotifySettings) -> None:
        if self._deliveries is not None:
            await self._deliveries.close()
            # What was on its way is planned anew.
            self._planner, self._deliveries = Planner(await asyncio.to_thread(read_history, self._folder)), None
        self._made_for = None
        try:
            channels = await asyncio.to_thread(self._make_channels, use)
        except ValueError as error:
            self._engine.problems.report(TOPIC, f"notify: {error}", source="settings", lasting=True)
            return
        self._engine.problems.clear(TOPIC)
        self._deliveries = Deliveries(
            channels, self._engine.problems, waits_s=self._waits_s, may_send=lambda: self._turn.is_mine
        )
        self._made_for = use

    async def _write(self, planner: Planner) -> None:
        content = planner.history.to_json()
        if content != self._written:
            await asyncio.to_thread(self._turn.replace, self._folder / FILE, content)
            self._written = content


def _told(notices: Sequence[Notice]) -> tuple[Notice, ...]:
    """Without the notices that something does not leave: messages would not leave either, and spans guard nothing."""
    return tuple(notice for notice in notices if notice.subject not in TELLING)
