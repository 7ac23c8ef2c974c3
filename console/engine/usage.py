"""The door to what was used. What sums it up is loaded when somebody first asks: most processes never do."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from console.engine.parts import Parts

if TYPE_CHECKING:
    from console.engine.consumption import Sums, UsageQuery, UsageReport


class UsageBook:
    """What was used, from the log."""

    def __init__(self, parts: Parts, path: Path) -> None:
        """`path` is the log."""
        self._parts = parts
        self._path = path
        self._sums: Sums | None = None

    async def report(self, query: UsageQuery) -> UsageReport:
        """The period that ends today. Raises JournalError for a log that cannot be read, StoreError, ValueError."""
        if self._sums is None:
            from console.engine.consumption import Sums

            self._sums = Sums(self._parts, self._path)
        return await self._sums.report(query)

    def close(self) -> None:
        """Lets go of the log."""
        if self._sums is not None:
            self._sums.close()
