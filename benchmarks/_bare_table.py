"""The smallest Textual application with a table, as the reference for the start of the console."""

from __future__ import annotations

from textual.app import App, ComposeResult
from textual.widgets import DataTable, Footer, Header


class BareTable(App[None]):
    """A header, a table of 40 rows, a footer."""

    TITLE = "bare"

    def compose(self) -> ComposeResult:
        yield Header()
        yield DataTable[str]()
        yield Footer()

    def on_mount(self) -> None:
        table = self.query_one(DataTable)
        table.add_columns("state", "task", "target", "units")
        for row in range(1, 41):
            table.add_row("running", f"look-after-{row % 8 + 1}", f"acme/site-{row:02}", "12.5 / 50")


if __name__ == "__main__":
    BareTable().run()
