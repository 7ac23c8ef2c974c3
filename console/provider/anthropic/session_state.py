"""Decide how a session stands: whether its run is live, waits, or has ended, and how.

The session itself tells only that it is idle; the reason is in its events. They are read after the session, so that no
status is newer than its reason. Kept apart because this is the rule by which a run ends.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from console.domain.run import Ending
from console.provider.anthropic.history import (
    IDLE,
    INTERRUPT,
    MESSAGE,
    NEVER,
    PARKING,
    RUNNING,
    Mark,
    SessionHistory,
)
from console.provider.contract import StatusClass
from console.provider.http.json_narrowing import text
from console.provider.http.step_text import STATUS_LENGTH

REASON_WAIT_S = 30.0
"""Seconds for which a session that worked and is idle may still be without the event that says why."""
NOT_TOLD = "reason not told"
WORKING = frozenset({"running", "rescheduling", "rescheduled"})
ENDINGS: Mapping[str, Ending] = {
    "budget_reached": Ending.SERVER_LIMIT,
    "retries_exhausted": Ending.FAILED,
    "refusal": Ending.FAILED,
}
"""Endings by the stop reason. `end_turn` is told apart by the interrupts before it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionState:
    """How a session stands."""

    word: str
    """The status, and the stop reason of an idle session, raw."""
    status_class: StatusClass
    ending: Ending | None = None
    is_unstarted: bool = False
    waits_for_reason: bool = False
    """True while it is idle after its work and the reason is not listed yet."""
    details: str = ""
    """What the service says about a refusal, raw."""


def session_state(session: Mapping[str, object], history: SessionHistory, *, waited_s: float) -> SessionState:
    """Return how a session stands. `waited_s` is for how long its reason has been waited for.

    Raises ValueError if the session has no status.
    """
    word = text(session.get("status"), STATUS_LENGTH)
    if not word:
        raise ValueError("the reply has no status")
    match word.lower():
        case live if live in WORKING:
            return SessionState(word=word, status_class=StatusClass.LIVE)
        case "idle":
            return _idle(word, history, waited_s)
        case "terminated":
            return _terminated(word, history, is_archived=session.get("archived_at") is not None)
        case _:
            return SessionState(word=word, status_class=StatusClass.UNKNOWN)


def was_started(history: SessionHistory) -> bool:
    """True if anything shows that a run was started in the session."""
    return bool(history.marks(MESSAGE, RUNNING) or history.steps or history.usage)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Turn:
    """The last time that the session worked."""

    begun: Mark | None
    """None where it is not listed."""
    end: Mark | None
    """The idle after it; None if it is not listed."""
    interrupted: bool
    """True if an interrupt was processed between the two."""


def _last_turn(history: SessionHistory) -> _Turn | None:
    """Return the last turn; None if nothing shows that the session ever worked.

    An interrupt has no stop reason of its own: the order of the events tells it, and keeps the ending of a run that
    finished just before.
    """
    works, idles = history.marks(RUNNING), [mark for mark in history.marks(IDLE) if mark.is_processed]
    if not works and not history.steps and history.usage is None:
        return None
    last = works[-1].at if works else (-NEVER, 0)
    end = next((mark for mark in reversed(idles) if mark.at > last), None)
    # A session that was rescheduled shows more than one beginning of one turn.
    rest = max((mark.at for mark in idles if mark.at < last), default=(-NEVER, 0))
    begun = next((mark for mark in works if mark.at > rest), None)
    since, until = begun.at if begun else rest, end.at if end else (NEVER, 0)
    interrupts = [mark for mark in history.marks(INTERRUPT) if mark.is_processed and since < mark.at < until]
    return _Turn(begun=begun, end=end, interrupted=bool(interrupts))


def _idle(word: str, history: SessionHistory, waited_s: float) -> SessionState:
    if not was_started(history):
        return SessionState(word=word, status_class=StatusClass.LIVE, is_unstarted=True)
    turn = _last_turn(history)
    if turn is None:
        # The message is recorded and not taken up yet.
        return SessionState(word=word, status_class=StatusClass.LIVE)
    if turn.end is None:
        if waited_s < REASON_WAIT_S:
            return SessionState(word=word, status_class=StatusClass.LIVE, waits_for_reason=True)
        shown = f"{word}: {NOT_TOLD}"
        return SessionState(word=shown, status_class=StatusClass.TERMINAL, ending=Ending.INCOMPLETE)
    shown, ending = _shown(word, turn.end), _ending(turn, turn.end)
    if ending is not None:
        return SessionState(word=shown, status_class=StatusClass.TERMINAL, ending=ending, details=turn.end.details)
    waits = turn.end.reason == PARKING
    return SessionState(word=shown, status_class=StatusClass.PARKED if waits else StatusClass.UNKNOWN)


def _ending(turn: _Turn, end: Mark) -> Ending | None:
    """Return how a turn ended; None if it waits for its client or the reason is an unknown word."""
    if end.reason in ENDINGS:
        return ENDINGS[end.reason]
    if end.reason == "end_turn":
        return Ending.CANCELLED if turn.interrupted else Ending.OK
    return Ending.CANCELLED if turn.interrupted and end.reason != PARKING else None


def _terminated(word: str, history: SessionHistory, *, is_archived: bool) -> SessionState:
    """A session that is terminated does nothing any more. Its run ended as the idle before that says."""
    turn = _last_turn(history)
    end = turn.end if turn is not None else None
    ending = _ending(turn, end) if turn is not None and end is not None else None
    if ending is None:
        ending = Ending.CANCELLED if is_archived else Ending.FAILED
    return SessionState(
        word=_shown(word, end),
        status_class=StatusClass.TERMINAL,
        ending=ending,
        details=end.details if end is not None else "",
    )


def _shown(word: str, end: Mark | None) -> str:
    return f"{word}: {end.reason}" if end is not None and end.reason else word
