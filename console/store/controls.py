"""What all processes of a state folder share: the kill switch, the list of processes, and small values by name."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from console.domain.timestamps import Timestamp
from console.store.errors import StoreError
from console.store.events import note_record, write_event
from console.store.pause_file import PauseRow, request_pause, requested_pause, withdraw_pause
from console.store.rows import fetch_all, fetch_one, int_of, text_of
from console.store.transaction import Database, Row, Transaction

SELECT_PAUSE = "select by, since_ms from controls where name = 'paused'"
INSERT_PAUSE = """
    insert into controls (name, by, since_ms) values ('paused', :by, :since_ms)
    on conflict do nothing
    returning name
"""
DELETE_PAUSE = "delete from controls where name = 'paused' returning name"
UPSERT_OWNER = """
    insert into owners (id, kind, pid, started_ms, beat_ms) values (:id, :kind, :pid, :now, :now)
    on conflict (id) do update set beat_ms = excluded.beat_ms
"""
DELETE_OWNER = "delete from owners where id = :id"
DELETE_DEAD_OWNER = """
    delete from owners
    where id = :id and not exists (
        select 1 from runs indexed by runs_open where state <> 'ended' and owner = :id
    )
    returning id
"""
DELETE_LEASELESS_OWNER = DELETE_DEAD_OWNER.replace("returning", "and until_ms <= now_ms() returning")
"""Only in a store of several hosts."""
SELECT_NAMED_OWNER = """
    select 1 from owners where id = :id
    union all
    select 1 from runs indexed by runs_open where state <> 'ended' and owner = :id
"""
UPDATE_BEAT = "update owners set beat_ms = :now where id = :id"
SELECT_OWNERS = "select id, kind, pid, started_ms, beat_ms from owners order by started_ms, id"
SELECT_META = "select value from meta where name = :name"
UPSERT_META = """
    insert into meta (name, value) values (:name, :value)
    on conflict (name) do update set value = excluded.value
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnerRow:
    """A process that registered itself. Whether it is alive is decided by its lock file, not by this row."""

    id: str
    kind: str
    pid: int
    started_ms: int
    beat_ms: int
    """Last sign of life, UTC ms."""


