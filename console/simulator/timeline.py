"""The plan of one run: its steps, when each of them ends, what it costs, and how the run ends by itself.

A timeline depends on nothing but its scenario, the service's limit and its seed: it is the same whenever and however
often it is read. Steps are computed as far as they are asked for. They hold what the agent does, in no wire format.
"""

from __future__ import annotations

import random
from bisect import bisect_right
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum

from console.simulator.scenario import Ending, Scenario
from console.simulator.script import GAVE_UP, OPERATOR_QUESTION, RESULT, ActionKind, AgentAction, agent_actions

MAX_STEPS = 20_000
"""A run that never ends has at most this many steps; its status stays as it is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tokens:
    """Counts, cumulative or of one step. `total` is input plus output plus thought plus tool use."""

    total: int = 0
    input: int = 0
    """Includes cached input."""
    output: int = 0
    thought: int = 0
    cached: int = 0
    tool_use: int = 0
    """Results of tools that were added to the input; not within `input`."""
    searches: int = 0
    """Searches, which are billed by number."""

    def __add__(self, other: Tokens) -> Tokens:
        return Tokens(
            total=self.total + other.total,
            input=self.input + other.input,
            output=self.output + other.output,
            thought=self.thought + other.thought,
            cached=self.cached + other.cached,
            tool_use=self.tool_use + other.tool_use,
            searches=self.searches + other.searches,
        )

    @property
    def uncached(self) -> int:
        """The tokens that count towards the service's token limit."""
        return self.total - self.cached


def _uncached(tokens: Tokens) -> float:
    return tokens.uncached


