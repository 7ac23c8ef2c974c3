"""The settings of an engine: what the config says, what kind of process it lives in, and every interval it keeps."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from enum import StrEnum

from console.domain.caps import Caps
from console.domain.policy import Policy, policy_of
from console.domain.rollout import RolloutRules
from console.domain.run import Limits, Run
from console.domain.server_limit import ServerLimit, ServerLimitKind, server_limit_of
from console.domain.task import DEFAULT_PROVIDER, Task
from console.domain.usage import Price, Units


class ProcessKind(StrEnum):
    """The kind of process an engine lives in; shown beside the runs it supervises."""

    CONSOLE = "console"
    RUN = "run"
    SERVE = "serve"
    GUARD = "guard"
    """The background supervisor: one per state folder; ends when no run needs it."""
    COMMAND = "command"
    """A short command; it supervises nothing."""

    @property
    def guards(self) -> bool:
        """True where the process lives long enough to supervise runs."""
        return self is not ProcessKind.COMMAND


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceSettings:
    """One service that the config names."""

    name: str = DEFAULT_PROVIDER
    """The name of its provider in the config."""
    kind: str = "gemini"
    service: str | None = None
    """As `Run.service`; None if it is not known."""
    server_limit: ServerLimitKind = ServerLimitKind.TOKENS
    """What it can limit."""
    launch: str = "direct"
    """How runs are launched there, as the config says."""
    poll_ms: int = 5000


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineSettings:
    """The config as the engine needs it."""

    tasks: tuple[Task, ...]
    caps: Caps
    units: Units
    prices: dict[str, Price] = field(default_factory=dict)
    rollout: RolloutRules = field(default_factory=RolloutRules)
    services: tuple[ServiceSettings, ...] = (ServiceSettings(),)
    """At least one."""
    kind: ProcessKind = ProcessKind.CONSOLE
    read_only: bool = False
    """Never schedules, takes over or writes."""
    schedules: bool = False
    """True where this process may be the scheduler of the state folder."""

    fingerprint: str = field(init=False)
    """Equal for two processes that judge launches alike: 16 hex digits over all that a launch depends on."""

    def __post_init__(self) -> None:
        prices = sorted(self.prices.items())
        # Not part of the repr of a task.
        texts = [(task.prompt, task.system_instruction) for task in self.tasks]
        judged = repr((self.tasks, texts, self.caps, self.units, prices, self.rollout, self.services))
        fingerprint = hashlib.sha256(judged.encode("utf-8", "surrogatepass")).hexdigest()[:16]
        # It is compared every second, and a config may have a thousand tasks.
        object.__setattr__(self, "fingerprint", fingerprint)

    @staticmethod
    def units_of(run: Run) -> Units:
        """The unit of `run`: as it was when the run was claimed, whatever the config says now."""
        return Units(
            tokens_per_unit=run.limits.tokens_per_unit,
            cached_weight_milli=run.limits.cached_weight_milli,
        )

    def serves(self, run: Run) -> bool:
        """True where `run` is launched at a service that the config names, as far as both are known."""
        return self._service_of(run) is not None

    def service_of(self, run: Run) -> ServiceSettings:
        """The service at which `run` is launched; the first one where the config does not name it."""
        return self._service_of(run) or self.services[0]

    def _service_of(self, run: Run) -> ServiceSettings | None:
        named = [one for one in self.services if one.name == run.fingerprint.provider]
        for one in (*named, *self.services):
            if run.service is None or one.service is None or run.service == one.service:
                return one
        return None

    def service_for(self, task: Task) -> ServiceSettings:
        """The service at which a run of `task` is launched. Raises LookupError where the config names none for it."""
        for one in self.services:
            if one.name == task.provider:
                return one
        raise LookupError(f"task {task.name}: no provider is named {task.provider}")

    @property
    def supervises(self) -> bool:
        """True where a process with these settings supervises runs."""
        return self.kind.guards and not self.read_only

    @property
    def has_several_services(self) -> bool:
        """True where a run has to be shown with its provider."""
        return len(self.services) > 1

    @property
    def known_services(self) -> str:
        """The services that the config names, for a message."""
        return " and ".join(one.service or one.name for one in self.services)

    def price_of(self, run: Run) -> Price | None:
        """The price of the model of `run`; None where the config has none for it."""
        return self.prices.get(run.fingerprint.model)

    def limits(self, task: Task) -> Limits:
        """The limits of a run of `task` that is claimed now.

        Raises ValueError if its service limits money and the config has no price for the model.
        """
        server_limit = server_limit_of(
            self.service_for(task).server_limit,
            budget=task.guardrails.budget,
            units=self.units,
            price=self.prices.get(task.model),
            max_ms=task.guardrails.max_ms,
        )
        return limits_of(task, self.units, server_limit)

    @property
    def policy(self) -> Policy:
        """What launches are judged by, which is the same on all hosts of a fleet."""
        return policy_of(self.caps, self.units, self.rollout, self.tasks)

    def task(self, name: str) -> Task | None:
        """The task of that name."""
        return next((task for task in self.tasks if task.name == name), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Timings:
    """Every interval of the engine, so that a test can make them small.

    Seconds where the name ends in `_s`, real milliseconds where it ends in `_ms`.
    """

    tick_s: float = 1.0
    """Between two reads of the state folder: stops, take-overs, overdue runs, schedules."""
    idle_ticks: int = 30
    """The supervision of a run that only runs wakes every so many ticks; what reaches a limit wakes it in time."""
    save_ms: int = 1_000
    """Live figures of a run are stored at most this often."""
    beat_ms: int = 10_000
    """Between two heartbeats of an owner; for alarms only, never for a take-over."""
    intent_wait_s: float = 0.5
    """How long the tasks around a stop wait for each of their writes; then they go on, and it is stored behind them."""
    cancel_wait_s: float = 0.03
    """How long the first cancel of a run waits for its stop request to be stored. Then it is sent, and the request is
    stored behind it. It does not wait at all where the last stop took longer, as on a slow disk."""
    stop_wait_s: float = 1.0
    """How long an operator's stop or pause waits for the store before it goes on without it."""
    own_overdue_ms: int = 2_000
    """A run of this process this long past its limit is cancelled even if its own supervisor does nothing."""
    cancels_at_once: int = 128
    """Cancel calls in flight at once, over all runs."""
    stuck_after_s: float = 90.0
    """A round of a concern that takes longer is reported, and the watchdog is not fed meanwhile."""
    offline_after_ms: int = 10_000
    """The provider counts as offline when no poll was answered for this long."""
    fresh_send_ms: int = 2_000
    """A POST that could not start within this after its record is not sent at all."""
    failover_hold_ms: int = 25_000
    """For so long launches wait after the database failed over: each host has compared its files by then."""
    claim_window_ms: int = 60_000
    """A launch by hand that is still `claimed` after this ends unsent; its time in the queue does not count."""
    polls_at_once: int = 48
    """Polls under way at once, over all runs of a process: fewer than the connections that the provider keeps."""
    launches_at_once: int = 32
    """Launches under way at once, over all runs of a process; further ones are queued."""
    not_sent_waits_s: tuple[float, ...] = (1.0, 4.0)
    """Between tries that provably sent nothing: three tries in all."""
    rate_limit_waits_s: tuple[float, ...] = (5.0, 20.0, 60.0)
    """Between tries after a 429, unless the provider names a time; three more tries."""
    longest_rate_limit_s: float = 120.0
    """A longer Retry-After ends the run as not sent."""
    resolve_first_waits_s: tuple[float, ...] = (1.0, 3.0, 6.0)
    """After each question for a launch without an answer, before the run becomes unconfirmed."""
    resolve_waits_s: tuple[float, ...] = (5.0, 30.0, 120.0, 600.0)
    """Between further questions; the last one repeats."""
    usage_waits_s: tuple[float, ...] = (1.0, 2.0, 4.0, 8.0)
    """Between the polls for usage that arrives after the end."""
    stream_waits_s: tuple[float, ...] = (1.0, 5.0, 15.0, 30.0)
    """Before the stream is opened again; the last one repeats."""
    cancel_first_s: float = 1.0
    cancel_longest_s: float = 60.0
    """The cancel back-off doubles from the first to the longest, with full jitter, until the provider shows an end."""
    sandbox_after_ms: int = 120_000
    """A stop without proof for this long deletes the run's own sandbox."""
    alarm_after_ms: int = 600_000
    """A stop without proof for this long raises the alarm."""
    alarm_again_ms: int = 3_600_000
    overdue_ms: int = 15_000
    """After this any engine cancels a run that its living owner should have stopped."""
    take_over_ms: int = 1_000
    """A run of an owner that has been dead for longer is not being taken over: any engine cancels it at its limit."""
    answer_ms: int = 65_000
    """For so long after its record a launch of another host may still be answered there: it is not taken over."""
    parked_polls: int = 3
    """A run that shows a parked status in this many consecutive polls is cancelled: nobody is there to answer it."""
    denied_polls: int = 3
    """A run whose polls are refused for the key so often in a row is given to another process, where one lives."""
    denied_again_s: float = 30.0
    """For so long it is not taken back."""
    clock_note_ms: int = 5_000
    clock_pause_ms: int = 300_000
    """A wall clock that steps by more pauses all launches."""
    handover_s: float = 8.0
    """How long a launch that is being sent is waited for when the process must go."""
    retry_waits_ms: tuple[int, ...] = (60_000, 300_000, 900_000)
    """Before an unattended task tries a failed key again; the last one repeats."""


def limits_of(task: Task, units: Units, server_limit: ServerLimit | None) -> Limits:
    """The limits that hold for a run of `task` from its claim to its end, whatever is edited meanwhile."""
    guardrails = task.guardrails
    return Limits(
        max_ms=guardrails.max_ms,
        budget=guardrails.budget,
        server_limit=server_limit,
        tokens_per_unit=units.tokens_per_unit,
        cached_weight_milli=units.cached_weight_milli,
        cut_off=guardrails.cut_off,
        stall_ms=guardrails.stall_ms,
    )
