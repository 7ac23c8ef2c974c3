"""The planned course of one run: which step lies where in time and what it costs. Pure, seeded, made as far as asked.

Whoever asks later, or more often, gets the same course: it depends on nothing but scenario, limit and seed.
"""

from __future__ import annotations

import random
import time
from bisect import bisect_right
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from console.simulator.gemini.bodies import StepText, final_step, steps_of
from console.simulator.scenario import Ending, Scenario
from console.simulator.script import AgentAction, agent_actions

MAX_STEPS = 20_000
"""A run without an end shows no more steps than these; its status stays."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tokens:
    """Token figures, cumulative or of one step. `total` is input plus output plus thought."""

    total: int = 0
    input: int = 0
    """Cached input included."""
    output: int = 0
    thought: int = 0
    cached: int = 0

    def __add__(self, other: Tokens) -> Tokens:
        return Tokens(
            total=self.total + other.total,
            input=self.input + other.input,
            output=self.output + other.output,
            thought=self.thought + other.thought,
            cached=self.cached + other.cached,
        )

    @property
    def uncached(self) -> int:
        """What the server's limit counts."""
        return self.total - self.cached


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedStep:
    """One step with its place in time, in seconds since the run began to work."""

    index: int
    text: StepText
    starts_s: float
    ends_s: float
    own: Tokens
    total: Tokens
    """Since the start of the run, this step included."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenLimit:
    """The server's token limit as this run will meet it."""

    tokens: int | None
    """`max_total_tokens`; None is no limit. Uncached tokens count, looked at between steps."""
    overshoot: float = 0.0
    """Share by which it is enforced too late."""
    hit_by_step: int | None = None
    """The tokens grow so that this step (from 1) reaches the limit."""
    status: Ending = Ending.INCOMPLETE


@dataclass(frozen=True, slots=True, kw_only=True)
class TimelineEnd:
    """Where the course ends by itself."""

    at_s: float
    status: Ending


class Timeline:
    """Steps as the scenario wants them, up to an end of their own if there is one."""

    def __init__(self, scenario: Scenario, limit: TokenLimit, *, seed: str, zombie: bool = False) -> None:
        self._scenario = scenario
        self._limit = limit
        self._random = random.Random(seed)
        self._script = agent_actions(self._random)
        self._steps: list[PlannedStep] = []
        self._ends: list[float] = []
        self._end: TimelineEnd | None = None
        self._source = self._plan() if not zombie else iter(())

    def step(self, index: int) -> PlannedStep | None:
        """The step of that index, from 0; None where the course has none."""
        while len(self._steps) <= index and (step := next(self._source, None)) is not None:
            self._steps.append(step)
            self._ends.append(step.ends_s)
        return self._steps[index] if index < len(self._steps) else None

    def end(self, by_s: float) -> TimelineEnd | None:
        """The course's own end where it lies at or before `by_s`."""
        self._look_ahead(by_s)
        return self._end if self._end is not None and self._end.at_s <= by_s else None

    def done(self, by_s: float) -> tuple[PlannedStep, ...]:
        """The steps that have ended by then."""
        self._look_ahead(by_s)
        return tuple(self._steps[: bisect_right(self._ends, by_s)])

    def tokens(self, by_s: float) -> Tokens:
        """What the steps ended by then have cost."""
        self._look_ahead(by_s)
        count = bisect_right(self._ends, by_s)
        return self._steps[count - 1].total if count else Tokens()

    def _look_ahead(self, by_s: float) -> None:
        while (not self._ends or self._ends[-1] <= by_s) and self.step(len(self._steps)) is not None:
            pass

    def _plan(self) -> Iterator[PlannedStep]:
        scenario, at_s, total = self._scenario, 0.0, Tokens()
        if scenario.stall_after == 0:
            return
        for index, text in enumerate(self._texts()):
            own = self._cost(index)
            total += own
            ends_s = at_s + scenario.step_seconds * self._vary()
            step = PlannedStep(index=index, text=text, starts_s=at_s, ends_s=ends_s, own=own, total=total)
            at_s = ends_s
            over = self._limit_reached(total)
            if over or (scenario.ending is not Ending.NEVER and index + 1 == scenario.steps):
                self._end = TimelineEnd(at_s=ends_s, status=self._limit.status if over else scenario.ending)
            yield step
            if self._end is not None or index + 1 in (scenario.stall_after, MAX_STEPS):
                return

    def _texts(self) -> Iterator[StepText]:
        """One step after another; a call is always followed by its result."""
        scenario, index = self._scenario, 0
        endless = scenario.ending is Ending.NEVER
        while endless or index < scenario.steps - 1:
            for text in self._next_beat(index, room=None if endless else scenario.steps - 1 - index):
                yield text
                index += 1
        yield final_step(scenario)

    def _next_beat(self, index: int, room: int | None) -> tuple[StepText, ...]:
        line: AgentAction = next(self._script)
        while len(steps := steps_of(line, index, self._scenario.text)) > (room or 2):
            line = next(self._script)
        return steps

    def _vary(self) -> float:
        return 1.0 + self._scenario.jitter * self._random.uniform(-1.0, 1.0)

    def _limit_reached(self, total: Tokens) -> bool:
        limit = self._limit.tokens
        return limit is not None and total.uncached >= limit * (1.0 + self._limit.overshoot)

    def _cost(self, index: int) -> Tokens:
        total = round(self._scenario.tokens_per_step * self._vary())
        cached = round(total * self._scenario.cached_share)
        if self._limit.hit_by_step is not None and self._limit.tokens is not None:
            share = self._limit.tokens * (1.0 + self._limit.overshoot) / self._limit.hit_by_step
            uncached = int(share) + 1
            cached = round(uncached * self._scenario.cached_share)
            total = uncached + cached
        output, thought = (total - cached) * 12 // 100, (total - cached) * 8 // 100
        return Tokens(total=total, input=total - output - thought, output=output, thought=thought, cached=cached)


class SimulatorClock:
    """A monotonic clock and a wall clock that are put forward together."""

    def __init__(self, now: Callable[[], float] = time.monotonic, wall: Callable[[], float] = time.time) -> None:
        """`now`: seconds of any monotonic clock; `wall`: seconds since the epoch."""
        self._now, self._wall = now, wall
        self._ahead_s = 0.0
        self.longest_nap_s = 5.0 if now is time.monotonic else 0.1
        """Nobody waits longer between two looks: a clock of a test's own moves without ringing a bell."""

    def now(self) -> float:
        """Seconds of the world's clock."""
        return self._now() + self._ahead_s

    def wall(self) -> float:
        """Seconds since the epoch."""
        return self._wall() + self._ahead_s

    def advance(self, seconds: float) -> None:
        """Puts both forward. Raises ValueError for a step back."""
        if seconds < 0:
            raise ValueError(f"the world's clock never goes back: {seconds!r}")
        self._ahead_s += seconds
