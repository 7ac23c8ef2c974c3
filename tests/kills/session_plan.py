"""The plan of the kills at the services that launch in sessions, and the plans of all services.

A run is prepared by making a session. A launch without an answer is repeated with its key, found in the session, or
fenced by deleting the session; `resolve` is the step that asks. Nothing stops an agent that ignores its cancel, so no
trial has one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from tests.faults.matrix import REPEATING, SESSION_SERVICES
from tests.kills.crash_injector import REQUEST
from tests.kills.plan import (
    AFTER,
    ALL,
    BEFORE,
    COMPLETES,
    CUT,
    INSIDE,
    LOST,
    PLAN,
    RULED,
    CrashPoint,
    at,
    row,
)
from tests.kills.scenarios import (
    CREATE,
    DELETE,
    GET,
    NONE,
    REFUSED,
    SANDBOX,
    SLOW,
    STREAM,
    UNDONE,
    UNPROVEN,
    FaultClass,
    Faults,
    RunScenario,
    other,
)

ATTEMPTS = 3
"""Requests of one call that is repeated by its client."""
ANSWERED: Mapping[str, tuple[str, ...]] = {"anthropic": ("create.no_id",), "openai": ()}
"""Of the unproven faults, those at which the answer is complete all the same."""
UNREADABLE = 18
"""Reads that fail: more than those before a run becomes unconfirmed, so that a person sees it."""


def _everywhere(faults: Iterable[FaultClass]) -> tuple[FaultClass, ...]:
    return tuple(replace(fault, of_service=True) for fault in faults)


def _lasting(fault: FaultClass, times: int, more: Faults | None = None) -> FaultClass:
    """The fault for the first `times` calls, beside the faults `more`."""
    (manner, value), *rest = fault.faults.items()
    assert not rest
    limits: dict[str, float] = {"first": times}
    if isinstance(value, float):
        limits["value"] = value
    return replace(fault, faults={manner: limits, **(more or {})})


GETS, STREAMS, SANDBOXES = _everywhere(GET), _everywhere(STREAM), SANDBOX
CANCELS = _everywhere(other("cancel", "503", "lost_reply", "404", "400"))
DELETIONS = tuple(_lasting(fault, ATTEMPTS) for fault in DELETE)
"""Every request of one deletion fails."""

FOLLOWED = (
    row("K8", at("journal", AFTER) + at("record_launched", BEFORE, INSIDE), COMPLETES, (NONE, SLOW, *STREAMS)),
    row("K8", at("journal", AFTER) + at("record_launched", BEFORE, INSIDE), CUT, (*GETS, *CANCELS)),
    row("K9", at("record_launched", AFTER) + at("get", BEFORE, AFTER), CUT, (NONE, *GETS, CANCELS[0])),
    row("K9", at("record_progress_of_many", *ALL), CUT, (NONE, *STREAMS[:1], *CANCELS[1:])),
    row("K10", at("settle", BEFORE, INSIDE), CUT + COMPLETES, (NONE, *GETS)),
    row("K11", at("settle", AFTER) + at("log", BEFORE, nth=2), CUT, (NONE, *GETS[:2], *CANCELS[:2])),
    row("K12", at("log", INSIDE, AFTER) + at("log", AFTER, nth=2), CUT, (NONE, *CANCELS[:2])),
    row("K12", at("log", *ALL), CUT + COMPLETES, (NONE, *GETS[:2])),
    row(
        "K13",
        at("record_launched", AFTER) + at("get", AFTER),
        (RunScenario.ENDLESS,),
        (NONE, *GETS[:2]),
        shifts=True,
    ),
    row("K14", at("request_stop", *ALL) + at("cancel", BEFORE), CUT, (NONE, *GETS[:1], *CANCELS)),
    row("K15", at("cancel", AFTER) + at("record_stop_try", *ALL), CUT, (NONE, *CANCELS)),
    row("K16", at("discard", BEFORE, AFTER) + at("record_sandbox_deleted", *ALL), CUT + LOST, (NONE, *DELETIONS)),
)
"""From the answer of a launch to the end of its run."""


def _unproven(kind: str, more: Faults | None = None) -> Mapping[str, FaultClass]:
    """By name: the faults after which an agent may run, so often that a start is never answered, beside `more`."""
    starts = 3 if kind in REPEATING else 1
    return {fault.name: replace(_lasting(fault, starts, more), of_service=True) for fault in UNPROVEN}


def _named(faults: Mapping[str, FaultClass], name: str, more: str) -> FaultClass:
    return replace(faults[name], name=f"{name}+{more}")


def _launched(kind: str) -> tuple[CrashPoint, ...]:
    """From the claim to the answer of the launch."""
    unproven = _unproven(kind)
    asked = tuple(fault for name, fault in unproven.items() if name not in ANSWERED[kind])
    undone = tuple(unproven[name] for name in UNDONE)
    undeleted = tuple(_named(_unproven(kind, fault.faults), "create.503", fault.name) for fault in DELETIONS)
    repeated = _everywhere(UNPROVEN[:4]) if kind in REPEATING else ()
    return (
        row("K1", at("claim", BEFORE, INSIDE), COMPLETES, (NONE, *SANDBOXES, *CREATE[-4:], *unproven.values())),
        row(
            "K2",
            at("claim", AFTER) + at("record_sandbox", AFTER),
            COMPLETES,
            (NONE, SANDBOXES[0], unproven["create.lost_reply"]),
        ),
        row("K2", at("mark_sending", BEFORE, INSIDE), COMPLETES, (NONE, SANDBOXES[1], *GETS[:1])),
        row("K3", at("prepare", BEFORE, AFTER) + at("record_sandbox", BEFORE, INSIDE), COMPLETES, (NONE, *SANDBOXES)),
        row("K4", at("mark_sending", AFTER) + at("create", BEFORE), COMPLETES + RULED, (NONE, *GETS, *DELETIONS)),
        row("K5", at(REQUEST, BEFORE), COMPLETES + RULED, (NONE, *GETS[1:3], *DELETIONS[1:])),
        row("K6", at(REQUEST, INSIDE, AFTER), COMPLETES + RULED, (NONE, *GETS, *unproven.values())),
        row("K6", at("resolve", BEFORE, AFTER), COMPLETES + RULED, (*asked, *undeleted)),
        row("K6", at("create", BEFORE, AFTER, nth=2), COMPLETES + RULED, repeated),
        row("K6", at("record_unconfirmed", *ALL), COMPLETES + RULED, _unread(kind)),
        row("K7", at("create", AFTER) + at("journal", BEFORE, INSIDE), COMPLETES + RULED, (NONE, SLOW, *GETS[:2])),
        row("K7", at("record_rejected", *ALL) + at("create", AFTER), COMPLETES, (REFUSED,)),
        row("K7", at("record_not_sent", *ALL) + at("create", AFTER), COMPLETES, (*CREATE[-2:], *undone)),
    )


def _unread(kind: str) -> tuple[FaultClass, FaultClass]:
    """The launch is lost and its session cannot be read for a while: the run becomes unconfirmed first."""
    faults = _unproven(kind, {"get.503": {"first": UNREADABLE}})
    return _named(faults, "create.lost_reply", "get.503"), _named(faults, "create.dropped", "get.503")


def _taken_over(kind: str) -> tuple[CrashPoint, ...]:
    """The end of an unconfirmed run, and deaths of the process that takes a run over."""
    found, fenced = _unread(kind)
    return (
        row("K17", at("rule_not_launched", *ALL), (*COMPLETES, RunScenario.NOT_LAUNCHED), (fenced,)),
        row("K17", at("adopt", *ALL), (*COMPLETES, RunScenario.ADOPTED), (found,)),
        row("K17", at("write_off", *ALL), (RunScenario.WRITTEN_OFF,), (found, fenced)),
        row(
            "K18",
            at("claim", AFTER),
            COMPLETES,
            (NONE, *SANDBOXES, _unproven(kind)["create.lost_reply"]),
            at("take_over", *ALL),
        ),
        row("K18", at("claim", AFTER), COMPLETES, (NONE,), at("expire", *ALL), shifts=True),
        row(
            "K18",
            at("create", BEFORE),
            COMPLETES,
            (NONE, *DELETIONS),
            at("take_over", AFTER) + at("resolve", BEFORE, AFTER) + at("record_not_sent", *ALL),
        ),
        row("K18", at("journal", AFTER), COMPLETES + CUT, GETS[:2], at("take_over", AFTER) + at("adopt", *ALL)),
        row("K18", at("request_stop", AFTER), CUT, CANCELS, at("take_over", *ALL) + at("cancel", BEFORE)),
    )


PLANS: Mapping[str, tuple[CrashPoint, ...]] = {
    "gemini": PLAN,
    **{kind: (*_launched(kind), *FOLLOWED, *_taken_over(kind)) for kind in SESSION_SERVICES},
}
"""By the kind of the service."""
