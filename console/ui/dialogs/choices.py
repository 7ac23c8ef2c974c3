"""The answers of a dialog in a row. Enter takes the highlighted one, which at first is the first answer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from textual import events
from textual.binding import Binding, BindingType
from textual.geometry import Size
from textual.message import Message
from textual.reactive import reactive
from textual.strip import Strip
from textual.widget import Widget

from console.ui.spans import Line, Span, Tone
from console.ui.spans import width as cells_of
from console.ui.widgets.lines import paint

GAP = 2
"""The number of cells between two answers."""
ENTER = " (enter)"
"""Behind the answer that Enter takes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """One answer of a question."""

    id: str
    label: str
    key: str = ""
    """A key that takes the answer at once; empty for none."""


class Choices(Widget, can_focus=True, inherit_bindings=False):
    """A row of answers, or a column where they do not fit beside each other."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("right,down,tab,l,j", "move(1)", "next", id="choices.next", tooltip="To the next answer", show=False),
        Binding("left,up,shift+tab,h,k", "move(-1)", "previous", id="choices.previous", tooltip="Back", show=False),
        Binding("enter", "take", "take", id="choices.take", tooltip="Choose the highlighted answer", show=False),
    ]

    @dataclass
    class Taken(Message):
        """An answer was chosen."""

        id: str

    index: reactive[int] = reactive(0)

    def __init__(self, choices: Sequence[Choice], *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._choices = tuple(choices)

    @property
    def choices(self) -> tuple[Choice, ...]:
        """The answers from left to right."""
        return self._choices

    def replace(self, choices: Sequence[Choice]) -> None:
        """Replace the answers. The highlighted one stays highlighted if it is among them, else the first one is."""
        if self._choices == tuple(choices):
            return
        taken = self._choices[self.index].id
        self._choices = tuple(choices)
        self.index = next((at for at, choice in enumerate(self._choices) if choice.id == taken), 0)
        self.refresh(layout=True)

    def action_move(self, step: int) -> None:
        """Highlight the next or the previous answer; wraps at the ends."""
        self.index = (self.index + step) % len(self._choices)

    def action_take(self) -> None:
        """Choose the highlighted answer."""
        self.post_message(self.Taken(self._choices[self.index].id))

    def on_key(self, event: events.Key) -> None:
        """Choose the answer whose key was pressed."""
        for choice in self._choices:
            if choice.key and event.key == choice.key:
                event.stop()
                self.post_message(self.Taken(choice.id))

    def on_click(self, event: events.Click) -> None:
        """Choose the answer that was clicked."""
        for (start, end, row), choice in zip(self._places(), self._choices, strict=True):
            if row == event.y and start <= event.x < end:
                self.post_message(self.Taken(choice.id))

    def rows_for(self, cells: int) -> int:
        """1 if all answers fit beside each other into `cells`, else one row for each."""
        return (
            1
            if sum(cells_of(self._spans(at)) + GAP for at in range(len(self._choices))) - GAP <= cells
            else len(self._choices)
        )

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:
        """The rows that the answers need."""
        return self.rows_for(width)

    def render_line(self, y: int) -> Strip:
        """The answers in row `y`."""
        if self.rows_for(self.size.width) > 1:
            shown = [y] if y < len(self._choices) else []
        else:
            shown = list(range(len(self._choices))) if y == 0 else []
        spans = tuple(span for at in shown for span in (*self._spans(at), Span(" " * GAP)))
        return paint(self, spans, self.size.width)

    def _spans(self, index: int) -> Line:
        choice = self._choices[index]
        hint = ENTER if index == self.index else f" ({choice.key})" if choice.key else ""
        return (Span(f"  {choice.label}{hint}  ", Tone.PICK if index == self.index else Tone.PLAIN),)

    def _places(self) -> list[tuple[int, int, int]]:
        """The place of each answer: first column, column behind it, row."""
        beside = self.rows_for(self.size.width) == 1
        places: list[tuple[int, int, int]] = []
        at = 0
        for index in range(len(self._choices)):
            cells = cells_of(self._spans(index))
            places.append((at, at + cells, 0) if beside else (0, cells, index))
            at += cells + GAP
        return places
