"""Builds the records of runs.log from runs, one function per kind of record. Pure.

Costs and tokens that the provider never reported are `-`, never 0. Values are not sanitized here, because the format
of the log quotes them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping

from console.domain.log_record import RESERVED, LogRecord
from console.domain.run import NON_RUN_OUTCOMES, Run
from console.domain.usage import money_text, units_text

UNKNOWN = "-"
_FIELD_NAME = re.compile(r"[a-z][a-z0-9_]*\Z", re.ASCII)


def launched(run: Run, at_ms: int) -> LogRecord:
    """Build the record of a run that has got its remote id."""
    more = {"hold": units_text(run.limits.budget), "remote": run.remote_id or UNKNOWN}
    return _record(run, at_ms, "launched", {**_fields(run, _stop_reason(run), ended=False), **more})


def unconfirmed(run: Run, at_ms: int, why: str) -> LogRecord:
    """Build the record of a run that may be running without a known remote id."""
    more = {"hold": units_text(run.limits.budget), "why": why or UNKNOWN}
    return _record(run, at_ms, "unconfirmed", {**_fields(run, _stop_reason(run), ended=False), **more})


def ended(run: Run, at_ms: int) -> LogRecord:
    """Build the record of an ended run. Its `units` are what the caps were charged."""
    fields = {**_fields(run, _stop_reason(run), ended=True), "hold": units_text(run.limits.budget)}
    return LogRecord(
        ev=0,
        at_ms=at_ms,
        key=run.key,
        status=run.outcome.value if run.outcome else UNKNOWN,
        elapsed_ms=run.elapsed_ms,
        units=run.used,
        fields=fields,
    )


def not_run(run: Run, at_ms: int, reason: str) -> LogRecord:
    """Build the record of a skip (`reason` is done, running or missed) or a refusal (`reason` is its kind).

    Raises ValueError if `run` is a real run.
    """
    if run.outcome not in NON_RUN_OUTCOMES:
        raise ValueError(f"{run.id} is a run: {run.outcome}")
    return _record(run, at_ms, str(run.outcome), _fields(run, reason, ended=False))


def refused_proposal(run: Run, at_ms: int, reason: str) -> LogRecord:
    """Build the record of a refused approval; the proposal stays open."""
    return _record(run, at_ms, "refused", _fields(run, reason, ended=False))


def note(event: str, fields: Mapping[str, str], run: Run | None, at_ms: int) -> LogRecord:
    """Build a record for anything else. Raises ValueError for a field name the log format does not accept."""
    for name in fields:
        if not _FIELD_NAME.match(name) or name in RESERVED or (name in ("event", "task", "run") and run is not None):
            raise ValueError(f"not a field name for a note: {name!r}")
    about = {"task": run.task, "run": str(run.id)} if run else {}
    key = run.key if run else UNKNOWN
    return LogRecord(ev=0, at_ms=at_ms, key=key, status="note", fields={"event": event, **about, **_filled(fields)})


def to_json(record: LogRecord) -> str:
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


def from_json(ev: int, text: str) -> LogRecord:
    """Parse what `to_json` wrote. Raises ValueError or TypeError for anything else."""
    return LogRecord(ev=ev, **json.loads(text))


def _record(run: Run, at_ms: int, status: str, fields: Mapping[str, str]) -> LogRecord:
    return LogRecord(ev=0, at_ms=at_ms, key=run.key, status=status, fields=_filled(fields))


def _fields(run: Run, reason: str, *, ended: bool) -> dict[str, str]:
    """The fields after the five leading ones, in the order of the log. With `ended` false, nothing was used yet."""
    has_cost = ended and run.cost_micro is not None
    return {
        "task": run.task,
        "run": run.id,
        "attempt": str(run.attempt),
        "stage": run.stage.label,
        "origin": run.origin.value,
        "reason": reason,
        "day": run.day,
        "tokens": "0" if not ended else str(run.usage.total) if run.usage_known else UNKNOWN,
        "cost": money_text(run.cost_micro) if has_cost and run.cost_micro is not None else UNKNOWN,
        "currency": run.currency or UNKNOWN if has_cost else UNKNOWN,
    }


def _stop_reason(run: Run) -> str:
    return run.stop.reason.value if run.stop else UNKNOWN


def _filled(fields: Mapping[str, str]) -> dict[str, str]:
    return {name: value or UNKNOWN for name, value in fields.items()}
