"""What must hold, whatever happens in whichever order. Numbers are those of the protocol's list of invariants.

Each is stated on rows, on the service's truth and on one step; none of them asks the code that takes the step.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from itertools import pairwise

from console.domain.run import HOLDING, KEY_FREEING_OUTCOMES, NEXT, Outcome, State
from tests.model.others import recovered
from tests.model.world import (
    Actor,
    Around,
    At,
    Hold,
    KeyWorld,
    Life,
    Move,
    Mutations,
    Remote,
    Reply,
    Row,
    Scene,
    Send,
    Verdict,
)

UNLAUNCHED = KEY_FREEING_OUTCOMES
"""Endings that say: no agent was launched."""
SENDS = {At.MARKED, At.WAITING}
"""Where a process may still send or be answered, whatever became of its run."""
BLOCKING = (Verdict.OPEN, Verdict.UNKNOWN, Verdict.LAUNCHED, Verdict.RULED)


def broken(scene: Scene, before: KeyWorld, move: Move, around: Around) -> str | None:
    """The first property that `move` breaks; None where all hold."""
    return next(_broken(scene, before, move, around), None)


def _broken(scene: Scene, before: KeyWorld, move: Move, around: Around) -> Iterator[str]:
    """What the step did not touch was looked at when it came to be."""
    after = move.after
    if move.what == "POST leaves" and move.process is not None:
        yield from _of_post(before, move.process)
    if after.rows is before.rows and after.remotes is before.remotes:
        return
    yield from _of_key(after)
    for attempt, (row, remote) in enumerate(zip(after.rows, after.remotes, strict=True)):
        if attempt >= len(before.rows):
            yield from _of_launch(before.rows, row)
        elif row is not before.rows[attempt]:
            yield from _of_change(before.rows[attempt], row, move, around)
        elif remote is before.remotes[attempt]:
            continue
        yield from _of_row(row, remote)
        if not recovers_alike(scene.mutations.recovery_resends, row, remote.journalled):
            yield f"I14: recovery of a recovered run changes it again: {row}"


def _of_row(row: Row, remote: Remote) -> Iterator[str]:
    if remote.risked > 1 or remote.started > 1:
        yield f"I1: {remote.risked} POSTs of one attempt, none proven to have launched nothing"
    ruled = any(send.verdict is Verdict.RULED for send in row.sends)
    if remote.started and not ruled and (row.state is State.CLAIMED or row.outcome in UNLAUNCHED):
        yield f"I3: an agent was started, and its run is {row.outcome or row.state}"
    if sum(send.verdict in BLOCKING for send in row.sends) > 1:
        yield "I1: a try was opened while another one may be an agent"
    expected = Hold.OPEN if row.state in HOLDING else row.hold
    if row.hold is not expected or (row.state is State.ENDED and row.hold is Hold.OPEN):
        yield f"I5: the hold of a run that is {row.state} is {row.hold}"
    stopped = row.outcome in (Outcome.CANCELLED, Outcome.TIMEOUT, Outcome.BUDGET)
    if stopped and (remote.live or remote.flying):
        yield f"I10: {row.outcome} is reported, and the agent runs"


def _of_change(before: Row, after: Row, move: Move, around: Around) -> Iterator[str]:
    if before.state is State.ENDED and before._replace(superseded=after.superseded) != after:
        yield f"I8: an ended run changed: {before} became {after}"
    if after.state is not before.state and after.state not in NEXT[before.state] | _two_edges(before.state):
        yield f"I8: {before.state} became {after.state}"
    if after.fence < before.fence:
        yield "I8: a fence decreased"
    if before.hold in (Hold.SETTLED, Hold.RELEASED) and after.hold is not before.hold:
        yield f"I7: a hold that was {before.hold} is {after.hold}"
    if move.actor is Actor.GUARD and not before.is_of(move.process or 0, move.fence or 0):
        yield f"I9: a stale writer changed a row: {move.what}"
    if before.state is State.UNCONFIRMED and after.state is not before.state and move.actor is not Actor.OPERATOR:
        yield f"I4: an unconfirmed run became {after.state} without an operator"
    if after.fence > before.fence and before.owner is not None and around.lives[before.owner] is Life.UP:
        yield "2.2: a living owner was robbed"


def _two_edges(state: State) -> frozenset[State]:
    """A stop that was stored before the id came takes the run through `running` in one transaction."""
    return frozenset({State.STOPPING}) if state in (State.SENDING, State.UNCONFIRMED) else frozenset()


def _of_key(key: KeyWorld) -> Iterator[str]:
    if sum(row.state is not State.ENDED for row in key.rows) > 1:
        yield "I1: two runs of a key are open"
    accepted = {Outcome.WRITTEN_OFF}
    alive = [
        row for row, remote in zip(key.rows, key.remotes, strict=True) if remote.live and row.outcome not in accepted
    ]
    if len(alive) > 1:
        yield "I1: two agents of one key run at once"
    started = [
        row
        for row, remote in zip(key.rows, key.remotes, strict=True)
        if remote.started and Verdict.RULED not in {send.verdict for send in row.sends}
    ]
    for first, second in pairwise(started):
        if first.prompt != second.prompt and not second.rerun:
            yield "I13: another prompt was launched under the same key, and not by hand"


def _of_launch(earlier: tuple[Row, ...], new: Row) -> Iterator[str]:
    if new.rerun:
        return
    for row in earlier:
        retried = row.outcome is Outcome.FAILED and new.origin is not row.origin.MANUAL
        if row.state is not State.ENDED:
            yield f"I8: a key was taken while a run of it is {row.state}"
        elif row.outcome not in KEY_FREEING_OUTCOMES and not retried and not row.superseded:
            yield f"I8: a key that ended {row.outcome} was launched again, and not by hand"


def _of_post(before: KeyWorld, process: int) -> Iterator[str]:
    local = before.locals[process]
    sends = before.rows[local.attempt].sends
    if not sends or sends[-1].fence != local.fence:
        yield "I2: a POST left without a record of its fence"


@cache
def recovers_alike(resends: bool, row: Row, journalled: bool) -> bool:
    """Recovering twice is recovering once (a crash within recovery: the second one finds what the first one left)."""
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
    """The same key without what nobody can see or be hurt by any more."""
    rows, remotes = [], []
    for attempt, (row, remote) in enumerate(zip(key.rows, key.remotes, strict=True)):
        places = {local.at for local in key.locals if local.attempt == attempt}
        if remote.reply is not Reply.NONE and At.WAITING not in places:
            remote = remote._replace(reply=Reply.NONE)
        if row.state is State.ENDED and not places & SENDS:
            row = _of_the_past(row)
            if not remote.live and not remote.flying:
                remote = PAST[min(remote.started, 2)]
        rows.append(row)
        remotes.append(remote)
    return KeyWorld(tuple(rows), tuple(remotes), key.locals)


PAST = tuple(Remote(started=started) for started in range(3))


def _of_the_past(row: Row) -> Row:
    """Of an ended run only what a later launch is judged by, and whether a person ruled on its last try."""
    if row.owner is None:
        return row
    last = tuple(Send(0, send.verdict) for send in row.sends[-1:])
    return row._replace(owner=None, fence=1, stop=None, alarmed=False, box=False, sends=last)
