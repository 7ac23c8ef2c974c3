"""Ownership between the hosts of a fleet: leases on the clock of the database, beside the kernel locks of this host.

Two processes that see each other's kernel locks judge by these, as on a single machine. All others judge by leases: a
process renews its own every few seconds, and one whose lease is over may lose its runs. That makes nothing unsafe,
because a write is refused by the fence of its run. A process that could not renew its lease starts no launch any more,
and goes on with all else.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

from console.domain.timestamps import Clock, Timestamp
from console.engine.errors import StoreError
from console.engine.fleet_clock import FleetClock
from console.engine.kernel_locks import KernelLocks
from console.engine.ownership import NOBODY
from console.store.postgres.leases import SCHEDULER, Lease, Leases, LeaseView, Process


@dataclass(frozen=True, slots=True, kw_only=True)
class LeaseTimes:
    """The intervals of leases, in milliseconds, so that a test can make them small."""

    renew_ms: int = 5_000
    """Between the beginnings of two renewals."""
    term_ms: int = 20_000
    """How far ahead of the database's clock a lease ends."""
    trust_ms: int = 12_000
    """For so long after the beginning of a renewal a process may launch: well before others take it for dead."""
    contact_ms: int = 20_000
    """Who has not reached the database for so long without a break takes nothing over: after a restart of the
    database all leases are over, and their holders are about to renew them."""
    schedule_ms: int = 30_000
    """A process whose scheduler did not come round for so long does not ask for that lease any more."""


