"""Which line numbers were read. They are gap-free at the source: a hole is a lost line, a repeat is a double."""

from __future__ import annotations

from bisect import bisect_right

MAX_SPANS = 1000


class Seen:
    """A set of numbers as spans, oldest first; a whole log is one span.

    Where there are too many holes the oldest one is given up: a line that fills it later counts as a double.
    """

    def __init__(self, max_spans: int = MAX_SPANS) -> None:
        self._max_spans = max_spans
        self._firsts: list[int] = []
        self._lasts: list[int] = []

    @property
    def lowest(self) -> int | None:
        """The smallest number; None while there is none."""
        return self._firsts[0] if self._firsts else None

    def add(self, number: int) -> bool:
        """Takes `number` in. False where it was there already."""
        return self.add_span(number, 1)

    def add_span(self, first: int, count: int) -> bool:
        """Takes in `count` numbers from `first` on. False, with nothing taken, where one of them was there already."""
        last = first + count - 1
        at = bisect_right(self._firsts, last)
        if at and self._lasts[at - 1] >= first:
            return False
        joins_left = at > 0 and self._lasts[at - 1] == first - 1
        joins_right = at < len(self._firsts) and self._firsts[at] == last + 1
        if joins_left and joins_right:
            self._lasts[at - 1] = self._lasts.pop(at)
            del self._firsts[at]
        elif joins_left:
            self._lasts[at - 1] = last
        elif joins_right:
            self._firsts[at] = first
        else:
            self._firsts.insert(at, first)
            self._lasts.insert(at, last)
            self._give_up_oldest_hole()
        return True

    def holes(self) -> tuple[tuple[int, int], ...]:
        """First and last number of each run of missing ones, oldest first; what lies before the first line is none."""
        return tuple((last + 1, first - 1) for last, first in zip(self._lasts[:-1], self._firsts[1:], strict=True))

    def _give_up_oldest_hole(self) -> None:
        if len(self._firsts) > self._max_spans:
            del self._lasts[0], self._firsts[1]
