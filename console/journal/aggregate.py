"""Aggregate `runs.log` into daily totals: blocks of lines at once where possible, line by line otherwise.

A block in exactly the form that our writer produces, proven by its checksums and consecutive line numbers, is summed in
bulk, many times faster than record by record and with the same result to the last digit. Any other block is halved
until the irregular lines stand alone; these go through the strict parser.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Self
from zlib import crc32

from console.domain.log_record import LogParseError, LogRecord, parse_line
from console.domain.task import DEFAULT_PROVIDER
from console.journal.daily_totals import ENDINGS, NON_RUNS, OPENINGS, Cell, DailyTotals, Sums
from console.journal.log_reader import IntervalSet, LogTail

_FEW = 8
"""Number of lines below which halving does not pay."""
_STATUS_AT = 49
"""Offset of `status=` in a line with a key of 16 digits."""
_STATUS, _LAUNCHED = slice(_STATUS_AT, _STATUS_AT + 16), b"status=launched "
_TASK_AT, _RUN = 88, 30
"""Offset of `task=` in a `launched` line; length of `run=` with an id."""
_NOTE, _NOTE_AT = b"status=note ", 34
"""Notes are not counted. Most belong to no key, so their status comes after a single dash."""
_FORM = re.compile(
    r"status=(\S+) task=(\S+) stage=(\S+) day=(\d{4}-\d{2}-\d{2}) currency=(\S+) provider=(\S+)\Z", re.ASCII
)
"""The fields of an ending, joined, that determine its cell and currency."""
_LAST = 15
"""Index of the field after `currency` in an ending; the rest of the line is not split."""
_QUOTE = ord('"')
_BODY = slice(None, -13)
"""The part of a line that its checksum covers."""
_SECONDS, _UNITS = slice(8, -1), slice(6, None)
"""The figures in `elapsed=412.3s` and `units=38.2`."""
_EXACT, _EXACT_MONEY = 1e9, 1e6
"""Sums of floats below these are exact to the last digit that a line can have (thousandths, millionths)."""

Form = tuple[Cell, str]
"""The cell of an ending and the currency of its cost; the currency is empty if the price is unknown."""
Key = tuple[bytes, bytes, bytes, bytes, bytes, bytes]
"""Status, task, stage, day, currency and provider as they are written in the line, with their field names."""
_PROVIDER, _DEFAULT = b"provider=", f"provider={DEFAULT_PROVIDER}".encode("ascii")
"""The field after `currency` in the line of a run with another provider than the default one."""


class LogAggregator:
    """Accumulates blocks of log lines into daily totals. Each line number counts once."""

    def __init__(self, *, max_forms: int = 10_000) -> None:
        """`max_forms`: how many parsed combinations of task, day, outcome, currency and provider are cached."""
        self.totals = DailyTotals()
        self.seen = IntervalSet()
        self.foreign = 0
        """Number of lines that are torn or not in our format."""
        self.duplicates = 0
        """Number of lines whose number occurred before."""
        self.one_by_one = 0
        """Number of lines that went through the strict parser."""
        self._max_forms = max_forms
        self._forms: dict[Key, Form | None] = {}

    def add(self, block: bytes) -> None:
        """Add complete lines, each with its newline."""
        lines = block.split(b"\n")
        if not lines[-1]:
            lines.pop()
        if len(self._forms) > self._max_forms:
            self._forms.clear()
        self._add(lines, _QUOTE in block)

    def _add(self, lines: list[bytes], quoted: bool) -> None:
        if len(lines) <= _FEW:
            for line in lines:
                self._add_strictly(line)
            return
        first = _first_of_proven(lines)
        batch = _Batch(self._forms)
        if first and batch.sum_up(lines, quoted) and self.seen.add_span(first, len(lines)):
            batch.add_to(self.totals)
            return
        half = len(lines) // 2
        self._add(lines[:half], quoted)
        self._add(lines[half:], quoted)

    def _add_strictly(self, line: bytes) -> None:
        if not line:
            return
        self.one_by_one += 1
        try:
            record = parse_line(line)
        except LogParseError:
            self.foreign += 1
            return
        if self.seen.add(record.ev):
            self.totals.add(record)
        else:
            self.duplicates += 1


def _first_of_proven(lines: list[bytes]) -> int:
    """Return the `ev` of the first line if all checksums are valid and the lines are numbered consecutively, else 0."""
    line, count = lines[0], len(lines)
    text = line[line.rfind(b"=", 0, -13) + 1 : -13]
    if not text.isdigit():
        return 0
    first, width = int(text), len(text) + 6
    numbers = (b"=%d end=" * count) % tuple(range(first, first + count))
    marks = struct.pack(f">{count}I", *[crc32(line[_BODY]) for line in lines]).hex().encode("ascii")
    # Compared column by column: all lines end alike, so one strided slice per column replaces a slice per line.
    wanted = [numbers[at::width] for at in range(width)] + [marks[at::8] for at in range(8)]
    end = slice(-width - 8, None)
    ends = b"".join([line[end] for line in lines])
    return first if [ends[at :: width + 8] for at in range(width + 8)] == wanted else 0


class _Endings:
    """The sums over the endings of one key in a batch, as floats as long as these are exact."""

    __slots__ = ("cell", "currency", "money", "runs", "seconds", "units", "unpriced")

    def __init__(self, form: Form) -> None:
        self.cell, self.currency = form
        self.runs: list[bytes] = []
        self.units = self.seconds = self.money = 0.0
        self.unpriced = 0

    def is_exact(self) -> bool:
        """False if a sum is too large to be exact, or is not a number."""
        return self.units < _EXACT and self.seconds < _EXACT and self.money < _EXACT_MONEY

    def sums(self) -> Sums:
        """Return the sums as integers."""
        cost = {self.currency: round(self.money * 1_000_000)} if self.currency else {}
        return Sums(len(self.runs), round(self.units * 1000), round(self.seconds * 10) * 100, self.unpriced, cost)


def _form_of(key: Key) -> Form | None:
    """Return the form for `key`; None if it does not consist of the fields of an ending in their places."""
    match = _FORM.match(b" ".join(key).decode("ascii"))
    if match is None or match[1] not in ENDINGS:
        return None
    status, task, stage, day, currency, provider = match.groups()
    return (day, task, stage, status, provider), "" if currency == "-" else currency


class _Batch:
    """The sums over a batch of proven lines, collected before any of them is counted."""

    def __init__(self, forms: dict[Key, Form | None]) -> None:
        """`forms` caches the form of each key; new ones are added to it."""
        self._forms = forms
        self._endings: dict[Key, _Endings] = {}
        self._launched: dict[bytes, bytes] = {}
        self._odd: list[LogRecord] = []

    def sum_up(self, lines: list[bytes], quoted: bool) -> bool:
        """Sum up `lines`. Returns False if they are too irregular, or the sums too large, to be exact."""
        endings, launched = self._endings, self._launched
        try:
            for line in lines:
                if quoted and _QUOTE in line:
                    self._take_odd(line)
                    continue
                if line[_STATUS] == _LAUNCHED:
                    end = line.find(b" attempt=", _TASK_AT)
                    launched[line[end - _RUN : end]] = line
                    continue
                fields = line.split(b" ", _LAST)
                if len(fields) <= _LAST:
                    self._take_odd(line)
                    continue
                _, _, status, elapsed, units, task, run, _, stage, _, _, day, _, cost, currency, rest = fields
                provider = _DEFAULT
                if _PROVIDER in rest:
                    provider, _, rest = rest.partition(b" ")
                    if _PROVIDER in rest:
                        self._take_odd(line)
                        continue
                ending = endings.get((status, task, stage, day, currency, provider))
                if ending is None:
                    ending = self._begin((status, task, stage, day, currency, provider))
                    if ending is None:
                        self._take_odd(line)
                        continue
                ending.runs.append(run)
                ending.units += float(units[_UNITS])
                ending.seconds += float(elapsed[_SECONDS])
                if ending.currency:
                    ending.money += float(cost.removeprefix(b"cost="))
                elif units != b"units=0.0":
                    ending.unpriced += 1
        except (IndexError, ValueError):
            return False
        return all([ending.is_exact() for ending in endings.values()]) and self._has_runs()

    def _has_runs(self) -> bool:
        """True if each line has its run id in place and, in a `launched` line, with the expected length."""
        runs = [*self._launched]
        for ending in self._endings.values():
            runs += ending.runs
        text = b" " + b" ".join(runs)
        return text.count(b" run=") == len(runs) and (text.count(b" ") == len(runs) or not runs)

    def add_to(self, totals: DailyTotals) -> None:
        """Add the sums to `totals`."""
        closed: list[bytes] = []
        for ending in self._endings.values():
            totals.put(ending.cell, ending.sums())
            if ending.cell[3] not in NON_RUNS:
                closed += ending.runs
        totals.follow(self._launched, closed)
        for record in self._odd:
            totals.add(record)

    def _begin(self, key: Key) -> _Endings | None:
        if key not in self._forms:
            self._forms[key] = _form_of(key)
        form = self._forms[key]
        if form is None:
            return None
        ending = self._endings[key] = _Endings(form)
        return ending

    def _take_odd(self, line: bytes) -> None:
        if any(line.startswith(_NOTE, at) for at in (_STATUS_AT, _NOTE_AT)) and _QUOTE not in line[:_STATUS_AT]:
            return
        record = parse_line(line)
        if record.status in OPENINGS:
            # It may come before or after the launch of the same run, and the later of the two determines the hold.
            raise ValueError("the order of these lines matters")
        self._odd.append(record)


class UsageLog:
    """The totals of a whole log, kept up to date: a refresh reads only the bytes written since the last one.

    One instance per process; not thread-safe.
    """

    def __init__(self, path: Path, *, since_ms: int | None = None) -> None:
        """`since_ms`: skip rotated files last written before this UTC time."""
        self._tail = LogTail(path, since_ms=since_ms)
        self._reading = LogAggregator()
        self._shown = self._reading

    @property
    def totals(self) -> DailyTotals:
        """The totals so far; while the log is read again from its start, the totals from before."""
        return self._shown.totals

    @property
    def foreign(self) -> int:
        """Number of lines that are torn or not in our format."""
        return self._shown.foreign

    @property
    def duplicates(self) -> int:
        """Number of lines whose number occurred before; each number counts once."""
        return self._shown.duplicates

    @property
    def gaps(self) -> tuple[tuple[int, int], ...]:
        """First and last number of each range of missing lines."""
        return self._shown.seen.gaps()

    def catch_up(self) -> Iterator[int]:
        """Add the new lines block by block, a few milliseconds each, and yield the size of each block in bytes.

        A caller on an event loop should yield to it between two blocks. Raises JournalError.
        """
        for block in self._tail.blocks():
            if block.restart:
                self._reading = LogAggregator()
            self._reading.add(block.data)
            yield len(block.data)
        self._shown = self._reading

    def refresh(self) -> DailyTotals:
        """Add all new lines and return the totals. Raises JournalError."""
        for _ in self.catch_up():
            pass
        return self.totals

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file; the totals are kept."""
        self._tail.close()