class Controls:
    """Reads and writes the kill switch, the owners and the values of `meta`. Every method raises StoreError."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def pause(self, *, by: str, now: Timestamp, why: str = "", busy_ms: int | None = None) -> bool:
        """Turn the kill switch on: nothing is launched. Return False if it was on already; its `by` stays.

        `busy_ms` is as in `Database.transaction`.
        """

        async def unit(tx: Transaction) -> bool:
            return await _insert_pause(tx, PauseRow(by=by, since_ms=now.wall_ms, why=why))

        return await self._database.transaction(unit, busy_ms=busy_ms, urgent=True)

    async def request_pause(self, *, by: str, now: Timestamp, why: str = "") -> None:
        """Turn the kill switch on where the database does not take it, with a file that counts from now on."""
        # In a thread: the disk may be the reason why the database does not answer.
        await asyncio.to_thread(request_pause, self._database.folder, by=by, now=now, why=why)

    async def adopt_pause(self) -> None:
        """Store a pause that was requested with a file; the file is removed by the next call after that."""
        folder = self._database.folder
        if requested_pause(folder) is None:
            return

        async def unit(tx: Transaction) -> None:
            # Read again: a resume may have removed it, which takes the same lock.
            request = requested_pause(folder)
            if request is not None and not await _insert_pause(tx, request):
                # The row is on disk, from an earlier transaction.
                withdraw_pause(folder)

        await self._database.transaction(unit)

    async def resume(self, *, by: str, now: Timestamp, why: str = "") -> bool:
        """Turn the kill switch off. Return False if it was off already."""
        folder = self._database.folder
        requested: PauseRow | None = None

        async def unit(tx: Transaction) -> bool:
            nonlocal requested
            requested = requested_pause(folder)
            withdraw_pause(folder)
            row = await fetch_one(tx, DELETE_PAUSE, {})
            was_on = row is not None or requested is not None
            if was_on:
                fields = {"by": by, **({"why": why} if why else {})}
                record = note_record("resume", fields, None, now.wall_ms)
                await write_event(tx, "resume", now.wall_ms, record=record)
            return was_on

        try:
            return await self._database.transaction(unit)
        except StoreError:
            if requested is not None:
                # Not resumed, so the pause goes on.
                await self.request_pause(by=requested.by, now=now, why=requested.why)
            raise

    async def paused(self) -> PauseRow | None:
        """Return who turned the kill switch on and when, or None while it is off."""
        return await self._database.read(lambda tx: load_pause(tx, self._database.folder))

    async def announce(self, owner_id: str, *, kind: str, pid: int, now: Timestamp) -> None:
        """Register this process, for display; kernel locks decide who is alive."""
        await self._write(UPSERT_OWNER, id=owner_id, kind=kind, pid=pid, now=now.wall_ms)

    async def withdraw(self, owner_id: str) -> None:
        """Remove the registration of a process that leaves."""
        await self._write(DELETE_OWNER, id=owner_id)

    async def remove_dead(self, owner_id: str, *, if_lease_is_over: bool = False) -> bool:
        """Remove the registration of a dead process unless an open run still names it as its owner.

        The caller holds the lock of that owner or, with `if_lease_is_over`, has seen that its lease is over. Return
        whether no registration is left, so that the lock file may be removed as well; False means that a run has to be
        taken over first.
        """

        async def unit(tx: Transaction) -> bool:
            delete = DELETE_LEASELESS_OWNER if if_lease_is_over else DELETE_DEAD_OWNER
            await fetch_all(tx, delete, {"id": owner_id})
            return await fetch_one(tx, SELECT_NAMED_OWNER, {"id": owner_id}) is None

        return await self._database.transaction(unit)

    async def beat(self, owner_id: str, now: Timestamp) -> None:
        """Record that the process is working."""
        await self._write(UPDATE_BEAT, id=owner_id, now=now.wall_ms)

    async def owners(self) -> tuple[OwnerRow, ...]:
        """Return all registered processes, the oldest first."""

        async def unit(tx: Transaction) -> tuple[OwnerRow, ...]:
            return tuple(map(owner_of, await fetch_all(tx, SELECT_OWNERS, {})))

        return await self._database.read(unit)

    async def meta_get(self, name: str) -> str | None:
        """Return the value stored under `name`, or None."""

        async def unit(tx: Transaction) -> str | None:
            row = await fetch_one(tx, SELECT_META, {"name": name})
            return text_of(row, "value") if row else None

        return await self._database.read(unit)

    async def meta_set(self, name: str, value: str) -> None:
        """Store `value` under `name`, replacing an earlier one."""
        await self._write(UPSERT_META, name=name, value=value)

    async def _write(self, sql: str, **parameters: str | int) -> None:
        async def unit(tx: Transaction) -> None:
            await fetch_all(tx, sql, parameters)

        await self._database.transaction(unit, gated=False)


async def load_pause(tx: Transaction, folder: Path) -> PauseRow | None:
    """Return the kill switch as the transaction sees it, or else as it was requested; None while it is off."""
    return pause_of(await fetch_all(tx, SELECT_PAUSE, {}), folder)


def pause_of(rows: Sequence[Row], folder: Path) -> PauseRow | None:
    """Return the kill switch that SELECT_PAUSE found, or else as it was requested; None while it is off."""
    if not rows:
        return requested_pause(folder)
    return PauseRow(by=text_of(rows[0], "by"), since_ms=int_of(rows[0], "since_ms"))


async def _insert_pause(tx: Transaction, pause: PauseRow) -> bool:
    """Store the pause; False if one is stored already."""
    row = await fetch_one(tx, INSERT_PAUSE, {"by": pause.by, "since_ms": pause.since_ms})
    if row is not None:
        fields = {"by": pause.by, **({"why": pause.why} if pause.why else {})}
        record = note_record("pause", fields, None, pause.since_ms)
        await write_event(tx, "pause", pause.since_ms, record=record)
    return row is not None


def owner_of(row: Row) -> OwnerRow:
    """Return the registration of a row. Raises StoreDamaged."""
    return OwnerRow(
        id=text_of(row, "id"),
        kind=text_of(row, "kind"),
        pid=int_of(row, "pid"),
        started_ms=int_of(row, "started_ms"),
        beat_ms=int_of(row, "beat_ms"),
    )
