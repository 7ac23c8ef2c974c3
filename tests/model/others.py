"""The steps of everybody but the supervisor of a run: other engines, the operator and the service."""

from __future__ import annotations

from collections.abc import Iterator
from typing import assert_never

from console.domain.run import Ending, Outcome, State, StopReason
from console.engine.recovery import RecoveryAction, recovery_action
from tests.invariants import Hold
from tests.model.guarding import ended, moved, running, stopped, unconfirmed, without_box
from tests.model.world import (
    Actor,
    Around,
    At,
    Box,
    KeyWorld,
    Life,
    Local,
    Move,
    Mutations,
    Reply,
    Row,
    Scene,
    Verdict,
)

LATE_ID = "adopts a late id"
OVERDUE = frozenset({State.RUNNING, State.UNCONFIRMED})
"""States in which any engine asks for the stop of an overdue run."""


def watch_moves(scene: Scene, key: KeyWorld, process: int, around: Around) -> Iterator[Move]:
    """A process reads the runs of the key that it does not supervise."""
    local = key.locals[process]
    if scene.bounds.hosts:
        yield from _late_ids(scene, key, process)
    if local.at is At.TAKEN:
        yield from _recovered(scene, key, process, local)
        return
    if local.at is not At.NOWHERE:
        return
    for attempt, row in enumerate(key.rows):
        if row.state in (State.ENDED, State.PROPOSED):
            continue
        yield from _considered(scene, key, process, around, attempt, row)


def _late_ids(scene: Scene, key: KeyWorld, process: int) -> Iterator[Move]:
    """A host finds in its own journal the id of a run that another host recorded as unconfirmed: a proof of launch."""
    own = [attempt for attempt, remote in enumerate(key.remotes) if process in remote.journals]
    for attempt, row in enumerate(key.rows):
        if row.state is State.UNCONFIRMED and (own if scene.mutations.adopts_foreign_id else attempt in own):
            yield Move(Actor.WATCH, LATE_ID, process, None, key.with_row(attempt, running(row)))


def _considered(scene: Scene, key: KeyWorld, process: int, around: Around, attempt: int, row: Row) -> Iterator[Move]:
    if row.owner is None or row.owner == process:
        after = key.with_local(process, Local(At.TAKEN, attempt, row.fence))
        yield Move(Actor.WATCH, "finds its own run unguarded", process, None, after)
        return
    # Who has no lease of its own takes nothing over.
    may_take = around.lives[process] is not Life.LAPSED
    if may_take and (around.lives[row.owner] is not Life.UP or scene.mutations.rob_the_living):
        taken = row._replace(owner=process, fence=row.fence + 1)
        after = key.with_row(attempt, taken).with_local(process, Local(At.TAKEN, attempt, taken.fence))
        yield Move(Actor.WATCH, "take_over", process, None, after)
    if around.lives[row.owner] is not Life.DEAD:
        if row.state in OVERDUE:
            after = key.with_row(attempt, stopped(row, StopReason.TIMEOUT))
            yield Move(Actor.WATCH, "request_stop overdue", process, None, after)
        if row.state is State.STOPPING and key.remotes[attempt].live:
            remote = key.remotes[attempt]._replace(live=0, shows=Ending.CANCELLED)
            yield Move(Actor.WATCH, "cancel overdue, obeyed", process, None, key.with_remote(attempt, remote))


def recovered(
    mutations: Mutations, row: Row, *, journalled: bool, window_open: bool, can_find: bool = False
) -> tuple[At, Row]:
    """Place and row after the recovery action of the program on a row that was taken over."""
    known = journalled and not mutations.recovery_forgets_journal
    can_resolve = can_find and row.box
    act = recovery_action(row.state, id_in_journal=known, window_open=window_open, can_resolve=can_resolve)
    if row.state is State.SENDING and mutations.recovery_resends:
        return At.CLAIMED, moved(row, State.CLAIMED)._replace(sends=row.decided(Verdict.NOT_SENT))
    match act:
        case RecoveryAction.CONTINUE:
            return At.CLAIMED, row
        case RecoveryAction.EXPIRE:
            return At.NOWHERE, ended(row, Outcome.EXPIRED, Hold.RELEASED)
        case RecoveryAction.ADOPT:
            return At.GUARDING, running(row)
        case RecoveryAction.BLOCK:
            return At.GUARDING, unconfirmed(row)
        case RecoveryAction.RESOLVE:
            return At.UNKNOWN, row
        case RecoveryAction.GUARD:
            return At.GUARDING, row
        case RecoveryAction.LEAVE:
            return At.NOWHERE, row
        case _:
            assert_never(act)


