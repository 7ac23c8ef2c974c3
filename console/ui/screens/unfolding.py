"""`space`: the other attempts of a key below its newest, in a list that folds them."""

from __future__ import annotations

from textual.binding import Binding

from console.ui.pages import Entry
from console.ui.screens.acting import Acting
from console.ui.widgets.history_table import HistoryTable

ATTEMPTS = Binding(
    "space",
    "unfold",
    "attempts",
    id="history.attempts",
    tooltip="Shows the other attempts of this key below it, or folds them again",
)


class Unfolding(Acting):
    """A board over the long table."""

    @property
    def table(self) -> HistoryTable:
        """The long table."""
        return self.query_one(HistoryTable)

    @property
    def folds(self) -> bool:
        """True where the list shows the newest attempt of each key alone."""
        return False

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """There must be several attempts, and folded."""
        if action != "unfold":
            return super().check_action(action, parameters)
        entry = self.table.cursor if self.has_body else None
        return True if entry is not None and entry.run.attempt and entry.standing.attempts > 1 and self.folds else None

    def action_unfold(self) -> None:
        """The other attempts of the key under the cursor, or none."""
        rows, entry = self.table.rows, self.table.cursor
        if entry is None:
            return
        if any(each.run.key == entry.run.key for each in rows.below):
            self.table.unfold(None)
        else:
            self.acts.start(self._unfold(entry), name=f"attempts of {entry.run.key}")

    async def _unfold(self, entry: Entry) -> None:
        detail = await self.context.engine.view.detail(entry.run.id)
        others = [run for run in reversed(detail.attempts) if run.id != entry.run.id] if detail is not None else []
        if self.table.rows.index(entry.run.id) is not None:
            self.table.unfold(entry.run.id, tuple(Entry(run=run, standing=entry.standing) for run in others))
