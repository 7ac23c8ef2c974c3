"""Everything a screen or a command may show, as frozen values. Parts compare equal while nothing changed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from console.domain.launch import LaunchKind, LaunchRequest, LaunchResult
from console.domain.limits import CapUsage, Refusal
from console.domain.rollout import Evidence
from console.domain.run import Limits, Run, RunId, StepRecord
from console.domain.task import Stage, Task
from console.domain.timestamps import Timestamp
from console.engine.problems import Problem
from console.store.history import Cursor, HistoryFilter, KeyState, KeyStatus, Page, TypicalUsage

__all__ = [
    "Cursor",
    "HistoryFilter",
    "KeyState",
    "KeyStatus",
    "LaunchKind",
    "LaunchRequest",
    "LaunchResult",
    "Page",
    "TypicalUsage",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Owner:
    """A process that guards runs on this state folder."""

    id: str
    kind: str
    pid: int
    alive: bool
    """Its kernel lock is held."""
    mine: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Pause:
    """The kill switch is on."""

    since_ms: int
    by: str


@dataclass(frozen=True, slots=True, kw_only=True)
class NextLaunch:
    """The next scheduled instant of any task."""

    task: str
    at_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """One look at the state folder."""

    taken: Timestamp
    live: tuple[Run, ...] = ()
    """All that is not ended: proposals first, then unconfirmed, then the rest, oldest first."""
    recent: tuple[Run, ...] = ()
    """What ended last, newest first, at most 50; skips and refusals left out."""
    cap_usages: tuple[CapUsage, ...] = ()
    """Daily units, daily runs, monthly units, concurrent runs: over all tasks."""
    paused: Pause | None = None
    owners: Mapping[str, Owner] = field(default_factory=dict)
    """By id; the `owner` of a run is a key here while the process is known."""
    scheduler: Owner | None = None
    next_launch: NextLaunch | None = None
    time_zone: str = "UTC"
    """Of the caps: where the day begins."""
    problems: tuple[Problem, ...] = ()
    """What does not work now in this process and, with their pid, in the others on this state folder."""
    read_only: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class TimelineEvent:
    """One thing that happened to a run."""

    at_ms: int
    kind: str
    """`claimed`, `sandbox`, `sending`, `running`, `stop`, `cancel`, `settled`, …"""
    text: str
    """One cleaned line."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunDetail:
    """One run whole."""

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
    """Of its task, for a proposal: what the runs before it have shown."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LaunchPreview:
    """What a launch by hand would be, before it is one. The key is minted here, so Enter twice is one intent."""

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
    """Against the holder's fingerprint."""


RunSelector = RunId | str
"""A run id, a unique prefix of one, or a key."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StageChange:
    """One rung that was climbed or left."""

    at_ms: int
    before: Stage
    after: Stage
    by: str
    """Cleaned; `nightdesk` where it was automatic."""
    reason: str
    """Cleaned."""
    forced: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ScheduledTime:
    """One scheduled instant to come."""

    at_ms: int
    shifts: bool
    """The zone's offset differs from that of the instant before: clocks change in between."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskRollout:
    """Where one task stands on the way to running alone."""

    task: Task
    stage: Stage
    effective: Stage
    """One lower while a run of the task is unconfirmed."""
    evidence: Evidence
    unmet_criteria: tuple[str, ...]
    """What the next rung lacks; empty: earned, or at the top."""
    steps: tuple[StageChange, ...] = ()
    """All of them, newest first."""
    next: tuple[ScheduledTime, ...] = ()
    """The next five instants; empty without a schedule."""

    @property
    def last_demotion(self) -> StageChange | None:
        """The newest step down."""
        return next((step for step in self.steps if step.after < step.before), None)
