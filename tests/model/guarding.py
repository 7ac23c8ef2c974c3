"""The steps of a process with a run of its own, named after the writes of the store that they stand for.

Between any two steps, others may act and the process may die. The program's own state table decides on edges, and its
own function on outcomes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from console.domain.run import HOLDING, Ending, Outcome, State, StopReason, check_transition, settled_outcome
from tests.invariants import Hold
from tests.model.world import (
    NOWHERE,
    Actor,
    Around,
    At,
    Box,
    KeyWorld,
    Life,
    Local,
    Move,
    Remote,
    Reply,
    Row,
    Scene,
    Send,
    Verdict,
)

Way = tuple[str, KeyWorld]


def guard_moves(scene: Scene, key: KeyWorld, process: int, around: Around) -> Iterator[Move]:
    """The next possible steps of a process with its run."""
    local = key.locals[process]
    handler = HANDLERS.get(local.at)
    if handler is None:
        return
    for what, after in handler(Guarding(scene, key, process, local, around)):
        yield Move(Actor.GUARD, what, process, local.fence, after)


class Guarding:
    """One process with one run in one state of the model."""

    def __init__(self, scene: Scene, key: KeyWorld, process: int, local: Local, around: Around) -> None:
        self.scene = scene
        self.key = key
        self.process = process
        self.local = local
        self.around = around
        self.row: Row = key.rows[local.attempt]
        self.remote: Remote = key.remotes[local.attempt]

    def holds(self, *states: State) -> bool:
        """True where a compare-and-set of this process from one of `states` changes the row."""
        mine = self.scene.mutations.no_fence or self.row.is_of(self.process, self.local.fence)
        if self.scene.mutations.lease_for_fence:
            mine = self.around.lives[self.process] is Life.UP
        return mine and self.row.state in states

    def at(self, at: At, key: KeyWorld | None = None) -> KeyWorld:
        """The key once the process is at `at`."""
        return (key or self.key).with_local(self.process, self.local._replace(at=at))

    def left(self, key: KeyWorld | None = None) -> KeyWorld:
        """The key once the process works on the run no more."""
        return (key or self.key).with_local(self.process, NOWHERE)

    def with_row(self, row: Row) -> KeyWorld:
        """The key with another row."""
        return self.key.with_row(self.local.attempt, row)

    def with_remote(self, remote: Remote) -> KeyWorld:
        """The key with another truth at the service."""
        return self.key.with_remote(self.local.attempt, remote)


def moved(row: Row, to: State) -> Row:
    """The row in another state. Raises IllegalTransition where the state table has no such edge."""
    check_transition(row.state, to)
    return row._replace(state=to)


def ended(row: Row, outcome: Outcome, hold: Hold) -> Row:
    """The row, ended."""
    return moved(row, State.ENDED)._replace(outcome=outcome, hold=hold)


def stopped(row: Row, reason: StopReason) -> Row:
    """`request_stop`: the first reason counts, and only a running run changes its state."""
    if row.stop is not None or row.state in (State.ENDED, State.PROPOSED):
        return row
    asked = row._replace(stop=reason)
    return moved(asked, State.STOPPING) if row.state is State.RUNNING else asked


def without_box(remote: Remote) -> Remote:
    """The truth once the sandbox is deleted, with the agent in it."""
    if remote.live:
        return remote._replace(box=Box.GONE, live=0, shows=Ending.FAILED)
    return remote._replace(box=Box.GONE)


def running(row: Row) -> Row:
    """The row once an id is known: running, or stopping where a stop is stored."""
    launched = moved(row, State.RUNNING)._replace(sends=row.decided(Verdict.LAUNCHED))
    return moved(launched, State.STOPPING) if row.stop is not None else launched


def unconfirmed(row: Row) -> Row:
    """The row once no answer came."""
    return moved(row, State.UNCONFIRMED)._replace(sends=row.decided(Verdict.UNKNOWN))


def _claimed(g: Guarding) -> Iterator[Way]:
    mutations, sends = g.scene.mutations, g.row.sends
    if not g.holds(State.CLAIMED):
        yield "finds it lost", g.left()
    elif g.row.stop is not None or g.around.paused:
        outcome = Outcome.CANCELLED if g.row.stop is not None else Outcome.EXPIRED
        yield f"settle {outcome}", g.left(g.with_row(ended(g.row, outcome, Hold.RELEASED)))
    elif g.scene.bounds.own_sandbox and not g.row.box:
        made = g.with_remote(g.remote._replace(box=Box.THERE))
        yield "record_sandbox", made.with_row(g.local.attempt, g.row._replace(box=True))
    elif mutations.intent_after_post:
        yield "POST leaves", g.at(At.MARKED, _posted(g))
    else:
        marked = moved(g.row, State.SENDING)._replace(sends=(*sends, Send(g.local.fence, Verdict.OPEN)))
        yield "mark_sending", g.at(At.MARKED, g.with_row(marked))
        if g.scene.bounds.hosts:
            yield "mark_sending, stored, the answer is lost", g.at(At.IN_DOUBT, g.with_row(marked))
            yield "mark_sending, lost", g.at(At.IN_DOUBT)


def _posted(g: Guarding) -> KeyWorld:
    return g.with_remote(g.remote._replace(flying=g.remote.flying + 1, risked=g.remote.risked + 1))


def _marked(g: Guarding) -> Iterator[Way]:
    """Between the record and the POST the process reads no row, whatever became of it."""
    if g.scene.mutations.intent_after_post:
        if g.holds(State.CLAIMED):
            row = moved(g.row, State.SENDING)._replace(sends=(*g.row.sends, Send(g.local.fence, Verdict.OPEN)))
            yield "mark_sending", g.at(At.WAITING, g.with_row(row))
        return
    yield "POST leaves", g.at(At.WAITING, _posted(g))
    yield "POST is not sent", g.at(At.NOT_LAUNCHED)


def _in_doubt(g: Guarding) -> Iterator[Way]:
    """The server is asked for the commit. What was found stored is not sent any more: no byte left this process."""
    if g.scene.mutations.doubt_is_stored:
        yield "POST leaves", g.at(At.WAITING, _posted(g))
    elif g.holds(State.SENDING):
        yield "finds its commit", g.at(At.NOT_LAUNCHED)
    else:
        yield "finds no commit of its own", g.at(At.CLAIMED) if g.holds(State.CLAIMED) else g.left()


def _waiting(g: Guarding) -> Iterator[Way]:
    answered = g.with_remote(g.remote._replace(reply=Reply.NONE))
    match g.remote.reply:
        case Reply.ID:
            yield "gets an id", g.at(At.HAS_ID, answered)
        case Reply.REJECTED:
            yield "gets a refusal", g.at(At.REJECTED, answered)
        case Reply.LIMITED:
            yield "gets a 429", g.at(At.NOT_LAUNCHED, answered)
        case Reply.NONE:
            pass
    mistaken = g.scene.mutations.lost_reply_is_rejected
    yield "gets no answer", g.at(At.REJECTED if mistaken else At.UNKNOWN)


def _has_id(g: Guarding) -> Iterator[Way]:
    journals = tuple(sorted({*g.remote.journals, g.scene.journal_of(g.process)}))
    yield "appends to the journal", g.at(At.NOTED, g.with_remote(g.remote._replace(journals=journals)))


def _noted(g: Guarding) -> Iterator[Way]:
    if g.holds(State.SENDING):
        yield "record_launched", g.at(At.GUARDING, g.with_row(running(g.row)))
    else:
        yield "finds it lost", g.left()


def _not_launched(g: Guarding) -> Iterator[Way]:
    if not g.holds(State.SENDING):
        yield "finds it lost", g.left()
    elif len(g.row.sends) >= g.scene.bounds.tries:
        row = ended(g.row, Outcome.NOT_SENT, Hold.RELEASED)._replace(sends=g.row.decided(Verdict.NOT_SENT))
        yield "record_not_sent, the last try", g.left(g.with_row(row))
    else:
        row = moved(g.row, State.CLAIMED)._replace(sends=g.row.decided(Verdict.NOT_SENT))
        yield "record_not_sent", g.at(At.CLAIMED, g.with_row(row))


def _rejected(g: Guarding) -> Iterator[Way]:
    if not g.holds(State.SENDING):
        yield "finds it lost", g.left()
        return
    row = ended(g.row, Outcome.REJECTED, Hold.RELEASED)._replace(sends=g.row.decided(Verdict.REJECTED))
    yield "record_rejected", g.left(g.with_row(row))


def resolved(g: Guarding) -> Iterator[Way]:
    """The service is asked what became of the launch, where it can be. What starts nothing is fenced, then recorded."""
    if not (g.scene.bounds.can_find and g.row.box):
        return
    if g.remote.started:
        yield "resolve: found", g.at(At.GUARDING, g.with_row(running(g.row)))
    elif g.remote.box is Box.THERE and not g.scene.mutations.absent_is_not_launched:
        yield "resolve: fences it", g.with_remote(without_box(g.remote))
    else:
        verdict = Verdict.NOT_SENT if g.row.state is State.SENDING else Verdict.RULED
        row = ended(g.row, Outcome.NOT_SENT, Hold.RELEASED)._replace(sends=g.row.decided(verdict))
        yield "resolve: not launched", g.left(g.with_row(row))


def _unknown(g: Guarding) -> Iterator[Way]:
    if g.holds(State.SENDING):
        yield from resolved(g)
    if not g.holds(State.SENDING):
        yield "finds it lost", g.left()
    elif g.scene.mutations.resend_after_unknown:
        row = moved(g.row, State.CLAIMED)._replace(sends=g.row.decided(Verdict.UNKNOWN))
        yield "sends again", g.at(At.CLAIMED, g.with_row(row))
    else:
        row = unconfirmed(g.row)
        if g.scene.mutations.release_on_unknown:
            row = row._replace(hold=Hold.RELEASED)
        yield "record_unconfirmed", g.at(At.GUARDING, g.with_row(row))


def _guarding(g: Guarding) -> Iterator[Way]:
    if g.row.state not in HOLDING or not g.row.is_of(g.process, g.local.fence):
        yield ("finds it lost", g.left())
        if not (g.scene.mutations.no_fence and g.row.state in (State.RUNNING, State.STOPPING)):
            return
    if g.row.state is State.RUNNING:
        yield "request_stop timeout", g.with_row(stopped(g.row, StopReason.TIMEOUT))
    if g.row.state is State.UNCONFIRMED:
        yield from resolved(g)
    may_stop = not g.scene.bounds.can_find
    if may_stop and g.row.state in (State.STOPPING, State.UNCONFIRMED) and g.row.box and g.remote.box is Box.THERE:
        yield "discard", g.with_remote(without_box(g.remote))
    if g.row.state is State.STOPPING:
        yield from _stopping(g)
    if g.row.state in (State.RUNNING, State.STOPPING) and g.remote.live == 0 and g.remote.shows is not None:
        outcome = settled_outcome(g.remote.shows, g.row.stop)
        yield f"settle {outcome}", g.left(g.with_row(ended(g.row, outcome, Hold.SETTLED)))


def _stopping(g: Guarding) -> Iterator[Way]:
    if g.remote.live:
        yield "cancel, obeyed", g.with_remote(g.remote._replace(live=0, shows=Ending.CANCELLED))
    if g.scene.bounds.operator and not g.row.alarmed:
        yield "record_alarm", g.with_row(g.row._replace(alarmed=True))
    if g.scene.mutations.settle_on_cancel:
        outcome = settled_outcome(Ending.CANCELLED, g.row.stop)
        yield f"cancel answered 200: settle {outcome}", g.left(g.with_row(ended(g.row, outcome, Hold.SETTLED)))


HANDLERS: dict[At, Callable[[Guarding], Iterator[Way]]] = {
    At.CLAIMED: _claimed,
    At.MARKED: _marked,
    At.IN_DOUBT: _in_doubt,
    At.WAITING: _waiting,
    At.HAS_ID: _has_id,
    At.NOTED: _noted,
    At.NOT_LAUNCHED: _not_launched,
    At.REJECTED: _rejected,
    At.UNKNOWN: _unknown,
    At.GUARDING: _guarding,
}
