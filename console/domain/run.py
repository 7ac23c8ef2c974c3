"""A run is one attempt to do a task for one key. Its states, and the only edges between them.

`unconfirmed` is the honest name of not knowing: bytes may have left, no id came back. `stopping` is a
request, not an end: only a terminal answer of the provider ends a run.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import NewType

from console.domain.task import CutOff, Fingerprint, Origin, Stage
from console.domain.timestamps import Timestamp
from console.domain.usage import Usage

RunId = NewType("RunId", str)

_CROCKFORD = "0123456789abcdefghjkmnpqrstvwxyz"


def new_run_id(wall_ms: int, randomness: bytes) -> RunId:
    """A ULID in lower case: 48 bits of `wall_ms`, then 80 bits of `randomness` (10 bytes). Sorts by time."""
    if len(randomness) != 10:
        raise ValueError(f"a run id takes 10 random bytes, got {len(randomness)}")
    number = (wall_ms & (1 << 48) - 1) << 80 | int.from_bytes(randomness)
    return RunId("".join(_CROCKFORD[number >> shift & 31] for shift in range(125, -1, -5)))


class State(StrEnum):
    """Where a run stands."""

    PROPOSED = "proposed"
    """Waits for a person; holds no units, blocks a second proposal."""
    CLAIMED = "claimed"
    """Key and hold are taken; no byte of the launch has left."""
    SENDING = "sending"
    """The one POST may have left."""
    RUNNING = "running"
    """The provider gave an id."""
    STOPPING = "stopping"
    """A stop was asked; the provider has not shown an end yet."""
    UNCONFIRMED = "unconfirmed"
    """It may be running and we hold no id; key and hold stay until the operator rules."""
    ENDED = "ended"
    """Final; `outcome` says how."""


class Outcome(StrEnum):
    """How an ended run ended. The last two are entries in the history that never were a run."""

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
    """Why a stop was asked. The first one wins; it is a request, not a state."""

    OPERATOR = "operator"
    TIMEOUT = "timeout"
    BUDGET = "budget"
    KILL_SWITCH = "kill_switch"


LIVE = frozenset({State.CLAIMED, State.SENDING, State.RUNNING, State.STOPPING})
"""States in which an engine works on the run and a slot is taken."""

HOLDING = LIVE | {State.UNCONFIRMED}
"""States in which the hold is open and the key is blocked."""

NEXT: dict[State, frozenset[State]] = {
    State.PROPOSED: frozenset({State.CLAIMED, State.ENDED}),
    State.CLAIMED: frozenset({State.SENDING, State.ENDED}),
    State.SENDING: frozenset({State.CLAIMED, State.RUNNING, State.UNCONFIRMED, State.ENDED}),
    State.RUNNING: frozenset({State.STOPPING, State.ENDED}),
    State.STOPPING: frozenset({State.ENDED}),
    State.UNCONFIRMED: frozenset({State.RUNNING, State.ENDED}),
    State.ENDED: frozenset(),
}
"""The whole machine. `sending -> claimed` only where it is proven that nothing was sent."""

KEY_FREEING_OUTCOMES = frozenset({Outcome.NOT_SENT, Outcome.REJECTED, Outcome.DECLINED, Outcome.EXPIRED})
"""Endings after which a later launch of any origin may take the key again."""

NON_RUN_OUTCOMES = frozenset({Outcome.SKIPPED, Outcome.REFUSED})
"""Outcomes of history entries that took neither key nor hold."""


class IllegalTransition(Exception):
    """The state table has no such edge."""


def check_transition(before: State, after: State) -> None:
    """Raises IllegalTransition unless `NEXT` has the edge."""
    if after not in NEXT[before]:
        raise IllegalTransition(f"a run cannot go from {before} to {after}")


def settled_outcome(provider_status: str, *, reason: StopReason | None, belt_hit: bool) -> Outcome | None:
    """The outcome that a terminal provider status means; None where the status is not terminal.

    A run that finished just before a stop keeps its real ending; `cancelled` by the provider is told by
    the reason we asked for. `belt_hit`: uncached tokens reached the limit that was sent.
    """
    match provider_status:
        case "completed":
            return Outcome.OK
        case "failed":
            return Outcome.FAILED
        case "budget_exceeded":
            return Outcome.BUDGET
        case "incomplete":
            return Outcome.BUDGET if belt_hit else Outcome.INCOMPLETE
        case "cancelled":
            return {StopReason.TIMEOUT: Outcome.TIMEOUT, StopReason.BUDGET: Outcome.BUDGET}.get(
                reason or StopReason.OPERATOR, Outcome.CANCELLED
            )
        case _:
            return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """The guardrails of one run as they stood when it was claimed."""

    max_ms: int
    budget: int
    """Milli-units; also the hold."""
    belt_tokens: int
    """The token limit sent to the provider."""
    tokens_per_unit: int
    cached_weight_milli: int
    cut_off: CutOff
    stall_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class StopRequest:
    """A stop that was asked and how far it came."""

    reason: StopReason
    by: str
    at_ms: int
    """Wall clock."""
    tries: int = 0
    answer: str = ""
    """What the provider last said to a cancel, cleaned."""
    alarmed: bool = False
    """Ten minutes without proof have passed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One row of the runs table. Times ending in `_ms` are UTC wall milliseconds."""

    id: RunId
    key: str
    task: str
    type: str
    target: str
    date: str
    attempt: int
    """1, 2, … of its key; 0 for entries that never were a run."""
    stage: Stage
    """The effective stage at the claim."""
    origin: Origin
    requested_by: str
    """`USER tty=yes` or `tty=no`."""
    state: State
    outcome: Outcome | None = None
    note: str = ""
    """One cleaned line: why refused, skipped, failed, written off."""
    stop: StopRequest | None = None
    fingerprint: Fingerprint
    limits: Limits
    day: str
    """The caps-zone day of the hold, `2026-11-23`."""
    created_ms: int
    claimed: Timestamp | None = None
    sent: Timestamp | None = None
    """When `sending` was recorded: elapsed and the deadline count from here."""
    deadline_ms: int | None = None
    expires_ms: int | None = None
    """Proposals: when they expire. Claimed: until when a take-over may still send."""
    ended_ms: int | None = None
    elapsed_ms: int = 0
    """Real milliseconds from `sent` to the end; 0 where nothing was sent."""
    sandbox_id: str | None = None
    sandbox_own: bool = False
    """True where the sandbox was made for this run alone, so that deleting it harms nothing else."""
    sandbox_deleted_ms: int | None = None
    """When its own sandbox was deleted to stop it; None: never."""
    remote_id: str | None = None
    remote_status: str | None = None
    """The provider's own word, raw; shown cleaned."""
    usage: Usage = field(default_factory=Usage)
    used: int = 0
    """Milli-units used so far, by the maximum of the cumulative figures."""
    usage_known: bool = False
    """False: no figure ever came; the books then close at the hold."""
    largest_step: int = 0
    """Milli-units of the dearest step so far."""
    cost_micro: int | None = None
    currency: str | None = None
    steps: int = 0
    last_step: str = ""
    """One cleaned line."""
    last_step_ms: int | None = None
    stalled: bool = False
    polled_ms: int | None = None
    """When the provider last answered; the age of what is shown."""
    trouble: str = ""
    """Why the last poll or cancel did not work; empty when it did."""
    result: str = ""
    """The agent's own text, raw: hostile until cleaned."""
    superseded_by: RunId | None = None
    retry_at_ms: int | None = None
    """When an unattended task tries this key again by itself."""
    owner: str | None = None
    fence: int = 1

    @property
    def is_live(self) -> bool:
        """True while an engine works on it."""
        return self.state in LIVE

    @property
    def units(self) -> int:
        """Milli-units that count: used, once anything was sent; else 0."""
        return self.used
