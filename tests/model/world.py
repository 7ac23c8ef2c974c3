"""The state of the model: rows as in the store, the truth at the service, and what each process believes.

The model has no time: whatever may happen next can happen, however long a process stood still before. A process that
stands still takes no step, and a deadline is a step that is always possible.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from console.domain.run import Ending, Outcome, State, StopReason
from console.domain.task import Origin
from tests.invariants import Hold


class Verdict(StrEnum):
    """The verdict on one try of the POST, as in the table `sends`."""

    OPEN = "open"
    NOT_SENT = "not_sent"
    REJECTED = "rejected"
    UNKNOWN = "unknown"
    LAUNCHED = "launched"
    RULED = "ruled_not_launched"


class Box(StrEnum):
    """The run's own sandbox at the service."""

    NONE = "none"
    THERE = "there"
    GONE = "gone"


class Reply(StrEnum):
    """An answer of the service that is on its way."""

    NONE = "none"
    ID = "id"
    REJECTED = "rejected"
    LIMITED = "limited"


class At(StrEnum):
    """How far a process is with a run. Between any two of these it may die or stand still."""

    NOWHERE = "nowhere"
    CLAIMED = "claimed"
    MARKED = "marked"
    IN_DOUBT = "does not know whether its record of the POST is stored"
    """Only where the store is a server: the connection was lost at the commit."""
    WAITING = "waiting"
    HAS_ID = "has an id"
    NOTED = "noted in the journal"
    NOT_LAUNCHED = "has a proof of no launch"
    REJECTED = "has a refusal"
    UNKNOWN = "has no answer"
    GUARDING = "guarding"
    TAKEN = "taken over"
    ADMITTED = "was told that there is room"
    """Only with the planted bug that checks the cap before it takes the hold."""


class Life(StrEnum):
    """A process according to its kernel lock, and to its lease where each process runs on a host of its own."""

    UP = "up"
    LAPSED = "lapsed"
    """It lives, but its lease ran out: all others take it for dead until it renews its lease."""
    UNLOCKED = "unlocked"
    """It lives, but its lock file was removed: all others take it for dead."""
    DEAD = "dead"


class Send(NamedTuple):
    """A row of `sends`."""

    fence: int
    verdict: Verdict


class Row(NamedTuple):
    """A row of `runs`, as far as it matters for safety."""

    state: State
    origin: Origin
    prompt: str
    """Stands for the fingerprint."""
    rerun: bool
    owner: int | None
    fence: int = 1
    outcome: Outcome | None = None
    stop: StopReason | None = None
    alarmed: bool = False
    box: bool = False
    """True where the id of its own sandbox is stored."""
    sends: tuple[Send, ...] = ()
    hold: Hold = Hold.OPEN
    superseded: bool = False

    def is_of(self, process: int, fence: int) -> bool:
        """The owner and fence part of the compare-and-set."""
        return self.owner == process and self.fence == fence

    def decided(self, verdict: Verdict) -> tuple[Send, ...]:
        """The tries, with `verdict` on the one that is open or unknown."""
        undecided = (Verdict.OPEN, Verdict.UNKNOWN)
        return tuple(send._replace(verdict=verdict) if send.verdict in undecided else send for send in self.sends)


class Remote(NamedTuple):
    """What is true of one attempt at the service, whatever the store says."""

    box: Box = Box.NONE
    flying: int = 0
    """POSTs that left and have not arrived."""
    risked: int = 0
    """POSTs that left, less those that provably launched nothing."""
    started: int = 0
    live: int = 0
    shows: Ending | None = None
    """The ending that a GET shows."""
    reply: Reply = Reply.NONE
    journals: tuple[int, ...] = ()
    """The launch journals in which its id stands: one for each host, or SHARED."""


SHARED = -1
"""The launch journal of all processes on one machine."""


class Local(NamedTuple):
    """What a process believes of the run that it works on."""

    at: At = At.NOWHERE
    attempt: int = 0
    """Index into the rows."""
    fence: int = 0


NOWHERE = Local()


