"""Dialogs: choose an answer, fill in lines, pick from a list. Each returns a value, or None if it was closed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar, TypeVar

from textual import events, on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.widgets import Input

from console.ui.dialogs.choices import Choice, Choices
from console.ui.spans import Line, Span, Tone, fit, left, line, width, wrap_facts
from console.ui.state.view_state import ViewState
from console.ui.terminal.driver import when_shown
from console.ui.terminal.keys import KeyProcessed
from console.ui.widgets.lines import Lines

Body = Callable[[int], Sequence[Line]]
"""Makes the text of a dialog for a width in cells."""

Answer = TypeVar("Answer")

WIDEST = 92
"""The width of a dialog in cells, where the terminal has room."""

UNPAINTED_S = 1.0
"""A dialog whose title was not painted for so long counts as painted."""

ESCAPE = Binding("escape", "back", "back", id="dialog.back", tooltip="Close the dialog without an answer", show=False)


class Dialog(ModalScreen[Answer | None], inherit_bindings=False):
    """A box over the screen below, which goes on refreshing."""

    BINDINGS: ClassVar[list[BindingType]] = [ESCAPE]
    CSS_PATH = None

    def __init__(self, title: str, body: Body, *, loud: bool = False) -> None:
        super().__init__(classes="-loud" if loud else "")
        self._title = title
        self._body = body
        self._title_tone = Tone.LOUD if loud else Tone.STRONG
        self._visible_since: float | None = None
        """The time from which the terminal shows the dialog as it is now, on the clock of events; None before."""
        self._awaits_paint = True

    def on_screen_resume(self) -> None:
        self.wait_until_visible()

    def wait_until_visible(self) -> None:
        """Accept no answer until the terminal shows the dialog as it is now."""
        self._visible_since = None
        self._awaits_paint = True
        for title in self.query("#title"):
            title.refresh()
        # In a terminal too low for the title it is never painted.
        self.set_timer(UNPAINTED_S, self._title_painted)

    def _title_painted(self) -> None:
        if self._awaits_paint:
            self._awaits_paint = False
            when_shown(self.app, self._now_visible)

    def _now_visible(self, since: float) -> None:
        self._visible_since = since
        self.app.post_message(KeyProcessed(0))

    def accepts(self, event: events.Key | events.Paste) -> bool | None:
        """False for a key that was typed before the dialog was visible, unless it goes back or is text for a line.

        None while the dialog is not visible yet.
        """
        if isinstance(event, events.Key) and event.key == "escape":
            return True
        if isinstance(self.focused, Input) and (isinstance(event, events.Paste) or event.is_printable):
            return True
        return None if self._visible_since is None else event.time >= self._visible_since

    def decides(self, event: events.Key) -> bool:
        """True for Enter, and for the letters of answers."""
        return event.key == "enter"

    @property
    def answer_rows(self) -> int:
        """The rows that the answers need. In a low terminal the text is shortened, never the answers."""
        return 1

    @property
    def text(self) -> tuple[Line, ...]:
        """The text that is shown."""
        return self.query_one("#text", Lines).lines

    def compose(self) -> ComposeResult:
        with Vertical(id="box"):
            yield Lines(id="title", on_paint=self._title_painted)
            yield Lines(id="text")
            yield from self.answers()

    def answers(self) -> ComposeResult:
        """The widgets below the text, with which the dialog is answered."""
        yield from ()

    def on_mount(self) -> None:
        self.lay_out()

    def on_resize(self) -> None:
        self.lay_out()

    def lay_out(self) -> None:
        """Lay out title and text for the present size of the terminal."""
        cells = min(WIDEST, self.app.size.width - 2) - 4
        self.query_one("#box").styles.width = cells + 4
        title = f" {self._title} " if self._title_tone is Tone.LOUD else self._title
        self.query_one("#title", Lines).show([fit((Span(title, self._title_tone),), cells), ()])
        rows = self.app.size.height - 5 - self.answer_rows
        body = self._body(cells)
        text = wrap_facts(body, cells)
        if len([each for each in text if width(each)]) > rows:
            # Too low for whole lines: the beginning of each is worth more than the end of some.
            text = [fit(each, cells) for each in shortened(body, rows)]
        self.query_one("#text", Lines).show([*shortened(text, rows), ()] if text else [])

    def change_text(self, title: str, body: Body) -> None:
        """Replace title and text, because things have changed since the dialog was opened."""
        self._title, self._body = title, body
        self.lay_out()

    def action_back(self) -> None:
        """Close the dialog without a value."""
        self.dismiss(None)


def shortened(text: Sequence[Line], rows: int) -> list[Line]:
    """At most `rows` lines: blank lines are left out first, then the end, in whose place a line says so."""
    if len(text) <= rows:
        return list(text)
    full = [each for each in text if each]
    if len(full) <= rows:
        return full
    return [
        *full[: max(0, rows - 1)],
        line(Span(f"{len(full) - rows + 1} more lines: the window is too low", Tone.WARN)),
    ]


class ChoiceDialog(Dialog[str]):
    """A question with answers to choose from; returns the id of the chosen one.

    Enter chooses the first one at first.
    """

    def __init__(
        self,
        title: str,
        body: Body,
        choices: Sequence[Choice],
        *,
        loud: bool = False,
        follow: Callable[[ViewState], tuple[str, Body, Sequence[Choice]]] | None = None,
    ) -> None:
        """`follow` makes title, text and answers anew from each state that is read while the question is open."""
        super().__init__(title, body, loud=loud)
        self._choices = choices
        self._follow = follow

    def on_mount(self) -> None:
        """Follow the state of the app where the question depends on it."""
        if self._follow is not None:
            self.watch(self.app, "view", self._view_changed)

    def _view_changed(self, view: ViewState | None) -> None:
        if view is not None and self._follow is not None and self.is_mounted:
            title, body, choices = self._follow(view)
            self.offer(choices)
            self.change_text(title, body)

    def answers(self) -> ComposeResult:
        """The row of answers."""
        yield Choices(self._choices, id="choices")

    @property
    def answer_rows(self) -> int:
        """1, or one row for each answer where they do not fit beside each other."""
        return self.query_one(Choices).rows_for(min(WIDEST, self.app.size.width - 2) - 4)

    def decides(self, event: events.Key) -> bool:
        """True for Enter and for the letters of the answers."""
        return event.key == "enter" or any(choice.key == event.key for choice in self._choices)

    def offer(self, choices: Sequence[Choice]) -> None:
        """Replace the answers, because things have changed since the question was asked."""
        if tuple(choices) != tuple(self._choices):
            self.wait_until_visible()
        self._choices = choices
        self.query_one(Choices).replace(choices)

    @on(Choices.Taken)
    def _taken(self, event: Choices.Taken) -> None:
        event.stop()
        self.dismiss(None if event.id == BACK.id else event.id)


BACK = Choice(id="back", label="Back")
"""The answer that closes a dialog without a value."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """A line to fill in."""

    label: str
    hint: str = ""
    """Text that is shown while the line is empty."""
    needed: bool = True


class FormDialog(Dialog[tuple[str, ...]]):
    """Lines to fill in; returns their texts without blanks at the ends.

    Enter submits once all needed lines are filled in.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        ESCAPE,
        Binding("down,tab", "move(1)", "next", id="form.next", tooltip="To the next line", show=False),
        Binding("up,shift+tab", "move(-1)", "previous", id="form.previous", tooltip="To the line above", show=False),
    ]

    def __init__(self, title: str, body: Body, fields: Sequence[Field], *, done: str, loud: bool = False) -> None:
        super().__init__(title, body, loud=loud)
        self._fields = tuple(fields)
        self._done = done

    @property
    def answer_rows(self) -> int:
        """Two rows for each field, and two for the hint."""
        return 2 * len(self._fields) + 2

    def answers(self) -> ComposeResult:
        """A label and an input for each field, and a line that says what Enter does."""
        for index, field in enumerate(self._fields):
            yield Lines([line(Span(field.label, Tone.MUTED))])
            yield Input(placeholder=field.hint, compact=True, id=f"field-{index}", select_on_focus=False)
        yield Lines([(), line(Span("enter", Tone.KEY), f" {self._done}   ", Span("esc", Tone.KEY), " back")], id="hint")

    def on_mount(self) -> None:
        """Focus the first line. The cursor does not blink, because that would send bytes all the time."""
        for entry in self.query(Input):
            entry.cursor_blink = False
        self.query(Input).first().focus()

    def action_move(self, step: int) -> None:
        """Focus the next or the previous line."""
        (self.focus_next if step > 0 else self.focus_previous)(Input)

    @on(Input.Submitted)
    def _submitted(self, event: Input.Submitted) -> None:
        event.stop()
        values = tuple(entry.value.strip() for entry in self.query(Input))
        missing = [index for index, field in enumerate(self._fields) if field.needed and not values[index]]
        if missing:
            self.query_one(f"#field-{missing[0]}", Input).focus()
            label = self._fields[missing[0]].label
            self.query_one("#hint", Lines).show([(), line(Span(f"{label} is needed", Tone.BAD))])
            return
        self.dismiss(values)


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """One entry of a list to pick from."""

    id: str
    label: str
    hint: str = ""


