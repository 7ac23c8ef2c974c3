"""Rows of the database as values, and values as columns. The border: beyond it nothing is cast or guessed.

Text and numbers from a provider may hold what SQLite cannot: lone surrogates, integers beyond 64 bits. Here they are
made storable, so that a hostile answer cannot keep a run from being settled.
"""

from __future__ import annotations

import json
import re
import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass, field

from console.domain.guardrails import Cap
from console.domain.moment import Moment, iso_ms
from console.domain.run import Outcome, Run, RunId
from console.domain.task import Stage, canonical_json
from console.domain.usage import Usage
from console.store.run_row import LIMITS, PLAIN, USAGE

Value = str | int | None
"""What a column holds."""
Columns = Mapping[str, Value]

MOST = 10**15
"""The largest amount that is stored: 10^12 units. Sums of thousands of them stay within 64 bits."""
_LARGEST = 2**62
"""A limit beyond it is none."""
_INSTANT_MS = 10**11
"""From here on (1973) milliseconds are an instant, below it a span (three years)."""
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
class Ending:
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
    def of_nothing_sent(cls, outcome: Outcome, note: str) -> Ending:
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


@dataclass(frozen=True, slots=True, kw_only=True)
class StageChange:
    """One rung up or down."""

    id: int
    task: str
    before: Stage
    after: Stage
    by: str
    """`nightdesk` where it was automatic."""
    reason: str
    forced: bool
    evidence: Mapping[str, object]
    run_id: RunId | None
    """The run that cost the trust; None where a person decided."""
    at_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnerRow:
    """A process that announced itself."""

    id: str
    kind: str
    pid: int
    started_ms: int
    beat_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PauseRow:
    """The kill switch is on."""

    by: str
    since_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RaiseRow:
    """A cap that was raised once."""

    cap: Cap
    task: str | None
    amount: int
    by: str
    reason: str
    at_ms: int
    window: str
    """The day, or for the monthly cap the month, that it was given for."""


def moment_columns(name: str, moment: Moment | None) -> Columns:
    """The three columns of a moment."""
    return {
        f"{name}_ms": moment.wall_ms if moment else None,
        f"{name}_boot_ms": moment.boot_ms if moment else None,
        f"{name}_boot_id": moment.boot_id if moment else None,
    }


def usage_columns(usage: Usage) -> Columns:
    """Token figures, each at most MOST."""
    return {f"tokens_{name}": at_most(getattr(usage, name)) for name in USAGE}


def new_run_columns(run: Run) -> Columns:
    """Every column of a run that is inserted; it has no stop, no send and no figures yet."""
    return {
        "id": run.id,
        "stage": run.stage.word,
        "origin": run.origin.value,
        "state": run.state.value,
        "outcome": run.outcome.value if run.outcome else None,
        "fingerprint": canonical_json(run.fingerprint.as_fields()),
        "cut_off": run.limits.cut_off.value,
        **{name: min(getattr(run.limits, name), _LARGEST) for name in LIMITS},
        **moment_columns("claimed", run.claimed),
        **{name: getattr(run, name) for name in PLAIN},
    }


def stage_change_of(row: sqlite3.Row) -> StageChange:
    """The change of one row."""
    return StageChange(
        id=row["id"],
        task=row["task"],
        before=Stage.of(row["before"]),
        after=Stage.of(row["after"]),
        by=row["by"],
        reason=row["reason"],
        forced=bool(row["forced"]),
        evidence=json.loads(row["evidence"]),
        run_id=RunId(row["run_id"]) if row["run_id"] else None,
        at_ms=row["at_ms"],
    )


def storable(value: Value) -> Value:
    """`value` as a column can hold it: text without surrogates."""
    return _SURROGATE.sub("\ufffd", value) if isinstance(value, str) else value


def at_most(amount: int) -> int:
    """`amount` within what is stored: 0 to MOST."""
    return max(0, min(amount, MOST))
