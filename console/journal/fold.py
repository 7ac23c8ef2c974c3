"""A block of log lines into a series, many times faster than record by record, with the same sums to the last digit.

Only lines in the form of our own writer take the short way, and only where the end marks of a whole stretch prove it;
any other stretch is halved until the odd line stands alone, which the strict parser then judges.
"""

from __future__ import annotations

import struct
from zlib import crc32

from console.domain.record import BadLine, LogRecord, parse_line
from console.journal.seen import Seen
from console.journal.series import ENDINGS, NEVER_RAN, OPENINGS, Cell, Series, Sums, is_day

_FEW = 8
"""Lines at which halving a stretch no longer pays."""
_LAUNCHED = b"status=launched "
_STATUS_AT = 49
"""Where `status=` stands in a line with a key of 16 digits; seven further on is the first letter of the status."""
_NOTE, _NOTE_AT = b"status=note ", 34
"""Notes count nowhere; many belong to no key, which stands as one dash."""
_NAMES = (b"status=", b"task=", b"stage=", b"day=", b"currency=")
_LAST = 15
"""Number of the field after `currency` in an ending; the rest is left in one piece."""
_QUOTE, _L = b'"l'
_EXACT, _EXACT_MONEY = 1e9, 1e6
"""A stretch of floats below it adds up exactly to the last digit that a line can have: thousandths, millionths."""

Form = tuple[Cell, str]
"""The cell of an ending and the currency of its cost; empty where the price is unknown."""
Key = tuple[bytes, bytes, bytes, bytes, bytes]
"""Status, task, stage, day and currency as they stand in the line, names included."""


class LogFold:
    """Blocks of lines in, a series out; each number counts once."""

    def __init__(self, *, max_forms: int = 10_000) -> None:
        """`max_forms`: how many combinations of task, day, outcome and currency are kept at hand."""
        self.series = Series()
        self.seen = Seen()
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
        except BadLine:
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
    marks = struct.pack(f">{count}I", *[crc32(line[:-13]) for line in lines]).hex(" ", 4).encode("ascii")
    if b" ".join([line[-8:] for line in lines]) != marks:
        return 0
    first, width = int(text), len(text) + 14
    numbers = (b"=%d end=" * count) % tuple(range(first, first + count))
    return first if b"".join([line[-width:-8] for line in lines]) == numbers else 0


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
    status, task, stage, day, currency = key
    if (status[:7], task[:5], stage[:6], day[:4], currency[:9]) != _NAMES:
        return None
    outcome = status[7:].decode("ascii")
    if outcome not in ENDINGS or not is_day(day[4:].decode("ascii")):
        return None
    cell = (day[4:].decode("ascii"), task[5:].decode("ascii"), stage[6:].decode("ascii"), outcome)
    return cell, "" if currency == b"currency=-" else currency[9:].decode("ascii")


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
        endings = self._endings
        try:
            for line in lines:
                if quoted and _QUOTE in line:
                    self._take_odd(line)
                    continue
                if line[_STATUS_AT + 7] == _L and line.startswith(_LAUNCHED, _STATUS_AT):
                    self._launched[line.partition(b" run=")[2].partition(b" ")[0]] = line
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
                ending.units += float(units[6:])
                ending.seconds += float(elapsed[8:-1])
                if ending.currency:
                    ending.money += float(cost.partition(b"cost=")[2])
                elif units != b"units=0.0":
                    ending.unpriced += 1
        except ValueError:
            return False
        return all(ending.is_exact() for ending in endings.values())

    def pour_into(self, series: Series) -> None:
        """Now it counts."""
        for run, line in self._launched.items():
            series.open(run, line)
        for ending in self._endings.values():
            series.put(ending.cell, ending.sums())
            if ending.cell[3] not in NEVER_RAN:
                series.close([run[4:] for run in ending.runs])
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