class PickerDialog(Dialog[str]):
    """A list that is filtered by typing; returns the id of the entry that Enter picked."""

    BINDINGS: ClassVar[list[BindingType]] = [
        ESCAPE,
        Binding("down,ctrl+n,tab", "move(1)", "next", id="chooser.next", tooltip="To the next entry", show=False),
        Binding("up,ctrl+p,shift+tab", "move(-1)", "up", id="chooser.up", tooltip="To the entry above", show=False),
    ]
    ROWS = 12

    def __init__(self, title: str, items: Sequence[Item], *, hint: str, pointer: str) -> None:
        super().__init__(title, lambda cells: ())
        self._items = tuple(items)
        self._hint = hint
        self._pointer = pointer
        self._at = 0

    def answers(self) -> ComposeResult:
        """The line to type into, and the list."""
        yield Input(placeholder=self._hint, compact=True, id="filter", select_on_focus=False)
        yield Lines(id="items")

    def on_mount(self) -> None:
        """Focus the line. The cursor does not blink, because that would send bytes all the time."""
        entry = self.query_one(Input)
        entry.cursor_blink = False
        entry.focus()

    def lay_out(self) -> None:
        """Lay out title and list for the present size of the terminal."""
        super().lay_out()
        self._show()

    @property
    def matching(self) -> tuple[Item, ...]:
        """The entries that contain every typed word."""
        words = self.query_one(Input).value.lower().split()
        return tuple(item for item in self._items if all(word in f"{item.label} {item.hint}".lower() for word in words))

    def action_move(self, step: int) -> None:
        """Highlight the next or the previous entry; wraps at the ends."""
        self._at = (self._at + step) % max(1, len(self.matching))
        self._show()

    @on(Input.Changed)
    def key_queue(self, event: Input.Changed) -> None:
        event.stop()
        self._at = 0
        self._show()

    @on(Input.Submitted)
    def _submitted(self, event: Input.Submitted) -> None:
        event.stop()
        if self.matching:
            self.dismiss(self.matching[self._at].id)

    def _show(self) -> None:
        matching = self.matching
        top = max(0, min(self._at - self.ROWS // 2, len(matching) - self.ROWS))
        cells = self.query_one("#items").size.width or WIDEST
        widest = max((len(item.label) for item in self._items), default=0) + 2
        shown = enumerate(matching[top : top + self.ROWS], top)
        lines = [fit(self._entry(item, at == self._at, widest), cells) for at, item in shown]
        rest = [()] * (min(self.ROWS, len(self._items)) - len(lines))
        count = f"{len(matching)} of {len(self._items)}" if matching else "nothing matches"
        self.query_one("#items", Lines).show([(), *lines, *rest, (), line(Span(count, Tone.MUTED))])

    def _entry(self, item: Item, picked: bool, widest: int) -> Line:
        tone = Tone.PICK if picked else Tone.PLAIN
        sign = self._pointer if picked else " "
        return line(Span(f"{sign} {left(item.label, min(widest, 40))}", tone), Span(f" {item.hint}", Tone.MUTED))