def _recovered(scene: Scene, key: KeyWorld, process: int, local: Local) -> Iterator[Move]:
    row = key.rows[local.attempt]
    if not row.is_of(process, local.fence):
        yield Move(Actor.WATCH, "was outrun", process, local.fence, key.with_local(process, Local()))
        return
    journalled = scene.journal_of(process) in key.remotes[local.attempt].journals
    for window_open in (True, False) if row.state is State.CLAIMED else (True,):
        can_find = scene.bounds.can_find
        at, after = recovered(scene.mutations, row, journalled=journalled, window_open=window_open, can_find=can_find)
        place = Local() if at is At.NOWHERE else Local(at, local.attempt, local.fence)
        what = f"recovers {row.state}: {after.state if after is not row else 'goes on'}"
        moved_on = key.with_row(local.attempt, after).with_local(process, place)
        yield Move(Actor.WATCH, what, process, local.fence, moved_on)


def operator_moves(scene: Scene, key: KeyWorld) -> Iterator[Move]:
    """Stops and settlements by an operator, from any process."""
    for attempt, row in enumerate(key.rows):
        for what, after in _acts(scene, key, attempt, row):
            yield Move(Actor.OPERATOR, what, None, None, after)


def _acts(scene: Scene, key: KeyWorld, attempt: int, row: Row) -> Iterator[tuple[str, KeyWorld]]:
    if row.stop is None and row.state not in (State.ENDED, State.PROPOSED):
        yield "request_stop operator", key.with_row(attempt, stopped(row, StopReason.OPERATOR))
    if row.state is State.UNCONFIRMED:
        yield from _rulings(scene, key, attempt, row)
    if row.state is State.UNCONFIRMED or (row.state is State.STOPPING and row.alarmed):
        yield "write_off", key.with_row(attempt, ended(row, Outcome.WRITTEN_OFF, Hold.SETTLED))


def _rulings(scene: Scene, key: KeyWorld, attempt: int, row: Row) -> Iterator[tuple[str, KeyWorld]]:
    remote = key.remotes[attempt]
    if remote.started:
        yield "adopt", key.with_row(attempt, running(row))
        if scene.bounds.can_find and row.box:
            # The service shows it, so nobody can rule otherwise.
            return
    if row.box and remote.box is Box.THERE and not scene.mutations.rule_without_sandbox:
        yield "discard before the ruling", key.with_remote(attempt, without_box(remote))
    else:
        ruled = ended(row, Outcome.NOT_SENT, Hold.RELEASED)._replace(sends=row.decided(Verdict.RULED))
        yield "rule_not_launched", key.with_row(attempt, ruled)


def service_moves(key: KeyWorld) -> Iterator[Move]:
    """POSTs arrive at any time, and agents end at any time."""
    for attempt, remote in enumerate(key.remotes):
        landed = remote._replace(flying=remote.flying - 1)
        refused = landed._replace(risked=remote.risked - 1)
        if remote.flying and remote.box is Box.GONE:
            after = key.with_remote(attempt, refused._replace(reply=Reply.REJECTED))
            yield Move(Actor.SERVICE, "refuses a POST into a deleted sandbox", None, None, after)
        elif remote.flying:
            agent = landed._replace(live=remote.live + 1, started=remote.started + 1, reply=Reply.ID)
            yield Move(Actor.SERVICE, "launches an agent", None, None, key.with_remote(attempt, agent))
            for reply in (Reply.REJECTED, Reply.LIMITED):
                after = key.with_remote(attempt, refused._replace(reply=reply))
                yield Move(Actor.SERVICE, f"refuses the POST: {reply}", None, None, after)
        if remote.live:
            for ending in (Ending.OK, Ending.FAILED):
                done = remote._replace(live=remote.live - 1, shows=ending)
                yield Move(Actor.SERVICE, f"shows {ending}", None, None, key.with_remote(attempt, done))
