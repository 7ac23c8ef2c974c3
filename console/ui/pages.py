"""A list that is longer than memory: pages by key, those near the reader kept, the others asked for again. Pure."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from console.domain.run import Run, RunId
from console.engine.lookback import KeyStanding, Page, Place

PAGE = 100
"""Entries of a page."""
KEPT = 8
"""Pages in memory."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One row of the history."""

    run: Run
    standing: KeyStanding


class Sight(NamedTuple):
    """What a reader looks at."""

    first: int
    last: int
    is_top: bool = False
    """New entries would move nothing from under the reader."""


class Pages:
    """Where each page begins is known from the first one to the last one that was read; the rest is not."""

    def __init__(self) -> None:
        self._starts: list[Place | None] = [None]
        self._kept: OrderedDict[int, tuple[Entry, ...]] = OrderedDict()
        self._last = 0
        """Entries of the last page, where that is known."""
        self.complete = False
        """True once the oldest entry was read."""

    def __len__(self) -> int:
        """Entries that are known of, in memory or not."""
        if self.complete:
            return (len(self._starts) - 1) * PAGE + self._last
        return (len(self._starts) - 1) * PAGE

    def start(self, number: int) -> Place | None:
        """Where page `number` begins."""
        return self._starts[number]

    def put(self, number: int, page: Page, standings: Mapping[str, KeyStanding]) -> None:
        """Takes a page that was read; where it is the last one known, the next one becomes known."""
        self._kept[number] = tuple(
            Entry(run=run, standing=standings[run.key]) for run in page.runs if run.key in standings
        )
        self._kept.move_to_end(number)
        while len(self._kept) > KEPT:
            self._kept.popitem(last=False)
        if number == len(self._starts) - 1:
            if page.after is None:
                self.complete, self._last = True, len(page.runs)
            else:
                self._starts.append(page.after)

    def entry(self, index: int) -> Entry | None:
        """The entry at `index`; None where its page is not in memory."""
        page = self._kept.get(index // PAGE)
        return page[index % PAGE] if page is not None and index % PAGE < len(page) else None

    def missing(self, sight: Sight) -> int | None:
        """The first page that is needed for what is in sight, and some ahead, and that is not in memory."""
        top = len(self._starts) - 1
        for number in range(max(0, sight.first) // PAGE, min((sight.last + PAGE // 2) // PAGE, top) + 1):
            if number not in self._kept:
                return number
            self._kept.move_to_end(number)
        return None

    def index(self, run_id: RunId | None) -> int | None:
        """Where the run stands, as far as it is in memory."""
        for number, page in self._kept.items():
            for at, entry in enumerate(page):
                if entry.run.id == run_id:
                    return number * PAGE + at
        return None

    @property
    def in_memory(self) -> int:
        """Entries held."""
        return sum(map(len, self._kept.values()))
