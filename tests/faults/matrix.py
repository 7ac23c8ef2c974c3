"""The fault matrix: which call fails, how and when, and the expected result."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from enum import StrEnum

from console.domain.run import Outcome, State
from console.simulator.faults import CallKind, FaultLimits, FaultSpec
from console.simulator.scenario import Ending, Scenario

SESSION_SERVICES = {
    "anthropic": frozenset({400, 401, 402, 403, 404, 413, 422}),
    "openai": frozenset({400, 401, 403, 404, 413, 422}),
}
"""The services that launch in sessions, each with the statuses that prove a refusal."""
REPEATING = frozenset({"openai"})
"""The services at which a start is sent again, with its key, before the session is read."""
WITHOUT_EFFECT = frozenset({"dropped", "reset_before", "silence_before"})


class Position(StrEnum):
    """Which of the calls of one kind fail."""

    FIRST = "first"
    SECOND = "second"
    """The create after a 429, or the sandbox call after a 502."""
    EVERY = "every"
    """All calls until the fault ends; then everything must come to rest."""
    RECOVERY = "recovery"
    """The first two calls of an engine that takes the run over."""


class Effect(StrEnum):
    """What a fault proves about a create call."""

    ANSWERED = "answered"
    """The answer is late or in pieces, but complete."""
    LIMITED = "limited"
    """A proven 429."""
    REJECTED = "rejected"
    UNKNOWN = "unknown"


FAULTS = {
    **dict.fromkeys(("lost_reply", "dropped", "reset", "reset_before", "half_headers", "half_body"), Effect.UNKNOWN),
    **dict.fromkeys(("garbage", "garbage_bytes", "empty", "no_id", "silence", "silence_before"), Effect.UNKNOWN),
    **dict.fromkeys(("307", "408", "409", "500", "503", "503_but_done"), Effect.UNKNOWN),
    **dict.fromkeys(("400", "401", "404"), Effect.REJECTED),
    **dict.fromkeys(("429.retry_after_ms", "429.bare"), Effect.LIMITED),
    "slow": Effect.ANSWERED,
}
"""By the name of the fault in the simulator: its effect on a create call."""
MORE_OF_CREATE = {
    **dict.fromkeys(("302", "425", "502", "504", "409_but_done", "500_but_done", "huge"), Effect.UNKNOWN),
    **dict.fromkeys(("402", "403", "413", "416", "422"), Effect.REJECTED),
    **dict.fromkeys(("429.retry_after", "429.retry_after_date", "429.retryinfo"), Effect.LIMITED),
    **dict.fromkeys(("late", "drip"), Effect.ANSWERED),
}
VALUES = {"slow": 0.03, "late": 0.03, "drip": 0.0002, "huge": 17.5}
"""The value of a fault: seconds or megabytes."""

POSITIONS = {
    CallKind.ENV_CREATE: (Position.FIRST, Position.SECOND, Position.EVERY, Position.RECOVERY),
    CallKind.CREATE: (Position.FIRST, Position.SECOND, Position.EVERY, Position.RECOVERY),
    CallKind.GET: (Position.FIRST, Position.SECOND, Position.EVERY, Position.RECOVERY),
    CallKind.STREAM: (Position.FIRST, Position.EVERY),
    CallKind.CANCEL: (Position.FIRST, Position.EVERY, Position.RECOVERY),
    CallKind.ENV_DELETE: (Position.FIRST, Position.EVERY),
}
FIRSTS = {CallKind.CREATE: "create.429.retryinfo", CallKind.ENV_CREATE: "env_create.502"}
"""The faults that cause a second call of those that are otherwise made once."""
SLOW = Scenario(steps=2, step_seconds=0.1)
QUICK = Scenario(steps=2, step_seconds=0.01)
ENDLESS = Scenario(ending=Ending.NEVER, step_seconds=1.0, tokens_per_step=10, cancel_seconds=0.01)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One cell of the matrix."""

    call: CallKind
    fault: str
    position: Position
    kind: str = "gemini"
    """The kind of the service."""

    def __str__(self) -> str:
        return f"{self.kind}: {self.call}.{self.fault} {self.position}"

    @property
    def has_effect(self) -> bool:
        """True where the service carries the call out, whatever becomes of its answer."""
        return self.fault not in WITHOUT_EFFECT and (not self.fault.isdecimal())

    @property
    def effect(self) -> Effect:
        """The effect on a create call."""
        return {**FAULTS, **MORE_OF_CREATE}[self.fault]

    @property
    def scenario(self) -> Scenario:
        """What the agent does; where a stop is the subject, it works for ever."""
        match self.call:
            case CallKind.CANCEL:
                return ENDLESS
            case CallKind.ENV_DELETE:
                return replace(ENDLESS, faults=("cancel.never",))
            case _:
                return QUICK if self.position is not Position.RECOVERY else SLOW

    @property
    def is_silent(self) -> bool:
        """True where only a deadline ends the call."""
        return self.fault.startswith("silence")

    @property
    def faults(self) -> FaultSpec:
        """The faults of the simulated service."""
        limits: dict[str, float] = {"value": VALUES.get(self.fault, 0.005)}
        match self.position:
            case Position.FIRST:
                limits["first"] = 1
            case Position.SECOND:
                limits |= {"skip": 1, "first": 1}
            case Position.RECOVERY:
                limits["first"] = 2
            case Position.EVERY:
                pass
        faults: dict[str, FaultLimits] = {f"{self.call}.{self.fault}": limits}
        if self.position is Position.SECOND and self.call in FIRSTS:
            # A fault with another name: of two with the same name, only the later would count.
            return {FIRSTS[self.call]: {"first": 1, "value": 0.005}, **faults}
        return faults


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """The expected result of a cell."""

    state: State
    outcomes: frozenset[Outcome]
    posts: int
    """Create POSTs that arrive completely."""


