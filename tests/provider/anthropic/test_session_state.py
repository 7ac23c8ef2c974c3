"""How a session stands, for every status and stop reason, and for events in every order in which they may be listed."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import permutations

import pytest

from console.domain.run import Ending
from console.provider.anthropic.history import SessionHistory
from console.provider.anthropic.session_state import REASON_WAIT_S, SessionState, session_state
from console.provider.contract import StatusClass
from console.provider.http.step_text import unchanged

LIVE, PARKED, TERMINAL, UNKNOWN = (
    StatusClass.LIVE,
    StatusClass.PARKED,
    StatusClass.TERMINAL,
    StatusClass.UNKNOWN,
)


def event(kind: str, second: int | None, **more: object) -> dict[str, object]:
    """Return an event that was processed at that second; None: it waits."""
    at = None if second is None else f"2026-11-27T10:00:{second:02}Z"
    return {"id": f"sevt_{kind}_{second}", "type": kind, "processed_at": at, **more}


def message(second: int | None = 1) -> dict[str, object]:
    return event("user.message", second, content=[{"type": "text", "text": "Write the report."}])


def running(second: int = 2) -> dict[str, object]:
    return event("session.status_running", second)


def idle(reason: str, second: int = 9, **more: object) -> dict[str, object]:
    return event("session.status_idle", second, stop_reason={"type": reason}, stop_details=None, **more)


def interrupt(second: int | None) -> dict[str, object]:
    return event("user.interrupt", second)


def state_of(
    status: str, *events: Mapping[str, object], waited_s: float = 0.0, archived: str | None = None
) -> SessionState:
    history = SessionHistory()
    history.feed(events, unchanged)
    return session_state({"status": status, "archived_at": archived}, history, waited_s=waited_s)


STARTED = (message(), running())


@pytest.mark.parametrize(
    ("status", "events", "expected"),
    [
        ("running", STARTED, (LIVE, None)),
        ("rescheduling", STARTED, (LIVE, None)),
        ("RUNNING", STARTED, (LIVE, None)),
        ("idle", (), (LIVE, None)),
        ("idle", (message(None),), (LIVE, None)),
        ("idle", (message(),), (LIVE, None)),
        ("idle", (*STARTED, idle("end_turn")), (TERMINAL, Ending.OK)),
        ("idle", (*STARTED, interrupt(5), idle("end_turn")), (TERMINAL, Ending.CANCELLED)),
        ("idle", (*STARTED, idle("end_turn"), interrupt(11)), (TERMINAL, Ending.OK)),
        ("idle", (*STARTED, idle("end_turn"), interrupt(None)), (TERMINAL, Ending.OK)),
        ("idle", (*STARTED, idle("budget_reached")), (TERMINAL, Ending.SERVER_LIMIT)),
        ("idle", (*STARTED, interrupt(5), idle("budget_reached")), (TERMINAL, Ending.SERVER_LIMIT)),
        ("idle", (*STARTED, idle("requires_action")), (PARKED, None)),
        ("idle", (*STARTED, interrupt(5), idle("requires_action")), (PARKED, None)),
        ("idle", (*STARTED, idle("retries_exhausted")), (TERMINAL, Ending.FAILED)),
        ("idle", (*STARTED, idle("refusal")), (TERMINAL, Ending.FAILED)),
        ("idle", (*STARTED, idle("paused_for_review")), (UNKNOWN, None)),
        ("idle", (*STARTED, interrupt(5), idle("paused_for_review")), (TERMINAL, Ending.CANCELLED)),
        ("idle", (*STARTED, idle("end_turn"), running(12)), (LIVE, None)),
        ("idle", (*STARTED, idle("requires_action", 5), running(7), idle("end_turn")), (TERMINAL, Ending.OK)),
        ("idle", (*STARTED, interrupt(3), running(4), idle("end_turn")), (TERMINAL, Ending.CANCELLED)),
        ("terminated", (*STARTED,), (TERMINAL, Ending.FAILED)),
        ("terminated", (*STARTED, idle("end_turn")), (TERMINAL, Ending.OK)),
        ("compacting", STARTED, (UNKNOWN, None)),
    ],
)
def test_each_status(
    status: str, events: tuple[dict[str, object], ...], expected: tuple[StatusClass, Ending | None]
) -> None:
    found = state_of(status, *events)
    assert (found.status_class, found.ending) == expected


@pytest.mark.parametrize(
    ("reason", "ending"),
    [
        ("end_turn", Ending.OK),
        ("budget_reached", Ending.SERVER_LIMIT),
        ("retries_exhausted", Ending.FAILED),
        ("requires_action", Ending.CANCELLED),
    ],
)
def test_an_archived_session_ended_as_the_idle_before_it_says(reason: str, ending: Ending) -> None:
    assert state_of("terminated", *STARTED, idle(reason), archived="2026-11-27T11:00:00Z").ending is ending


def test_a_session_that_was_archived_before_its_reason_was_listed_was_cancelled() -> None:
    assert state_of("terminated", *STARTED, archived="2026-11-27T11:00:00Z").ending is Ending.CANCELLED


def test_only_a_session_without_any_sign_of_work_is_unstarted() -> None:
    assert state_of("idle").is_unstarted
    for sign in (message(None), running(), event("agent.thinking", 3)):
        assert not state_of("idle", sign).is_unstarted


def test_the_reason_is_waited_for_and_then_given_up() -> None:
    waits = state_of("idle", *STARTED, waited_s=REASON_WAIT_S - 1)
    assert (waits.status_class, waits.waits_for_reason) == (LIVE, True)
    given_up = state_of("idle", *STARTED, waited_s=REASON_WAIT_S)
    assert (given_up.ending, given_up.word) == (Ending.INCOMPLETE, "idle: reason not told")


@pytest.mark.parametrize("order", permutations(range(5)))
def test_the_order_in_which_events_are_listed_does_not_matter(order: tuple[int, ...]) -> None:
    """A message is stamped when it is recorded or when it is done with, so it may be listed after the beginning."""
    events = (message(3), running(2), interrupt(5), event("agent.thinking", 4), idle("end_turn"))
    assert state_of("idle", *(events[index] for index in order)).ending is Ending.CANCELLED


def test_an_interrupt_that_waits_counts_once_it_is_processed() -> None:
    history, waiting = SessionHistory(), event("user.interrupt", None)
    history.feed((*STARTED, waiting), unchanged)
    history.feed(({**waiting, "processed_at": "2026-11-27T10:00:05Z"}, idle("end_turn")), unchanged)
    assert session_state({"status": "idle"}, history, waited_s=0).ending is Ending.CANCELLED


def test_a_refusal_is_explained() -> None:
    details = {"type": "refusal", "category": "cyber", "explanation": "It looked like an attack."}
    refused = {**idle("refusal"), "stop_details": details}
    assert state_of("idle", *STARTED, refused).details == "cyber: It looked like an attack."


def test_a_session_without_a_status_is_no_answer() -> None:
    with pytest.raises(ValueError, match="no status"):
        session_state({}, SessionHistory(), waited_s=0)
