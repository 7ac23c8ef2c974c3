"""Take-over of the runs of dead owners: one table, the same for every process and every crash point.

Recovery is idempotent: a crash within it leaves a row that the same table judges again.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from enum import StrEnum

from console.domain.run import Run, RunId, State
from console.domain.task import Fingerprint
from console.domain.timestamps import Timestamp
from console.engine.context import EngineContext
from console.engine.ownership import Ownership
from console.engine.run.lost_launch import can_resolve
from console.journal.log_files import JournalError


class RecoveryAction(StrEnum):
    """What becomes of the run."""

    LEAVE = "leave"
    """Nothing was sent and a person decides."""
    CONTINUE = "continue"
    """No byte was ever sent and its window is open: go on sending."""
    EXPIRE = "expire"
    """No byte was ever sent and its window is over: end it, give the hold back."""
    ADOPT = "adopt"
    """The id reached the launch journal but not the database: it runs."""
    RESOLVE = "resolve"
    """Bytes may have left, no id is known: the service is asked what became of them."""
    BLOCK = "block"
    """As before, and the service cannot be asked: unconfirmed, key and hold stay."""
    GUARD = "guard"
    """Go on where the other one stopped."""


def recovery_action(
    state: State, *, id_in_journal: bool, window_open: bool, can_resolve: bool = False
) -> RecoveryAction:
    """The recovery table.

    | found       | and                      | then     | crash points |
    |-------------|--------------------------|----------|--------------|
    | proposed    |                          | leave    |              |
    | claimed     | window open              | continue | K2 K3        |
    | claimed     | window over              | expire   | K2 K3        |
    | sending     | id in the launch journal | adopt    | K8           |
    | sending     | no id, service can tell  | resolve  | K4-K7        |
    | sending     | no id                    | block    | K4-K7        |
    | running     |                          | guard    | K9 K10 K13   |
    | stopping    |                          | guard    | K14-K16      |
    | unconfirmed |                          | guard    | K4-K7 K17    |
    | ended       |                          | leave    | K11 K12      |
    """
    match state:
        case State.CLAIMED:
            return RecoveryAction.CONTINUE if window_open else RecoveryAction.EXPIRE
        case State.SENDING:
            if id_in_journal:
                return RecoveryAction.ADOPT
            return RecoveryAction.RESOLVE if can_resolve else RecoveryAction.BLOCK
        case State.RUNNING | State.STOPPING | State.UNCONFIRMED:
            return RecoveryAction.GUARD
        case State.PROPOSED | State.ENDED:
            return RecoveryAction.LEAVE


def unsupervised_topic(run_id: RunId) -> str:
    """The topic of the problem that nobody here can supervise a run."""
    return f"unsupervised {run_id}"


class TakeOver:
    """Takes over open runs that nobody supervises, and expires proposals."""

    def __init__(
        self,
        context: EngineContext,
        ownership: Ownership,
        supervise: Callable[[Run], None],
        require_launchable: Callable[[], Awaitable[None]],
    ) -> None:
        """`supervise` begins to supervise a run of this owner;
        `require_launchable` raises StoreError where nothing may be launched from this state folder.
        """
        self._context = context
        self._ownership = ownership
        self._supervise = supervise
        self._require_launchable = require_launchable
        self.taking_from: frozenset[str] = frozenset()
        """The dead owner from whom a run is being taken over: its lock is held for that, so that it looks alive."""

    async def consider(self, row: Run, now: Timestamp) -> None:
        """Do for an open run what its state and its owner ask for.

        Raises StaleRun or OwnershipLost where another process was quicker, StoreError, OSError where it cannot be told
        who lives.
        """
        if row.state is State.PROPOSED:
            if row.expires_ms is not None and now.wall_ms >= row.expires_ms:
                await self._context.store.claims.expire(row.id, now)
        elif row.owner is None:
            if self._may_take(row) and self._may_take_from_elsewhere(row, now):
                await self._take(row, now)
        elif row.owner == self._context.owner:
            await self._take(row, now)
        else:
            with self._ownership.if_dead(row.owner) as dead:
                if not dead:
                    self._context.problems.clear(unsupervised_topic(row.id))
                elif self._may_take(row) and self._may_take_from_elsewhere(row, now):
                    self.taking_from = frozenset({row.owner})
                    try:
                        await self._take(row, now)
                    finally:
                        self.taking_from = frozenset()

    def _may_take(self, row: Run) -> bool:
        """False where this process could not poll or cancel the run: its service or its key is another."""
        problems, topic = self._context.problems, unsupervised_topic(row.id)
        if not self._context.settings.serves(row):
            here = self._context.settings.known_services
            problems.report(
                topic, f"run {row.id} of {row.service} is not supervised: this process is set up for {here}"
            )
            return False
        trouble = self._context.key_trouble_of(row)
        if trouble is not None:
            problems.report(topic, f"run {row.id} is not supervised here: {trouble}")
            return False
        problems.clear(topic)
        return True

    def _may_take_from_elsewhere(self, row: Run, now: Timestamp) -> bool:
        """False for a run of another host while its launch may still be answered there, or while a host that has its
        task may still send it. Raises OSError.
        """
        if not self._ownership.is_elsewhere(row.owner):
            return True
        if row.state is State.SENDING:
            return row.sent is None or now.since(row.sent) >= self._context.timings.answer_ms
        if row.state is State.CLAIMED and (row.expires_ms is None or now.wall_ms < row.expires_ms):
            task = self._context.settings.task(row.task)
            return task is not None and Fingerprint.of(task) == row.fingerprint
        return True

    async def _take(self, row: Run, now: Timestamp) -> None:
        """Make the run ours and do what the recovery table says."""
        runs = self._context.store.runs
        if row.state is State.CLAIMED and (row.expires_ms is None or now.wall_ms < row.expires_ms):
            # It would be sent: in a copy, or in a database that was put back, it may have been sent already.
            await self._require_launchable()
        mine: Run | None = row
        if row.owner != self._context.owner:
            elsewhere = self._ownership.is_elsewhere(row.owner)
            owner = self._context.owner
            mine = await runs.take_over(row, owner=owner, now=now, if_lease_is_over=elsewhere)
        if mine is None:
            return
        remote_id = self._id_in_journal(mine, now) if mine.state is State.SENDING else None
        window_open = mine.expires_ms is None or now.wall_ms < mine.expires_ms
        action = recovery_action(
            mine.state,
            id_in_journal=remote_id is not None,
            window_open=window_open,
            can_resolve=can_resolve(self._context, mine),
        )
        match action:
            case RecoveryAction.CONTINUE | RecoveryAction.GUARD | RecoveryAction.RESOLVE:
                self._supervise(mine)
            case RecoveryAction.EXPIRE:
                await self._context.store.claims.expire(mine.id, now)
            case RecoveryAction.ADOPT:
                adopted = await runs.adopt(
                    mine,
                    remote_id=remote_id or "",
                    by="nightdesk",
                    reason="its id stood in the launch journal",
                    now=now,
                )
                self._supervise(adopted)
            case RecoveryAction.BLOCK:
                why = "the process that launched it died before it had an answer"
                self._supervise(await runs.record_unconfirmed(mine, why=why, now=now))
            case RecoveryAction.LEAVE:
                pass

    def _id_in_journal(self, run: Run, now: Timestamp) -> str | None:
        """The id that came back for `run`; None where none did.

        A journal that cannot be read is tried again while the run is within its limit: `JournalError`. After that
        the run counts as one without an id.
        """
        try:
            remote_id = self._context.launches.read().get(run.id)
        except JournalError as error:
            self._context.problems.report("launch.journal", str(error), source="read")
            if run.sent is not None and not run.is_overdue(now):
                raise
            return None
        self._context.problems.clear("launch.journal", "read")
        return remote_id
