"""Decide whether a key may be launched again: is a run of it still open, and how did the last one end?

Elapsed time is never a reason to launch again: a key that was paid for does not expire. An ending without a launched
agent does not block the key; any other ending blocks it until a person asks for a rerun and gives a reason.
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
    """The four answers to a launch request, as far as its key is concerned."""

    FREE = "free"
    """The launch may go ahead."""
    DONE = "done"
    """Skip: a run of the key ended ok."""
    RUNNING = "running"
    """Skip: a run of the key is open."""
    REFUSED = "refused"
    """Refuse: a person must settle, rerun or change something first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyRequest:
    """The part of a launch request that the decision depends on."""

    fingerprint: Fingerprint
    origin: Origin
    rerun: bool = False
    """A person asked for another run and gave a reason. Ignored for scheduled launches."""
    automatic_retry: bool = False
    """The engine itself asks for the next attempt after a run that failed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyDecision:
    """The answer and what it is based on."""

    answer: KeyDecisionKind
    attempt: int
    """The attempt number that a launch would get."""
    holder: Run | None = None
    """The run that blocks the key; None if nothing does."""
    refusal: Refusal | None = None
    differences: tuple[str, ...] = ()
    """How the requested fingerprint differs from that of `holder`."""
    supersedes: RunId | None = None
    """The run that ended ok and whose key a launch would take over."""


def decide_key(runs: Sequence[Run], request: KeyRequest) -> KeyDecision:
    """Decide on `request`, given all runs of its key, oldest first. Skipped and refused entries are ignored."""
    real = [run for run in runs if run.outcome not in NON_RUN_OUTCOMES]
    attempt = 1 + max((run.attempt for run in real), default=0)
    holder = blocking_run(real)
    if holder is None:
        return KeyDecision(answer=KeyDecisionKind.FREE, attempt=attempt)
    differences = holder.fingerprint.differences(request.fingerprint)
    decide = _while_open if holder.outcome is None else _after_end
    decided = decide(holder, request, differences)
    kind, refusal = (KeyDecisionKind.REFUSED, decided) if isinstance(decided, Refusal) else (decided, None)
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
    """Return the open run, else the newest run whose ending blocks the key; None if the key is free."""
    for run in real:
        if run.state is not State.ENDED:
            return run
    blocking = [run for run in real if run.outcome not in KEY_FREEING_OUTCOMES]
    return blocking[-1] if blocking else None


def _while_open(holder: Run, request: KeyRequest, differences: tuple[str, ...]) -> KeyDecisionKind | Refusal:
    match holder.state:
        case State.PROPOSED:
            if request.origin is Origin.SCHEDULE:
                return KeyDecisionKind.RUNNING
            return _held(f"run {holder.id} of this key waits for approval: approve or decline it")
        case State.UNCONFIRMED:
            if differences:
                return _changed(holder, "it is unconfirmed: settle it first")
            return _held(f"run {holder.id} of this key is unconfirmed: settle it first")
        case State.CLAIMED | State.SENDING | State.RUNNING | State.STOPPING:
            if differences:
                return _changed(holder, f"it is {holder.state}: wait or cancel it first")
            return KeyDecisionKind.RUNNING
        case State.ENDED:
            raise ValueError(f"run {holder.id} is not open")
        case other:
            assert_never(other)


def _after_end(holder: Run, request: KeyRequest, differences: tuple[str, ...]) -> KeyDecisionKind | Refusal:
    if request.rerun and request.origin is Origin.MANUAL:
        return KeyDecisionKind.FREE
    if differences:
        return _changed(holder, f"it {_ENDED[holder.outcome]}; {_run_again(holder)}")
    if holder.outcome is Outcome.OK:
        return KeyDecisionKind.DONE
    if holder.outcome is Outcome.FAILED and request.automatic_retry:
        return KeyDecisionKind.FREE
    return _held(f"the last run of this key ({holder.id}) {_ENDED[holder.outcome]}; {_run_again(holder)}")


def _run_again(holder: Run) -> str:
    return f'to run it again: nightdesk run {holder.task} --rerun --reason "…"'


_ENDED: dict[Outcome | None, str] = {
    **{outcome: f"ended {outcome}" for outcome in Outcome},
    Outcome.FAILED: "failed",
    Outcome.INCOMPLETE: "ended incomplete",
    Outcome.BUDGET: "was stopped by its budget",
    Outcome.TIMEOUT: "was stopped by its time limit",
    Outcome.CANCELLED: "was cancelled",
    Outcome.WRITTEN_OFF: "was written off",
}
"""How a run ended, as the end of a sentence about it."""


def _held(sentence: str) -> Refusal:
    return Refusal(kind=RefusalKind.KEY_HELD, sentence=sentence)


def _changed(holder: Run, next_step: str) -> Refusal:
    sentence = f"the key belongs to run {holder.id}, which launched something else; {next_step}"
    return Refusal(kind=RefusalKind.FINGERPRINT, sentence=sentence)