def _ended(*outcomes: Outcome, posts: int = 1) -> Verdict:
    return Verdict(state=State.ENDED, outcomes=frozenset(outcomes), posts=posts)


def expected(cell: Cell) -> Verdict:
    """The expected result of a cell according to the design."""
    return _at_sessions(cell) if cell.kind in SESSION_SERVICES else _at_sandboxes(cell)


def _at_sessions(cell: Cell) -> Verdict:
    """The expected result where the session can be read, and deleted only while nothing works in it."""
    is_refused = cell.fault.isdecimal() and int(cell.fault) in SESSION_SERVICES[cell.kind]
    match cell.call:
        case CallKind.CREATE if cell.effect is Effect.REJECTED or cell.effect is Effect.UNKNOWN:
            posts = 2 if cell.position is Position.SECOND else 1
            if is_refused:
                return _ended(Outcome.REJECTED, posts=posts)
            if cell.kind in REPEATING:
                return _repeated(cell, posts)
            return _ended(Outcome.OK if cell.has_effect else Outcome.NOT_SENT, posts=posts)
        case CallKind.CREATE:
            return _of_create(cell)
        case CallKind.ENV_CREATE if is_refused:
            return _ended(Outcome.REJECTED, posts=0)
        case CallKind.ENV_CREATE if cell.position is Position.EVERY and cell.effect is not Effect.ANSWERED:
            return _ended(Outcome.NOT_SENT, posts=0)
        case CallKind.CANCEL:
            return _ended(Outcome.CANCELLED)
        case _:
            return _ended(Outcome.OK)


def _repeated(cell: Cell, posts: int) -> Verdict:
    """The expected result of an unknown start that is sent again: the repetition works unless it fails as well."""
    if cell.fault == "empty":
        # The service always accepts a start without a word.
        return _ended(Outcome.OK, posts=posts)
    fails_again = cell.position in (Position.RECOVERY, Position.EVERY)
    return _ended(Outcome.NOT_SENT if fails_again and not cell.has_effect else Outcome.OK, posts=posts + 1)


def _at_sandboxes(cell: Cell) -> Verdict:
    """The expected result where nobody can be asked what became of a launch, and a run ends with its sandbox."""
    match cell.call:
        case CallKind.CREATE:
            return _of_create(cell)
        case CallKind.ENV_CREATE if cell.position is Position.EVERY:
            return _of_no_sandbox(cell)
        case CallKind.ENV_CREATE if cell.fault == "401":
            return _ended(Outcome.REJECTED, posts=0)
        case CallKind.CANCEL:
            return _ended(Outcome.CANCELLED, Outcome.FAILED)
        case CallKind.ENV_DELETE if cell.fault == "404":
            # A 404 means that the sandbox is gone; the stop stays unproven, and an alarm is raised.
            return Verdict(state=State.STOPPING, outcomes=frozenset(), posts=1)
        case CallKind.ENV_DELETE:
            # The agent ends with its sandbox, which is the stop that was asked for.
            return _ended(Outcome.CANCELLED)
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
    return _ended(Outcome.REJECTED if cell.fault == "401" else Outcome.NOT_SENT, posts=0)


def cells(kind: str = "gemini") -> Iterator[Cell]:
    """All cells of one kind of service. A session is deleted only after its run, which is no subject here."""
    for call, positions in POSITIONS.items():
        if call is CallKind.ENV_DELETE and kind in SESSION_SERVICES:
            continue
        for position in positions:
            for name in FAULTS:
                yield Cell(call=call, fault=name, position=position, kind=kind)
    for name in MORE_OF_CREATE:
        yield Cell(call=CallKind.CREATE, fault=name, position=Position.FIRST, kind=kind)
