"""One launch on its way through the program: what is asked for, on which terms, and what came of it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from console.domain.caps import Caps, CapUsage, Refusal
from console.domain.key import KeyDecision, KeyRequest, key_of
from console.domain.policy import Policy
from console.domain.rollout import RolloutRules
from console.domain.run import Limits, Run, RunId, new_run_id
from console.domain.task import Fingerprint, Origin, Stage, Task
from console.domain.text import is_blank

DAY_MS = 86_400_000


def oldest_live_id(tasks: Iterable[Task], now_ms: int) -> RunId:
    """Return the lowest id of a run that may still be live: it is younger than the longest time limit and a day."""
    longest_ms = max((task.guardrails.max_ms for task in tasks), default=0) + DAY_MS
    return new_run_id(max(0, now_ms - longest_ms), bytes(10))


@dataclass(frozen=True, slots=True, kw_only=True)
class LaunchRequest:
    """A launch as a person, a command or the scheduler asks for it."""

    task: str
    """Name of the task in the config."""
    date: str | None = None
    """Date part of the key; None: derived from the schedule or from today."""
    target: str | None = None
    """None: the target of the task in the config."""
    scheduled: bool = False
    by: str
    """Who asks: `USER tty=yes` or `USER tty=no`; recorded with the run."""
    rerun: bool = False
    """Launch again although a run of the key has ended; takes a reason and is possible by hand only."""
    reason: str = ""
    """Why it is run again."""
    automatic_retry: bool = False
    """The scheduler's own next attempt of a failed key."""

    @property
    def origin(self) -> Origin:
        """Who started it: a person or the schedule."""
        return Origin.SCHEDULE if self.scheduled else Origin.MANUAL

    def key_request(self, task: Task) -> KeyRequest:
        """What the decision on the key needs to know of a launch of `task`. A rerun without a reason is none."""
        return KeyRequest(
            fingerprint=Fingerprint.of(task),
            origin=self.origin,
            rerun=self.rerun and not is_blank(self.reason),
            automatic_retry=self.automatic_retry,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class LaunchTerms:
    """What the config, the clock and this process add to a request for its claim."""

    run_id: RunId
    """Id of the run, or of the history entry of a skip or a refusal."""
    task: Task
    """As configured, with the target that was asked for."""
    date: str
    service: str | None = None
    """The service it will be launched at, as `Run.service`."""
    owner: str | None
    """Id of the process that will supervise the run; None: any process may take it over."""
    limits: Limits
    caps: Caps
    rollout: RolloutRules
    expires_ms: int | None = None
    """End of the launch window, UTC ms: no proposal waits longer, and after it the run is not sent any more."""

    refusal: Refusal | None = None
    """Why this host may not launch it, whatever the store says."""
    policy: Policy | None = None
    """What this host judges launches by, where it must be that of a fleet."""

    @property
    def key(self) -> str:
        """The key of the task, its target and the date. Raises ValueError for a task type with a colon."""
        return key_of(self.task.type, self.task.target, self.date)


class LaunchKind(StrEnum):
    """The four results of a launch."""

    LAUNCHED = "launched"
    """Key and hold are taken; the run will be sent by the process that supervises it."""
    PROPOSED = "proposed"
    """A proposal waits for a person's approval."""
    SKIPPED = "skipped"
    """The key is done or its run is still open."""
    REFUSED = "refused"
    """The kill switch, the key, the stage or a cap refused it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LaunchDecision:
    """What a claim would do now."""

    kind: LaunchKind
    stage: Stage
    """Effective stage of the task."""
    key: KeyDecision
    refusal: Refusal | None
    day: str
    """The day on which it counts against the caps."""
    cap_usages: tuple[CapUsage, ...]
    """Before this launch; empty where a claim was decided before its caps were checked."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LaunchResult:
    """What came of a launch; it is stored, with its log record."""

    kind: LaunchKind
    run: Run
    """The new run; for a skip or a refusal its entry in the history."""
    holder: Run | None = None
    """The run that has the key, or had it."""
    refusal: Refusal | None = None
    differences: tuple[str, ...] = ()
    """From the fingerprint of `holder` to the one that was asked for, as `field: before -> after`."""
