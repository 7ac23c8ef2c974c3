"""The state store: one database per state folder, shared by any number of processes. Everything durable is in here."""

from __future__ import annotations

import asyncio
from pathlib import Path

from console.domain.timestamps import Timestamp
from console.store.bootstrap import prepare_store
from console.store.claims import ClaimRepository
from console.store.controls import Controls
from console.store.cursors import ScheduleCursors
from console.store.database import Database
from console.store.events import Outbox
from console.store.history import History
from console.store.ledger import Ledger
from console.store.pragmas import BUSY_MS, JournalMode
from console.store.rollout import RolloutEvidence, Stages
from console.store.runs import RunRepository


class Store:
    """The parts, over one database. `await store.close()` ends its threads; without it the process does not end."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.launches = ClaimRepository(database)
        self.runs = RunRepository(database)
        self.ledger = Ledger(database)
        self.stages = Stages(database)
        self.controls = Controls(database)
        self.outbox = Outbox(database)
        self.history = History(database)
        self.evidence = RolloutEvidence(database)
        self.instants = ScheduleCursors(database)

    @classmethod
    async def open(
        cls,
        folder: Path,
        *,
        now: Timestamp,
        read_only: bool = False,
        busy_ms: int = BUSY_MS,
        journal: JournalMode | None = None,
    ) -> Store:
        """The store of `folder`, which first use makes, safely by many processes at once.

        `busy_ms`: how long a write waits for other processes. `journal`: what a new store gets, for tests of both
        modes; None is the safe one for this SQLite. Raises StoreError.
        """
        mode = await asyncio.to_thread(
            prepare_store, folder, now=now, read_only=read_only, busy_ms=busy_ms, journal=journal
        )
        return cls(await Database.connect(folder, journal=mode, busy_ms=busy_ms, read_only=read_only))

    async def close(self) -> None:
        """After what is being written; harmless twice."""
        await self.database.close()
