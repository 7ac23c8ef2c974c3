"""Accumulate log records into totals per day, and into the holds that are still open. No file access, no clock.

The order of records matters in one respect only: a run holds units from its launch until its ending is added.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from console.domain.log_record import LogRecord, parse_line
from console.domain.run import NON_RUN_OUTCOMES, Outcome
from console.domain.task import DEFAULT_PROVIDER
from console.domain.usage import parse_decimal
from console.domain.usage_stats import UNLAUNCHED_OUTCOMES, Bucket, OpenHold, UsageTotals

ENDINGS = frozenset(outcome.value for outcome in Outcome)
"""Values of `status` that end an entry."""
NON_RUNS = frozenset(outcome.value for outcome in NON_RUN_OUTCOMES)
OPENINGS = frozenset({"launched", "unconfirmed"})
"""Values of `status` from which on a run holds units."""

_UNLAUNCHED = frozenset(outcome.value for outcome in UNLAUNCHED_OUTCOMES)
_DAY = re.compile(r"\d{4}-\d{2}-\d{2}\Z", re.ASCII)
_MAX_EARLY = 1000
"""Endings remembered whose launch has not been seen: lines of two processes may be in reverse order."""

Cell = tuple[str, str, str, str, str]
"""Day, task, stage, outcome and provider."""


@dataclass(slots=True)
class Sums:
    """The sums of one cell, in the units of `UsageTotals`."""

    entries: int = 0
    units: int = 0
    ms: int = 0
    unpriced: int = 0
    cost: dict[str, int] = field(default_factory=dict)

    def add(self, other: Sums) -> None:
        """Add `other`."""
        self.entries += other.entries
        self.units += other.units
        self.ms += other.ms
        self.unpriced += other.unpriced
        for currency, micro in other.cost.items():
            self.cost[currency] = self.cost.get(currency, 0) + micro

    def totals(self, outcome: str) -> UsageTotals:
        """Return the sums as totals of entries with `outcome`."""
        ran = outcome not in _UNLAUNCHED
        return UsageTotals(
            runs=self.entries if ran else 0,
            unlaunched=0 if ran else self.entries,
            units=self.units,
            ms=self.ms,
            cost=tuple(sorted(self.cost.items())),
            unpriced=self.unpriced,
        )


class DailyTotals:
    """The totals of every day, and the holds still open, over all records added so far."""

    def __init__(self) -> None:
        self._days: dict[str, dict[Cell, Sums]] = defaultdict(dict)
        self._frozen: dict[str, tuple[Bucket, ...]] = {}
        self._open: dict[bytes, LogRecord | bytes] = {}
        self._early: dict[bytes, None] = {}

    def add(self, record: LogRecord) -> None:
        """Add one record. Notes, and endings without a day, are ignored."""
        run = f"run={record.fields.get('run', '')}".encode("utf-8", "surrogatepass")
        if record.status in OPENINGS:
            self.open(run, record)
        elif record.status in ENDINGS:
            if record.status not in NON_RUNS:
                self.close((run,))
            fields = record.fields
            if is_day(fields.get("day", "")):
                provider = fields.get("provider", DEFAULT_PROVIDER)
                cell = (fields["day"], fields.get("task", "-"), fields.get("stage", "-"), record.status, provider)
                self.put(cell, _sums_of(record))

    def put(self, cell: Cell, sums: Sums) -> None:
        """Add `sums` to `cell`. The object may be kept: the caller must not change it afterwards."""
        present = self._days[cell[0]].setdefault(cell, sums)
        if present is not sums:
            present.add(sums)
        self._frozen.pop(cell[0], None)

    def open(self, run: bytes, launched: LogRecord | bytes) -> None:
        """Record that `run` (the bare field, `run=01k…`) holds units, as its record or line `launched` says."""
        if run not in self._early:
            self._open[run] = launched

    def close(self, runs: Iterable[bytes]) -> None:
        """Record that these runs hold nothing any more."""
        for run in runs:
            if self._open.pop(run, None) is None:
                self._early[run] = None
                if len(self._early) > _MAX_EARLY:
                    del self._early[next(iter(self._early))]

    def follow(self, launched: Mapping[bytes, bytes], closed: Sequence[bytes]) -> None:
        """Call `open` for all of `launched`, then `close` for all of `closed`, but cancel out pairs in one step."""
        pairs = launched.keys() & closed
        rest = [run for run in closed if run not in pairs] if len(pairs) < len(closed) else []
        if len(pairs) + len(rest) < len(closed):
            # A run ends twice: its second ending has to be remembered as one without a launch.
            pairs, rest = set(), list(closed)
        if len(pairs) < len(launched):
            for run, line in launched.items():
                if run not in pairs:
                    self.open(run, line)
        for run in pairs & self._open.keys():
            del self._open[run]
        self.close(rest)

    def days(self) -> tuple[str, ...]:
        """Return the days that have totals, in order."""
        return tuple(sorted(self._days))

    def day(self, day: str) -> tuple[Bucket, ...]:
        """Return the buckets of one day, sorted by task, stage, outcome and provider; empty without totals."""
        if day not in self._frozen:
            cells = self._days.get(day, {})
            self._frozen[day] = tuple(
                Bucket(day=day, task=task, stage=stage, outcome=outcome, provider=provider, totals=sums.totals(outcome))
                for (day, task, stage, outcome, provider), sums in sorted(cells.items(), key=lambda item: item[0])
            )
        return self._frozen[day]

    def buckets(self, since: str = "", until: str = "9999-12-31") -> tuple[Bucket, ...]:
        """Return the buckets of all days from `since` to `until`, both included."""
        return tuple(bucket for day in self.days() if since <= day <= until for bucket in self.day(day))

    def holds(self) -> tuple[OpenHold, ...]:
        """Return what is held for runs whose end is not in the log yet, oldest first."""
        records = [parse_line(kept) if isinstance(kept, bytes) else kept for kept in self._open.values()]
        return tuple(sorted(map(_hold_of, records), key=lambda hold: (hold.since_ms, hold.run)))


def is_day(text: str) -> bool:
    """True if `text` has the form of a day, `2026-11-23`."""
    return _DAY.match(text) is not None


def _sums_of(record: LogRecord) -> Sums:
    sums = Sums(entries=1, units=record.units, ms=record.elapsed_ms)
    currency, cost = record.fields.get("currency", "-"), _decimal(record.fields.get("cost", "-"), 6)
    if currency == "-" or cost is None:
        sums.unpriced = int(record.units > 0)
    else:
        sums.cost[currency] = cost
    return sums


def _hold_of(record: LogRecord) -> OpenHold:
    fields = record.fields
    return OpenHold(
        run=fields.get("run", "-"),
        task=fields.get("task", "-"),
        stage=fields.get("stage", "-"),
        day=fields.get("day", "-"),
        units=_decimal(fields.get("hold", "-"), 3) or 0,
        since_ms=record.at_ms,
        confirmed=record.status == "launched",
    )


def _decimal(text: str, places: int) -> int | None:
    try:
        return parse_decimal(text, places)
    except ValueError:
        return None
