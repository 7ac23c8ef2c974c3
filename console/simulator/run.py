"""The simulated runs. No task moves them: what a run is follows from the time at which it is looked at.

All times are seconds of the simulator's monotonic clock unless their name says otherwise.
"""

from __future__ import annotations

import base64
import itertools
import random
from collections.abc import Mapping
from dataclasses import dataclass, field

from console.simulator.clock import SimulatorClock
from console.simulator.errors import ApiError
from console.simulator.faults import FaultRegistry, FaultSet, Switch
from console.simulator.resources import Environments
from console.simulator.scenario import PARKED, TERMINAL, Ending, Scenario
from console.simulator.timeline import Measure, PlannedStep, ServiceLimit, Timeline, Tokens

SANDBOX_GONE = ("environment_not_found", "The environment of this interaction was deleted.")


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRequest:
    """A launch that passed every check that does not depend on the state of the service."""

    agent: str
    agent_config: Mapping[str, object]
    """`type`, and `model` and `max_total_tokens` (an int) if given."""
    background: bool
    stream: bool
    environment: str | Mapping[str, object] | None
    """`remote`, an id, or an object with settings; None requests no sandbox."""
    input: object
    labels: Mapping[str, str]
    previous_interaction_id: str | None
    service_tier: str
    run_id: str | None = None
    """The id of the run where the service has chosen it before, as that of a session; None makes one."""
    limit: Measure | None = None
    """The limit that the service enforces, where it is not a number of tokens."""

    @property
    def max_total_tokens(self) -> int | None:
        """The token limit that the service enforces, or None."""
        limit = self.agent_config.get("max_total_tokens")
        return limit if isinstance(limit, int) else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Interruption:
    """An end of a run that does not come from its timeline."""

    at_s: float
    status: str
    """`cancelled`, or `failed` if its sandbox was deleted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunView:
    """What a run really is at one moment, whatever the service shows of it."""

    status: str
    ended_s: float | None
    """When the status became terminal; None before."""
    steps: tuple[PlannedStep, ...]
    """The steps that have ended."""
    tokens: Tokens
    errors: tuple[tuple[str, str], ...]
    """Code and message of each error."""

    @property
    def is_terminal(self) -> bool:
        """Whether the run has ended: it cannot change or spend any more."""
        return self.status in TERMINAL

    @property
    def may_spend(self) -> bool:
        """Whether the run may use tokens: it has not ended and does not wait for its client."""
        return not self.is_terminal and self.status not in PARKED


@dataclass(slots=True, kw_only=True, eq=False, weakref_slot=True)
class SimulatedRun:
    """Everything the service knows about one run. Two runs are equal only if they are the same object."""

    id: str
    agent: str
    agent_config: Mapping[str, object]
    """As the service shows it."""
    input: object
    labels: Mapping[str, str]
    scenario: Scenario
    timeline: Timeline
    faults: FaultSet
    created_s: float
    created_wall_s: float
    environment_id: str | None
    shows_environment: bool
    """Whether the launch requested a sandbox; otherwise its id is never shown."""
    background: bool
    service_tier: str
    interruptions: list[Interruption] = field(default_factory=list)
    cancels: int = 0
    """How many cancel requests took effect or were accepted without effect."""
    polls_after_end: int = 0
    is_deleted: bool = False
    is_hidden: bool = False
    """The service no longer finds the run, although it may be running."""

    @property
    def works_from_s(self) -> float:
        """When the run leaves the queue."""
        return self.created_s + self.scenario.queued_seconds

    @property
    def key(self) -> str:
        """The label `nightdesk-key`, or an empty string."""
        return self.labels.get("nightdesk-key", "")

    def wall(self, at_s: float) -> float:
        """Return the wall time (seconds since the epoch) of a monotonic time."""
        return self.created_wall_s + (at_s - self.created_s)

    def interrupt(self, now_s: float, after_s: float, status: str) -> None:
        """End the run `after_s` from now with this status, unless it ends earlier."""
        self.interruptions.append(Interruption(at_s=now_s + after_s, status=status))

    def first_interruption(self) -> Interruption | None:
        """Return the earliest interruption, in effect or still to come."""
        return min(self.interruptions, key=lambda interruption: interruption.at_s, default=None)

    def worked_s(self, now_s: float) -> float:
        """Return the seconds on its timeline by `now_s`: negative in the queue, constant after an interruption.

        All comparisons use these seconds, because sums of floats would differ in their last digits.
        """
        first = self.first_interruption()
        return (now_s if first is None else min(now_s, first.at_s)) - self.works_from_s

    def view(self, now_s: float) -> RunView:
        """Return the run as it is at `now_s`. The end of its timeline counts if it comes before any interruption."""
        first, by_s = self.first_interruption(), self.worked_s(now_s)
        end = self.timeline.end(by_s)
        status, ended_s = "queued" if by_s < 0 else self.scenario.live_status, None
        errors: tuple[tuple[str, str], ...] = ()
        if end is not None:
            status, errors = self.result_of(end.status)
            ended_s = self.works_from_s + end.at_s if status in TERMINAL else None
        if status not in TERMINAL and first is not None and first.at_s <= now_s:
            status, ended_s = first.status, first.at_s
            errors = (SANDBOX_GONE,) if first.status == "failed" else ()
        return RunView(
            status=status,
            ended_s=ended_s,
            steps=self.timeline.done(by_s),
            tokens=self.timeline.tokens(by_s),
            errors=errors,
        )

    def result_of(self, ending: Ending) -> tuple[str, tuple[tuple[str, str], ...]]:
        """Return the status and the errors (code and message) of a run whose timeline ends this way."""
        match ending:
            case Ending.FAILED:
                return ending.value, ((self.scenario.error_code, self.scenario.error_message),)
            case Ending.UNKNOWN:
                return self.scenario.unknown_word, ()
            case _:
                return ending.value, ()


class RunStore:
    """All runs of one service, and what can be done with them. The caller holds the lock of the state."""

    def __init__(
        self,
        *,
        seed: int,
        clock: SimulatorClock,
        faults: FaultRegistry,
        environments: Environments,
    ) -> None:
        self._seed = seed
        self._clock = clock
        self._faults = faults
        self._environments = environments
        self._runs: dict[str, SimulatedRun] = {}
        self._by_key: dict[str, list[SimulatedRun]] = {}
        self._numbers = itertools.count()

    def reset(self) -> None:
        """Forget all runs. Ids are never used again."""
        self._runs.clear()
        self._by_key.clear()

    def all(self, key: str | None = None) -> tuple[SimulatedRun, ...]:
        """Return every run that ever started (of one `nightdesk-key`, or all), deleted ones too, oldest first."""
        return tuple(self._runs.values() if key is None else self._by_key.get(key, ()))

    def live(self, key: str | None = None) -> int:
        """Count the runs that may still spend."""
        now = self._clock.now()
        return sum(run.view(now).may_spend for run in self.all(key))

    def view(self, run_id: str) -> RunView:
        """Return what a run really is now. Raises KeyError if it never started."""
        return self._runs[run_id].view(self._clock.now())

    def find(self, run_id: str) -> SimulatedRun:
        """Return a run as a client can find it. Raises ApiError 404 for an unknown, deleted or hidden one."""
        run = self._runs.get(run_id)
        if run is None or run.is_deleted or run.is_hidden:
            raise ApiError(404, f"Interaction '{run_id}' not found.")
        return run

    def faults_of(self, run_id: str) -> FaultSet | None:
        """Return the faults of a run, also of a deleted one; None if there is no such run."""
        run = self._runs.get(run_id)
        return run.faults if run is not None else None

    def start(self, request: RunRequest, scenario: Scenario, faults: FaultSet) -> SimulatedRun:
        """Start a run. Raises ApiError if the request names something unknown or continues a live run."""
        self._check_previous(request, faults)
        run = self._new_run(request, scenario, faults, self._environment_of(request))
        self._runs[run.id] = run
        self._by_key.setdefault(run.key, []).append(run)
        return run

    def cancel(self, run_id: str) -> SimulatedRun:
        """Request the end of a run, which takes effect later. Raises ApiError 404, or 400 if it cannot be cancelled."""
        run, now = self.find(run_id), self._clock.now()
        view = run.view(now)
        run.cancels += 1
        if view.is_terminal:
            if self._faults.trigger(Switch.CANCEL_TERMINAL_400, run.faults):
                raise ApiError(400, f"The interaction is already {view.status}.", code="failed_precondition")
            return run
        if not run.background:
            raise ApiError(400, "Only background interactions can be cancelled.", code="failed_precondition")
        if not self._faults.trigger(Switch.CANCEL_NEVER, run.faults):
            delay = self._faults.trigger(Switch.CANCEL_DELAY, run.faults)
            run.interrupt(now, delay.value if delay else run.scenario.cancel_seconds, "cancelled")
        return run

    def delete(self, run_id: str) -> None:
        """Delete the record of a run; the run itself continues. Raises ApiError 404."""
        self.find(run_id).is_deleted = True

    def abandon(self, run: SimulatedRun) -> None:
        """End a foreground run whose client disconnected. The service no longer finds it."""
        run.interrupt(self._clock.now(), 0.0, "cancelled")
        run.is_hidden = True

    def end_runs_in(self, environment_id: str) -> None:
        """End the runs in a deleted sandbox as failed at once, unless a fault lets them continue."""
        now = self._clock.now()
        for run in self._runs.values():
            if run.environment_id != environment_id or run.view(now).is_terminal:
                continue
            if not self._faults.trigger(Switch.SANDBOX_IGNORED, run.faults):
                run.interrupt(now, 0.0, "failed")

    def _check_previous(self, request: RunRequest, faults: FaultSet) -> None:
        if request.previous_interaction_id is None:
            return
        view = self.find(request.previous_interaction_id).view(self._clock.now())
        if not view.is_terminal and view.status not in PARKED:
            raise ApiError(400, f"Interaction '{request.previous_interaction_id}' is {view.status}.")
        settling = self._faults.trigger(Switch.CHAIN_SETTLING, faults)
        if settling and view.ended_s is not None and self._clock.now() - view.ended_s < settling.value:
            raise ApiError(400, "The previous interaction is not settled yet.", code="failed_precondition")

    def _environment_of(self, request: RunRequest) -> str | None:
        """Create or find the sandbox of a launch and return its id. Raises ApiError 404."""
        now, requested = self._clock.now(), request.environment
        settings: Mapping[str, object] = {}
        if isinstance(requested, Mapping):
            settings = requested
            inner = requested.get("environment_id", "remote")
            requested = inner if isinstance(inner, str) else "remote"
        if requested is None:
            return None
        if requested == "remote":
            return self._environments.create(settings, now, self._clock.wall(), bare=True).id
        return self._environments.use(requested, now).id

    def _new_run(
        self,
        request: RunRequest,
        scenario: Scenario,
        faults: FaultSet,
        environment_id: str | None,
    ) -> SimulatedRun:
        key = request.labels.get("nightdesk-key", "")
        number = next(self._numbers)
        seed = f"{self._seed}/{key}/{len(self.all(key)) if key else number}"
        shown_config = dict(request.agent_config)
        if request.max_total_tokens is not None and not self._faults.trigger(Switch.ECHO_INT, faults):
            shown_config["max_total_tokens"] = str(request.max_total_tokens)
        random_id = random.Random(f"{seed}/{number}/id").randbytes(24)
        zombie = self._faults.trigger(Switch.ZOMBIE, faults) is not None
        return SimulatedRun(
            id=request.run_id or f"v1_{base64.urlsafe_b64encode(random_id).decode()}",
            agent=request.agent,
            agent_config=shown_config,
            input=request.input,
            labels=request.labels,
            scenario=scenario,
            timeline=Timeline(scenario, self._limit(request, faults), seed=seed, zombie=zombie),
            faults=faults,
            created_s=self._clock.now(),
            created_wall_s=self._clock.wall(),
            environment_id=environment_id,
            shows_environment=request.environment is not None,
            background=request.background,
            service_tier=request.service_tier,
        )

    def _limit(self, request: RunRequest, faults: FaultSet) -> ServiceLimit:
        trigger = self._faults.trigger
        hit, overshoot = trigger(Switch.BUDGET_HIT, faults), trigger(Switch.BUDGET_OVERSHOOT, faults)
        says_so = trigger(Switch.BUDGET_EXCEEDED, faults) or request.limit is not None
        tokens = None if request.max_total_tokens is None else Measure(most=request.max_total_tokens)
        return ServiceLimit(
            measure=None if trigger(Switch.BUDGET_IGNORED, faults) else request.limit or tokens,
            overshoot=overshoot.value / 100 if overshoot else 0.0,
            hit_by_step=max(1, int(hit.value)) if hit else None,
            status=Ending.BUDGET_EXCEEDED if says_so else Ending.INCOMPLETE,
        )