class KeyWorld(NamedTuple):
    """One key."""

    rows: tuple[Row, ...] = ()
    """By attempt."""
    remotes: tuple[Remote, ...] = ()
    locals: tuple[Local, ...] = ()
    """By process."""

    def with_row(self, attempt: int, row: Row) -> KeyWorld:
        """A copy with another row."""
        return self._replace(rows=(*self.rows[:attempt], row, *self.rows[attempt + 1 :]))

    def with_remote(self, attempt: int, remote: Remote) -> KeyWorld:
        """A copy with another truth of one attempt."""
        return self._replace(remotes=(*self.remotes[:attempt], remote, *self.remotes[attempt + 1 :]))

    def with_local(self, process: int, local: Local) -> KeyWorld:
        """A copy with another belief of one process."""
        return self._replace(locals=(*self.locals[:process], local, *self.locals[process + 1 :]))


class Actor(StrEnum):
    """Who takes a step. Each may change a row in other ways."""

    GUARD = "guard"
    """A process with the run it supervises; its writes compare owner and fence."""
    WATCH = "watch"
    """A process that reads the runs of others."""
    OPERATOR = "operator"
    SERVICE = "service"
    FATE = "fate"


class Move(NamedTuple):
    """One step of one actor on one key."""

    actor: Actor
    what: str
    process: int | None
    fence: int | None
    """The fence under which a supervisor writes; None for writes without one."""
    after: KeyWorld
    needs_room: bool = False
    """It takes a hold, so it is possible only where the cap has room."""

    def line(self, key: int) -> str:
        """`key 0: process 1 (guard) mark_sending`, for a printed trace."""
        who = self.actor.value if self.process is None else f"process {self.process} ({self.actor})"
        return f"key {key}: {who} {self.what}"


class Around(NamedTuple):
    """What concerns all keys."""

    lives: tuple[Life, ...]
    paused: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Mutations:
    """Each switch plants one bug in the protocol. All off: the protocol."""

    intent_after_post: bool = False
    resend_after_unknown: bool = False
    release_on_unknown: bool = False
    no_fence: bool = False
    rob_the_living: bool = False
    recovery_resends: bool = False
    recovery_forgets_journal: bool = False
    settle_on_cancel: bool = False
    rule_without_sandbox: bool = False
    key_expires: bool = False
    any_prompt: bool = False
    lost_reply_is_rejected: bool = False
    judge_then_take: bool = False
    absent_is_not_launched: bool = False
    lease_for_fence: bool = False
    adopts_foreign_id: bool = False
    doubt_is_stored: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """How much may happen. Within these bounds, everything that can happen is explored."""

    processes: int = 3
    keys: int = 1
    attempts: int = 2
    """For each key."""
    tries: int = 2
    """For each attempt: tries of the POST, of which all but the last may prove that nothing was launched."""
    deaths: int = 2
    """Processes that may die or lose their lock."""
    lost_locks: bool = True
    """One process may lose its lock and live."""
    proposals: bool = False
    operator: bool = True
    """Stops, rulings, reruns."""
    retries: bool = False
    """A schedule tries a failed key again."""
    prompts: tuple[str, ...] = ("a",)
    pauses: bool = False
    cap: int | None = None
    """How many holds fit under the cap; None: all."""
    own_sandbox: bool = True
    """The service can make a sandbox before the launch, and refuses a launch into a deleted one."""
    hosts: bool = False
    """Each process is a host of its own, with a journal of its own and a lease that lapses and is renewed. A host that
    died comes back. The store is a server: whether a commit is stored may stay unknown for a while."""
    can_find: bool = False
    """What is made before the launch is a session: it shows whether a run started in it, and is deleted only if not."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """The rules of one exploration."""

    bounds: Bounds
    mutations: Mutations

    def journal_of(self, process: int) -> int:
        """The journal that a process writes and reads."""
        return process if self.bounds.hosts else SHARED


def start(bounds: Bounds) -> KeyWorld:
    """A key with no run yet."""
    return KeyWorld(locals=(NOWHERE,) * bounds.processes)
