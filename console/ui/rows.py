"""The history as rows: its pages, and below one key's newest attempt the others of it. Pure."""

from __future__ import annotations

from console.domain.run import RunId
from console.ui.pages import Entry, Pages


class Rows:
    """Pages with at most one key unfolded. Made anew whenever either changes."""

    def __init__(self, pages: Pages, head: RunId | None = None, below: tuple[Entry, ...] = ()) -> None:
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
