"""A block of log lines into a series, many times faster than record by record, with the same sums to the last digit.

Only lines in the form of our own writer take the short way, and only where the end marks of a whole stretch prove it;
any other stretch is halved until the odd line stands alone, which the strict parser then judges.
"""

from __future__ import annotations

import struct
from zlib import crc32

from console.domain.record import BadLine, LogRecord, parse_line
from console.journal.seen import Seen
from console.journal.series import ENDINGS, NEVER_RAN, OPENINGS, Cell, Series, Sums, cell_of

_FEW = 8
"""Lines at which halving a stretch no longer pays."""
_LAUNCHED = b"status=launched "
_STATUS_AT = 49
"""Where `status=` stands in a line with a key of 16 digits; seven further on is the first letter of the status."""
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
    """The endings of one key in a stretch, as text: to turn them into figures together is cheaper than one by one."""

    __slots__ = ("cost", "elapsed", "run", "units")

    def __init__(self) -> None:
        self.run: list[bytes] = []
        self.units: list[bytes] = []
        self.elapsed: list[bytes] = []
        self.cost: list[bytes] = []

    def sums(self, currency: str) -> Sums | None:
        """None where floats would not be exact to the last digit of a line. Raises ValueError for odd fields."""
        units, seconds = _sum_of(self.units, b"units="), _sum_of(self.elapsed, b"elapsed=", b"s")
        cost, unpriced = {}, 0
        if currency:
            money = _sum_of(self.cost, b"cost=")
            if not money < _EXACT_MONEY:
                return None
            cost[currency] = round(money * 1_000_000)
        else:
            unpriced = len(self.units) - self.units.count(b"units=0.0")
        if not (units < _EXACT and seconds < _EXACT):
            return None
        return Sums(len(self.run), round(units * 1000), round(seconds * 10) * 100, unpriced, cost)


def _sum_of(fields: list[bytes], name: bytes, unit: bytes = b"") -> float:
    """The sum of `name` `figure` `unit` fields. Raises ValueError where one of them is something else."""
    figures = (unit + b"".join(fields).removesuffix(unit)).split(unit + name)
    if figures.pop(0) or b"".join(figures).translate(None, b"0123456789."):
        raise ValueError(f"not all are plain decimals after {name!r}")
    return sum(map(float, figures))


def _form_of(key: Key) -> Form | None:
    """None where these are not the fields of an ending, each in its place."""
    names, values = zip(*(field.decode("ascii").split("=", 1) for field in key), strict=True)
    if names != ("status", "task", "stage", "day", "currency") or values[0] not in ENDINGS:
        return None
    cell = cell_of(values[0], {"task": values[1], "stage": values[2], "day": values[3]})
    return (cell, "" if values[4] == "-" else values[4]) if cell else None


class _Stretch:
    """What a stretch of proven lines adds up to, before any of it counts."""

    def __init__(self, forms: dict[Key, Form | None]) -> None:
        """`forms` is what was found out about keys so far; it is added to."""
        self._forms = forms
        self._sums: list[tuple[Cell, Sums]] = []
        self._launched: dict[bytes, bytes] = {}
        self._ended: list[bytes] = []
        self._odd: list[LogRecord] = []

    def take(self, lines: list[bytes], quoted: bool) -> bool:
        """Sums `lines` up. False where they are too odd, or their figures too large, to do it exactly."""
        endings: dict[Key, _Endings] = {}
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
                key = (status, task, stage, day, currency)
                ending = endings.get(key)
                if ending is None:
                    if self._form_of(key) is None:
                        self._take_odd(line)
                        continue
                    ending = endings[key] = _Endings()
                ending.run.append(run)
                ending.units.append(units)
                ending.elapsed.append(elapsed)
                ending.cost.append(cost)
            return all(self._close(key, ending) for key, ending in endings.items())
        except ValueError:
            return False

    def pour_into(self, series: Series) -> None:
        """Now it counts."""
        for run, line in self._launched.items():
            series.open(run, line)
        for cell, sums in self._sums:
            series.put(cell, sums)
        series.close(self._ended)
        for record in self._odd:
            series.add(record)

    def _take_odd(self, line: bytes) -> None:
        record = parse_line(line)
        if record.status in OPENINGS:
            # It may stand before or after the launch of the same run: the later one is what holds.
            raise ValueError("the order of these lines matters")
        self._odd.append(record)

    def _form_of(self, key: Key) -> Form | None:
        if key not in self._forms:
            self._forms[key] = _form_of(key)
        return self._forms[key]

    def _close(self, key: Key, ending: _Endings) -> bool:
        form = self._form_of(key)
        sums = ending.sums(form[1]) if form else None
        if form is None or sums is None:
            return False
        self._sums.append((form[0], sums))
        if form[0][3] not in NEVER_RAN:
            self._ended += [run[4:] for run in ending.run]
        return True
