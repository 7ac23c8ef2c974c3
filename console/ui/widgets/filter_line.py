"""The line to type a filter into: tab completes, enter goes back to the table, esc first empties and then closes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.message import Message
from textual.widgets import Input


class FilterLine(Input):
    """One line without a blinking cursor, which would send bytes all the time."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "let_go", "clear", id="filter.clear", tooltip="Empties the filter, then closes it"),
        Binding("down,enter", "keep", "table", id="filter.keep", tooltip="Back to the table with this filter"),
        Binding("tab", "complete", "complete", id="filter.complete", tooltip="Completes the word at the end"),
    ]

    @dataclass
    class Closed(Message):
        """The table wants the keyboard."""

    @dataclass
    class Completing(Message):
        """The word at the end is to be completed."""

    def __init__(self, *, id: str) -> None:
        super().__init__(placeholder="task:… outcome:… since:7d and words", compact=True, id=id, select_on_focus=False)
        self.cursor_blink = False

    def action_let_go(self) -> None:
        """Empties, or closes where there is nothing to empty."""
        if self.value:
            self.value = ""
        else:
            self.post_message(self.Closed())

    def action_keep(self) -> None:
        """Closes and leaves the filter on."""
        self.post_message(self.Closed())

    def action_complete(self) -> None:
        """Asks for the rest of the word."""
        self.post_message(self.Completing())
