"""The history as rows: pages of entries that are read on demand and kept only near the viewport."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from console.domain.run import Run, RunId
from console.engine.models import Cursor, HistoryFilter, KeyStatus, Page
from console.ui.ports import QueriesPort

PAGE = 100
"""Entries of a page."""
KEPT = 8
"""Pages that are kept in memory."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One entry of the history, with the present state of its key."""

    run: Run
    key_status: KeyStatus


class Viewport(NamedTuple):
    """The rows that are scrolled into view."""

    first: int
    last: int
    is_top: bool = False
    """True if the first row is in view, so that new entries may be added above."""


class PageCache:
    """Pages of entries, newest first. The start of a page is known once the page before it was read."""

    def __init__(self) -> None:
        self._starts: list[Cursor | None] = [None]
        self._kept: OrderedDict[int, tuple[Entry, ...]] = OrderedDict()
        self._last = 0
        """Entries of the last page, if that was read."""
        self.complete = False
        """True once the oldest entry was read."""

    def __len__(self) -> int:
        """The number of entries that are known, in memory or not."""
        if self.complete:
            return (len(self._starts) - 1) * PAGE + self._last
        return (len(self._starts) - 1) * PAGE

    def start(self, number: int) -> Cursor | None:
        """The cursor at which page `number` starts; None for the first page."""
        return self._starts[number]

    def put(self, number: int, page: Page, key_statuses: Mapping[str, KeyStatus]) -> None:
        """Store a page that was read. Reading the last known page makes the next one known."""
        self._kept[number] = tuple(
            Entry(run=run, key_status=key_statuses[run.key]) for run in page.runs if run.key in key_statuses
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
        """The entry at `index`; None if its page is not in memory."""
        page = self._kept.get(index // PAGE)
        return page[index % PAGE] if page is not None and index % PAGE < len(page) else None

    def missing(self, viewport: Viewport) -> int | None:
        """The first page that is needed for the viewport and half a page behind it and is not in memory, or None."""
        top = len(self._starts) - 1
        for number in range(max(0, viewport.first) // PAGE, min((viewport.last + PAGE // 2) // PAGE, top) + 1):
            if number not in self._kept:
                return number
            self._kept.move_to_end(number)
        return None

    def index(self, run_id: RunId | None) -> int | None:
        """The index of the run; None if it is not in memory."""
        for number, page in self._kept.items():
            for at, entry in enumerate(page):
                if entry.run.id == run_id:
                    return number * PAGE + at
        return None

    @property
    def in_memory(self) -> int:
        """The number of entries in memory."""
        return sum(map(len, self._kept.values()))


class Rows:
    """The rows of the table: the pages, with the other attempts of at most one key shown below its newest attempt."""

    def __init__(self, pages: PageCache, head: RunId | None = None, below: tuple[Entry, ...] = ()) -> None:
        """`below` are the entries behind that of the run `head`; they are left out while that run is not in memory."""
        self.pages = pages
        self.head = head
        at = pages.index(head) if head is not None else None
        self._first = len(pages) if at is None else at + 1
        self.below = below if at is not None else ()

    def __len__(self) -> int:
        """The number of known rows."""
        return len(self.pages) + len(self.below)

    def is_below(self, row: int) -> bool:
        """True for an attempt that is shown below the newest attempt of its key."""
        return self._first <= row < self._first + len(self.below)

    def entry(self, row: int) -> Entry | None:
        """The entry in that row; None if its page is not in memory."""
        return self.below[row - self._first] if self.is_below(row) else self.pages.entry(self.place(row))

    def place(self, row: int) -> int:
        """The index of the row in the pages; for an attempt below the newest one the index of the newest one."""
        if row < self._first:
            return row
        return self._first - 1 if self.is_below(row) else row - len(self.below)

    def index(self, run_id: RunId | None) -> int | None:
        """The row of the run; None if it is not in memory."""
        place = self.pages.index(run_id)
        if place is not None:
            return place if place < self._first else place + len(self.below)
        return next((self._first + at for at, entry in enumerate(self.below) if entry.run.id == run_id), None)


COUNTED = 10_000
"""Matching entries are counted up to this number."""
COUNTED_WORDS = 1_000
"""The same for a filter with words, for which each entry may have to be looked up in the text index."""


class HistoryReader(Protocol):
    """The screen that shows the entries."""

    def wanted(self) -> HistoryFilter:
        """The present filter; another filter is another object."""
        ...

    def viewport(self) -> Viewport:
        """The rows that should be in memory."""
        ...

    def draw(self) -> None:
        """Show what was read so far."""
        ...


class HistoryLoader:
    """Reads pages and the count for a screen."""

    def __init__(self, queries: QueriesPort, reader: HistoryReader) -> None:
        self._queries = queries
        self._reader = reader
        self._counted: HistoryFilter | None = None
        self.pages = PageCache()
        self.count: int | None = None
        """The number of matching entries, counted up to one more than `most`; None while it is not known."""
        self.most = COUNTED

    def forget(self) -> None:
        """Forget everything, because another filter is wanted."""
        self.pages, self.count, self._counted = PageCache(), None, None

    async def read(self) -> None:
        """Read the missing pages of the viewport, one after the other, then the count. Raises StoreError."""
        while (number := self.pages.missing(self._reader.viewport())) is not None:
            # Another filter replaces the pages meanwhile; what is read for these is then shown nowhere.
            pages = self.pages
            await self._page(pages, number, self._reader.wanted())
            self._reader.draw()
        wanted = self._reader.wanted()
        if self._counted is not wanted:
            most = COUNTED_WORDS if wanted.text else COUNTED
            count = await self._queries.count(wanted, at_most=most + 1)
            if wanted is self._reader.wanted():
                self.count, self.most, self._counted = count, most, wanted
        self._reader.draw()

    async def read_newest(self) -> None:
        """Read the newest page again if the first row is in view. Raises StoreError."""
        if not self._reader.viewport().is_top:
            return
        wanted, pages = self._reader.wanted(), PageCache()
        await self._page(pages, 0, wanted)
        if wanted is self._reader.wanted() and self._reader.viewport().is_top:
            self.pages, self._counted = pages, None
            await self.read()

    async def _page(self, pages: PageCache, number: int, wanted: HistoryFilter) -> None:
        page = await self._queries.history(wanted, limit=PAGE, after=pages.start(number))
        pages.put(number, page, await self._queries.keys(run.key for run in page.runs))
