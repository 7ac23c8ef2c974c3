"""The table `events`: what happened to each run, and the log records that wait to be written to runs.log.

A row with a number `ev` carries one record of the log. It is committed with the change it describes; a process then
writes it to the file and marks it. The file can be rebuilt from these rows. Values of a record are not sanitized here,
because the format of the log quotes them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from console.domain.log_record import LogRecord, is_field_name
from console.domain.run import NON_RUN_OUTCOMES, Run
from console.domain.task import DEFAULT_PROVIDER, canonical_json
from console.domain.usage import money_text, units_text
from console.store.database import Database, Transaction
from console.store.rows import Row, Value, damage_if_unreadable, fetch_all, int_of, text_of, to_sqlite_text

UNKNOWN = "-"
"""Stands for a value that the log does not have: a cost that the provider never reported is not 0."""
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


def event_of(row: Row) -> EventRow:
    """Return the event of a row. Raises StoreDamaged."""
    with damage_if_unreadable("an event of a run"):
        detail = json.loads(row["detail"])
        if not isinstance(detail, dict):
            raise TypeError("its facts are not an object")
        return EventRow(id=row["id"], at_ms=int_of(row, "at_ms"), kind=text_of(row, "kind"), detail=detail)


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
            "record": record_to_json(record) if record else None,
        },
    )


async def _load_records(tx: Transaction, sql: str, parameters: dict[str, Value]) -> tuple[LogRecord, ...]:
    records = []
    for row in await fetch_all(tx, sql, parameters):
        with damage_if_unreadable(f"record {row['ev']} of the log"):
            records.append(record_from_json(row["ev"], row["record"]))
    return tuple(records)


def launched_record(run: Run, at_ms: int) -> LogRecord:
    """Build the record of a run that has got its remote id."""
    return _record(run, at_ms, "launched", hold=units_text(run.limits.budget), remote=run.remote_id)


def unconfirmed_record(run: Run, at_ms: int, why: str) -> LogRecord:
    """Build the record of a run that may be running without a known remote id."""
    return _record(run, at_ms, "unconfirmed", hold=units_text(run.limits.budget), why=why)


def ended_record(run: Run, at_ms: int, *, by: str | None = None) -> LogRecord:
    """Build the record of an ended run. Its `units` are what the caps were charged.

    `by` is the person who ended it by a decision; by default that of the stop, if there was one.
    """
    by = by or (run.stop.by if run.stop else None)
    return _record(run, at_ms, str(run.outcome or UNKNOWN), ended=True, hold=units_text(run.limits.budget), by=by)


def not_run_record(run: Run, at_ms: int, reason: str) -> LogRecord:
    """Build the record of a skip (`reason` is done, running or missed) or a refusal (`reason` is its kind).

    Raises ValueError if `run` is a real run.
    """
    if run.outcome not in NON_RUN_OUTCOMES:
        raise ValueError(f"{run.id} is a run: {run.outcome}")
    return _record(run, at_ms, str(run.outcome), reason)


def refused_proposal_record(run: Run, at_ms: int, reason: str) -> LogRecord:
    """Build the record of a refused approval; the proposal stays open."""
    return _record(run, at_ms, "refused", reason)


def note_record(event: str, fields: Mapping[str, str], run: Run | None, at_ms: int) -> LogRecord:
    """Build a record for anything else. Raises ValueError for a field name the log format does not accept."""
    for name in fields:
        if not is_field_name(name) or (name in ("event", "task", "run") and run is not None):
            raise ValueError(f"not a field name for a note: {name!r}")
    about = {"task": run.task, "run": str(run.id)} if run else {}
    key = run.key if run else UNKNOWN
    return LogRecord(ev=0, at_ms=at_ms, key=key, status="note", fields={"event": event, **about, **_filled(fields)})


def record_to_json(record: LogRecord) -> str:
    """Serialize everything of the record but its number."""
    return json.dumps(
        {
            "at_ms": record.at_ms,
            "key": record.key,
            "status": record.status,
            "elapsed_ms": record.elapsed_ms,
            "units": record.units,
            "fields": dict(record.fields),
        },
        ensure_ascii=True,
        separators=(",", ":"),
    )


def record_from_json(ev: int, text: str) -> LogRecord:
    """Parse what `record_to_json` wrote. Raises ValueError or TypeError for anything else."""
    return LogRecord(ev=ev, **json.loads(text))


def _record(
    run: Run, at_ms: int, status: str, reason: str | None = None, *, ended: bool = False, **more: str | None
) -> LogRecord:
    """Build a record with the fields of `run` in the order of the log, then `more`; an empty value becomes `-`.

    Without a `reason` it is that of the stop. Unless the run has `ended`, nothing was used yet.
    """
    if reason is None:
        reason = run.stop.reason.value if run.stop else UNKNOWN
    tokens = str(run.usage.total) if run.usage_known else UNKNOWN
    cost_micro = run.cost_micro if ended else None
    fields = {
        "task": run.task,
        "run": run.id,
        "attempt": str(run.attempt),
        "stage": run.stage.label,
        "origin": run.origin.value,
        "reason": reason,
        "day": run.day,
        "tokens": tokens if ended else "0",
        "cost": UNKNOWN if cost_micro is None else money_text(cost_micro),
        "currency": UNKNOWN if cost_micro is None else run.currency,
        **({} if run.fingerprint.provider == DEFAULT_PROVIDER else {"provider": run.fingerprint.provider}),
        **more,
    }
    return LogRecord(
        ev=0,
        at_ms=at_ms,
        key=run.key,
        status=status,
        elapsed_ms=run.elapsed_ms if ended else 0,
        units=run.used if ended else 0,
        fields=_filled(fields),
    )


def _filled(fields: Mapping[str, str | None]) -> dict[str, str]:
    return {name: value or UNKNOWN for name, value in fields.items()}
