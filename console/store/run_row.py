"""A row of `runs` as the run it is. Beyond it nothing is cast or guessed."""

from __future__ import annotations

import json
import sqlite3
from dataclasses import fields

from console.domain.moment import Moment
from console.domain.run import Limits, Outcome, Reason, Run, RunId, State, StopRequest
from console.domain.task import CutOff, Fingerprint, Origin, Stage
from console.domain.usage import Usage

PLAIN = (
    *("key", "task", "type", "target", "date", "attempt", "note", "day", "created_ms", "deadline_ms", "expires_ms"),
    *("ended_ms", "elapsed_ms", "sandbox_id", "sandbox_deleted_ms", "remote_id", "remote_status", "used"),
    *("largest_step", "cost_micro", "currency", "steps", "last_step", "last_step_ms", "polled_ms", "trouble"),
    *("result", "retry_at_ms", "owner", "fence", "requested_by"),
)
LIMITS = ("max_ms", "budget", "belt_tokens", "tokens_per_unit", "cached_weight_milli", "stall_ms")
USAGE = tuple(f.name for f in fields(Usage))


def run_of(row: sqlite3.Row) -> Run:
    """The run of one row. Raises ValueError, KeyError, TypeError for a row that no program of ours wrote."""
    return Run(
        id=RunId(row["id"]),
        stage=Stage.of(row["stage"]),
        origin=Origin(row["origin"]),
        state=State(row["state"]),
        outcome=Outcome(row["outcome"]) if row["outcome"] else None,
        stop=_stop_of(row),
        fingerprint=Fingerprint.from_fields(json.loads(row["fingerprint"])),
        limits=Limits(cut_off=CutOff(row["cut_off"]), **{name: row[name] for name in LIMITS}),
        claimed=_moment_of(row, "claimed"),
        sent=_moment_of(row, "sent"),
        usage=Usage(**{name: row[f"tokens_{name}"] for name in USAGE}),
        superseded_by=RunId(row["superseded_by"]) if row["superseded_by"] else None,
        sandbox_own=bool(row["sandbox_own"]),
        usage_known=bool(row["usage_known"]),
        stalled=bool(row["stalled"]),
        **{name: row[name] for name in PLAIN},
    )


def _stop_of(row: sqlite3.Row) -> StopRequest | None:
    if row["stop_reason"] is None:
        return None
    return StopRequest(
        reason=Reason(row["stop_reason"]),
        by=row["stop_by"],
        at_ms=row["stop_at_ms"],
        tries=row["stop_tries"],
        answer=row["stop_answer"],
        alarmed=bool(row["stop_alarmed"]),
    )


def _moment_of(row: sqlite3.Row, name: str) -> Moment | None:
    if row[f"{name}_ms"] is None:
        return None
    return Moment(wall_ms=row[f"{name}_ms"], boot_ms=row[f"{name}_boot_ms"], boot_id=row[f"{name}_boot_id"])
