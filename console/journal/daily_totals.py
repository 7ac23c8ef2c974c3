"""Log records folded into the sums of each day, and into the holds that are open at their end. Pure: no file, no clock.

The order of records matters in one place only: what a run holds counts until its ending is folded.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from console.domain.log_record import LogRecord, parse_line
from console.domain.run import NON_RUN_OUTCOMES, Outcome
from console.domain.usage import parse_decimal
from console.domain.usage_stats import UNLAUNCHED_OUTCOMES, Bucket, OpenHold, UsageTotals

ENDINGS = frozenset(outcome.value for outcome in Outcome)
"""Values of `status` that close the books of an entry."""
NEVER_RAN = frozenset(outcome.value for outcome in NON_RUN_OUTCOMES)
OPENINGS = frozenset({"launched", "unconfirmed"})
"""Values of `status` after which a run holds units."""

_UNLAUNCHED = frozenset(outcome.value for outcome in UNLAUNCHED_OUTCOMES)
_DAY = re.compile(r"\d{4}-\d{2}-\d{2}\Z", re.ASCII)
_MAX_EARLY = 1000
"""Endings remembered without a launch: where lines of two processes changed places, the launch comes after."""

Cell = tuple[str, str, str, str]
"""Day, task, stage, outcome."""


@dataclass(slots=True)
class Sums:
    """What one cell adds up to; see `Figures` for the units."""

    entries: int = 0
    units: int = 0
    ms: int = 0
    unpriced: int = 0
    cost: dict[str, int] = field(default_factory=dict)

    def add(self, other: Sums) -> None:
        """Takes `other` in."""
        self.entries += other.entries
        self.units += other.units
        self.ms += other.ms
        self.unpriced += other.unpriced
        for currency, micro in other.cost.items():
            self.cost[currency] = self.cost.get(currency, 0) + micro

    def figures(self, outcome: str) -> UsageTotals:
        """The same, frozen."""
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
    """The sums of every day seen so far."""

    def __init__(self) -> None:
        self._days: dict[str, dict[Cell, Sums]] = defaultdict(dict)
        self._frozen: dict[str, tuple[Bucket, ...]] = {}
        self._open: dict[bytes, LogRecord | bytes] = {}
        self._early: dict[bytes, None] = {}

    def add(self, record: LogRecord) -> None:
        """Folds one record in. Notes, and endings of no day, count nowhere."""
        run = f"run={record.fields.get('run', '')}".encode("utf-8", "surrogatepass")
        if record.status in OPENINGS:
            self.open(run, record)
        elif record.status in ENDINGS:
            if record.status not in NEVER_RAN:
                self.close((run,))
            fields = record.fields
            if is_day(fields.get("day", "")):
                cell = (fields["day"], fields.get("task", "-"), fields.get("stage", "-"), record.status)
                self.put(cell, _sums_of(record))

    def put(self, cell: Cell, sums: Sums) -> None:
        """Adds `sums` to `cell`; they may be kept, so nobody else goes on adding to them."""
        present = self._days[cell[0]].setdefault(cell, sums)
        if present is not sums:
            present.add(sums)
        self._frozen.pop(cell[0], None)

    def open(self, run: bytes, launched: LogRecord | bytes) -> None:
        """`run` (the field as it stands bare, `run=01k…`) holds units from here on; `launched`: its record or line."""
        if run not in self._early:
            self._open[run] = launched

    def close(self, runs: Iterable[bytes]) -> None:
        """These runs hold nothing any more."""
        for run in runs:
            if self._open.pop(run, None) is None:
                self._early[run] = None
                if len(self._early) > _MAX_EARLY:
                    del self._early[next(iter(self._early))]

    def follow(self, launched: Mapping[bytes, bytes], closed: Sequence[bytes]) -> None:
        """The same as `open` for all of `launched`, then `close` for all of `closed`, without a step for each pair."""
        pairs = launched.keys() & closed
        rest = [run for run in closed if run not in pairs] if len(pairs) < len(closed) else []
        if len(pairs) + len(rest) < len(closed):
            # One of them ends twice: its second end is remembered.
            pairs, rest = set(), list(closed)
        if len(pairs) < len(launched):
            for run, line in launched.items():
                if run not in pairs:
                    self.open(run, line)
        for run in pairs & self._open.keys():
            del self._open[run]
        self.close(rest)

    def days(self) -> tuple[str, ...]:
        """The days that have figures, in their order."""
        return tuple(sorted(self._days))

    def day(self, day: str) -> tuple[Bucket, ...]:
        """The buckets of one day, by task, stage and outcome; empty for a day without figures."""
        if day not in self._frozen:
            cells = self._days.get(day, {})
            self._frozen[day] = tuple(
                Bucket(day=cell[0], task=cell[1], stage=cell[2], outcome=cell[3], figures=sums.figures(cell[3]))
                for cell, sums in sorted(cells.items(), key=lambda item: item[0])
            )
        return self._frozen[day]

    def buckets(self, since: str = "", until: str = "9999-12-31") -> tuple[Bucket, ...]:
        """The buckets of all days from `since` to `until`, both included."""
        return tuple(bucket for day in self.days() if since <= day <= until for bucket in self.day(day))

    def holds(self) -> tuple[OpenHold, ...]:
        """What runs hold whose end is not in the log yet, oldest first."""
        records = [parse_line(kept) if isinstance(kept, bytes) else kept for kept in self._open.values()]
        return tuple(sorted(map(_hold_of, records), key=lambda hold: (hold.since_ms, hold.run)))


def is_day(text: str) -> bool:
    """True for the form of a day, `2026-11-23`."""
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
