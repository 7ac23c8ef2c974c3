"""One simulated run: nothing moves by itself, what it is follows from the time somebody asks.

All times are seconds of the world's clock.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from console.simulator.course import Course, PlannedStep, Tokens
from console.simulator.events import EventLog
from console.simulator.faults import FaultBoard
from console.simulator.scenario import PARKED, TERMINAL, Ending, Scenario

SANDBOX_GONE = ("environment_not_found", "The environment of this interaction was deleted.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Cut:
    """An end from outside."""

    at_s: float
    status: str
    """`cancelled`, or `failed` where the sandbox went away."""


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """A run at one moment."""

    status: str
    ended_s: float | None
    """World time of a terminal status."""
    steps: tuple[PlannedStep, ...]
    """Those that are done."""
    tokens: Tokens
    errors: tuple[tuple[str, str], ...]
    """Code and message."""

    @property
    def is_terminal(self) -> bool:
        """It will not move or spend any more, whatever anybody does."""
        return self.status in TERMINAL

    @property
    def may_spend(self) -> bool:
        """Not ended and not waiting for a client."""
        return not self.is_terminal and self.status not in PARKED


@dataclass(slots=True, kw_only=True)
class Run:
    """What the service keeps of one interaction."""

    id: str
    agent: str
    agent_config: Mapping[str, object]
    """As it is echoed."""
    input: object
    labels: Mapping[str, str]
    scenario: Scenario
    course: Course
    board: FaultBoard
    created_s: float
    created_wall_s: float
    environment_id: str | None
    shows_environment: bool
    """The create asked for one; else its id is never told."""
    background: bool
    service_tier: str
    cuts: list[Cut] = field(default_factory=list)
    cancels: int = 0
    polls_after_end: int = 0
    is_deleted: bool = False
    is_hidden: bool = False
    """GET no longer finds it though it may be running."""
    events: EventLog = field(default_factory=EventLog)

    @property
    def works_from_s(self) -> float:
        """When it leaves the queue."""
        return self.created_s + self.scenario.queued_seconds

    @property
    def key(self) -> str:
        """The label `nightdesk-key`, or nothing."""
        return self.labels.get("nightdesk-key", "")

    def wall(self, at_s: float) -> float:
        """Wall clock at a world time, in seconds since the epoch."""
        return self.created_wall_s + (at_s - self.created_s)

    def cut(self, now_s: float, after_s: float, status: str) -> None:
        """An end from outside, in effect `after_s` from now."""
        self.cuts.append(Cut(at_s=now_s + after_s, status=status))

    def first_cut(self) -> Cut | None:
        """The earliest end from outside, in effect or still to come."""
        return min(self.cuts, key=lambda cut: cut.at_s, default=None)

    def worked_s(self, now_s: float) -> float:
        """Seconds on its course by `now_s`: negative in the queue, no more after an end from outside.

        All that is compared is compared in these seconds, since sums of floats are not.
        """
        cut = self.first_cut()
        return (now_s if cut is None else min(now_s, cut.at_s)) - self.works_from_s

    def view(self, now_s: float) -> View:
        """The run at `now_s`: its own end counts where it lies before any cut."""
        cut, by_s = self.first_cut(), self.worked_s(now_s)
        own = self.course.end(by_s)
        status, ended_s = self._live_status(by_s), None
        errors: tuple[tuple[str, str], ...] = ()
        if own is not None:
            status, errors = self.outcome_of(own.status)
            ended_s = self.works_from_s + own.at_s if status in TERMINAL else None
        if status not in TERMINAL and cut is not None and cut.at_s <= now_s:
            status, ended_s = cut.status, cut.at_s
            errors = (SANDBOX_GONE,) if cut.status == "failed" else ()
        return View(
            status=status,
            ended_s=ended_s,
            steps=self.course.done(by_s),
            tokens=self.course.tokens(by_s),
            errors=errors,
        )

    def _live_status(self, by_s: float) -> str:
        return "queued" if by_s < 0 else self.scenario.live_status

    def outcome_of(self, ending: Ending) -> tuple[str, tuple[tuple[str, str], ...]]:
        """Status and errors (code and message) where the course ends so."""
        match ending:
            case Ending.FAILED:
                return ending.value, ((self.scenario.error_code, self.scenario.error_message),)
            case Ending.UNKNOWN:
                return self.scenario.unknown_word, ()
            case _:
                return ending.value, ()
