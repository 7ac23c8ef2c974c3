"""A block of log lines into a series, many times faster than record by record, with the same sums to the last digit.

Only lines in the form of our own writer take the short way, and only where the end marks of a whole stretch prove it;
any other stretch is halved until the odd line stands alone, which the strict parser then judges.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Self
from zlib import crc32

from console.domain.log_record import LogParseError, LogRecord, parse_line
from console.journal.daily_totals import ENDINGS, NEVER_RAN, OPENINGS, Cell, DailyTotals, Sums
from console.journal.log_reader import IntervalSet, LogTail

_FEW = 8
"""Lines at which halving a stretch no longer pays."""
_STATUS_AT = 49
"""Where `status=` stands in a line with a key of 16 digits."""
_STATUS, _LAUNCHED = slice(_STATUS_AT, _STATUS_AT + 16), b"status=launched "
_TASK_AT, _RUN = 88, 30
"""Where `task=` stands in such a line of a launch; bytes of `run=` and an id."""
_NOTE, _NOTE_AT = b"status=note ", 34
"""Notes count nowhere; many belong to no key, which stands as one dash."""
_FORM = re.compile(r"status=(\S+) task=(\S+) stage=(\S+) day=(\d{4}-\d{2}-\d{2}) currency=(\S+)\Z", re.ASCII)
"""What of an ending tells its cell and currency, put together."""
_LAST = 15
"""Number of the field after `currency` in an ending; the rest is left in one piece."""
_QUOTE = ord('"')
_BODY = slice(None, -13)
"""What the end mark proves."""
_SECONDS, _UNITS = slice(8, -1), slice(6, None)
"""The figures in `elapsed=412.3s` and `units=38.2`."""
_EXACT, _EXACT_MONEY = 1e9, 1e6
"""A stretch of floats below it adds up exactly to the last digit that a line can have: thousandths, millionths."""

Form = tuple[Cell, str]
"""The cell of an ending and the currency of its cost; empty where the price is unknown."""
Key = tuple[bytes, bytes, bytes, bytes, bytes]
"""Status, task, stage, day and currency as they stand in the line, names included."""


class LogAggregator:
    """Blocks of lines in, a series out; each number counts once."""

    def __init__(self, *, max_forms: int = 10_000) -> None:
        """`max_forms`: how many combinations of task, day, outcome and currency are kept at hand."""
        self.series = DailyTotals()
        self.seen = IntervalSet()
        self.foreign = 0
        """Lines that no writer of ours finished."""
        self.doubles = 0
        """Lines whose number was there before."""
        self.one_by_one = 0
        """Lines that did not go the short way."""
        self._max_forms = max_forms
        self._forms: dict[Key, Form | None] = {}

    def add(self, block: bytes) -> None:
        """Folds whole lines in, each with its newline."""
        lines = block.split(b"\n")
        if not lines[-1]:
            lines.pop()
        if len(self._forms) > self._max_forms:
            self._forms.clear()
        self._add(lines, _QUOTE in block)

    def _add(self, lines: list[bytes], quoted: bool) -> None:
        if len(lines) <= _FEW:
            for line in lines:
                self._strictly(line)
            return
        first = _first_of_proven(lines)
        stretch = _Stretch(self._forms)
        if first and stretch.take(lines, quoted) and self.seen.add_span(first, len(lines)):
            stretch.pour_into(self.series)
            return
        half = len(lines) // 2
        self._add(lines[:half], quoted)
        self._add(lines[half:], quoted)

    def _strictly(self, line: bytes) -> None:
        if not line:
            return
        self.one_by_one += 1
        try:
            record = parse_line(line)
        except LogParseError:
            self.foreign += 1
            return
        if self.seen.add(record.ev):
            self.series.add(record)
        else:
            self.doubles += 1


def _first_of_proven(lines: list[bytes]) -> int:
    """The `ev` of the first line where each line has a valid end mark and they are numbered on and on; else 0."""
    line, count = lines[0], len(lines)
    text = line[line.rfind(b"=", 0, -13) + 1 : -13]
    if not text.isdigit():
        return 0
    first, width = int(text), len(text) + 6
    numbers = (b"=%d end=" * count) % tuple(range(first, first + count))
    marks = struct.pack(f">{count}I", *[crc32(line[_BODY]) for line in lines]).hex().encode("ascii")
    # Column by column: every line ends alike, so that nothing need be cut out of each of them once more.
    wanted = [numbers[at::width] for at in range(width)] + [marks[at::8] for at in range(8)]
    end = slice(-width - 8, None)
    ends = b"".join([line[end] for line in lines])
    return first if [ends[at :: width + 8] for at in range(width + 8)] == wanted else 0


class _Endings:
    """What the endings of one key in a stretch add up to, in floats while these are exact."""

    __slots__ = ("cell", "currency", "money", "runs", "seconds", "units", "unpriced")

    def __init__(self, form: Form) -> None:
        self.cell, self.currency = form
        self.runs: list[bytes] = []
        self.units = self.seconds = self.money = 0.0
        self.unpriced = 0

    def is_exact(self) -> bool:
        """False for figures that are too large, and for what is no figure."""
        return self.units < _EXACT and self.seconds < _EXACT and self.money < _EXACT_MONEY

    def sums(self) -> Sums:
        """The same in integers."""
        cost = {self.currency: round(self.money * 1_000_000)} if self.currency else {}
        return Sums(len(self.runs), round(self.units * 1000), round(self.seconds * 10) * 100, self.unpriced, cost)


def _form_of(key: Key) -> Form | None:
    """None where these are not the fields of an ending, each in its place."""
    match = _FORM.match(b" ".join(key).decode("ascii"))
    if match is None or match[1] not in ENDINGS:
        return None
    status, task, stage, day, currency = match.groups()
    return (day, task, stage, status), "" if currency == "-" else currency


class _Stretch:
    """What a stretch of proven lines adds up to, before any of it counts."""

    def __init__(self, forms: dict[Key, Form | None]) -> None:
        """`forms` is what was found out about keys so far; it is added to."""
        self._forms = forms
        self._endings: dict[Key, _Endings] = {}
        self._launched: dict[bytes, bytes] = {}
        self._odd: list[LogRecord] = []

    def take(self, lines: list[bytes], quoted: bool) -> bool:
        """Sums `lines` up. False where they are too odd, or their figures too large, to do it exactly."""
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
                _, _, status, elapsed, units, task, run, _, stage, _, _, day, _, cost, currency, _ = fields
                ending = endings.get((status, task, stage, day, currency))
                if ending is None:
                    ending = self._begin((status, task, stage, day, currency))
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
        """True where each line has its run in the place and, in a launch, of the length that ours have."""
        runs = [*self._launched]
        for ending in self._endings.values():
            runs += ending.runs
        text = b" " + b" ".join(runs)
        return text.count(b" run=") == len(runs) and (text.count(b" ") == len(runs) or not runs)

    def pour_into(self, series: DailyTotals) -> None:
        """Now it counts."""
        closed: list[bytes] = []
        for ending in self._endings.values():
            series.put(ending.cell, ending.sums())
            if ending.cell[3] not in NEVER_RAN:
                closed += ending.runs
        series.follow(self._launched, closed)
        for record in self._odd:
            series.add(record)

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
            # It may stand before or after the launch of the same run: the later one is what holds.
            raise ValueError("the order of these lines matters")
        self._odd.append(record)


class UsageLog:
    """One per process. Not for use by several threads at once."""

    def __init__(self, path: Path, *, since_ms: int | None = None) -> None:
        """`since_ms`: rotated files last written before this UTC instant are left out."""
        self._tail = LogTail(path, since_ms=since_ms)
        self._fold = LogAggregator()
        self._shown = self._fold

    @property
    def series(self) -> DailyTotals:
        """What was folded so far; while a log is read again from its start, still what was known before."""
        return self._shown.series

    @property
    def foreign(self) -> int:
        """Lines that no writer of ours finished: torn, or not ours at all."""
        return self._shown.foreign

    @property
    def doubles(self) -> int:
        """Lines whose number was there before; they count once."""
        return self._shown.doubles

    @property
    def gaps(self) -> tuple[tuple[int, int], ...]:
        """First and last `ev` of each run of lines that are missing."""
        return self._shown.seen.holes()

    def catch_up(self) -> Iterator[int]:
        """Folds what is new, a few milliseconds at a time, and yields the bytes of each portion. Raises JournalError.

        On an event loop: give way between two portions.
        """
        for block in self._tail.blocks():
            if block.restart:
                self._fold = LogAggregator()
            self._fold.add(block.data)
            yield len(block.data)
        self._shown = self._fold

    def refresh(self) -> DailyTotals:
        """Folds all that is new. Raises JournalError."""
        for _ in self.catch_up():
            pass
        return self.series

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Lets go of the file; what was folded stays."""
        self._tail.close()
