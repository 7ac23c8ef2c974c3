"""A run as plain fields, for `--json` and for exports. Numbers are numbers or null, times ISO 8601 in UTC.

Scripts read these names, so they never change.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping

from console.domain.run import Run
from console.domain.server_limit import limit_text
from console.domain.timestamps import Timestamp, iso_ms

Json = dict[str, object]


def run_json(run: Run, now: Timestamp) -> Json:
    """The fields that every run has in every command."""
    return {
        "run": run.id,
        "key": run.key,
        "task": run.task,
        "target": run.target,
        "date": run.date,
        "attempt": run.attempt,
        "stage": run.stage.label,
        "origin": run.origin.value,
        "state": run.state.value,
        "outcome": run.outcome.value if run.outcome else None,
        "reason": run.stop.reason.value if run.stop else None,
        "units": run.used / 1000,
        "tokens": tokens(run),
        "cost": None if run.cost_micro is None else run.cost_micro / 1_000_000,
        "currency": run.currency,
        "elapsed": elapsed_ms(run, now) / 1000,
        "started_at": iso_ms(run.sent.wall_ms) if run.sent else None,
        "deadline_at": instant(run.deadline_ms),
        "ended_at": instant(run.ended_ms),
        "remote_id": run.remote_id,
        "type": run.type,
        "day": run.day,
        "by": run.requested_by,
        "note": run.note,
        "max_seconds": run.limits.max_ms / 1000,
        "budget_units": run.limits.budget / 1000,
        "created_at": iso_ms(run.created_ms),
        "expires_at": instant(run.expires_ms),
        "remote_status": run.remote_status,
        "sandbox_id": run.sandbox_id,
        "steps": run.steps,
        "last_step": run.last_step,
        "stalled": run.stalled,
        "trouble": run.trouble,
        "superseded_by": run.superseded_by,
        "retry_at": instant(run.retry_at_ms),
        "provider": run.fingerprint.provider,
        "service": run.service,
        "server_limit": limit_text(run.limits.server_limit),
        "host": run.host or None,
    }


def tokens(run: Run) -> int | None:
    """All tokens so far; None where something was sent and no figure ever came."""
    return None if run.sent is not None and not run.usage_known else run.usage.total


def elapsed_ms(run: Run, now: Timestamp) -> int:
    """Real milliseconds since the launch was sent: to the end, or until now."""
    if run.ended_ms is not None or run.sent is None:
        return run.elapsed_ms
    return now.since(run.sent)


def instant(wall_ms: int | None) -> str | None:
    """`2026-11-23T03:06:52.114Z`, or None."""
    return None if wall_ms is None else iso_ms(wall_ms)


FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")
"""A cell that begins so would be run by a spreadsheet; an agent may have written it."""


def plain(value: object) -> object:
    """A value of a CSV cell: text that a spreadsheet would take for a formula begins with an apostrophe."""
    return f"'{value}" if isinstance(value, str) and value.startswith(FORMULA) else value


def csv_text(rows: Iterable[Mapping[str, object]], *, head: bool) -> str:
    """Rows as RFC 4180 writes them, with the names first where `head` is true; None is empty."""
    text = io.StringIO()
    writer: csv.DictWriter[str] | None = None
    for row in rows:
        if writer is None:
            writer = csv.DictWriter(text, list(row))
            if head:
                writer.writeheader()
        writer.writerow({name: plain(value) for name, value in row.items()})
    return text.getvalue()
