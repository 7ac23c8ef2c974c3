"""What the scheduler must remember over a restart: how far each schedule was handled, and which keys are retried."""

from __future__ import annotations

from collections.abc import Collection

from console.domain.run import Run
from console.store.rows import damage_if_unreadable, fetch_all, fetch_one, list_runs
from console.store.transaction import Database, Row, Transaction

SELECT_CURSORS = "select name, value from meta where name like 'instant:%'"
SELECT_CURSOR = "select value from meta where name = :name"
DELETE_CURSOR = "delete from meta where name = :name"
INSERT_CURSOR = "insert into meta (name, value) values (:name, :value) on conflict (name) do nothing"
ADVANCE_CURSOR = "update meta set value = :value where name = :name and cast(value as bigint) < cast(:value as bigint)"
SELECT_DUE_RETRIES = """
    select runs.* from runs where outcome = 'failed' and retry_at_ms <= :now
    and attempt = (select max(attempt) from runs later where later.key = runs.key)
    order by retry_at_ms
"""
SELECT_LAUNCHED = """
    select 1 from runs where task = :task and created_ms >= :since and attempt > 0 and state <> 'proposed' limit 1
"""
CLEAR_RETRY = "update runs set retry_at_ms = null where id = :id"


class ScheduleCursors:
    """Keeps a cursor per schedule: the time up to which every scheduled launch was handled.

    A schedule is named by its task and its text, so an edited schedule is a new one and starts at the time of the
    edit. Every method raises StoreError.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    async def reached(self, schedule: str) -> int | None:
        """Return the cursor of a schedule, UTC ms, or None for a schedule that is not known yet."""

        async def unit(tx: Transaction) -> int | None:
            row = await fetch_one(tx, SELECT_CURSOR, {"name": _name(schedule)})
            return _position(row) if row else None

        return await self._database.read(unit)

    async def begin(self, schedules: Collection[str], *, now_ms: int, beyond_ms: int) -> None:
        """Keep the cursors of `schedules` only, and start the new ones at `now_ms`.

        A schedule that was removed and comes back therefore starts anew. So does a cursor beyond `beyond_ms`, which
        a wrong clock has set into the future.
        """

        async def unit(tx: Transaction) -> None:
            kept = {_name(schedule) for schedule in schedules}
            for row in await fetch_all(tx, SELECT_CURSORS, {}):
                if row["name"] not in kept or _position(row) > beyond_ms:
                    await fetch_all(tx, DELETE_CURSOR, {"name": row["name"]})
            for name in sorted(kept):
                await fetch_all(tx, INSERT_CURSOR, {"name": name, "value": str(now_ms)})

        await self._database.transaction(unit)

    async def advance(self, schedule: str, *, to_ms: int) -> None:
        """Move the cursor of a schedule to `to_ms`; it never moves back."""

        async def unit(tx: Transaction) -> None:
            await fetch_all(tx, ADVANCE_CURSOR, {"name": _name(schedule), "value": str(to_ms)})

        await self._database.transaction(unit)

    async def has_launched(self, task: str, *, since_ms: int) -> bool:
        """Return whether a run of the task was launched at or after that time, by a schedule or by hand."""

        async def unit(tx: Transaction) -> bool:
            return await fetch_one(tx, SELECT_LAUNCHED, {"task": task, "since": since_ms}) is not None

        return await self._database.read(unit)

    async def due_retries(self, now_ms: int) -> tuple[Run, ...]:
        """Return the failed runs whose key is to be tried again by `now_ms`, the longest due first.

        Rows that cannot be read are left out.
        """

        async def unit(tx: Transaction) -> tuple[Run, ...]:
            return (await list_runs(tx, SELECT_DUE_RETRIES, {"now": now_ms})).runs

        return await self._database.read(unit)

    async def retried(self, run: Run) -> None:
        """Store that the retry of `run` was launched or refused, so that it is not due any more."""

        async def unit(tx: Transaction) -> None:
            await fetch_all(tx, CLEAR_RETRY, {"id": run.id})

        await self._database.transaction(unit)


def _name(schedule: str) -> str:
    return f"instant:{schedule}"


def _position(row: Row) -> int:
    with damage_if_unreadable("the position of a schedule"):
        return int(row["value"])
