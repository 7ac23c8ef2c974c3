"""Checks each step of the model against the invariants of a run (`tests.invariants`) and two properties of its own.

The properties of its own: a POST leaves under the fence of its record (I2), and recovering a recovered run changes
nothing (I14). What a step did not touch was checked when it came to be.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache

from console.domain.run import Outcome, State
from tests.invariants import (
    MAY_BE_AN_AGENT,
    RULED,
    AgentFacts,
    RunFacts,
    Write,
    change_violations,
    key_violations,
    launch_violations,
    run_violations,
)
from tests.model.others import LATE_ID, recovered
from tests.model.world import (
    Actor,
    Around,
    At,
    Box,
    KeyWorld,
    Life,
    Move,
    Mutations,
    Remote,
    Reply,
    Row,
    Scene,
    Send,
)

SENDS = {At.MARKED, At.IN_DOUBT, At.WAITING}
"""Where a process may still send or be answered, whatever became of its run."""


def broken(scene: Scene, before: KeyWorld, move: Move, around: Around) -> str | None:
    """The first property that `move` breaks; None where all hold."""
    return next(_broken(scene, before, move, around), None)


def _broken(scene: Scene, before: KeyWorld, move: Move, around: Around) -> Iterator[str]:
    after = move.after
    if move.what == "POST leaves" and move.process is not None:
        yield from _post_violations(before, move.process)
    if after.rows is before.rows and after.remotes is before.remotes:
        return
    runs = [(_run(row, number), _agent(row, remote)) for number, row, remote in _attempts(after)]
    yield from key_violations(runs)
    for attempt, (row, remote) in enumerate(zip(after.rows, after.remotes, strict=True)):
        run, agent = runs[attempt]
        if attempt >= len(before.rows):
            yield from launch_violations([_run(*numbered) for numbered in _numbered(before.rows)], run)
        elif row is not before.rows[attempt]:
            is_proven = (scene.bounds.can_find or move.what == LATE_ID) and _proves(remote, row)
            write = _write(before.rows[attempt], move, around, is_proven=is_proven)
            yield from change_violations(_run(before.rows[attempt], attempt), run, write)
        elif remote is before.remotes[attempt]:
            continue
        yield from run_violations(run, agent)
        # A host that recovers it may be another one than that whose journal has the id.
        for journalled in {bool(remote.journals), False} if scene.bounds.hosts else {bool(remote.journals)}:
            if not recovers_alike(scene.mutations.recovery_resends, row, journalled):
                yield f"I14: recovering a recovered run changes it again: {row}"


def _attempts(key: KeyWorld) -> Iterator[tuple[int, Row, Remote]]:
    return ((number, row, remote) for number, (row, remote) in enumerate(zip(key.rows, key.remotes, strict=True)))


def _numbered(rows: tuple[Row, ...]) -> Iterator[tuple[Row, int]]:
    return ((row, number) for number, row in enumerate(rows))


@cache
def _run(row: Row, number: int) -> RunFacts:
    tries = tuple(send.verdict.value for send in row.sends)
    return RunFacts(
        id=str(number),
        key="0",
        state=row.state,
        fence=row.fence,
        owner=row.owner,
        outcome=row.outcome,
        fingerprint=row.prompt,
        origin=row.origin,
        rerun=row.rerun,
        superseded=row.superseded,
        sent=any(verdict in MAY_BE_AN_AGENT for verdict in tries),
        stop=row.stop,
        alarmed=row.alarmed,
        hold=row.hold,
        tries=tries,
        accepted=row.outcome is Outcome.WRITTEN_OFF or RULED in tries,
    )


@cache
def _agent(row: Row, remote: Remote) -> AgentFacts:
    return AgentFacts(
        unproven_posts=remote.risked,
        started=remote.started,
        working=remote.live,
        sandbox_exists=row.box and remote.box is Box.THERE,
    )


def _proves(remote: Remote, row: Row) -> bool:
    """True where what `row` says of its launch is true, and stays true whatever still arrives."""
    return remote.started == 0 and remote.box is Box.GONE if row.state is State.ENDED else remote.started > 0


def _write(before: Row, move: Move, around: Around, *, is_proven: bool) -> Write:
    """Only a guard writes with its owner and fence; everybody else may ask, take over, or act for a person."""
    return Write(
        by_owner=before.is_of(-1 if move.process is None else move.process, move.fence or 0),
        by_person=move.actor is Actor.OPERATOR,
        owner_is_alive=before.owner is not None and around.lives[before.owner] is Life.UP,
        is_proven=is_proven,
        by_journal=move.what == LATE_ID,
    )


def _post_violations(before: KeyWorld, process: int) -> Iterator[str]:
    local = before.locals[process]
    sends = before.rows[local.attempt].sends
    if not sends or sends[-1].fence != local.fence:
        yield "I2: a POST left without a record of its fence"


@cache
def recovers_alike(resends: bool, row: Row, journalled: bool) -> bool:
    """True where recovering twice is recovering once, as after a crash within recovery."""
    if row.state is State.ENDED:
        return True
    mutations = Mutations(recovery_resends=resends)
    for window_open in (True, False):
        _, once = recovered(mutations, row, journalled=journalled, window_open=window_open)
        _, twice = recovered(mutations, once, journalled=journalled, window_open=window_open)
        if once != twice:
            return False
    return True


def tidy(key: KeyWorld) -> KeyWorld:
    """The same key without what no later step can read."""
    rows, remotes = [], []
    for attempt, (row, remote) in enumerate(zip(key.rows, key.remotes, strict=True)):
        places = {local.at for local in key.locals if local.attempt == attempt}
        if remote.reply is not Reply.NONE and At.WAITING not in places:
            remote = remote._replace(reply=Reply.NONE)
        if row.state is State.ENDED and not places & SENDS:
            row = _past_row(row)
            if not remote.live and not remote.flying:
                remote = PAST[min(remote.started, 2)]
        rows.append(row)
        remotes.append(remote)
    return KeyWorld(tuple(rows), tuple(remotes), key.locals)


PAST = tuple(Remote(started=started, risked=started) for started in range(3))


def _past_row(row: Row) -> Row:
    """Of an ended run, only what a later launch is judged by, and whether a person ruled on its last try."""
    if row.owner is None:
        return row
    last = tuple(Send(0, send.verdict) for send in row.sends[-1:])
    return row._replace(owner=None, fence=1, stop=None, alarmed=False, box=False, sends=last)
