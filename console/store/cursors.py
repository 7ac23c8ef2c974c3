"""How far each schedule has come, and which failed keys are due again: a restart repeats and forgets nothing."""

from __future__ import annotations

from collections.abc import Collection

from console.domain.run import Run
from console.store.database import Database, Transaction
from console.store.rows import run_of
from console.store.statements import fetch_all, fetch_one

NAMES = "select name, value from meta where name like 'instant:%'"
FORGET = "delete from meta where name = :name"
SELECT = "select value from meta where name = :name"
START = "insert into meta (name, value) values (:name, :value) on conflict (name) do nothing"
ADVANCE = "update meta set value = :value where name = :name and cast(value as integer) < cast(:value as integer)"
DUE_RETRIES = """
    select * from runs where outcome = 'failed' and retry_at_ms <= :now
    and attempt = (select max(attempt) from runs later where later.key = runs.key)
    order by retry_at_ms
"""
DONE_RETRY = "update runs set retry_at_ms = null where id = :id"


class ScheduleCursors:
    """`schedule` names one schedule of one task: an edited one is another and begins at its first sight."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def reached(self, schedule: str) -> int | None:
        """UTC milliseconds up to which every instant was dealt with; None at first sight. Raises StoreError."""

        async def unit(tx: Transaction) -> int | None:
            row = await fetch_one(tx, SELECT, {"name": f"instant:{schedule}"})
            return int(row["value"]) if row else None

        return await self._database.read(unit)

    async def begin(self, schedules: Collection[str], *, now_ms: int, beyond_ms: int) -> None:
        """Only `schedules` go on; those not seen before begin at `now_ms`, as do those that are past `beyond_ms`.

        A schedule that was away, under another text or without its task, thus begins anew where it comes back, and
        one that a wrong clock took into the future comes back to the present. Raises StoreError.
        """

        async def unit(tx: Transaction) -> None:
            kept = {f"instant:{schedule}" for schedule in schedules}
            for row in await fetch_all(tx, NAMES, {}):
                if row["name"] not in kept or int(row["value"]) > beyond_ms:
                    await tx.execute_fetchall(FORGET, {"name": row["name"]})
            for name in sorted(kept):
                await tx.execute_fetchall(START, {"name": name, "value": str(now_ms)})

        await self._database.transaction(unit)

    async def advance(self, schedule: str, *, to_ms: int) -> None:
        """Everything up to `to_ms` is dealt with; never goes back. Raises StoreError."""

        async def unit(tx: Transaction) -> None:
            await tx.execute_fetchall(ADVANCE, {"name": f"instant:{schedule}", "value": str(to_ms)})

        await self._database.transaction(unit)

    async def due_retries(self, now_ms: int) -> tuple[Run, ...]:
        """Failed runs whose key is to be tried again by now, the longest due first. Raises StoreError."""

        async def unit(tx: Transaction) -> tuple[Run, ...]:
            return tuple(run_of(row) for row in await fetch_all(tx, DUE_RETRIES, {"now": now_ms}))

        return await self._database.read(unit)

    async def retried(self, run: Run) -> None:
        """The next attempt was made or refused: this one asks for none any more. Raises StoreError."""

        async def unit(tx: Transaction) -> None:
            await tx.execute_fetchall(DONE_RETRY, {"id": run.id})

        await self._database.transaction(unit)
