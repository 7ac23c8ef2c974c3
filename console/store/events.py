"""The table `events`: what happened to each run, and the records of runs.log.

A row with a number `ev` carries one record of the log. It is committed with the change it describes; processes then
write to the file what follows its last line, and the whole file can be rebuilt from these rows. Values of a record are
not sanitized here, because the format of the log quotes them.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from console.domain.log_record import LogRecord, is_field_name
from console.domain.run import NON_RUN_OUTCOMES, Run
from console.domain.task import DEFAULT_PROVIDER, canonical_json
from console.domain.usage import money_text, units_text
from console.store.errors import StoreDamaged
from console.store.rows import damage_if_unreadable, fetch_all, fetch_batch, int_of, text_of, to_storable
from console.store.transaction import Columns, Database, Row, Statement, Transaction, Value

UNKNOWN = "-"
"""Stands for a value that the log does not have: a cost that the provider never reported is not 0."""
INSERT_EVENT = """
    insert into events (run_id, at_ms, kind, detail, ev, record)
    values (
        :run_id, :at_ms, :kind, :detail,
        case when cast(:record as text) is not null then (select coalesce(max(ev), 0) + 1 from events) end, :record
    )
"""
SELECT_RECORD = "select ev, record from events where ev = :ev"
SELECT_AFTER = """
    select ev, record from events
    where ev > :after
    order by ev
    limit :limit
"""
SELECT_LAST_EV = "select coalesce(max(ev), 0) as ev from events"

BATCH = 500
"""Records that are read at once."""


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


class LogRecords:
    """The records of the log, each under its number without gaps."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def last_number(self) -> int:
        """Return the number of the newest record; 0 where there is none."""

        async def read(tx: Transaction) -> int:
            (row,) = await fetch_all(tx, SELECT_LAST_EV, {})
            return int_of(row, "ev")

        return await self._database.read(read)

    async def after(self, ev: int, limit: int = BATCH) -> tuple[LogRecord, ...]:
        """Return the records after number `ev` in order. Page by page, from 0 on, they make the whole log."""
        return await self._database.read(lambda tx: _load_after(tx, ev, limit))

    async def following(self, line: LogRecord, limit: int = BATCH) -> tuple[LogRecord, ...] | None:
        """Return the records after that of `line`; None where the line is of no record of this store.

        That is so where the log was written by a store that was replaced since, as by an older backup.
        """

        async def read(tx: Transaction) -> tuple[LogRecord, ...] | None:
            return await _load_after(tx, line.ev, limit) if await _is_written_as(tx, line) else None

        return await self._database.read(read)

    async def first_known(self, lines: Iterable[LogRecord]) -> LogRecord | None:
        """Return the first of `lines` that is of a record of this store; None if there is none."""

        async def read(tx: Transaction) -> LogRecord | None:
            for line in lines:
                if await _is_written_as(tx, line):
                    return line
            return None

        return await self._database.read(read)


async def _load_after(tx: Transaction, ev: int, limit: int) -> tuple[LogRecord, ...]:
    rows = await fetch_all(tx, SELECT_AFTER, {"after": ev, "limit": limit})
    return tuple(map(_record_of, rows))


async def _is_written_as(tx: Transaction, line: LogRecord) -> bool:
    """True if `line` is of the record with its number; further fields may depend on the version that wrote it.

    A record that cannot be read any more counts as written, so that it does not hold up those after it.
    """
    for row in await fetch_all(tx, SELECT_RECORD, {"ev": line.ev}):
        try:
            stored = _record_of(row)
        except StoreDamaged:
            return True
        same = (stored.at_ms, stored.key, stored.status) == (line.at_ms, line.key, line.status)
        return same and stored.fields.get("run") == line.fields.get("run")
    return False


def _record_of(row: Row) -> LogRecord:
    with damage_if_unreadable(f"record {row['ev']} of the log"):
        record = record_from_json(row["ev"], row["record"])
        host = host_of(row)
        return replace(record, fields={**record.fields, "host": host}) if host else record


def host_of(row: Row) -> str:
    """Return the host that wrote an event; empty where all processes run on one, which has no such column."""
    return row["host"] if "host" in row.keys() else ""  # noqa: SIM118 -- a row of SQLite iterates over its values


def event_statement(
    kind: str, at_ms: int, *, run: Run | None = None, record: LogRecord | None = None, **facts: str | int | None
) -> Statement:
    """Insert one event, and with `record` one log record under the next number. Facts that are None are left out."""
    detail = {name: to_storable(fact) for name, fact in facts.items() if fact is not None}
    columns: Columns = {
        "run_id": run.id if run else None,
        "at_ms": at_ms,
        "kind": kind,
        "detail": canonical_json(detail),
        "record": record_to_json(record) if record else None,
    }
    return Statement(INSERT_EVENT, columns)


async def write_event(
    tx: Transaction,
    kind: str,
    at_ms: int,
    *,
    run: Run | None = None,
    record: LogRecord | None = None,
    **facts: str | int | None,
) -> None:
    """Run the `event_statement` of these arguments."""
    await fetch_batch(tx, event_statement(kind, at_ms, run=run, record=record, **facts))


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
