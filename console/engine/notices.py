"""Decides what a person must be told: the one list of notices, for the screen and for messages that leave the machine.

A notice stands as long as what it is about does; an ending stands while its run is among the recent ones. Those
that report notices remember their ids, so that each is reported once.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from console.domain.caps import UNIT_CAPS, CapUsage
from console.domain.formatting import MINUTE, SECOND
from console.domain.notice import Notice, NoticeKind
from console.domain.run import Outcome, Run, State
from console.domain.task import Stage
from console.domain.text import sanitize
from console.engine.models import Snapshot
from console.engine.problems import MISSED, Problem
from console.engine.reachability import OFFLINE

_ENDINGS = {
    Outcome.OK: NoticeKind.FINISHED,
    Outcome.CANCELLED: NoticeKind.FINISHED,
    Outcome.TIMEOUT: NoticeKind.CUT_OFF,
    Outcome.BUDGET: NoticeKind.CUT_OFF,
    Outcome.FAILED: NoticeKind.FAILED,
    Outcome.INCOMPLETE: NoticeKind.FAILED,
    Outcome.REJECTED: NoticeKind.FAILED,
    Outcome.NOT_SENT: NoticeKind.FAILED,
    Outcome.EXPIRED: NoticeKind.FAILED,
}
"""Other outcomes are no notices: a person has just decided on them, or nothing was launched."""

SETTLED_MS = 5 * SECOND
"""A problem is a notice once it has lasted for this long; what is over sooner repairs itself."""
EXPIRING_MS = 15 * MINUTE
"""A proposal is about to expire when this is left."""
NEAR_PERCENT = 80
"""A cap is nearly reached at this share."""
NAME_LIMIT = 80
"""Characters of a task's name."""


def kind_of(run: Run, now_ms: int) -> NoticeKind | None:
    """The kind of notice that a run in this state is; None for a run that is just running."""
    if run.outcome is not None:
        return _ENDINGS.get(run.outcome)
    if run.state is State.UNCONFIRMED or (run.stop is not None and run.stop.alarmed):
        return NoticeKind.UNCONFIRMED
    if run.state is State.PROPOSED:
        soon = run.expires_ms is not None and run.expires_ms - now_ms <= EXPIRING_MS
        return NoticeKind.EXPIRING if soon else NoticeKind.WAITING
    return NoticeKind.STALLED if run.stalled and run.state is State.RUNNING else None


def standing_notices(now: Snapshot) -> tuple[Notice, ...]:
    """Everything of one snapshot that is a notice, the most urgent first. Demotions are changes: see `demotions`."""
    found = (*_of_runs(now), *problem_notices(now.problems, now.taken.wall_ms), *_of_schedule(now), *_of_caps(now))
    return tuple(sorted(found, key=lambda each: each.kind))


def find_notices(before: Snapshot, now: Snapshot) -> tuple[Notice, ...]:
    """The notices that have come up between two snapshots, the most urgent first.

    Over several snapshots no change is found twice, except of what goes away and comes back.
    """
    known = {each for notice in standing_notices(before) for each in notice.ids}
    fresh = [notice for notice in standing_notices(now) if notice.id not in known]
    return tuple(sorted((*fresh, *demotions(before.stages, now.stages)), key=lambda each: each.kind))


def demotions(before: Mapping[str, Stage], now: Mapping[str, Stage]) -> tuple[Notice, ...]:
    """One notice for each task whose stage is lower than before."""
    return tuple(
        Notice(
            kind=NoticeKind.DEMOTED,
            subject=f"{task} {stage.label}",
            text=f"{sanitize(task, limit=NAME_LIMIT)} was demoted to {stage.label}",
            task=sanitize(task, limit=NAME_LIMIT),
        )
        for task, stage in now.items()
        if stage < before.get(task, Stage.MANUAL)
    )


def problem_notices(problems: Iterable[Problem], now_ms: int) -> Iterator[Notice]:
    """One notice for each topic of problems that last; `now_ms` is the wall clock."""
    topics: set[str] = set()
    for problem in problems:
        kind = _kind_of_problem(problem)
        lasts = problem.over_ms is None and (kind is not NoticeKind.TROUBLE or now_ms - problem.since_ms >= SETTLED_MS)
        if lasts and problem.topic not in topics:
            topics.add(problem.topic)
            # The text may quote an error of a library.
            public = {
                NoticeKind.OFFLINE: "the provider does not answer",
                NoticeKind.MISSED: "",
                NoticeKind.TROUBLE: f"supervision has trouble: {sanitize(problem.topic, limit=80)}",
            }[kind]
            yield Notice(kind=kind, subject=problem.topic, text=sanitize(problem.text), public=public)


def _kind_of_problem(problem: Problem) -> NoticeKind:
    if problem.topic == OFFLINE:
        return NoticeKind.OFFLINE
    return NoticeKind.MISSED if problem.topic.startswith(MISSED) else NoticeKind.TROUBLE


def _of_runs(now: Snapshot) -> Iterator[Notice]:
    for run in (*now.live, *now.recent):
        kind = kind_of(run, now.taken.wall_ms)
        if kind is not None:
            yield Notice(
                kind=kind,
                subject=run.id,
                text=_sentence(run, kind),
                task=sanitize(run.task, limit=NAME_LIMIT),
                run=run.id,
                is_good=run.outcome is Outcome.OK,
                is_ending=run.outcome is not None,
            )


def _sentence(run: Run, kind: NoticeKind) -> str:
    name = sanitize(run.task, limit=NAME_LIMIT)
    match kind:
        case NoticeKind.CUT_OFF:
            return f"{name} was cut off: {run.outcome_words}"
        case NoticeKind.EXPIRING:
            return f"{name} expires soon without approval"
        case NoticeKind.WAITING:
            return f"{name} waits for approval"
        case NoticeKind.STALLED:
            return f"{name} stalled: no new step"
        case NoticeKind.UNCONFIRMED:
            return f"{name} is unconfirmed" if run.state is State.UNCONFIRMED else f"{name}: no proof of a stop"
        case _:
            return f"{name}: {run.outcome_words}"


def _of_schedule(now: Snapshot) -> Iterator[Notice]:
    if now.nobody_schedules and now.next_launch is not None:
        name = sanitize(now.next_launch.task, limit=NAME_LIMIT)
        text = f"nobody schedules: {name} will be missed"
        yield Notice(kind=NoticeKind.NOBODY_SCHEDULES, subject="", text=text, task=name)


def _of_caps(now: Snapshot) -> Iterator[Notice]:
    for cap_usage in now.cap_usages:
        level = _fullness(cap_usage)
        if not level:
            continue
        cap, period = cap_usage.cap.value, f"{cap_usage.cap.value} {cap_usage.frees_at_ms}"
        near = Notice(kind=NoticeKind.CAP_NEAR, subject=period, text=f"{cap} is used to {NEAR_PERCENT} %")
        if level < 100:
            yield near
        else:
            text = f"{cap} is reached"
            yield Notice(kind=NoticeKind.CAP_REACHED, subject=period, text=text, covers=(near.id,))


def _fullness(cap_usage: CapUsage) -> int:
    """100 for a cap that is reached, 80 for one that nearly is, else 0; always 0 for the number of live runs."""
    taken = cap_usage.held + cap_usage.spent
    if cap_usage.frees_at_ms is None or not cap_usage.limit:
        return 0
    if taken >= cap_usage.limit and (cap_usage.cap not in UNIT_CAPS or cap_usage.spent >= cap_usage.limit):
        return 100
    return NEAR_PERCENT if taken * 100 >= cap_usage.limit * NEAR_PERCENT else 0
