"""Log records that wait for the file. Rows first, lines after: the file is derived, and can be made again from here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from console.domain.log_record import LogRecord
from console.domain.run import Run
from console.domain.timestamps import iso_ms
from console.store.database import Database, Transaction
from console.store.log_records import details, from_json, to_json
from console.store.rows import Value, to_sqlite_text
from console.store.statements import fetch_all

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
    return tuple(from_json(row["ev"], row["record"]) for row in await fetch_all(tx, sql, parameters))


_INSTANT_MS = 10**11
"""From here on (1973) milliseconds are an instant, below it a span (three years)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EventRow:
    """One thing that happened."""

    id: int
    at_ms: int
    kind: str
    detail: Mapping[str, Value]
    """Facts by name; texts in it may be a provider's own, raw."""

    @property
    def text(self) -> str:
        """The facts in one line; raw, as they are."""
        return "; ".join(_told(name, value) for name, value in self.detail.items())


def _told(name: str, value: Value) -> str:
    """`remote id: v1_…`; instants as one reads them, spans in seconds."""
    label = name.removesuffix("_ms").replace("_", " ")
    if name == label.replace(" ", "_") or not isinstance(value, int):
        return f"{name.replace('_', ' ')}: {value}"
    return f"{label}: {iso_ms(value) if value >= _INSTANT_MS else f'{value / 1000:g} s'}"


INSERT_EVENT = """
    insert into events (run_id, at_ms, kind, detail, ev, record)
    values (
        :run_id, :at_ms, :kind, :detail,
        case when :record is null then null else (select coalesce(max(ev), 0) + 1 from events) end, :record
    )
"""


async def write_event(
    tx: Transaction,
    kind: str,
    at_ms: int,
    *,
    run: Run | None = None,
    record: LogRecord | None = None,
    **facts: str | int | None,
) -> None:
    """One row of the timeline, and with `record` one line of the log under the next number."""
    text = {name: to_sqlite_text(fact) for name, fact in facts.items()}
    await fetch_all(
        tx,
        INSERT_EVENT,
        {
            "run_id": run.id if run else None,
            "at_ms": at_ms,
            "kind": kind,
            "detail": details(**text),
            "record": to_json(record) if record else None,
        },
    )
