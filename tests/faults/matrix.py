"""The matrix: which call goes wrong, how, and when; and what must come of it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from enum import StrEnum

from console.domain.run import Outcome, State
from console.simulator.faults import CallKind, FaultLimits, FaultSpec
from console.simulator.scenario import Ending, Scenario


class Position(StrEnum):
    """Which of the calls of its kind."""

    FIRST = "first"
    SECOND = "second"
    """Of creates: the one after a 429; of sandboxes: the one after a 502."""
    EVERY = "every"
    """For as long as the fault lasts; then it ends, and all must come to rest."""
    RECOVERY = "recovery"
    """The first two of an engine that takes the run over."""


class Effect(StrEnum):
    """What a manner makes of a create call."""

    ANSWERED = "answered"
    """Late or in pieces, but whole."""
    LIMITED = "limited"
    """A proven 429."""
    REJECTED = "rejected"
    UNKNOWN = "unknown"


MANNERS = {
    **dict.fromkeys(("lost_reply", "dropped", "reset", "reset_before", "half_headers", "half_body"), Effect.UNKNOWN),
    **dict.fromkeys(("garbage", "garbage_bytes", "empty", "no_id", "silence", "silence_before"), Effect.UNKNOWN),
    **dict.fromkeys(("307", "408", "409", "500", "503", "503_but_done"), Effect.UNKNOWN),
    **dict.fromkeys(("400", "401", "404"), Effect.REJECTED),
    **dict.fromkeys(("429.retry_after_ms", "429.bare"), Effect.LIMITED),
    "slow": Effect.ANSWERED,
}
"""By name in the simulator."""
MORE_OF_CREATE = {
    **dict.fromkeys(("302", "425", "502", "504", "409_but_done", "500_but_done", "huge"), Effect.UNKNOWN),
    **dict.fromkeys(("402", "403", "413", "416", "422"), Effect.REJECTED),
    **dict.fromkeys(("429.retry_after", "429.retry_after_date", "429.retryinfo"), Effect.LIMITED),
    **dict.fromkeys(("late", "drip"), Effect.ANSWERED),
}
VALUES = {"slow": 0.03, "late": 0.03, "drip": 0.0002, "huge": 17.5}
"""Seconds or megabytes."""

POSITIONS = {
    CallKind.ENV_CREATE: (Position.FIRST, Position.SECOND, Position.EVERY, Position.RECOVERY),
    CallKind.CREATE: (Position.FIRST, Position.SECOND, Position.EVERY, Position.RECOVERY),
    CallKind.GET: (Position.FIRST, Position.SECOND, Position.EVERY, Position.RECOVERY),
    CallKind.STREAM: (Position.FIRST, Position.EVERY),
    CallKind.CANCEL: (Position.FIRST, Position.EVERY, Position.RECOVERY),
    CallKind.ENV_DELETE: (Position.FIRST, Position.EVERY),
}
FIRSTS = {CallKind.CREATE: "create.429.retryinfo", CallKind.ENV_CREATE: "env_create.502"}
"""What makes a second call of those that else are made once."""
SLOW = Scenario(steps=2, step_seconds=0.1)
QUICK = Scenario(steps=2, step_seconds=0.01)
ENDLESS = Scenario(ending=Ending.NEVER, step_seconds=1.0, tokens_per_step=10, cancel_seconds=0.01)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One cell of the matrix."""

    call: CallKind
    manner: str
    position: Position

    def __str__(self) -> str:
        return f"{self.call}.{self.manner} {self.position}"

    @property
    def effect(self) -> Effect:
        """On a create."""
        return {**MANNERS, **MORE_OF_CREATE}[self.manner]

    @property
    def scenario(self) -> Scenario:
        """What the agent does: where a stop is looked at it works for ever."""
        match self.call:
            case CallKind.CANCEL:
                return ENDLESS
            case CallKind.ENV_DELETE:
                return replace(ENDLESS, faults=("cancel.never",))
            case _:
                return QUICK if self.position is not Position.RECOVERY else SLOW

    @property
    def is_silent(self) -> bool:
        """Only a deadline ends the wait."""
        return self.manner.startswith("silence")

    @property
    def faults(self) -> FaultSpec:
        """For the world of the cell."""
        limits: dict[str, float] = {"value": VALUES.get(self.manner, 0.005)}
        match self.position:
            case Position.FIRST:
                limits["first"] = 1
            case Position.SECOND:
                limits |= {"skip": 1, "first": 1}
            case Position.RECOVERY:
                limits["first"] = 2
            case Position.EVERY:
                pass
        manner: dict[str, FaultLimits] = {f"{self.call}.{self.manner}": limits}
        if self.position is Position.SECOND and self.call in FIRSTS:
            # A name that no manner has here: of two faults of one name the later would stand alone.
            return {FIRSTS[self.call]: {"first": 1, "value": 0.005}, **manner}
        return manner


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What must come of a cell."""

    state: State
    outcomes: frozenset[Outcome]
    posts: int
    """Create POSTs that arrive whole."""


def _ended(*outcomes: Outcome, posts: int = 1) -> Verdict:
    return Verdict(state=State.ENDED, outcomes=frozenset(outcomes), posts=posts)


def expected(cell: Cell) -> Verdict:
    """The verdict of the design on this cell."""
    match cell.call:
        case CallKind.CREATE:
            return _of_create(cell)
        case CallKind.ENV_CREATE if cell.position is Position.EVERY:
            return _of_no_sandbox(cell)
        case CallKind.ENV_CREATE if cell.manner == "401":
            return _ended(Outcome.REJECTED, posts=0)
        case CallKind.CANCEL:
            return _ended(Outcome.CANCELLED, Outcome.FAILED)
        case CallKind.ENV_DELETE if cell.manner == "404":
            # A sandbox that is told to be gone is gone for us; the stop stays unproven, and an alarm says so.
            return Verdict(state=State.STOPPING, outcomes=frozenset(), posts=1)
        case CallKind.ENV_DELETE:
            return _ended(Outcome.FAILED)
        case _:
            return _ended(Outcome.OK)


def _of_create(cell: Cell) -> Verdict:
    before = 1 if cell.position is Position.SECOND else 0
    match cell.effect:
        case Effect.ANSWERED:
            return _ended(Outcome.OK, posts=1 + before)
        case Effect.REJECTED:
            return _ended(Outcome.REJECTED, posts=1 + before)
        case Effect.UNKNOWN:
            return Verdict(state=State.UNCONFIRMED, outcomes=frozenset(), posts=1 + before)
        case Effect.LIMITED if cell.position is Position.EVERY:
            return _ended(Outcome.NOT_SENT, posts=4)
        case Effect.LIMITED:
            struck = 2 if cell.position is Position.RECOVERY else 1
            return _ended(Outcome.OK, posts=1 + before + struck)


def _of_no_sandbox(cell: Cell) -> Verdict:
    if cell.effect is Effect.ANSWERED:
        return _ended(Outcome.OK)
    return _ended(Outcome.REJECTED if cell.manner == "401" else Outcome.NOT_SENT, posts=0)


def cells() -> Iterator[Cell]:
    """All of them."""
    for call, positions in POSITIONS.items():
        for position in positions:
            for manner in MANNERS:
                yield Cell(call=call, manner=manner, position=position)
    for manner in MORE_OF_CREATE:
        yield Cell(call=CallKind.CREATE, manner=manner, position=Position.FIRST)
