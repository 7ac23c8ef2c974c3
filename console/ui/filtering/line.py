"""The line to type a filter or a search into, with help below.

Tab completes, Enter returns to the screen, Esc clears, then closes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar, Generic, Protocol, TypeVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.widgets import Input

from console.ui.filtering.terms import FilterError
from console.ui.spans import Line
from console.ui.widgets.lines import Lines

T = TypeVar("T")

FILTERING = "-filtering"
"""The class of a screen whose line is open: in a low terminal its panel is smaller then."""


class Grammar(Protocol[T]):
    """What can be typed into a line, and what it means."""

    def parse(self, text: str) -> T:
        """What the text asks for; the empty text asks for everything. Raises FilterError."""
        ...

    def is_same(self, one: T, other: T) -> bool:
        """True where both ask for the same."""
        ...

    def without_unfinished(self, text: str) -> str:
        """The text without a last piece that is not applied before it is finished."""
        ...

    def complete(self, text: str) -> str:
        """The text with its last piece completed."""
        ...

    def help(self, text: str, trouble: str, cells: int) -> Line:
        """The line below the text: what is wrong with it, or what can be typed next."""
        ...


class FilterLine(Vertical, Generic[T]):
    """Hidden until it is opened. `wanted` is what the last valid text asks for."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding(
            "escape", "let_go", "clear", id="filter.clear", tooltip="Clear the filter, then close it", priority=True
        ),
        Binding(
            "down,enter", "keep", "table", id="filter.keep", tooltip="Back to the table with this filter", priority=True
        ),
        Binding("tab", "complete", "complete", id="filter.complete", tooltip="Complete the last word", priority=True),
    ]

    def __init__(
        self, grammar: Grammar[T], *, id: str, changed: Callable[[bool], None], closed: Callable[[], None]
    ) -> None:
        """`changed` is called with each letter, with True if something else is wanted.

        `closed` is called when the line was closed and the screen gets the keyboard.
        """
        super().__init__(id=id)
        self._on_change = changed
        self._on_close = closed
        self._grammar = grammar
        self.wanted: T = grammar.parse("")
        self.trouble = ""

    def compose(self) -> ComposeResult:
        yield Input(compact=True, select_on_focus=False)
        yield Lines(id="offers")

    def on_mount(self) -> None:
        """Hide the line. Its cursor does not blink, because that would send bytes all the time."""
        self._input.cursor_blink = False
        self.display = False

    @property
    def _input(self) -> Input:
        return self.query_one(Input)

    @property
    def text(self) -> str:
        """The filter as it was typed."""
        return self._input.value if self.is_mounted else ""

    def open(self) -> None:
        """Show the line and give it the keyboard."""
        self.display = True
        self.screen.add_class(FILTERING)
        # At once: a letter typed right behind the slash must reach the line, never act on the table.
        self.screen.set_focus(self._input)
        self._help()

    def clear(self) -> None:
        """Clear the filter."""
        self.set_text("")

    def set_text(self, text: str) -> None:
        """Replace the filter, open or not."""
        self._input.value = text
        self._input.cursor_position = len(text)

    def action_let_go(self) -> None:
        """Clear the filter, or close the line if the filter is empty."""
        if self.text:
            self.clear()
        else:
            self.action_keep()

    def action_keep(self) -> None:
        """Close the line and keep the filter, its last word included."""
        self._ask(self.text)
        self.screen.set_focus(None)
        self.display = False
        self.screen.remove_class(FILTERING)
        self._on_close()

    def action_complete(self) -> None:
        """Complete the last word as far as all completions agree."""
        self._input.value = self._grammar.complete(self.text)
        self._input.cursor_position = len(self.text)

    @on(Input.Changed)
    def key_queue(self, event: Input.Changed) -> None:
        event.stop()
        self._ask(self._grammar.without_unfinished(event.value) if self.display else event.value)

    @on(Input.Submitted)
    def _submitted(self, event: Input.Submitted) -> None:
        event.stop()
        self.action_keep()

    def _ask(self, meant: str) -> None:
        """Apply the filter `meant`; keep the last valid filter while `meant` is not one."""
        before, self.trouble = self.wanted, ""
        try:
            wanted = self._grammar.parse(meant)
        except FilterError as error:
            wanted, self.trouble = before, str(error)
        is_other = not self._grammar.is_same(before, wanted)
        if is_other:
            self.wanted = wanted
        self._help()
        self._on_change(is_other)

    def _help(self) -> None:
        self.query_one("#offers", Lines).show([self._grammar.help(self.text, self.trouble, self.app.size.width)])
