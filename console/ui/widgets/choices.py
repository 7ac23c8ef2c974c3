"""The answers of a dialog in one row. Enter takes the one that stands out, which at first is the harmless one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from textual import events
from textual.binding import Binding, BindingType
from textual.message import Message
from textual.reactive import reactive
from textual.strip import Strip
from textual.widget import Widget

from console.ui.spans import Line, Span, Tone, width
from console.ui.widgets.paint import TONES, paint


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """One answer."""

    id: str
    label: str
    key: str = ""
    """A letter that takes it at once; empty for none."""


class Choices(Widget, can_focus=True, inherit_bindings=False):
    """A row of answers; the first one is taken by Enter unless another was moved to."""

    COMPONENT_CLASSES: ClassVar[set[str]] = set(TONES)

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("right,down,tab,l,j", "move(1)", "next", id="choices.next", tooltip="To the next answer", show=False),
        Binding("left,up,shift+tab,h,k", "move(-1)", "previous", id="choices.previous", tooltip="Back", show=False),
        Binding("enter", "take", "take", id="choices.take", tooltip="Takes the answer that stands out", show=False),
    ]

    @dataclass
    class Taken(Message):
        """An answer was given."""

        id: str

    index: reactive[int] = reactive(0)

    def __init__(self, choices: Sequence[Choice], *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._choices = tuple(choices)

    @property
    def choices(self) -> tuple[Choice, ...]:
        """The answers, left to right."""
        return self._choices

    def replace(self, choices: Sequence[Choice]) -> None:
        """Other answers; the first one stands out again."""
        self._choices = tuple(choices)
        self.index = 0
        self.refresh()

    def action_move(self, step: int) -> None:
        """To the next answer or back, round the end."""
        self.index = (self.index + step) % len(self._choices)

    def action_take(self) -> None:
        """Gives the answer that stands out."""
        self.post_message(self.Taken(self._choices[self.index].id))

    def on_key(self, event: events.Key) -> None:
        """The letter of an answer takes it."""
        for choice in self._choices:
            if choice.key and event.key == choice.key:
                event.stop()
                self.post_message(self.Taken(choice.id))

    def on_click(self, event: events.Click) -> None:
        """A click takes the answer under it."""
        at = 0
        for index, choice in enumerate(self._choices):
            at += width(self._spans(index, choice))
            if event.x < at:
                self.post_message(self.Taken(choice.id))
                return

    def _spans(self, index: int, choice: Choice) -> Line:
        hint = f" ({choice.key})" if choice.key else ""
        tone = Tone.PICK if index == self.index else Tone.PLAIN
        return Span(f"  {choice.label}{hint}  ", tone), Span("  ")

    def render_line(self, y: int) -> Strip:
        """All answers beside each other."""
        spans = tuple(span for index, choice in enumerate(self._choices) for span in self._spans(index, choice))
        return paint(self, spans if y == 0 else (), self.size.width)
