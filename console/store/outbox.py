"""Log records that wait for the file. Rows first, lines after: the file is derived, and can be made again from here."""

from __future__ import annotations

from collections.abc import Sequence

from console.domain.record import LogRecord
from console.store.database import Database, Transaction
from console.store.records import from_json
from console.store.rows import Value
from console.store.statements import every

SELECT_UNLOGGED = """
    select ev, record from events
    where ev is not null and logged = 0
    order by ev
    limit :limit
"""
SELECT_AFTER = """
    select ev, record from events
    where ev > :after
    order by ev
    limit :limit
"""
MARK = "update events set logged = 1 where ev = :ev and logged = 0"


class Outbox:
    """Reads and marks."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def unlogged(self, limit: int = 500) -> tuple[LogRecord, ...]:
        """The oldest records that are not marked as written, in the order of `ev`."""
        return await self._database.read(lambda tx: _records(tx, SELECT_UNLOGGED, {"limit": limit}))

    async def mark_logged(self, up_to: Sequence[int]) -> None:
        """These numbers are in the file. Harmless twice."""
        if not up_to:
            return

        async def unit(tx: Transaction) -> None:
            await tx.executemany(MARK, [{"ev": ev} for ev in up_to])

        await self._database.transaction(unit)

    async def all_records(self, after_ev: int = 0, limit: int = 500) -> tuple[LogRecord, ...]:
        """Records after that number, written or not: page by page they make the whole file again."""
        return await self._database.read(lambda tx: _records(tx, SELECT_AFTER, {"after": after_ev, "limit": limit}))


async def _records(tx: Transaction, sql: str, parameters: dict[str, Value]) -> tuple[LogRecord, ...]:
    return tuple(from_json(row["ev"], row["record"]) for row in await every(tx, sql, parameters))
