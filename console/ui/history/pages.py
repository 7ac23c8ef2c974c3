"""A list that is longer than memory: pages by key, those near the reader kept, the others asked for again. Pure."""

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
"""Pages in memory."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One row of the history."""

    run: Run
    standing: KeyStatus


class Viewport(NamedTuple):
    """What a reader looks at."""

    first: int
    last: int
    is_top: bool = False
    """New entries would move nothing from under the reader."""


class PageCache:
    """Where each page begins is known from the first one to the last one that was read; the rest is not."""

    def __init__(self) -> None:
        self._starts: list[Cursor | None] = [None]
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

    def start(self, number: int) -> Cursor | None:
        """Where page `number` begins."""
        return self._starts[number]

    def put(self, number: int, page: Page, standings: Mapping[str, KeyStatus]) -> None:
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

    def missing(self, viewport: Viewport) -> int | None:
        """The first page that is needed for what is in sight, and some ahead, and that is not in memory."""
        top = len(self._starts) - 1
        for number in range(max(0, viewport.first) // PAGE, min((viewport.last + PAGE // 2) // PAGE, top) + 1):
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


class Rows:
    """Pages with at most one key unfolded. Made anew whenever either changes."""

    def __init__(self, pages: PageCache, head: RunId | None = None, below: tuple[Entry, ...] = ()) -> None:
        """`below` stands behind the entry of the run `head`, wherever that is; nowhere where it is not in memory."""
        self.pages = pages
        self.head = head
        at = pages.index(head) if head is not None else None
        self._first = len(pages) if at is None else at + 1
        self.below = below if at is not None else ()

    def __len__(self) -> int:
        """Rows that are known of."""
        return len(self.pages) + len(self.below)

    def is_below(self, row: int) -> bool:
        """True for an attempt that stands below its key's newest."""
        return self._first <= row < self._first + len(self.below)

    def entry(self, row: int) -> Entry | None:
        """The entry of that row; None where its page is not in memory."""
        return self.below[row - self._first] if self.is_below(row) else self.pages.entry(self.place(row))

    def place(self, row: int) -> int:
        """Where the row is in the pages; for an attempt below its key's newest where that one is."""
        if row < self._first:
            return row
        return self._first - 1 if self.is_below(row) else row - len(self.below)

    def index(self, run_id: RunId | None) -> int | None:
        """The row of the run, as far as it is in memory."""
        place = self.pages.index(run_id)
        if place is not None:
            return place if place < self._first else place + len(self.below)
        return next((self._first + at for at, entry in enumerate(self.below) if entry.run.id == run_id), None)


COUNTED = 10_000
"""Counting goes no further."""
COUNTED_WORDS = 1_000
"""Beside words each entry may have to be looked up in their index."""


class HistoryReader(Protocol):
    """Who looks at it."""

    def wanted(self) -> HistoryFilter:
        """What is asked for now; another filter is another object."""
        ...

    def viewport(self) -> Viewport:
        """What should be in memory."""
        ...

    def draw(self) -> None:
        """Something was read."""
        ...


class HistoryLoader:
    """What was read so far."""

    def __init__(self, queries: QueriesPort, reader: HistoryReader) -> None:
        self._queries = queries
        self._reader = reader
        self._counted: HistoryFilter | None = None
        self.pages = PageCache()
        self.count: int | None = None
        """How many entries fit, up to one more than `most`; None while that is not known."""
        self.most = COUNTED

    def forget(self) -> None:
        """Other entries are wanted."""
        self.pages, self.count, self._counted = PageCache(), None, None

    async def read(self) -> None:
        """What is in sight and not in memory, page by page, then the count. Raises StoreError."""
        while (number := self.pages.missing(self._reader.viewport())) is not None:
            # Who filters meanwhile puts other pages here: what was read for these then shows nowhere.
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
        """The newest page again, where the reader is at the top. Raises StoreError."""
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
