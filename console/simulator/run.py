"""One simulated run: nothing moves by itself, what it is follows from the time somebody asks.

All times are seconds of the world's clock.
"""

from __future__ import annotations

import base64
import itertools
import random
from collections.abc import Mapping
from dataclasses import dataclass, field

from console.simulator.faults import FaultRegistry, FaultSet, Switch
from console.simulator.gemini.bodies import ApiError
from console.simulator.gemini.events import StreamEvents
from console.simulator.gemini.validation import RunRequest
from console.simulator.resources import Environments, SavedAgents
from console.simulator.scenario import PARKED, TERMINAL, Ending, Scenario
from console.simulator.timeline import PlannedStep, SimulatorClock, Timeline, TokenLimit, Tokens

SANDBOX_GONE = ("environment_not_found", "The environment of this interaction was deleted.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Interruption:
    """An end from outside."""

    at_s: float
    status: str
    """`cancelled`, or `failed` where the sandbox went away."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunView:
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
class SimulatedRun:
    """What the service keeps of one interaction."""

    id: str
    agent: str
    agent_config: Mapping[str, object]
    """As it is echoed."""
    input: object
    labels: Mapping[str, str]
    scenario: Scenario
    course: Timeline
    board: FaultSet
    created_s: float
    created_wall_s: float
    environment_id: str | None
    shows_environment: bool
    """The create asked for one; else its id is never told."""
    background: bool
    service_tier: str
    cuts: list[Interruption] = field(default_factory=list)
    cancels: int = 0
    polls_after_end: int = 0
    is_deleted: bool = False
    is_hidden: bool = False
    """GET no longer finds it though it may be running."""
    events: StreamEvents = field(default_factory=StreamEvents)

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
        self.cuts.append(Interruption(at_s=now_s + after_s, status=status))

    def first_cut(self) -> Interruption | None:
        """The earliest end from outside, in effect or still to come."""
        return min(self.cuts, key=lambda cut: cut.at_s, default=None)

    def worked_s(self, now_s: float) -> float:
        """Seconds on its course by `now_s`: negative in the queue, no more after an end from outside.

        All that is compared is compared in these seconds, since sums of floats are not.
        """
        cut = self.first_cut()
        return (now_s if cut is None else min(now_s, cut.at_s)) - self.works_from_s

    def view(self, now_s: float) -> RunView:
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
        return RunView(
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


class RunStore:
    """All runs. Its owner holds the world's lock."""

    def __init__(
        self,
        *,
        seed: int,
        clock: SimulatorClock,
        switches: FaultRegistry,
        environments: Environments,
        agents: SavedAgents,
    ) -> None:
        self._seed = seed
        self._clock = clock
        self._switches = switches
        self._environments = environments
        self._agents = agents
        self._runs: dict[str, SimulatedRun] = {}
        self._by_key: dict[str, list[SimulatedRun]] = {}
        self._numbers = itertools.count()

    def reset(self) -> None:
        """Forgets all; ids are never given twice."""
        self._runs.clear()
        self._by_key.clear()

    def all(self, key: str | None = None) -> tuple[SimulatedRun, ...]:
        """Every run that ever started, deleted ones too, oldest first; of one key, or all."""
        return tuple(self._runs.values() if key is None else self._by_key.get(key, ()))

    def live(self, key: str | None = None) -> int:
        """Runs that may still spend."""
        now = self._clock.now()
        return sum(run.view(now).may_spend for run in self.all(key))

    def truth(self, run_id: str) -> SimulatedRun:
        """A run, whatever the service would say of it. Raises KeyError."""
        return self._runs[run_id]

    def find(self, run_id: str) -> SimulatedRun:
        """The run as a client can find it. Raises ApiError 404."""
        run = self._runs.get(run_id)
        if run is None or run.is_deleted or run.is_hidden:
            raise ApiError(404, f"Interaction '{run_id}' not found.")
        return run

    def board_of(self, run_id: str) -> FaultSet | None:
        """The faults of a run, deleted ones too; None where there is no such run."""
        run = self._runs.get(run_id)
        return run.board if run is not None else None

    def start(self, order: RunRequest, scenario: Scenario, board: FaultSet) -> SimulatedRun:
        """Starts a run. Raises ApiError where the order names what does not exist, or chains on a live run."""
        config = self._agents.configured(order)
        self._check_chain(order, board)
        run = self._make(order, config, scenario, board, self._environment_of(order))
        self._runs[run.id] = run
        self._by_key.setdefault(run.key, []).append(run)
        return run

    def cancel(self, run_id: str) -> SimulatedRun:
        """Asks a run to stop, which takes effect later. Raises ApiError 404, 400 for what cannot be cancelled."""
        run, now = self.find(run_id), self._clock.now()
        view = run.view(now)
        run.cancels += 1
        if view.is_terminal:
            if self._switches.take(Switch.CANCEL_TERMINAL_400, run.board):
                raise ApiError(400, f"The interaction is already {view.status}.", code="failed_precondition")
            return run
        if not run.background:
            raise ApiError(400, "Only background interactions can be cancelled.", code="failed_precondition")
        if not self._switches.take(Switch.CANCEL_NEVER, run.board):
            delay = self._switches.take(Switch.CANCEL_DELAY, run.board)
            run.cut(now, delay.value if delay else run.scenario.cancel_seconds, "cancelled")
        return run

    def delete(self, run_id: str) -> None:
        """Removes the stored record; the run itself goes on. Raises ApiError 404."""
        self.find(run_id).is_deleted = True

    def abandon(self, run: SimulatedRun) -> None:
        """The client of a foreground run has left: the run stops and is not found any more."""
        run.cut(self._clock.now(), 0.0, "cancelled")
        run.is_hidden = True

    def sandbox_deleted(self, environment_id: str) -> None:
        """A run in that sandbox fails at once, unless it is switched to go on."""
        now = self._clock.now()
        for run in self._runs.values():
            if run.environment_id != environment_id or run.view(now).is_terminal:
                continue
            if not self._switches.take(Switch.SANDBOX_IGNORED, run.board):
                run.cut(now, 0.0, "failed")

    def view(self, run: SimulatedRun) -> RunView:
        """The truth about it now."""
        return run.view(self._clock.now())

    def _check_chain(self, order: RunRequest, board: FaultSet) -> None:
        if order.previous_interaction_id is None:
            return
        view = self.view(self.find(order.previous_interaction_id))
        if not view.is_terminal and view.status not in PARKED:
            raise ApiError(400, f"Interaction '{order.previous_interaction_id}' is {view.status}.")
        settling = self._switches.take(Switch.CHAIN_SETTLING, board)
        if settling and view.ended_s is not None and self._clock.now() - view.ended_s < settling.value:
            raise ApiError(400, "The previous interaction is not settled yet.", code="failed_precondition")

    def _environment_of(self, order: RunRequest) -> str | None:
        now, wanted = self._clock.now(), order.environment
        settings: Mapping[str, object] = {}
        if isinstance(wanted, Mapping):
            settings = wanted
            inner = wanted.get("environment_id", "remote")
            wanted = inner if isinstance(inner, str) else "remote"
        if wanted is None:
            return None
        if wanted == "remote":
            return self._environments.create(settings, now, self._clock.wall(), bare=True).id
        return self._environments.find(wanted, now).touch(now).id

    def _make(
        self,
        order: RunRequest,
        config: Mapping[str, object],
        scenario: Scenario,
        board: FaultSet,
        environment_id: str | None,
    ) -> SimulatedRun:
        key = order.labels.get("nightdesk-key", "")
        number = next(self._numbers)
        seed = f"{self._seed}/{key}/{len(self.all(key)) if key else number}"
        shown = dict(config)
        if order.max_total_tokens is not None and not self._switches.take(Switch.ECHO_INT, board):
            shown["max_total_tokens"] = str(order.max_total_tokens)
        random_id = random.Random(f"{seed}/{number}/id").randbytes(24)
        zombie = self._switches.take(Switch.ZOMBIE, board) is not None
        return SimulatedRun(
            id=f"v1_{base64.urlsafe_b64encode(random_id).decode()}",
            agent=order.agent,
            agent_config=shown,
            input=order.input,
            labels=order.labels,
            scenario=scenario,
            course=Timeline(scenario, self._limit(order, board), seed=seed, zombie=zombie),
            board=board,
            created_s=self._clock.now(),
            created_wall_s=self._clock.wall(),
            environment_id=environment_id,
            shows_environment=order.environment is not None,
            background=order.background,
            service_tier=order.service_tier,
        )

    def _limit(self, order: RunRequest, board: FaultSet) -> TokenLimit:
        take = self._switches.take
        hit, overshoot = take(Switch.BUDGET_HIT, board), take(Switch.BUDGET_OVERSHOOT, board)
        return TokenLimit(
            tokens=None if take(Switch.BUDGET_IGNORED, board) else order.max_total_tokens,
            overshoot=overshoot.value / 100 if overshoot else 0.0,
            hit_by_step=max(1, int(hit.value)) if hit else None,
            status=Ending.BUDGET_EXCEEDED if take(Switch.BUDGET_EXCEEDED, board) else Ending.INCOMPLETE,
        )
