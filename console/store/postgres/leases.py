"""The leases of the processes of a fleet: rows that end by the clock of the database, so that all hosts judge alike.

A lease says who is taken for alive. It makes nothing safe: a write is refused by the fence of its run, not by a lease.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from console.domain.timestamps import Timestamp
from console.store.rows import int_of, text_of
from console.store.transaction import Columns, Database, Row, Statement, Transaction

SCHEDULER = "scheduler"
"""The lease of the process that schedules for the fleet."""

RENEW = """
    insert into owners (id, kind, pid, started_ms, beat_ms, host, locks, version, until_ms)
    values (:id, :kind, :pid, now_ms(), now_ms(), :host, :locks, :version, now_ms() + :term_ms)
    on conflict (id) do update set
        beat_ms = excluded.beat_ms, host = excluded.host, locks = excluded.locks, version = excluded.version,
        until_ms = excluded.until_ms
"""
TAKE = """
    insert into leases (name, owner, until_ms) values (:name, :id, now_ms() + :term_ms)
    on conflict (name) do update set owner = excluded.owner, until_ms = excluded.until_ms
    where leases.owner = excluded.owner or leases.until_ms <= now_ms() or not lease_lasts(leases.owner)
"""
GIVE_BACK = "update leases set until_ms = 0 where name = :name and owner = :id and until_ms <> 0"
LEASE_IS_OVER = "not lease_lasts(owner)"
"""Holds for a row of `runs` whose owner has no lease that lasts."""
SELECT_NOW = "select now_ms() as now_ms"
SELECT_LEASES = "select id, host, locks, version, until_ms from owners"
SELECT_HOLDERS = "select name, owner from leases where until_ms > now_ms() and lease_lasts(owner)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Process:
    """What a process says of itself in its lease."""

    id: str
    kind: str
    pid: int
    host: str
    """What its machine is called on screens."""
    locks: str
    """Equal for two processes that see each other's kernel locks: one state folder, in one boot of one machine."""
    version: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Lease:
    """The lease of one process."""

    host: str
    locks: str
    version: str
    until_ms: int
    """UTC ms by the clock of the database; 0 once it was given back."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LeaseView:
    """All leases at one moment."""

    now_ms: int
    """The clock of the database."""
    asked: Timestamp
    answered: Timestamp
    """When this host asked for the clock, and when it had the answer."""
    leases: Mapping[str, Lease]
    """By the id of their process."""
    holders: Mapping[str, str]
    """Who holds a named lease that is not over, by its name."""


class Leases:
    """Reads and writes leases, in one short transaction each that waits for no other writer of the store."""

    def __init__(self, database: Database, read_clock: Callable[[], Timestamp]) -> None:
        """`database` best has connections of its own; `read_clock` reads the clocks of this host."""
        self._database = database
        self._read_clock = read_clock

    async def exchange(
        self, process: Process, *, term_ms: int = 0, take: str | None = None, give_back: str | None = None
    ) -> LeaseView:
        """Renew the lease of `process` so that it ends in `term_ms`, unless that is 0, and return all leases.

        `take` and `give_back` name a lease that the process wants, or wants no more. Raises StoreError.
        """
        changes = []
        if term_ms:
            said: Columns = {
                "id": process.id,
                "kind": process.kind,
                "pid": process.pid,
                "host": process.host,
                "locks": process.locks,
                "version": process.version,
                "term_ms": term_ms,
            }
            changes.append(Statement(RENEW, said))
        if take is not None:
            changes.append(Statement(TAKE, {"name": take, "id": process.id, "term_ms": term_ms}))
        if give_back is not None:
            changes.append(Statement(GIVE_BACK, {"name": give_back, "id": process.id}))

        async def unit(tx: Transaction) -> LeaseView:
            if changes:
                await tx.batch(*changes)
            return await self._view(tx)

        # On the same connection also where nothing is changed.
        return await self._database.transaction(unit, gated=False)

    async def view(self) -> LeaseView:
        """Return all leases. Raises StoreError."""
        return await self._database.read(self._view)

    async def close(self) -> None:
        """Close the database."""
        await self._database.close()

    async def _view(self, tx: Transaction) -> LeaseView:
        asked = self._read_clock()
        ((clock,),) = await tx.batch(Statement(SELECT_NOW))
        answered = self._read_clock()
        leases, holders = await tx.batch(Statement(SELECT_LEASES), Statement(SELECT_HOLDERS))
        return LeaseView(
            now_ms=int_of(clock, "now_ms"),
            asked=asked,
            answered=answered,
            leases={text_of(row, "id"): _lease_of(row) for row in leases},
            holders={text_of(row, "name"): text_of(row, "owner") for row in holders},
        )


def _lease_of(row: Row) -> Lease:
    return Lease(
        host=text_of(row, "host"),
        locks=text_of(row, "locks"),
        version=text_of(row, "version"),
        until_ms=int_of(row, "until_ms"),
    )
