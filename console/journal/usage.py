"""The sums of the whole log, kept up to date for the price of its new bytes: every chart of the past is made of it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Self

from console.journal.fold import LogFold
from console.journal.series import Series
from console.journal.tail import LogTail


class UsageLog:
    """One per process. Not for use by several threads at once."""

    def __init__(self, path: Path, *, since_ms: int | None = None) -> None:
        """`since_ms`: rotated files last written before this UTC instant are left out."""
        self._tail = LogTail(path, since_ms=since_ms)
        self._fold = LogFold()
        self._shown = self._fold

    @property
    def series(self) -> Series:
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
                self._fold = LogFold()
            self._fold.add(block.data)
            yield len(block.data)
        self._shown = self._fold

    def refresh(self) -> Series:
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
