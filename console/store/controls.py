"""What holds for every process on the state folder: the kill switch, who is there, and small facts by name."""

from __future__ import annotations

from dataclasses import dataclass

from console.domain.timestamps import Timestamp
from console.store.database import Database, Transaction
from console.store.events import write_event
from console.store.log_records import note
from console.store.statements import fetch_all, fetch_one


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnerRow:
    """A process that announced itself."""

    id: str
    kind: str
    pid: int
    started_ms: int
    beat_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PauseRow:
    """The kill switch is on."""

    by: str
    since_ms: int


SELECT_PAUSE = "select by, since_ms from controls where name = 'paused'"
INSERT_PAUSE = """
    insert into controls (name, by, since_ms) values ('paused', :by, :since_ms)
    on conflict do nothing
    returning name
"""
DELETE_PAUSE = "delete from controls where name = 'paused' returning name"
ANNOUNCE = """
    insert into owners (id, kind, pid, started_ms, beat_ms) values (:id, :kind, :pid, :now, :now)
    on conflict (id) do update set beat_ms = excluded.beat_ms
"""
WITHDRAW = "delete from owners where id = :id"
BEAT = "update owners set beat_ms = :now where id = :id"
SELECT_OWNERS = "select id, kind, pid, started_ms, beat_ms from owners order by started_ms, id"
SELECT_META = "select value from meta where name = :name"
KEEP_META = """
    insert into meta (name, value) values (:name, :value)
    on conflict (name) do update set value = excluded.value
"""


class Controls:
    """Writes and reads of those three."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def pause(self, *, by: str, now: Timestamp) -> bool:
        """No launch from here on. False where it was paused already; the first one stays named."""

        async def unit(tx: Transaction) -> bool:
            row = await fetch_one(tx, INSERT_PAUSE, {"by": by, "since_ms": now.wall_ms})
            if row is not None:
                await write_event(tx, "pause", now.wall_ms, record=note("pause", {"by": by}, None, now.wall_ms))
            return row is not None

        return await self._database.transaction(unit)

    async def resume(self, *, by: str, now: Timestamp) -> bool:
        """Launches are possible again. False where nothing was paused."""

        async def unit(tx: Transaction) -> bool:
            row = await fetch_one(tx, DELETE_PAUSE, {})
            if row is not None:
                await write_event(tx, "resume", now.wall_ms, record=note("resume", {"by": by}, None, now.wall_ms))
            return row is not None

        return await self._database.transaction(unit)

    async def paused(self) -> PauseRow | None:
        """Who pulled the kill switch, and when; None where it is not pulled."""
        return await self._database.read(paused_in)

    async def announce(self, owner_id: str, *, kind: str, pid: int, now: Timestamp) -> None:
        """This process is there. For diagnosis only: who is alive is told by kernel locks."""
        await self._write(ANNOUNCE, id=owner_id, kind=kind, pid=pid, now=now.wall_ms)

    async def withdraw(self, owner_id: str) -> None:
        """It has left, or was found dead."""
        await self._write(WITHDRAW, id=owner_id)

    async def beat(self, owner_id: str, now: Timestamp) -> None:
        """It is not stuck."""
        await self._write(BEAT, id=owner_id, now=now.wall_ms)

    async def owners(self) -> tuple[OwnerRow, ...]:
        """Every process that announced itself and has not left, oldest first."""

        async def unit(tx: Transaction) -> tuple[OwnerRow, ...]:
            return tuple(OwnerRow(**dict(row)) for row in await fetch_all(tx, SELECT_OWNERS, {}))

        return await self._database.read(unit)

    async def meta_get(self, name: str) -> str | None:
        """The fact of that name; None where it was never set."""

        async def unit(tx: Transaction) -> str | None:
            row = await fetch_one(tx, SELECT_META, {"name": name})
            return row["value"] if row else None

        return await self._database.read(unit)

    async def meta_set(self, name: str, value: str) -> None:
        """Sets it, also over another."""
        await self._write(KEEP_META, name=name, value=value)

    async def _write(self, sql: str, **parameters: str | int) -> None:
        async def unit(tx: Transaction) -> None:
            await fetch_all(tx, sql, parameters)

        await self._database.transaction(unit)


async def paused_in(tx: Transaction) -> PauseRow | None:
    """The kill switch as the open transaction sees it."""
    row = await fetch_one(tx, SELECT_PAUSE, {})
    return PauseRow(by=row["by"], since_ms=row["since_ms"]) if row else None
