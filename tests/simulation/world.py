"""One seed, one world: a few processes, one to three runs, a day's worth of bad luck in some minutes."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass

from console.domain.task import Stage
from tests.simulation.invariant_checker import Broken
from tests.simulation.scenario import BY, RandomScenario
from tests.sync_database import sync_store

LIMIT_S = 900.0
"""Once nothing goes wrong any more, everything is over or alarmed within this."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WorldFigures:
    """What one world was, for the figures."""

    posts: int
    agents: int
    runs: int
    deaths: int
    simulated_s: float


class World(RandomScenario):
    """Everything of one seed."""

    def run(self) -> WorldFigures:
        """The world to its end. Raises Broken where an invariant does not hold."""
        diary = _Diary()
        logging.getLogger("nightdesk").addHandler(diary)
        try:
            self.loop.run_until_complete(self._all())
        finally:
            logging.getLogger("nightdesk").removeHandler(diary)
            self.machine.throw_away()
            self.loop.close()
        if self.judge.broken:
            raise self.judge.broken
        if complaints := diary.lines + self.loop.complaints:
            raise Broken("the engine broke: " + "\n".join(complaints[:3]))
        service = self.machine.service
        return WorldFigures(
            posts=sum(service.posts.values()),
            agents=len(service.agents),
            runs=len(list(self.judge.rows)),
            deaths=sum(process.is_dead and not process.has_left for process in self.machine.processes),
            simulated_s=self.loop.time(),
        )

    async def _all(self) -> None:
        await self._stages()
        for _ in range(self.rng.choice((2, 2, 3))):
            self._spawn()
        acts = self.rng.choice((3, 5, 8))
        for _ in range(acts):
            await self._something()
            await asyncio.sleep(self.rng.choice((0.0, 0.2, 2.0, self.lasts / acts)))
            self.judge.no_two_work()
            if self.judge.broken:
                return
        await self._wait(self.lasts)
        await self._rest()

    async def _rest(self) -> None:
        """The end: weather and processes are well again, then everything is counted."""
        machine = self.machine
        machine.weather.clear()
        machine.note("the troubles end")
        for process in machine.living():
            if process.is_stuck:
                self.loop.resume(process)
        if not machine.living():
            self._spawn()
        if self.live:
            await self._wait(LIMIT_S)
            self.judge.all_over()
        for process in machine.living():
            await self._done(process.leave())
        await self._last_lines()
        self.judge.no_two_work()
        self.judge.books()
        self.judge.log()

    async def _wait(self, seconds: float) -> None:
        """Until everything is over, for at most so long."""
        for _ in range(int(seconds / 5.0)):
            if self._is_over():
                return
            await asyncio.sleep(5.0)

    def _is_over(self) -> bool:
        return all(row.state in ("ended", "proposed", "unconfirmed") for row in self.judge.rows)

    async def _last_lines(self) -> None:
        """Whoever comes next writes the lines that are missing."""
        if not self.judge.unlogged():
            return
        last = self._spawn()
        await asyncio.sleep(10.0)
        await self._done(last.leave())

    async def _stages(self) -> None:
        store, now = sync_store(self.machine.folder, self.machine.connection), self.machine.clock.now()
        for task in self.tasks:
            for rung in range(1, self.rng.choice((1, 2, 3, 3))):
                await store.stages.change(task.name, Stage(rung), by=BY, reason="-", forced=True, evidence={}, now=now)


class _Diary(logging.Handler):
    """What the engines did not expect. Coroutines of the dead are closed in the middle, and complain of that."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        line = logging.Formatter().format(record)
        if "GeneratorExit" not in line:
            self.lines.append(line)