class StepKind(StrEnum):
    """What a step is."""

    THOUGHT = "thought"
    CALL = "call"
    RESULT = "result"
    OUTPUT = "output"
    """The agent's final text."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StepContent:
    """What the agent does in one step."""

    kind: StepKind
    action: ActionKind = ActionKind.THOUGHT
    """The tool of a CALL or RESULT."""
    tool_name: str = ""
    """The name of a FILE or OPERATOR tool."""
    call_id: str = ""
    """The same for a call and its result."""
    request: str = ""
    """The thought, or what the call asks."""
    answer: str = ""
    """What the tool returns, or the final text."""
    error: str = ""
    """Why the agent gave up; only in the OUTPUT of a failed run."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedStep:
    """One step with its times, in seconds since the run left the queue."""

    index: int
    content: StepContent
    starts_s: float
    ends_s: float
    own: Tokens
    total: Tokens
    """From the start of the run to the end of this step."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Measure:
    """How much a run may use, and how a service counts it: the tokens that are not cached, unless it is given."""

    most: float
    of: Callable[[Tokens], float] = _uncached
    of_one: float = 1.0
    """What one token that is not cached adds at least."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceLimit:
    """The service's own limit for one run."""

    measure: Measure | None
    """Compared with the tokens after each step; None is no limit."""
    overshoot: float = 0.0
    """The share by which the limit is enforced too late."""
    hit_by_step: int | None = None
    """Make the steps so large that this step (counted from 1) reaches the limit."""
    status: Ending = Ending.INCOMPLETE
    """How a run ends that reaches it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TimelineEnd:
    """When and how the run ends by itself."""

    at_s: float
    """Seconds since the run left the queue."""
    status: Ending


class Timeline:
    """The steps of one run, up to its own end if it has one."""

    def __init__(self, scenario: Scenario, limit: ServiceLimit, *, seed: str, zombie: bool = False) -> None:
        """A `zombie` has neither steps nor an end."""
        self._scenario = scenario
        self._limit = limit
        self._random = random.Random(seed)
        self._script = agent_actions(self._random)
        self._steps: list[PlannedStep] = []
        self._step_ends_s: list[float] = []
        self._end: TimelineEnd | None = None
        self._source = self._plan() if not zombie else iter(())

    def step(self, index: int) -> PlannedStep | None:
        """Return the step with this index (from 0), or None if the run has fewer steps."""
        while len(self._steps) <= index and (step := next(self._source, None)) is not None:
            self._steps.append(step)
            self._step_ends_s.append(step.ends_s)
        return self._steps[index] if index < len(self._steps) else None

    def end(self, by_s: float) -> TimelineEnd | None:
        """Return the run's own end if it is at or before `by_s`."""
        self._plan_until(by_s)
        return self._end if self._end is not None and self._end.at_s <= by_s else None

    def done(self, by_s: float) -> tuple[PlannedStep, ...]:
        """Return the steps that have ended by `by_s`."""
        self._plan_until(by_s)
        return tuple(self._steps[: bisect_right(self._step_ends_s, by_s)])

    def tokens(self, by_s: float) -> Tokens:
        """Return the cost of the steps that have ended by `by_s`."""
        self._plan_until(by_s)
        count = bisect_right(self._step_ends_s, by_s)
        return self._steps[count - 1].total if count else Tokens()

    def _plan_until(self, by_s: float) -> None:
        while (not self._step_ends_s or self._step_ends_s[-1] <= by_s) and self.step(len(self._steps)) is not None:
            pass

    def _plan(self) -> Iterator[PlannedStep]:
        scenario, at_s, total = self._scenario, 0.0, Tokens()
        if scenario.stall_after == 0:
            return
        for index, content in enumerate(self._contents()):
            own = self._cost(content)
            total += own
            ends_s = at_s + scenario.step_seconds * self._jitter()
            step = PlannedStep(index=index, content=content, starts_s=at_s, ends_s=ends_s, own=own, total=total)
            at_s = ends_s
            reached_limit = self._reaches_limit(total)
            if reached_limit or (scenario.ending is not Ending.NEVER and index + 1 == scenario.steps):
                self._end = TimelineEnd(at_s=ends_s, status=self._limit.status if reached_limit else scenario.ending)
            yield step
            if self._end is not None or index + 1 in (scenario.stall_after, MAX_STEPS):
                return

    def _contents(self) -> Iterator[StepContent]:
        """Yield the contents of the steps. Every call is followed by its result."""
        scenario, index = self._scenario, 0
        endless = scenario.ending is Ending.NEVER
        while endless or index < scenario.steps - 1:
            for content in self._next_action(index, room=2 if endless else scenario.steps - 1 - index):
                yield content
                index += 1
        yield _last_content(scenario)

    def _next_action(self, index: int, room: int) -> tuple[StepContent, ...]:
        """Return the one or two steps of the script's next action that fits into `room` steps."""
        while len(contents := _contents_of(next(self._script), index, self._scenario.text)) > room:
            pass
        return contents

    def _jitter(self) -> float:
        return 1.0 + self._scenario.jitter * self._random.uniform(-1.0, 1.0)

    def _reaches_limit(self, total: Tokens) -> bool:
        measure = self._limit.measure
        return measure is not None and measure.of(total) >= measure.most * (1.0 + self._limit.overshoot)

    def _cost(self, content: StepContent) -> Tokens:
        total = round(self._scenario.tokens_per_step * self._jitter())
        cached = round(total * self._scenario.cached_share)
        measure = self._limit.measure
        if self._limit.hit_by_step is not None and measure is not None:
            share = measure.most * (1.0 + self._limit.overshoot) / self._limit.hit_by_step
            uncached = int(share / measure.of_one) + 1
            cached = round(uncached * self._scenario.cached_share)
            total = uncached + cached
        output, thought = (total - cached) * 12 // 100, (total - cached) * 8 // 100
        tool_use = round((total - cached) * self._scenario.tool_share)
        return Tokens(
            total=total,
            input=total - output - thought - tool_use,
            output=output,
            thought=thought,
            cached=cached,
            tool_use=tool_use,
            searches=int(content.kind is StepKind.RESULT and content.action is ActionKind.SEARCH),
        )


def _contents_of(action: AgentAction, index: int, text: str) -> tuple[StepContent, ...]:
    """Return the step of a thought, or the call and the result of a tool.

    A `text` that is not empty replaces every word of the script.
    """
    request, answer, tool_name = text or action.request, text or action.answer, ""
    if action.kind is ActionKind.THOUGHT:
        return (StepContent(kind=StepKind.THOUGHT, request=request),)
    if action.kind is ActionKind.FILE:
        tool_name, _, target = action.request.partition(" ")
        request = text or target
    call = StepContent(
        kind=StepKind.CALL, action=action.kind, tool_name=tool_name, call_id=f"call_{index}", request=request
    )
    result = StepContent(
        kind=StepKind.RESULT,
        action=action.kind,
        tool_name=tool_name,
        call_id=f"call_{index}",
        request=request,
        answer=answer,
    )
    return call, result


def _last_content(scenario: Scenario) -> StepContent:
    """Return the last step: the output, or the question on which the run waits."""
    if scenario.ending is Ending.FAILED:
        return StepContent(kind=StepKind.OUTPUT, answer=scenario.result or GAVE_UP, error=scenario.error_message)
    if scenario.ending is Ending.REQUIRES_ACTION:
        return StepContent(
            kind=StepKind.CALL,
            action=ActionKind.OPERATOR,
            tool_name="ask_operator",
            call_id="call_operator",
            request=scenario.text or OPERATOR_QUESTION,
        )
    return StepContent(kind=StepKind.OUTPUT, answer=scenario.result or scenario.text or RESULT)
