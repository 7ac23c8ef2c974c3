"""What there is in the model: rows as the store has them, the service's truth, and what each process believes.

Time does not exist here: whatever may happen next can happen, however long a process was stuck before. So a pause
is a process that takes no step, and a deadline is a step that is always possible.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from console.domain.run import Outcome, State, StopReason
from console.domain.task import Origin
from tests.invariants import Hold


class Verdict(StrEnum):
    """What is known of one try of the POST: the column of the same name in the table `sends`."""

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
    """An answer of the service on its way to the process that waits."""

    NONE = "none"
    ID = "id"
    REJECTED = "rejected"
    LIMITED = "limited"


class At(StrEnum):
    """How far a process is with the run of a key; between any two of these it may die or stay stuck."""

    NOWHERE = "nowhere"
    CLAIMED = "claimed"
    MARKED = "marked"
    WAITING = "waiting"
    HAS_ID = "has an id"
    NOTED = "noted in the journal"
    NOT_LAUNCHED = "has a proof of no launch"
    REJECTED = "has a refusal"
    UNKNOWN = "has no answer"
    GUARDING = "guarding"
    TAKEN = "taken over"
    ADMITTED = "was told that there is room"
    """Only where a planted bug takes the hold later than it judges the cap."""


class Life(StrEnum):
    """A process, as its kernel lock tells."""

    UP = "up"
    UNLOCKED = "unlocked"
    """It lives, but its lock file was removed: everybody else takes it for dead."""
    DEAD = "dead"


class Send(NamedTuple):
    """A row of `sends`."""

    fence: int
    verdict: Verdict


class Row(NamedTuple):
    """A row of `runs`, as far as safety hangs on it."""

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
    """The id of its own sandbox is stored."""
    sends: tuple[Send, ...] = ()
    hold: Hold = Hold.OPEN
    superseded: bool = False

    def is_of(self, process: int, fence: int) -> bool:
        """The compare in the compare-and-set, but for the state."""
        return self.owner == process and self.fence == fence

    def decided(self, verdict: Verdict) -> tuple[Send, ...]:
        """The tries with that verdict on the one which is open or unknown."""
        undecided = (Verdict.OPEN, Verdict.UNKNOWN)
        return tuple(send._replace(verdict=verdict) if send.verdict in undecided else send for send in self.sends)


class Remote(NamedTuple):
    """What is true of one attempt outside of the store, whatever the store says."""

    box: Box = Box.NONE
    flying: int = 0
    """POSTs that left and did not arrive."""
    risked: int = 0
    """POSTs that left, less those which it proved not to have launched anything."""
    started: int = 0
    live: int = 0
    shows: str | None = None
    """The terminal status that a GET shows."""
    reply: Reply = Reply.NONE
    journalled: bool = False
    """Its id stands in the launch journal."""


class Local(NamedTuple):
    """What a process believes of the one run of a key that it works on."""

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
        """The same but for one row."""
        return self._replace(rows=(*self.rows[:attempt], row, *self.rows[attempt + 1 :]))

    def with_remote(self, attempt: int, remote: Remote) -> KeyWorld:
        """The same but for the service's truth of one attempt."""
        return self._replace(remotes=(*self.remotes[:attempt], remote, *self.remotes[attempt + 1 :]))

    def with_local(self, process: int, local: Local) -> KeyWorld:
        """The same but for what one process believes."""
        return self._replace(locals=(*self.locals[:process], local, *self.locals[process + 1 :]))


class Actor(StrEnum):
    """Who takes a step: each may do other things to a row."""

    GUARD = "guard"
    """A process with the run it guards: its writes carry owner and fence."""
    WATCH = "watch"
    """A process that looks at the runs of others."""
    OPERATOR = "operator"
    SERVICE = "service"
    FATE = "fate"


class Move(NamedTuple):
    """One step of one actor on one key."""

    actor: Actor
    what: str
    process: int | None
    fence: int | None
    """Of the belief under which a guard writes; None for those whose writes carry none."""
    after: KeyWorld
    needs_room: bool = False
    """It takes a hold: possible only where the cap has room."""

    def line(self, key: int) -> str:
        """`key 0: process 1 (guard) mark_sending`, for a printed trace."""
        who = self.actor.value if self.process is None else f"process {self.process} ({self.actor})"
        return f"key {key}: {who} {self.what}"


class Around(NamedTuple):
    """What holds for all keys."""

    lives: tuple[Life, ...]
    paused: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Mutations:
    """Each switch plants one bug in the protocol; all off is the protocol."""

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


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """How much may happen; within them everything that can happen is walked."""

    processes: int = 3
    keys: int = 1
    attempts: int = 2
    """Of each key."""
    tries: int = 2
    """POSTs of one attempt that may end in a proof of no launch."""
    deaths: int = 2
    """Processes that may die or lose their lock."""
    lost_locks: bool = True
    """One process may lose its lock and live."""
    proposals: bool = False
    operator: bool = True
    """Stops, rulings, reruns."""
    retries: bool = False
    """An unattended task tries a failed key again."""
    prompts: tuple[str, ...] = ("a",)
    pauses: bool = False
    cap: int | None = None
    """Holds that fit into the budget of the day; None: more than there are runs."""
    own_sandbox: bool = True
    """The service makes sandboxes before the launch, and a launch into a deleted one is refused."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """The rules under which one walk is made."""

    bounds: Bounds
    mutations: Mutations


def start(bounds: Bounds) -> KeyWorld:
    """A key of which nothing was launched yet."""
    return KeyWorld(locals=(NOWHERE,) * bounds.processes)
