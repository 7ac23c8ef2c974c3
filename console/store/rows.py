"""Rows of the database as values, and values as columns. The border: beyond it nothing is cast or guessed.

Text and numbers from a provider may hold what SQLite cannot: lone surrogates, integers beyond 64 bits. Here they are
made storable, so that a hostile answer cannot keep a run from being settled.
"""

from __future__ import annotations

import json
import re
import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass, field, fields

from console.domain.run import Limits, Outcome, Run, RunId, State, StopReason, StopRequest
from console.domain.task import CutOff, Fingerprint, Origin, Stage, canonical_json
from console.domain.timestamps import Timestamp
from console.domain.usage import Usage

NOTE_LIMIT = 400
"""Characters of a note."""


Value = str | int | None
"""What a column holds."""
Columns = Mapping[str, Value]

MAX_AMOUNT = 10**15
"""The largest amount that is stored: 10^12 units. Sums of thousands of them stay within 64 bits."""
_LARGEST = 2**62
"""A limit beyond it is none."""
_SURROGATE = re.compile("[\ud800-\udfff]")


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """What a poll or the stream showed of a live run."""

    usage: Usage = field(default_factory=Usage)
    used: int = 0
    """Milli-units."""
    usage_known: bool = False
    largest_step: int = 0
    remote_status: str | None = None
    trouble: str = ""
    stalled: bool = False
    polled_ms: int | None = None
    last_step: str = ""
    last_step_ms: int | None = None
    steps: int = 0
    cost_micro: int | None = None
    currency: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RunResult:
    """How a run ended, as far as the engine knows."""

    outcome: Outcome
    note: str = ""
    result: str = ""
    usage: Usage = field(default_factory=Usage)
    used: int = 0
    """Milli-units."""
    usage_known: bool = False
    """False: the books close at the hold."""
    cost_micro: int | None = None
    currency: str | None = None
    elapsed_ms: int = 0
    retry_at_ms: int | None = None
    remote_status: str | None = None

    @classmethod
    def of_nothing_sent(cls, outcome: Outcome, note: str) -> RunResult:
        """For a run of which no byte left: nothing used, the hold goes back."""
        return cls(outcome=outcome, note=note, usage_known=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class StepRow:
    """One step of the agent."""

    index: int
    kind: str
    text: str
    at_ms: int
    """When it was first seen."""
    units: int
    """Cumulative milli-units when it was last seen."""
    done: bool


def moment_columns(name: str, moment: Timestamp | None) -> Columns:
    """The three columns of a moment."""
    return {
        f"{name}_ms": moment.wall_ms if moment else None,
        f"{name}_boot_ms": moment.boot_ms if moment else None,
        f"{name}_boot_id": moment.boot_id if moment else None,
    }


def usage_columns(usage: Usage) -> Columns:
    """Token figures, each at most MOST."""
    return {f"tokens_{name}": clamp_amount(getattr(usage, name)) for name in USAGE}


def new_run_columns(run: Run) -> Columns:
    """Every column of a run that is inserted; it has no stop, no send and no figures yet."""
    return {
        "id": run.id,
        "stage": run.stage.label,
        "origin": run.origin.value,
        "state": run.state.value,
        "outcome": run.outcome.value if run.outcome else None,
        "fingerprint": canonical_json(run.fingerprint.as_fields()),
        "cut_off": run.limits.cut_off.value,
        **{name: min(getattr(run.limits, name), _LARGEST) for name in LIMITS},
        **moment_columns("claimed", run.claimed),
        **{name: getattr(run, name) for name in PLAIN},
    }


def to_sqlite_text(value: Value) -> Value:
    """`value` as a column can hold it: text without surrogates."""
    return _SURROGATE.sub("\ufffd", value) if isinstance(value, str) else value


def clamp_amount(amount: int) -> int:
    """`amount` within what is stored: 0 to MOST."""
    return max(0, min(amount, MAX_AMOUNT))


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
        reason=StopReason(row["stop_reason"]),
        by=row["stop_by"],
        at_ms=row["stop_at_ms"],
        tries=row["stop_tries"],
        answer=row["stop_answer"],
        alarmed=bool(row["stop_alarmed"]),
    )


def _moment_of(row: sqlite3.Row, name: str) -> Timestamp | None:
    if row[f"{name}_ms"] is None:
        return None
    return Timestamp(wall_ms=row[f"{name}_ms"], boot_ms=row[f"{name}_boot_ms"], boot_id=row[f"{name}_boot_id"])
