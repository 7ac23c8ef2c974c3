"""What a claim asks and what it is answered, and the runs that come of it before they are rows."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from console.domain.admission import Asking
from console.domain.guardrails import Caps, Refusal, Standing
from console.domain.key import key_of
from console.domain.moment import Moment
from console.domain.rollout import RolloutRules
from console.domain.run import Limits, Outcome, Run, RunId, State
from console.domain.task import Fingerprint, Origin, Stage, Task
from console.domain.text import safe

FRESH_MS = 60_000
"""How long after the claim a run may still be sent, whatever its window."""
NOTE = 400
"""Characters of a note."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimOrder:
    """One launch that somebody wants, with the rules that hold for it now."""

    run_id: RunId
    """Of the run, if it becomes one, or of the entry in the history."""
    task: Task
    target: str
    date: str
    origin: Origin
    by: str
    """`USER tty=yes` or `USER tty=no`."""
    owner: str | None
    """The process that will guard it; None: any may take it."""
    limits: Limits
    caps: Caps
    rollout: RolloutRules
    rerun: bool = False
    reason: str = ""
    """Why by hand again; a rerun without one is none."""
    automatic_retry: bool = False
    expires_ms: int | None = None
    """When its window ends: no proposal waits longer, and a take-over sends it no later."""

    @property
    def key(self) -> str:
        """The key of this task, target and date. Raises ValueError for a type with a colon."""
        return key_of(self.task.type, self.target, self.date)

    @property
    def asking(self) -> Asking:
        """The order as far as its key is concerned."""
        return Asking(
            fingerprint=Fingerprint.of(self.task),
            origin=self.origin,
            rerun=self.rerun and bool(self.reason.strip()),
            automatic_retry=self.automatic_retry,
        )


class ClaimKind(StrEnum):
    """The four answers."""

    CLAIMED = "claimed"
    PROPOSED = "proposed"
    SKIPPED = "skipped"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimAnswer:
    """What came of a claim."""

    kind: ClaimKind
    run: Run | None
    """The run, or the entry in the history; None where nothing was written."""
    holder: Run | None = None
    """The run that has the key, or had it."""
    refusal: Refusal | None = None
    differences: tuple[str, ...] = ()
    """From the holder's fingerprint to the one that was asked for."""
    standings: tuple[Standing, ...] = ()
    """As they were before this launch; of a claim only where the caps were asked."""


def run_of_order(order: ClaimOrder, state: State, *, attempt: int, stage: Stage, day: str, now: Moment) -> Run:
    """The run that the order becomes: proposed or claimed."""
    claimed = state is State.CLAIMED
    return Run(
        id=order.run_id,
        key=order.key,
        task=order.task.name,
        type=order.task.type,
        target=order.target,
        date=order.date,
        attempt=attempt,
        stage=stage,
        origin=order.origin,
        requested_by=safe(order.by, limit=NOTE),
        state=state,
        note=safe(order.reason, limit=NOTE) if order.rerun else "",
        fingerprint=Fingerprint.of(order.task),
        limits=order.limits,
        day=day,
        created_ms=now.wall_ms,
        claimed=now if claimed else None,
        expires_ms=sendable_until(now, order.expires_ms) if claimed else _proposed_until(order, now),
        owner=order.owner if claimed else None,
    )


def entry_of_order(order: ClaimOrder, outcome: Outcome, note: str, *, stage: Stage, day: str, now: Moment) -> Run:
    """The entry in the history of a skip or a refusal: no attempt, no hold, no key taken."""
    return Run(
        id=order.run_id,
        key=order.key,
        task=order.task.name,
        type=order.task.type,
        target=order.target,
        date=order.date,
        attempt=0,
        stage=stage,
        origin=order.origin,
        requested_by=safe(order.by, limit=NOTE),
        state=State.ENDED,
        outcome=outcome,
        note=safe(note, limit=NOTE),
        fingerprint=Fingerprint.of(order.task),
        limits=order.limits,
        day=day,
        created_ms=now.wall_ms,
        ended_ms=now.wall_ms,
    )


def sendable_until(now: Moment, window_ends_ms: int | None) -> int:
    """Until when a run claimed now may still be sent: a minute, or to the end of its window."""
    return max(now.wall_ms + FRESH_MS, window_ends_ms or 0)


def _proposed_until(order: ClaimOrder, now: Moment) -> int:
    waits = now.wall_ms + order.rollout.approval_ms
    return waits if order.expires_ms is None else min(waits, order.expires_ms)
