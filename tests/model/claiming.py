"""Taking a key: the model asks the engine's own rule (`domain.key.decide_key`) whether it is free."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache

from console.domain.key import KeyDecisionKind, KeyRequest, decide_key
from console.domain.run import Limits, Outcome, Run, RunId, State, StopReason, StopRequest
from console.domain.server_limit import TokenLimit
from console.domain.task import CutOff, Fingerprint, Origin, Stage
from tests.invariants import Hold
from tests.model.guarding import ended, moved
from tests.model.world import Actor, Around, At, KeyWorld, Life, Local, Move, Remote, Row, Scene

LIMITS = Limits(
    max_ms=60_000,
    budget=1_000,
    server_limit=TokenLimit(tokens=10_000),
    tokens_per_unit=10_000,
    cached_weight_milli=100,
    cut_off=CutOff.REACHED,
    stall_ms=60_000,
)


def claim_moves(scene: Scene, key: KeyWorld, process: int, around: Around) -> Iterator[Move]:
    """A person or a schedule asks a process for a launch of the key."""
    local = key.locals[process]
    if local.at is At.ADMITTED:
        yield Move(Actor.WATCH, "claim", process, None, _taken(key, process, _asked(scene, key)[0]))
        return
    if around.paused or local.at is not At.NOWHERE or len(key.rows) >= scene.bounds.attempts:
        return
    for row in _asked(scene, key):
        what = f"claim prompt {row.prompt}{' by hand again' if row.rerun else ''}"
        if row.state is State.PROPOSED:
            yield Move(Actor.WATCH, what.replace("claim", "propose"), process, None, _inserted(key, row))
        elif scene.mutations.judge_then_take:
            judged = key.with_local(process, Local(At.ADMITTED))
            yield Move(Actor.WATCH, "finds room for a hold", process, None, judged, needs_room=True)
        else:
            yield Move(Actor.WATCH, what, process, None, _taken(key, process, row), needs_room=True)


def decision_moves(key: KeyWorld, around: Around) -> Iterator[Move]:
    """Proposals are approved, declined or expire."""
    for attempt, row in enumerate(key.rows):
        if row.state is not State.PROPOSED:
            continue
        for outcome in (Outcome.DECLINED, Outcome.EXPIRED):
            after = key.with_row(attempt, ended(row, outcome, Hold.NONE))
            yield Move(Actor.OPERATOR, f"proposal {outcome}", None, None, after)
        if around.paused:
            continue
        for process, life in enumerate(around.lives):
            approved = moved(row, State.CLAIMED)._replace(hold=Hold.OPEN, owner=process)
            if life is Life.UP and key.locals[process].at is At.NOWHERE:
                after = key.with_row(attempt, approved).with_local(process, Local(At.CLAIMED, attempt, approved.fence))
                yield Move(Actor.OPERATOR, "approve", process, None, after, needs_room=True)


def _asked(scene: Scene, key: KeyWorld) -> list[Row]:
    """The rows that a launch would insert now, one for each request that is not refused."""
    bounds, rows = scene.bounds, key.rows
    if scene.mutations.key_expires:
        rows = tuple(row for row in rows if row.state is not State.ENDED)
    found = []
    for prompt in bounds.prompts:
        believed = tuple(row._replace(prompt=prompt) for row in rows) if scene.mutations.any_prompt else rows
        if is_free(believed, prompt, Origin.MANUAL, rerun=False, retry=False):
            found.append(Row(State.CLAIMED, Origin.MANUAL, prompt, rerun=False, owner=None))
        elif bounds.operator and is_free(believed, prompt, Origin.MANUAL, rerun=True, retry=False):
            found.append(Row(State.CLAIMED, Origin.MANUAL, prompt, rerun=True, owner=None))
        if bounds.retries and is_free(believed, prompt, Origin.SCHEDULE, rerun=False, retry=True):
            found.append(Row(State.CLAIMED, Origin.SCHEDULE, prompt, rerun=False, owner=None))
        if bounds.proposals and is_free(believed, prompt, Origin.SCHEDULE, rerun=False, retry=False):
            found.append(Row(State.PROPOSED, Origin.SCHEDULE, prompt, rerun=False, owner=None, hold=Hold.NONE))
    return found


def _inserted(key: KeyWorld, row: Row) -> KeyWorld:
    rows = key.rows
    if row.rerun and rows and rows[-1].outcome is Outcome.OK:
        rows = (*rows[:-1], rows[-1]._replace(superseded=True))
    return key._replace(rows=(*rows, row), remotes=(*key.remotes, Remote()))


def _taken(key: KeyWorld, process: int, row: Row) -> KeyWorld:
    after = _inserted(key, row._replace(owner=process))
    return after.with_local(process, Local(At.CLAIMED, len(key.rows), row.fence))


def is_free(rows: tuple[Row, ...], prompt: str, origin: Origin, *, rerun: bool, retry: bool) -> bool:
    """True where the program's own rule says that the key is free."""
    facts = tuple((row.state, row.outcome, row.prompt, row.superseded) for row in rows)
    return _judged(facts, prompt, origin, rerun, retry) is KeyDecisionKind.FREE


@cache
def _judged(
    facts: tuple[tuple[State, Outcome | None, str, bool], ...], prompt: str, origin: Origin, rerun: bool, retry: bool
) -> KeyDecisionKind:
    runs = [_as_run(number, *fact) for number, fact in enumerate(facts)]
    request = KeyRequest(fingerprint=_fingerprint(prompt), origin=origin, rerun=rerun, automatic_retry=retry)
    return decide_key(runs, request).answer


def _fingerprint(prompt: str) -> Fingerprint:
    return Fingerprint(
        agent="agent",
        model="model",
        prompt_sha256=prompt,
        prompt_length=1,
        sandbox="own",
        tools="[]",
        network="",
        system_sha256="",
    )


def _as_run(number: int, state: State, outcome: Outcome | None, prompt: str, superseded: bool) -> Run:
    return Run(
        id=RunId(f"run-{number}"),
        key="0123456789abcdef",
        task="task",
        type="task",
        target="target",
        date="2026-11-23",
        attempt=number + 1,
        stage=Stage.MANUAL,
        origin=Origin.MANUAL,
        requested_by="",
        state=state,
        outcome=outcome,
        stop=StopRequest(reason=StopReason.OPERATOR, by="", at_ms=0) if state is State.STOPPING else None,
        fingerprint=_fingerprint(prompt),
        limits=LIMITS,
        day="2026-11-23",
        created_ms=0,
        superseded_by=RunId(f"run-{number + 1}") if superseded else None,
    )