class LeaseOwnership:
    """The owners of a fleet; implements `Ownership`. `exchange` is called once a tick where this process supervises."""

    def __init__(
        self, locks: KernelLocks, leases: Leases, clock: FleetClock, process: Process, times: LeaseTimes | None = None
    ) -> None:
        """`process` is what this process says of itself, under the id of `locks`."""
        self._locks = locks
        self._leases = leases
        self._clock = clock
        self._process = process
        self._times = times or LeaseTimes()
        self._view: LeaseView | None = None
        self._exchanged: Timestamp | None = None
        """When the last exchange began that was answered."""
        self._contact_since: Timestamp | None = None
        """Since when the database was reached without a break."""
        self._renewed: Timestamp | None = None
        """When the last renewal began that was confirmed."""
        self._schedules_since: Timestamp | None = None
        """When the last exchange began that confirmed the lease of the scheduler."""
        self._asked_to_schedule: Timestamp | None = None
        self._gives_schedule_back = False

    in_fleet = True

    @property
    def clock_behind_ms(self) -> int:
        """By how much the wall clock of this host is behind that of the database."""
        return self._clock.behind_ms

    @property
    def round_trip_ms(self) -> int | None:
        """How long an answer of the database takes; None before the first one."""
        return self._clock.round_trip_ms

    def host_of(self, owner: str) -> str:
        """The host on which the process `owner` runs; empty where that is not known."""
        lease = None if self._view is None else self._view.leases.get(owner)
        return "" if lease is None else lease.host

    @property
    def id(self) -> str:
        """The id of this process; `NOBODY` where it supervises nothing."""
        return self._locks.id

    def is_held(self) -> bool:
        """True while this process holds its kernel lock and trusts its lease."""
        return self._locks.is_held() and self._is_fresh(self._renewed)

    def release(self) -> None:
        """Give the kernel lock back. The lease ends with the row of this owner, or by itself."""
        self._locks.release()

    async def exchange(self) -> None:
        """Renew the lease where that is due, and learn what the others say. Raises StoreError."""
        now, times = self._clock.now(), self._times
        is_due = self._renewed is None or now.since(self._renewed) >= times.renew_ms
        wants = self._wants_schedule(now) and (is_due or self._holder() is None)
        gives_back = self._gives_schedule_back
        try:
            view = await self._leases.exchange(
                self._process,
                # The lease of the scheduler is worth nothing without that of its process.
                term_ms=times.term_ms if is_due or wants else 0,
                take=SCHEDULER if wants else None,
                give_back=SCHEDULER if gives_back else None,
            )
        except StoreError:
            self._contact_since = None
            raise
        if is_due or wants:
            self._renewed = now
        if gives_back:
            self._gives_schedule_back = False
        if view.holders.get(SCHEDULER) != self.id:
            self._schedules_since = None
        elif wants:
            self._schedules_since = now
        self._take_in(view, began=now)

    async def refresh(self) -> None:
        """Learn what the others say, where no exchange does. Raises StoreError."""
        now = self._clock.now()
        if self._exchanged is None or now.since(self._exchanged) >= self._times.renew_ms:
            self._take_in(await self._leases.view(), began=now)

    def is_alive(self, owner: str) -> bool:
        """True while the lease of `owner` is not over, or a process of this host holds its kernel lock.

        What the database said last counts while it is away. Raises OSError.
        """
        if not self.is_elsewhere(owner):
            return self._locks.is_alive(owner)
        return self._has_lease(owner)

    @contextlib.contextmanager
    def if_dead(self, owner: str) -> Iterator[bool]:
        """True where `owner` may be taken over from; its lease is checked again where that is stored.

        Raises OSError.
        """
        if not self.is_elsewhere(owner):
            with self._locks.if_dead(owner) as dead:
                yield dead
            return
        yield not self._has_lease(owner) and (self._was_given_back(owner) or self._has_contact())

    def is_elsewhere(self, owner: str | None) -> bool:
        """True where the kernel of this host cannot tell whether `owner` lives. Raises OSError."""
        if owner is None:
            return True
        lease = self._lease_of(owner)
        if lease is not None:
            return lease.locks != self._process.locks
        return not self._locks.is_alive(owner)

    def remove(self, owner: str) -> None:
        """Remove the lock file of a dead owner, if it was one of this host; within `if_dead`. Raises OSError."""
        self._locks.remove(owner)

    def remove_leftovers(self, known: Collection[str | None], *, before_ms: int) -> tuple[str, ...]:
        """Remove the lock files of dead owners of this host that are not `known`."""
        return self._locks.remove_leftovers(known, before_ms=before_ms)

    def take_schedule(self) -> bool:
        """True while this process holds the lease of the scheduler, which the next exchange asks for."""
        self._asked_to_schedule = self._clock.now()
        return self._is_fresh(self._schedules_since)

    def release_schedule(self) -> None:
        """Another process may schedule, from the next exchange on or once the row of this owner is gone."""
        self._gives_schedule_back = self._gives_schedule_back or self._asked_to_schedule is not None
        self._asked_to_schedule = self._schedules_since = None

    def scheduler(self) -> str | None:
        """The owner that held the lease of the scheduler when the database was reached last."""
        return self._holder()

    @property
    def view(self) -> LeaseView | None:
        """All leases as they were last; None before the first exchange."""
        return self._view

    def _take_in(self, view: LeaseView, *, began: Timestamp) -> None:
        ended = self._clock.now()
        self._clock.sample(view.now_ms, asked=view.asked, answered=view.answered)
        if (
            self._contact_since is None
            or self._exchanged is None
            or ended.since(self._exchanged) > self._times.trust_ms
        ):
            self._contact_since = ended
        self._exchanged = began
        self._view = view

    def _wants_schedule(self, now: Timestamp) -> bool:
        asked = self._asked_to_schedule
        return asked is not None and now.since(asked) <= self._times.schedule_ms

    def _holder(self) -> str | None:
        return None if self._view is None else self._view.holders.get(SCHEDULER)

    def _is_fresh(self, since: Timestamp | None) -> bool:
        return since is not None and self._clock.now().since(since) <= self._times.trust_ms

    def _has_contact(self) -> bool:
        now = self._clock.now()
        return (
            self._contact_since is not None
            and self._is_fresh(self._exchanged)
            and now.since(self._contact_since) >= self._times.contact_ms
        )

    def _lease_of(self, owner: str) -> Lease | None:
        if self._view is None:
            raise OSError("the leases of the fleet are not known yet")
        return self._view.leases.get(owner)

    def _has_lease(self, owner: str) -> bool:
        lease = self._lease_of(owner)
        return lease is not None and self._view is not None and lease.until_ms > self._view.now_ms

    def _was_given_back(self, owner: str) -> bool:
        """True also without a row: an owner has one before it claims anything, and removes it at its end."""
        lease = self._lease_of(owner)
        return lease is None or lease.until_ms == 0


def lock_domain(folder: Path, clock: Clock) -> str:
    """Return the text that is equal for processes which see each other's kernel locks in the state folder.

    A copy of the folder, and a clone of the machine, have another one. Raises OSError.
    """
    found = os.stat(folder)
    return f"{clock.now().boot_id} {found.st_dev:x}:{found.st_ino:x}"


def this_process(locks: KernelLocks, *, kind: str, host: str, domain: str, version: str) -> Process:
    """Return what this process says of itself."""
    return Process(
        id=locks.id, kind=kind, pid=os.getpid() if locks.id != NOBODY else 0, host=host, locks=domain, version=version
    )
