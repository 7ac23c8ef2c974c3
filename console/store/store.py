"""The state store: one database per state folder, shared by any number of processes."""

from __future__ import annotations

import asyncio
from pathlib import Path

from console.domain.timestamps import Timestamp
from console.store.audit import AuditTrail
from console.store.bootstrap import prepare_store
from console.store.claims import ClaimRepository
from console.store.controls import Controls
from console.store.cursors import ScheduleCursors
from console.store.database import SqliteDatabase
from console.store.events import LogRecords
from console.store.fleet_settings import FleetSettings
from console.store.guard_records import GuardRecords
from console.store.history import History
from console.store.identity import StoreIdentity
from console.store.ledger import Ledger
from console.store.policy import PolicyRepository
from console.store.pragmas import BUSY_MS, JournalMode
from console.store.rollout import RolloutEvidence, Stages
from console.store.runs import RunRepository
from console.store.transaction import Database


class Store:
    """The repositories over one database.

    `await store.close()` ends the threads of the database; without it the process does not exit.
    """

    def __init__(self, database: Database) -> None:
        self.database = database
        self.claims = ClaimRepository(database)
        self.runs = RunRepository(database)
        self.ledger = Ledger(database)
        self.stages = Stages(database)
        self.controls = Controls(database)
        self.log_records = LogRecords(database)
        self.history = History(database)
        self.evidence = RolloutEvidence(database)
        self.identity = StoreIdentity(database)
        self.cursors = ScheduleCursors(database)
        self.audit = AuditTrail(database)
        self.guard_records = GuardRecords(database)
        self.policy = PolicyRepository(database)

    @classmethod
    async def open(
        cls,
        folder: Path,
        *,
        now: Timestamp,
        read_only: bool = False,
        create: bool = True,
        busy_ms: int = BUSY_MS,
        journal: JournalMode | None = None,
        fleet: FleetSettings | None = None,
    ) -> Store:
        """Open the store of `folder`; with `create` make it first if there is none. Many processes may do so at once.

        `busy_ms` is how long a statement waits for locks of other processes. `journal` sets the journal mode of a
        new store, for tests of both modes; None chooses the mode that is safe with this SQLite. With `fleet` the store
        is that of several machines, which `nightdesk store init` has made, and the folder is what this one keeps
        beside it. Raises StoreAbsent without a store and without `create`, StoreError.
        """
        if fleet is not None:
            # The driver is loaded where there is a fleet only: it takes a tenth of a second.
            from console.store.postgres.opening import open_fleet

            return cls(await open_fleet(folder, fleet, read_only=read_only, create=create))
        mode = await asyncio.to_thread(
            prepare_store, folder, now=now, read_only=read_only, create=create, busy_ms=busy_ms, journal=journal
        )
        return cls(await SqliteDatabase.connect(folder, journal=mode, busy_ms=busy_ms, read_only=read_only))

    async def close(self) -> None:
        """Close the database after the units of work that are running. Closing twice is harmless."""
        await self.database.close()
