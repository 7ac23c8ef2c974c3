"""Reads the history for the screen: the pages that are in sight, how much fits, and what came in on top since."""

from __future__ import annotations

from typing import Protocol

from console.engine.lookback import HistoryFilter
from console.ui.pages import PAGE, Pages, Sight
from console.ui.ports import View

COUNTED = 10_000
"""Counting goes no further."""
COUNTED_WORDS = 1_000
"""Beside words each entry may have to be looked up in their index."""


class Reader(Protocol):
    """Who looks at it."""

    def wanted(self) -> HistoryFilter:
        """What is asked for now; another filter is another object."""
        ...

    def in_sight(self) -> Sight:
        """What should be in memory."""
        ...

    def draw(self) -> None:
        """Something was read."""
        ...


class HistoryBook:
    """What was read so far."""

    def __init__(self, view: View, reader: Reader) -> None:
        self._view = view
        self._reader = reader
        self._counted: HistoryFilter | None = None
        self.pages = Pages()
        self.count: int | None = None
        """How many entries fit, up to one more than `most`; None while that is not known."""
        self.most = COUNTED

    def forget(self) -> None:
        """Other entries are wanted."""
        self.pages, self.count, self._counted = Pages(), None, None

    async def read(self) -> None:
        """What is in sight and not in memory, page by page, then the count. Raises StoreError."""
        while (number := self.pages.missing(self._reader.in_sight())) is not None:
            # Who filters meanwhile puts other pages here: what was read for these then shows nowhere.
            pages = self.pages
            await self._page(pages, number, self._reader.wanted())
            self._reader.draw()
        wanted = self._reader.wanted()
        if self._counted is not wanted:
            most = COUNTED_WORDS if wanted.text else COUNTED
            count = await self._view.count(wanted, at_most=most + 1)
            if wanted is self._reader.wanted():
                self.count, self.most, self._counted = count, most, wanted
        self._reader.draw()

    async def read_newest(self) -> None:
        """The newest page again, where the reader is at the top. Raises StoreError."""
        if not self._reader.in_sight().is_top:
            return
        wanted, pages = self._reader.wanted(), Pages()
        await self._page(pages, 0, wanted)
        if wanted is self._reader.wanted() and self._reader.in_sight().is_top:
            self.pages, self._counted = pages, None
            await self.read()

    async def _page(self, pages: Pages, number: int, wanted: HistoryFilter) -> None:
        page = await self._view.history(wanted, limit=PAGE, after=pages.start(number))
        pages.put(number, page, await self._view.keys(run.key for run in page.runs))
