"""Checks in a world of exceptions that supervision goes on: in time, visibly, and without a lock left behind."""

from __future__ import annotations

from console.domain.run import RunId
from console.engine.engine import Engine
from console.engine.problems import KEPT_MS, Problem
from tests.simulation.exception_injector import Strike
from tests.simulation.invariant_checker import InvariantChecker
from tests.simulation.machine import EngineProcess, Machine

CUT_OFF_BOUND_S = 30.0
"""An agent past its time limit is cut off within this, counted from the limit or from the latest exception."""
ROUNDING_MS = 10
VISIBLE_AFTER_S = 10.0
"""An exception stands in the problems of its process within this: one tick."""


class SupervisionChecker:
    """Watches one machine."""

    def __init__(self, machine: Machine, checker: InvariantChecker) -> None:
        self._machine = machine
        self._checker = checker
        self._checked = 0
        """How many strikes were looked for in the problems."""
        self._guarded_since = 0.0
        self.latest_s = 0.0

    def check(self) -> None:
        """Called every few seconds. Raises Broken."""
        self._check_time_limits()
        self._check_problems()

    def check_hand_over(self, process: EngineProcess) -> None:
        """S3: a hand-over ends and releases every lock. Called at its end, or two minutes after it began."""
        if process.is_stuck or (process.is_dead and not process.has_left):
            return
        held = process.held_locks()
        if held or not process.has_left:
            self._checker.must_not([f"S3: {process} hands over and holds {[path.name for path in held]}"])

    def _check_time_limits(self) -> None:
        """S1: no agent works past its limit for longer than the bound."""
        now, service = self._machine.service.now, self._machine.service
        if not self._machine.living():
            self._guarded_since = now
        started = [process.started_at for process in self._machine.living()]
        latest_strike = max((strike.at for strike in self._machine.exceptions.strikes), default=0.0)
        for row in self._checker.rows:
            sent_at = self._checker.sent_at.get(row.id)
            if sent_at is None or not any(agent.is_working(now) for agent in service.of_run(RunId(row.id))):
                continue
            limit = sent_at + row.max_ms / 1000
            late = now - max(limit, latest_strike, self._guarded_since, min(started, default=now))
            self.latest_s = max(self.latest_s, late)
            if late > CUT_OFF_BOUND_S:
                self._checker.must_not([f"S1: the agent of run {row.id} works {late:.1f} s past its limit"])

    def _check_problems(self) -> None:
        """S2: every exception stands in the problems of its process."""
        strikes, now = self._machine.exceptions.strikes, self._machine.loop.time()
        while self._checked < len(strikes) and now - strikes[self._checked].at >= VISIBLE_AFTER_S:
            strike = strikes[self._checked]
            self._checked += 1
            process = next(process for process in self._machine.processes if process.name == strike.process)
            if process.is_dead or process.is_leaving:
                continue
            if now - strike.at > KEPT_MS / 1000:
                # An act of the operator took so long that an error which went away is not shown any more.
                continue
            if not self._is_visible(process.engine, strike):
                self._checker.must_not([f"S2: no problem tells of {strike}: {problems_of(process.engine)}"])

    def _is_visible(self, engine: Engine, strike: Strike) -> bool:
        wall_ms = self._machine.clock.now().wall_ms - int((self._machine.loop.time() - strike.at) * 1000)
        return any(problem.last_ms >= wall_ms - ROUNDING_MS for problem in problems_of(engine))


def problems_of(engine: Engine) -> tuple[Problem, ...]:
    """What the screen, `ps` and `doctor` show of this engine's problems."""
    return engine._context.problems.entries()
