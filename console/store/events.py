"""The table `events`: what happened to each run, and the log records that wait to be written to runs.log.

A row with a number `ev` carries one record of the log. It is committed with the change it describes; a process then
writes it to the file and marks it. The file can be rebuilt from these rows.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from console.domain.log_record import LogRecord
from console.domain.run import Run
from console.domain.task import canonical_json
from console.domain.timestamps import iso_ms
from console.store.database import Database, Transaction
from console.store.log_records import from_json, to_json
from console.store.rows import Row, Value, damage_if_unreadable, fetch_all, int_of, text_of, to_sqlite_text

_FIRST_TIME_MS = 10**11
"""A fact in `_ms` of at least this many milliseconds is a time (after 1973), a smaller one a duration."""

INSERT_EVENT = """
    insert into events (run_id, at_ms, kind, detail, ev, record)
    values (
        :run_id, :at_ms, :kind, :detail,
        case when :record is null then null else (select coalesce(max(ev), 0) + 1 from events) end, :record
    )
"""
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
MARK_LOGGED = "update events set logged = 1 where ev = :ev and logged = 0"


@dataclass(frozen=True, slots=True, kw_only=True)
class EventRow:
    """One event of a run's timeline."""

    id: int
    at_ms: int
    kind: str
    detail: Mapping[str, Value]
    """Facts by name. Texts may come from a provider and are not sanitized."""

    @property
    def text(self) -> str:
        """The facts in one line, as `name: value; …`; not sanitized."""
        return "; ".join(_format_fact(name, value) for name, value in self.detail.items())


def event_of(row: Row) -> EventRow:
    """Return the event of a row. Raises StoreDamaged."""
    with damage_if_unreadable("an event of a run"):
        detail = json.loads(row["detail"])
        if not isinstance(detail, dict):
            raise TypeError("its facts are not an object")
        return EventRow(id=row["id"], at_ms=int_of(row, "at_ms"), kind=text_of(row, "kind"), detail=detail)


def _format_fact(name: str, value: Value) -> str:
    """`remote id: v1_…`; times as ISO 8601, durations in seconds."""
    label = name.removesuffix("_ms").replace("_", " ")
    if not name.endswith("_ms") or not isinstance(value, int):
        return f"{name.replace('_', ' ')}: {value}"
    return f"{label}: {iso_ms(value) if value >= _FIRST_TIME_MS else f'{value / 1000:g} s'}"


class Outbox:
    """Log records that are stored but may not be in runs.log yet."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def unlogged(self, limit: int = 500) -> tuple[LogRecord, ...]:
        """Return the oldest records that are not marked as written, in the order of `ev`."""
        return await self._database.read(lambda tx: _load_records(tx, SELECT_UNLOGGED, {"limit": limit}))

    async def mark_logged(self, numbers: Sequence[int]) -> None:
        """Mark the records with these numbers as written to the file. Marking one twice is harmless."""
        if not numbers:
            return

        async def unit(tx: Transaction) -> None:
            await tx.executemany(MARK_LOGGED, [{"ev": ev} for ev in numbers])

        await self._database.transaction(unit)

    async def all_records(self, after_ev: int = 0, limit: int = 500) -> tuple[LogRecord, ...]:
        """Return the records after number `after_ev`, written or not. Page by page they make the whole log again."""
        return await self._database.read(
            lambda tx: _load_records(tx, SELECT_AFTER, {"after": after_ev, "limit": limit})
        )


async def write_event(
    tx: Transaction,
    kind: str,
    at_ms: int,
    *,
    run: Run | None = None,
    record: LogRecord | None = None,
    **facts: str | int | None,
) -> None:
    """Insert one event, and with `record` one log record under the next number. Facts that are None are left out."""
    detail = {name: to_sqlite_text(fact) for name, fact in facts.items() if fact is not None}
    await fetch_all(
        tx,
        INSERT_EVENT,
        {
            "run_id": run.id if run else None,
            "at_ms": at_ms,
            "kind": kind,
            "detail": canonical_json(detail),
            "record": to_json(record) if record else None,
        },
    )


async def _load_records(tx: Transaction, sql: str, parameters: dict[str, Value]) -> tuple[LogRecord, ...]:
    records = []
    for row in await fetch_all(tx, sql, parameters):
        with damage_if_unreadable(f"record {row['ev']} of the log"):
            records.append(from_json(row["ev"], row["record"]))
    return tuple(records)
