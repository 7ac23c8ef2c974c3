"""The database of several hosts: a session for gated writes, one for the others and one for reads.

Each session is used by one unit at a time; what stops a run never waits for the gate.
"""

from __future__ import annotations

from pathlib import Path
from typing import TypeVar

from console.store.errors import StoreError
from console.store.fleet_settings import SCHEMA_NAME, FleetSettings
from console.store.postgres.door import Door
from console.store.postgres.words import VECTORS
from console.store.transaction import Transaction, Unit

T = TypeVar("T")


class PostgresDatabase:
    """See `Database`. `folder` is the state folder of this machine."""

    is_shared = True
    words = VECTORS

    def __init__(self, folder: Path, settings: FleetSettings, *, read_only: bool = False) -> None:
        """Nothing is connected yet. Raises ValueError for a name that is none of a schema."""
        if not SCHEMA_NAME.match(settings.schema):
            raise ValueError(f"not the name of a schema: {settings.schema!r}")
        self.folder = folder
        self.settings = settings
        self._reader = Door(settings, writes=False)
        self._gated = None if read_only else Door(settings, writes=True, gated=True)
        self._ungated = None if read_only else Door(settings, writes=True)

    async def transaction(
        self, unit: Unit[T], *, gated: bool = True, busy_ms: int | None = None, urgent: bool = False
    ) -> T:
        """See `Database`. Raises StoreUnknown where nobody says whether the unit is stored."""
        door = self._gated if gated else self._ungated
        if door is None:
            raise StoreError("the state store was opened for reading only")
        return await door.run(unit, busy_ms=busy_ms, urgent=urgent)

    async def read(self, unit: Unit[T], *, busy_ms: int | None = None) -> T:
        """See `Database`."""
        return await self._reader.run(unit, busy_ms=busy_ms)

    async def version(self, tx: Transaction) -> int | None:
        """Return None: the server counts no commits that a reader could compare."""
        return None

    async def close(self) -> None:
        """See `Database`."""
        for door in self._doors:
            await door.close()

    @property
    def session(self) -> str:
        """See `Database`. The session of ungated writes decides nothing."""
        return " ".join(door.session for door in (self._gated, self._reader) if door is not None)

    @property
    def in_transaction(self) -> bool:
        """See `Database`."""
        return any(door.is_busy for door in self._doors)

    @property
    def unit_s(self) -> float:
        """See `Database`."""
        return max(door.unit_s for door in self._doors)

    @property
    def _doors(self) -> tuple[Door, ...]:
        return tuple(door for door in (self._gated, self._ungated, self._reader) if door is not None)
