"""One attempt at a task for one key: its record, its states and the allowed transitions between them.

`unconfirmed` means that the launch request may have been sent but no run id came back. `stopping` means that a stop
was requested; only a terminal status from the provider ends a run.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import NewType

from console.domain.server_limit import ServerLimit
from console.domain.task import CutOff, Fingerprint, Origin, Stage
from console.domain.timestamps import Timestamp
from console.domain.usage import Usage

RunId = NewType("RunId", str)

_CROCKFORD = "0123456789abcdefghjkmnpqrstvwxyz"


def new_run_id(wall_ms: int, randomness: bytes) -> RunId:
    """Return a lower-case ULID: 48 bits of `wall_ms`, then 80 bits of `randomness` (10 bytes). Ids sort by time.

    Raises ValueError for any other amount of randomness.
    """
    if len(randomness) != 10:
        raise ValueError(f"a run id takes 10 random bytes, got {len(randomness)}")
    number = (wall_ms & (1 << 48) - 1) << 80 | int.from_bytes(randomness)
    return RunId("".join(_CROCKFORD[number >> shift & 31] for shift in range(125, -1, -5)))


class State(StrEnum):
    """The state of a run."""

    PROPOSED = "proposed"
    """Waits for approval. Holds no units; a second proposal of the key is blocked."""
    CLAIMED = "claimed"
    """The key is taken and units are held; nothing has been sent."""
    SENDING = "sending"
    """The launch request may have been sent."""
    RUNNING = "running"
    """The provider returned a run id."""
    STOPPING = "stopping"
    """A stop was requested; the provider has not reported an end yet."""
    UNCONFIRMED = "unconfirmed"
    """It may be running, but its id is unknown. Key and hold are kept until a person settles it."""
    ENDED = "ended"
    """Final; `outcome` says how it ended."""


class Outcome(StrEnum):
    """How a run ended. SKIPPED and REFUSED mark history entries for which no run was made."""

    OK = "ok"
    FAILED = "failed"
    INCOMPLETE = "incomplete"
    BUDGET = "budget"
    TIMEOUT = "timeout"
    CANCELLED = "cancelled"
    REJECTED = "rejected"
    NOT_SENT = "not_sent"
    DECLINED = "declined"
    EXPIRED = "expired"
    WRITTEN_OFF = "written_off"
    SKIPPED = "skipped"
    REFUSED = "refused"


class StopReason(StrEnum):
    """Why a stop was requested. The first reason is kept."""

    OPERATOR = "operator"
    TIMEOUT = "timeout"
    BUDGET = "budget"
    KILL_SWITCH = "kill_switch"


LIVE = frozenset({State.CLAIMED, State.SENDING, State.RUNNING, State.STOPPING})
"""States in which an engine supervises the run."""

HOLDING = LIVE | {State.UNCONFIRMED}
"""States in which units are held, the key is blocked and a slot of `concurrent_runs` is taken."""

NEXT: dict[State, frozenset[State]] = {
    State.PROPOSED: frozenset({State.CLAIMED, State.ENDED}),
    State.CLAIMED: frozenset({State.SENDING, State.ENDED}),
    State.SENDING: frozenset({State.CLAIMED, State.RUNNING, State.UNCONFIRMED, State.ENDED}),
    State.RUNNING: frozenset({State.STOPPING, State.ENDED}),
    State.STOPPING: frozenset({State.ENDED}),
    State.UNCONFIRMED: frozenset({State.RUNNING, State.ENDED}),
    State.ENDED: frozenset(),
}
"""Every allowed transition. `sending -> claimed` requires proof that nothing was sent."""

KEY_FREEING_OUTCOMES = frozenset({Outcome.NOT_SENT, Outcome.REJECTED, Outcome.DECLINED, Outcome.EXPIRED})
"""Outcomes after which any later launch may use the key again."""

NON_RUN_OUTCOMES = frozenset({Outcome.SKIPPED, Outcome.REFUSED})
"""Outcomes of history entries that took neither a key nor a hold."""


class IllegalTransition(Exception):
    """NEXT does not allow the transition."""


def check_transition(before: State, after: State) -> None:
    """Raise IllegalTransition unless NEXT allows the transition."""
    if after not in NEXT[before]:
        raise IllegalTransition(f"a run cannot go from {before} to {after}")


class Ending(StrEnum):
    """How the service ended a run, in words that are the same for all services."""

    OK = "ok"
    FAILED = "failed"
    INCOMPLETE = "incomplete"
    SERVER_LIMIT = "server_limit"
    """The service's own limit ended it."""
    CANCELLED = "cancelled"


