"""The lines of the log as the store makes them, one function per kind of line. Pure.

Money and tokens that were never told are `-`, never 0. Values need no cleaning here: the line's own format quotes.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping

from console.domain.log_record import RESERVED, LogRecord
from console.domain.run import NON_RUN_OUTCOMES, Run
from console.domain.task import canonical_json
from console.domain.usage import money_text, units_text

UNKNOWN = "-"
_FIELD = re.compile(r"[a-z][a-z0-9_]*\Z", re.ASCII)


def launched(run: Run, at_ms: int) -> LogRecord:
    """The provider gave an id."""
    more = {"hold": units_text(run.limits.budget), "remote": run.remote_id or UNKNOWN}
    return _record(run, at_ms, "launched", {**_fields(run, _stop_reason(run), told=False), **more})


def unconfirmed(run: Run, at_ms: int, why: str) -> LogRecord:
    """It may be running, and we hold no id."""
    more = {"hold": units_text(run.limits.budget), "why": why or UNKNOWN}
    return _record(run, at_ms, "unconfirmed", {**_fields(run, _stop_reason(run), told=False), **more})


def ended(run: Run, at_ms: int) -> LogRecord:
    """A run that came to its outcome. `units` is what the caps were charged."""
    fields = {**_fields(run, _stop_reason(run), told=True), "hold": units_text(run.limits.budget)}
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
    """A skip (`reason` is done, running or missed) or a refusal (`reason` is its kind). Raises ValueError for a run."""
    if run.outcome not in NON_RUN_OUTCOMES:
        raise ValueError(f"{run.id} is a run: {run.outcome}")
    return _record(run, at_ms, str(run.outcome), _fields(run, reason, told=False))


def refused_proposal(run: Run, at_ms: int, reason: str) -> LogRecord:
    """An approval that was refused; the proposal stays."""
    return _record(run, at_ms, "refused", _fields(run, reason, told=False))


def note(event: str, fields: Mapping[str, str], run: Run | None, at_ms: int) -> LogRecord:
    """Anything else worth a line. Raises ValueError for a field name that the log would refuse for ever after."""
    for name in fields:
        if not _FIELD.match(name) or name in RESERVED or (name in ("event", "task", "run") and run is not None):
            raise ValueError(f"not a field name for a note: {name!r}")
    whose = {"task": run.task, "run": str(run.id)} if run else {}
    key = run.key if run else UNKNOWN
    return LogRecord(ev=0, at_ms=at_ms, key=key, status="note", fields={"event": event, **whose, **_filled(fields)})


def to_json(record: LogRecord) -> str:
    """All of the record but its number."""
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
    """The record that `to_json` wrote. Raises ValueError, TypeError for anything else."""
    return LogRecord(ev=ev, **json.loads(text))


def details(**facts: str | int | None) -> str:
    """The detail of a timeline event; facts that are None are left out."""
    return canonical_json({name: fact for name, fact in facts.items() if fact is not None})


def _record(run: Run, at_ms: int, status: str, fields: Mapping[str, str]) -> LogRecord:
    return LogRecord(ev=0, at_ms=at_ms, key=run.key, status=status, fields=_filled(fields))


def _fields(run: Run, reason: str, *, told: bool) -> dict[str, str]:
    """The fields after the first five, in the order of the log. `told` False: nothing was used yet."""
    priced = told and run.cost_micro is not None
    return {
        "task": run.task,
        "run": run.id,
        "attempt": str(run.attempt),
        "stage": run.stage.label,
        "origin": run.origin.value,
        "reason": reason,
        "day": run.day,
        "tokens": "0" if not told else str(run.usage.total) if run.usage_known else UNKNOWN,
        "cost": money_text(run.cost_micro) if priced and run.cost_micro is not None else UNKNOWN,
        "currency": run.currency or UNKNOWN if priced else UNKNOWN,
    }


def _stop_reason(run: Run) -> str:
    return run.stop.reason.value if run.stop else UNKNOWN


def _filled(fields: Mapping[str, str]) -> dict[str, str]:
    return {name: value or UNKNOWN for name, value in fields.items()}
