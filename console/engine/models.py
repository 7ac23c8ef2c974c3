"""What queries return to screens and commands: frozen values that compare equal while nothing changed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from console.domain.caps import CapUsage, Refusal
from console.domain.launch import LaunchKind, LaunchRequest, LaunchResult
from console.domain.rollout import Evidence, StageChange
from console.domain.run import Limits, Run, RunId, StepRecord
from console.domain.task import Stage, Task
from console.domain.timestamps import Timestamp
from console.engine.problems import Problem
from console.store.audit import AuditAct, AuditEntry, AuditFilter
from console.store.history import Bound, Cursor, HistoryFilter, HistoryOrder, KeyState, KeyStatus, Page, TypicalUsage

__all__ = [
    "AuditAct",
    "AuditEntry",
    "AuditFilter",
    "Bound",
    "Cursor",
    "HistoryFilter",
    "HistoryOrder",
    "KeyState",
    "KeyStatus",
    "LaunchKind",
    "LaunchRequest",
    "LaunchResult",
    "Page",
    "TypicalUsage",
]


LAUNCHING = ("console", "serve")
"""Kinds of processes that launch again and again, by the config they have."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Owner:
    """A process that supervises runs on this state folder."""

    id: str
    kind: str
    pid: int
    alive: bool
    """Its kernel lock is held."""
    mine: bool
    host: str = ""
    """The host it runs on, sanitized; empty where all processes run on one."""
    beat_ms: int = 0
    """Its last sign of life, UTC ms."""

    @property
    def may_schedule(self) -> bool:
        """True for a process that takes the schedule over when nobody else has it."""
        return self.alive and self.kind in LAUNCHING


@dataclass(frozen=True, slots=True, kw_only=True)
class Pause:
    """The kill switch is on."""

    since_ms: int
    by: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PauseResult:
    """What came of turning the kill switch on: launches are blocked."""

    stopped: tuple[Run, ...] = ()
    """The runs that were asked to stop."""
    unstored: str = ""
    """Why the pause is not in the store yet, where a file blocks launches instead; empty if it is stored."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NextLaunch:
    """The next scheduled time of a task whose stage lets it run or be proposed then."""

    task: str
    at_ms: int
    proposes: bool = False
    """True where the task is then proposed and waits for approval."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """The state folder at one time."""

    taken: Timestamp
    live: tuple[Run, ...] = ()
    """The runs that are not ended: proposals first, then unconfirmed, then the rest, oldest first."""
    recent: tuple[Run, ...] = ()
    """The runs that ended last, newest first, at most 50, without skips and refusals."""
    cap_usages: tuple[CapUsage, ...] = ()
    """Daily units, daily runs, monthly units, concurrent runs: over all tasks."""
    paused: Pause | None = None
    owners: Mapping[str, Owner] = field(default_factory=dict)
    """By id; the `owner` of a run is a key here while the process is known."""
    scheduler: Owner | None = None
    schedules: bool = False
    """True where this process schedules as soon as no other one does."""
    next_launch: NextLaunch | None = None
    """None where no task of the config is going to run or to be proposed by its schedule."""
    stages: Mapping[str, Stage] = field(default_factory=dict)
    """The stage of each task that was ever promoted."""
    time_zone: str = "UTC"
    """The time zone of the caps, in which their days begin."""
    problems: tuple[Problem, ...] = ()
    """What does not work now in this process and, with their pid, in the others on this state folder."""
    read_only: bool = False
    round_trip_ms: int | None = None
    """How long an answer of the database of several hosts takes; None on one machine."""
    queued: Mapping[RunId, int] = field(default_factory=dict)
    """Claimed runs of this process that wait to be sent, with how many launches are sent before each."""

    @property
    def nobody_schedules(self) -> bool:
        """True where a task is due at some time and no process is going to launch it then."""
        return self.next_launch is not None and self.scheduler is None and not self.schedules

    @property
    def schedule_ends_here(self) -> bool:
        """True where this process schedules, a task is due at some time, and no other process would go on."""
        mine = self.schedules or (self.scheduler is not None and self.scheduler.mine)
        others = any(owner.may_schedule and not owner.mine for owner in self.owners.values())
        return mine and self.next_launch is not None and not others


@dataclass(frozen=True, slots=True, kw_only=True)
class TimelineEvent:
    """One thing that happened to a run."""

    at_ms: int
    kind: str
    """`claimed`, `sandbox`, `sending`, `running`, `stop`, `cancel`, `taken over`, …"""
    text: str
    """The facts in one sanitized line, as people read them."""
    facts: Mapping[str, str] = field(default_factory=dict)
    """The facts by name as they are stored, each sanitized."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunDetail:
    """One run with its history."""

    run: Run
    timeline: tuple[TimelineEvent, ...] = ()
    steps: tuple[StepRecord, ...] = ()
    attempts: tuple[Run, ...] = ()
    """All runs of the same key, oldest first, this one included."""
    changed_since: tuple[str, ...] = ()
    """What differs in the task now, `model: a -> b`."""
    worst_case_micro: int | None = None
    """Micro-money if the whole budget were used; None where the price is unknown."""
    currency: str | None = None
    evidence: Evidence | None = None
    """For a proposal: the rollout evidence of its task."""
    prepared: str = "sandbox"
    """What its service makes for a run in advance: a `sandbox` or a `session`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LaunchPreview:
    """What a launch by hand would do. The key is fixed here, so that confirming twice launches once."""

    task: Task
    target: str
    date: str
    key: str
    stage: Stage
    limits: Limits
    typical: TypicalUsage | None
    worst_case_micro: int | None
    currency: str | None
    cap_usages: tuple[CapUsage, ...]
    answer: LaunchKind
    """What a launch now would answer."""
    refusal: Refusal | None = None
    holder: Run | None = None
    """The run that has the key."""
    differences: tuple[str, ...] = ()
    """What differs from the fingerprint of the holder, as `field: before -> after`."""


RunSelector = RunId | str
"""A run id, a unique prefix of one, or a key."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ScheduledTime:
    """One upcoming time of a schedule."""

    at_ms: int
    shifts: bool
    """True where the clocks of the zone change between the time before and this one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskRollout:
    """The rollout of one task: its stage, the evidence for it, and what comes next."""

    task: Task
    stage: Stage
    effective: Stage
    """The stage that counts: one lower while a run of the task is unconfirmed."""
    evidence: Evidence
    unmet_criteria: tuple[str, ...]
    """What the next stage still requires; empty where it is earned, or where there is none."""
    changes: tuple[StageChange, ...] = ()
    """Every change of its stage, newest first; texts are sanitized."""
    next: tuple[ScheduledTime, ...] = ()
    """The next five scheduled times; empty without a schedule."""

    @property
    def scheduled(self) -> tuple[ScheduledTime, ...]:
        """The next scheduled times at which the task runs or is proposed; empty at stage manual."""
        return self.next if self.effective is not Stage.MANUAL else ()

    @property
    def last_demotion(self) -> StageChange | None:
        """The newest change to a lower stage; None where there was none."""
        return next((change for change in self.changes if change.after < change.before), None)