def settled_outcome(ending: Ending, reason: StopReason | None) -> Outcome:
    """Return the outcome of a run that ended this way after a stop request for `reason`; None: nobody requested one.

    A run that finished just before a stop keeps its own ending.
    """
    match ending:
        case Ending.OK:
            return Outcome.OK
        case Ending.FAILED:
            return Outcome.FAILED
        case Ending.INCOMPLETE:
            return Outcome.INCOMPLETE
        case Ending.SERVER_LIMIT:
            return Outcome.BUDGET
        case Ending.CANCELLED:
            by_limit = {StopReason.TIMEOUT: Outcome.TIMEOUT, StopReason.BUDGET: Outcome.BUDGET}
            return by_limit.get(reason or StopReason.OPERATOR, Outcome.CANCELLED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """The limits of one run, fixed when it was claimed."""

    max_ms: int
    """Wall-clock limit in milliseconds."""
    budget: int
    """Milli-units that the run may use; also the amount held for it."""
    server_limit: ServerLimit | None
    """The limit that the service enforces on its side; None: it has none."""
    tokens_per_unit: int
    cached_weight_milli: int
    cut_off: CutOff
    stall_ms: int
    """Milliseconds without a new step after which the run is shown as stalled."""


RULED_NOT_LAUNCHED = "ruled not launched by"
"""Beginning of the note of a run that was sent and of which a person found out that nothing was launched."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StopRequest:
    """A requested stop and its progress."""

    reason: StopReason
    by: str
    at_ms: int
    """When it was requested, in UTC milliseconds."""
    tries: int = 0
    """Cancel requests sent so far."""
    answer: str = ""
    """The provider's last answer to a cancel request, sanitized."""
    alarmed: bool = False
    """True once the end has been unproven for ten minutes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One row of the runs table. Fields ending in `_ms` are UTC milliseconds or durations in milliseconds."""

    id: RunId
    key: str
    task: str
    type: str
    target: str
    date: str
    attempt: int
    """1, 2, … per key; 0 for skipped and refused entries."""
    stage: Stage
    """The effective stage when it was claimed."""
    origin: Origin
    requested_by: str
    """`USER tty=yes` or `tty=no`."""
    state: State
    outcome: Outcome | None = None
    note: str = ""
    """One sanitized line: why it was refused, skipped, failed or written off."""
    stop: StopRequest | None = None
    fingerprint: Fingerprint
    limits: Limits
    day: str
    """The day to whose caps it counts, in the zone of the caps: `2026-11-23`."""
    created_ms: int
    claimed: Timestamp | None = None
    sent: Timestamp | None = None
    """When `sending` was recorded; run time and deadline count from here."""
    deadline_ms: int | None = None
    expires_ms: int | None = None
    """For a proposal, when it expires; for a claimed run, until when its launch request may still be sent."""
    ended_ms: int | None = None
    elapsed_ms: int = 0
    """Real milliseconds from `sent` to the end; 0 if nothing was sent."""
    sandbox_id: str | None = None
    """What it runs in: a sandbox, or the session that was made before the launch."""
    sandbox_own: bool = False
    """True if that was made for this run only, so that discarding it affects nothing else."""
    sandbox_deleted_ms: int | None = None
    """When its own sandbox or session was discarded; None if it was not."""
    remote_id: str | None = None
    remote_status: str | None = None
    """The provider's own status word, raw; sanitize it before showing."""
    usage: Usage = field(default_factory=Usage)
    used: int = 0
    """Milli-units used so far, from the largest cumulative figures seen."""
    usage_known: bool = False
    """False if no usage was ever reported; the whole hold is then booked as used."""
    largest_step: int = 0
    """Milli-units of the most expensive step so far."""
    cost_micro: int | None = None
    currency: str | None = None
    steps: int = 0
    last_step: str = ""
    """The newest step as one sanitized line."""
    last_step_ms: int | None = None
    stalled: bool = False
    polled_ms: int | None = None
    """When the provider last answered a poll."""
    trouble: str = ""
    """Why the last poll or cancel failed; empty if it succeeded."""
    result: str = ""
    """The agent's final text, raw: untrusted until sanitized."""
    superseded_by: RunId | None = None
    retry_at_ms: int | None = None
    """When the next automatic attempt at this key is due."""
    owner: str | None = None
    """The process that supervises it."""
    host: str = ""
    """The host of that process, or of the last one, as it calls itself; empty where all processes run on one."""
    fence: int = 1
    """Incremented at every take-over, so that a former owner can no longer write."""
    service: str | None = None
    """The service it is launched at: kind, base URL and API version; None where a version did not record it."""

    @property
    def outcome_words(self) -> str:
        """The outcome as people read it, `written off`; `not launched` where a person found that out; empty before."""
        if self.outcome is Outcome.NOT_SENT and self.note.startswith(RULED_NOT_LAUNCHED):
            return "not launched"
        return self.outcome.value.replace("_", " ") if self.outcome is not None else ""

    @property
    def launched_nothing(self) -> bool:
        """True where it is certain that no agent was launched, so that nothing was used and nothing is owed."""
        return self.sent is None or self.outcome in KEY_FREEING_OUTCOMES

    @property
    def is_live(self) -> bool:
        """True while an engine supervises it."""
        return self.state in LIVE

    def left_ms(self, now: Timestamp) -> int | None:
        """Return the real milliseconds until its time limit, negative once it has passed; None if nothing was sent."""
        return None if self.sent is None else self.limits.max_ms - now.since(self.sent)

    def is_overdue(self, now: Timestamp, *, grace_ms: int = 0) -> bool:
        """True from `grace_ms` after its time limit on."""
        left_ms = self.left_ms(now)
        return left_ms is not None and left_ms <= -grace_ms


@dataclass(frozen=True, slots=True, kw_only=True)
class StepRecord:
    """One step of the agent, as it is stored and shown."""

    index: int
    kind: str
    """Sanitized."""
    text: str
    """Sanitized, one line."""
    at_ms: int
    """When it was first seen, UTC ms."""
    units: int
    """Cumulative milli-units of the run when it was last seen."""
    done: bool
