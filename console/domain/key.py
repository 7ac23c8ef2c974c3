"""Idempotency keys: one task type, one target and one date make one key, and one key is launched once.

The date comes from the time at which the run was due, never from the current time. Elapsed time is never a reason to
launch again: a key that was paid for does not expire. An ending without a launched agent does not block the key; any
other ending blocks it until a person asks for a rerun and gives a reason.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from enum import StrEnum
from typing import assert_never
from zoneinfo import ZoneInfo

from console.domain.caps import Refusal, RefusalKind
from console.domain.run import KEY_FREEING_OUTCOMES, NON_RUN_OUTCOMES, Outcome, Run, RunId, State
from console.domain.task import Fingerprint, Origin

DAY_FORM = "2026-11-23"
SLOT_FORM = "20261123T0200Z"
MAX_TARGET = 1024
TARGET_ACCEPTED = f"one line of 1 to {MAX_TARGET} characters that neither starts nor ends with a blank"
"""What `check_target` accepts, for messages and help texts."""
_LINE_BREAKING = frozenset({"Cc", "Cs", "Zl", "Zp"})
"""Unicode categories that a target must not contain: controls, surrogates, line and paragraph separators."""
_DAY = re.compile(r"\d{4}-\d{2}-\d{2}\Z", re.ASCII)
_SLOT = re.compile(r"\d{8}T\d{4}Z\Z", re.ASCII)


def key_of(task_type: str, target: str, date_text: str) -> str:
    """Return the first 16 hex digits of the SHA-256 of `type:target:date`.

    The text is unambiguous because `task_type` has no colon and the date has a fixed form without one. Raises
    ValueError for a type with a colon, and for text that is not Unicode (a broken byte in a shell argument).
    """
    if ":" in task_type:
        raise ValueError(f"a type has no colon: {task_type!r}")
    try:
        text = f"{task_type}:{target}:{date_text}".encode()
    except UnicodeEncodeError:
        raise ValueError(f"a type and a target are valid Unicode text, unlike {task_type!r}, {target!r}") from None
    return hashlib.sha256(text).hexdigest()[:16]


def check_target(text: str) -> str:
    """Return `text` if it may be the target of a run, wherever it comes from: config file, option or elsewhere.

    Raises ValueError with a complaint that completes a sentence starting with the name of the value: `is empty`.
    """
    if not text:
        raise ValueError("is empty")
    if len(text) > MAX_TARGET:
        raise ValueError(f"has {len(text)} characters")
    if any(unicodedata.category(character) in _LINE_BREAKING for character in text):
        raise ValueError("contains a line break or another control character")
    if text != text.strip():
        raise ValueError("starts or ends with a blank")
    return text


def day_date(instant: datetime, zone: ZoneInfo) -> str:
    """Return the calendar day of the aware `instant` in `zone`, as `2026-11-23`."""
    return instant.astimezone(zone).date().isoformat()


def slot_date(instant: datetime) -> str:
    """Return the minute of the aware `instant` in UTC, as `20261123T0200Z`."""
    return f"{instant.astimezone(UTC):%Y%m%dT%H%MZ}"


def parse_date(text: str, window: str) -> str:
    """Return `text` if it is a well-formed date for `window` (`day` or `slot`); past and future dates are allowed.

    Raises ValueError with a one-line message that names the accepted form.
    """
    accepted = DAY_FORM if window == "day" else SLOT_FORM
    pattern = _DAY if window == "day" else _SLOT
    if not pattern.match(text):
        raise ValueError(f"date {text!r} is not of the form {accepted}")
    try:
        if window == "day":
            date.fromisoformat(text)
        else:
            datetime.strptime(text, "%Y%m%dT%H%MZ").replace(tzinfo=UTC)
    except ValueError:
        raise ValueError(f"date {text!r} does not exist; a date has the form {accepted}") from None
    return text


def is_key(text: str) -> bool:
    """True for 16 lower-case hex digits."""
    return re.fullmatch(r"[0-9a-f]{16}", text, re.ASCII) is not None


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
