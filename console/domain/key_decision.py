"""May this key be launched again? Two questions kept apart: is a run of it open, and how did the last one end?

Time passing is never an answer: a paid key does not expire. Endings of which nothing was launched never block;
any other ending blocks until a person asks for a rerun and says why.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import assert_never

from console.domain.limits import Refusal, RefusalKind
from console.domain.run import KEY_FREEING_OUTCOMES, NON_RUN_OUTCOMES, Outcome, Run, RunId, State
from console.domain.task import Fingerprint, Origin


class KeyDecisionKind(StrEnum):
    """What a launch for the key is answered."""

    FREE = "free"
    DONE = "done"
    """Skipped: it ended ok."""
    RUNNING = "running"
    """Skipped: a run of it is open."""
    REFUSED = "refused"


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyRequest:
    """A launch, as far as its key is concerned."""

    fingerprint: Fingerprint
    origin: Origin
    rerun: bool = False
    """Asked for by hand with a reason; a schedule has no reruns."""
    automatic_retry: bool = False
    """The engine's own next attempt after `failed`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyDecision:
    """The answer, and what it rests on."""

    answer: KeyDecisionKind
    attempt: int
    """The number that a launch now would have."""
    holder: Run | None = None
    """The run that the answer rests on."""
    refusal: Refusal | None = None
    differences: tuple[str, ...] = ()
    """From the holder's fingerprint to the one that is asked for."""
    supersedes: RunId | None = None
    """The run that ended ok and that a launch now takes the key from."""


def decide_key(runs: Sequence[Run], asking: KeyRequest) -> KeyDecision:
    """The verdict over `runs`: all of the key, oldest first. Skips and refusals among them count for nothing."""
    real = [run for run in runs if run.outcome not in NON_RUN_OUTCOMES]
    attempt = 1 + max((run.attempt for run in real), default=0)
    holder = blocking_run(real)
    if holder is None:
        return KeyDecision(answer=KeyDecisionKind.FREE, attempt=attempt)
    differences = holder.fingerprint.differences(asking.fingerprint)
    answer = (
        _while_open(holder, asking, differences) if holder.outcome is None else _after_end(holder, asking, differences)
    )
    kind, refusal = (KeyDecisionKind.REFUSED, answer) if isinstance(answer, Refusal) else (answer, None)
    takes_over = kind is KeyDecisionKind.FREE and holder.outcome is Outcome.OK and holder.superseded_by is None
    return KeyDecision(
        answer=kind,
        attempt=attempt,
        holder=holder,
        refusal=refusal,
        differences=differences,
        supersedes=holder.id if takes_over else None,
    )


def blocking_run(real: Sequence[Run]) -> Run | None:
    """The open run, else the newest ending that blocks the key; None where the key is free."""
    for run in real:
        if run.state is not State.ENDED:
            return run
    blocking = [run for run in real if run.outcome not in KEY_FREEING_OUTCOMES]
    return blocking[-1] if blocking else None


def _while_open(holder: Run, asking: KeyRequest, differences: tuple[str, ...]) -> KeyDecisionKind | Refusal:
    match holder.state:
        case State.PROPOSED:
            if asking.origin is Origin.SCHEDULE:
                return KeyDecisionKind.RUNNING
            return _held(f"run {holder.id} of this key waits for approval; approve or decline it")
        case State.UNCONFIRMED:
            if differences:
                return _changed(holder, "it is unconfirmed: settle it first")
            return _held(f"run {holder.id} of this key is unconfirmed: settle it first")
        case State.CLAIMED | State.SENDING | State.RUNNING | State.STOPPING:
            return (
                _changed(holder, f"it is {holder.state}: wait or cancel it first")
                if differences
                else KeyDecisionKind.RUNNING
            )
        case State.ENDED:
            raise ValueError(f"run {holder.id} is not open")
        case other:
            assert_never(other)


def _after_end(holder: Run, asking: KeyRequest, differences: tuple[str, ...]) -> KeyDecisionKind | Refusal:
    if asking.rerun and asking.origin is Origin.MANUAL:
        return KeyDecisionKind.FREE
    if differences:
        return _changed(holder, f"it ended {holder.outcome}: run it by hand with --rerun --reason")
    if holder.outcome is Outcome.OK:
        return KeyDecisionKind.DONE
    if holder.outcome is Outcome.FAILED and asking.automatic_retry:
        return KeyDecisionKind.FREE
    return _held(f"run {holder.id} of this key ended {holder.outcome}: run it by hand with --rerun --reason")


def _held(sentence: str) -> Refusal:
    return Refusal(kind=RefusalKind.KEY_HELD, sentence=sentence)


def _changed(holder: Run, what_now: str) -> Refusal:
    sentence = f"the key belongs to run {holder.id}, which launched something else; {what_now}"
    return Refusal(kind=RefusalKind.FINGERPRINT, sentence=sentence)
