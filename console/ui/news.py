"""What happened to runs between two looks that somebody wants to be told: each change once, the most urgent first."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum

from console.domain.run import Outcome, Run, State
from console.engine.snapshot import Snapshot
from console.ui.glyphs import outcome_word
from console.ui.spans import Span, Tone, foreign


class Kind(IntEnum):
    """The most urgent one is the smallest."""

    UNCONFIRMED = 0
    """Nobody knows what became of it, or a stop is not proven after the alarm."""
    CUT_OFF = 1
    WAITING = 2
    """Proposed: it waits for approval."""
    FAILED = 3
    FINISHED = 4
    """Ended well, or as a person wanted it; told, but it rings no bell."""


TITLES = {
    Kind.UNCONFIRMED: "nightdesk: unconfirmed",
    Kind.CUT_OFF: "nightdesk: cut off",
    Kind.WAITING: "nightdesk: waits for approval",
    Kind.FAILED: "nightdesk: failed",
}
"""The window's title until somebody presses a key. Fixed words: nothing from outside gets there."""

QUIET_TITLE = "nightdesk"

_ENDINGS = {
    Outcome.OK: Kind.FINISHED,
    Outcome.CANCELLED: Kind.FINISHED,
    Outcome.TIMEOUT: Kind.CUT_OFF,
    Outcome.BUDGET: Kind.CUT_OFF,
    Outcome.FAILED: Kind.FAILED,
    Outcome.INCOMPLETE: Kind.FAILED,
    Outcome.REJECTED: Kind.FAILED,
    Outcome.NOT_SENT: Kind.FAILED,
    Outcome.EXPIRED: Kind.FAILED,
}
"""What is not here, a person ruled a moment ago, or it never was a run."""

_TONES = {Kind.UNCONFIRMED: Tone.LOUD, Kind.CUT_OFF: Tone.BAD, Kind.WAITING: Tone.WAIT, Kind.FAILED: Tone.BAD}
_COUNTED = {
    Kind.UNCONFIRMED: "unconfirmed",
    Kind.CUT_OFF: "cut off",
    Kind.WAITING: "waiting",
    Kind.FAILED: "failed",
    Kind.FINISHED: "finished",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class News:
    """One change of one run."""

    kind: Kind
    run: Run


def kind_of(run: Run) -> Kind | None:
    """What there is to tell of a run that stands like this; None while it is only under way."""
    if run.outcome is not None:
        return _ENDINGS.get(run.outcome)
    if run.state is State.UNCONFIRMED or (run.stop is not None and run.stop.alarmed):
        return Kind.UNCONFIRMED
    return Kind.WAITING if run.state is State.PROPOSED else None


def news(before: Snapshot, now: Snapshot) -> tuple[News, ...]:
    """What changed from one look to a later one, the most urgent first; nothing twice over any number of looks."""
    known = {run.id: (kind_of(run), run.outcome) for run in (*before.live, *before.recent)}
    found = [
        News(kind=kind, run=run)
        for run in (*now.live, *now.recent)
        if (kind := kind_of(run)) is not None and known.get(run.id) != (kind, run.outcome)
    ]
    return tuple(sorted(found, key=lambda each: each.kind))


def toast(items: Iterable[News]) -> Span:
    """One line: the most urgent by name, how many others of each kind. Raises ValueError where there is nothing."""
    first, *others = sorted(items, key=lambda each: each.kind)
    counts = {kind: sum(each.kind is kind for each in others) for kind in Kind}
    more = [f"{count} more {_COUNTED[kind]}" for kind, count in counts.items() if count]
    return Span("  ".join((_sentence(first), *more)), _TONES.get(first.kind, _tone_of_ending(first.run)))


def _sentence(item: News) -> str:
    run, name = item.run, foreign(item.run.task)
    if run.outcome is not None:
        cut_off = item.kind is Kind.CUT_OFF
        return f"{name} was cut off: {outcome_word(run.outcome)}" if cut_off else f"{name}: {outcome_word(run.outcome)}"
    if item.kind is Kind.WAITING:
        return f"{name} waits for approval"
    return f"{name} is unconfirmed" if run.state is State.UNCONFIRMED else f"{name}: no proof of a stop"


def _tone_of_ending(run: Run) -> Tone:
    return Tone.OK if run.outcome is Outcome.OK else Tone.PLAIN
