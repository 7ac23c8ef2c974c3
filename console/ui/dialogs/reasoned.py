"""A question whose answer may carry a reason for the record. The line for it opens with a key of its own, and nothing
typed into it answers the question.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from textual import events, on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.widgets import Input

from console.ui.dialogs.choices import Choice, Choices
from console.ui.dialogs.dialog import BACK, ESCAPE, WIDEST, Body, Dialog
from console.ui.spans import Line, Span, Tone, fit, line, sanitize_cell
from console.ui.widgets.lines import Lines

REASON_KEY = "r"
LABEL = "reason  "


@dataclass(frozen=True, slots=True)
class Reasoned:
    """The id of the answer, and the reason that was typed; it may be empty."""

    id: str
    reason: str


class ReasonedDialog(Dialog[Reasoned]):
    """A question with answers to choose from and a line for the reason, which may stay empty.

    Enter in the line leads back to the answers. They take no key until the terminal shows them again, so that text with
    line ends in it, pasted into the line, chooses none of them.
    """

    AUTO_FOCUS = "#choices"
    BINDINGS: ClassVar[list[BindingType]] = [
        ESCAPE,
        Binding(REASON_KEY, "write_reason", "reason", id="dialog.reason", tooltip="Write the reason", show=False),
        Binding(
            "tab,shift+tab,up,down",
            "end_reason",
            "answers",
            id="dialog.answers",
            tooltip="From the reason back to the answers",
            show=False,
        ),
    ]

    def __init__(
        self, title: str, body: Body, choices: Sequence[Choice], *, loud: bool = False, reason: str = ""
    ) -> None:
        """`reason` is in the line at first."""
        super().__init__(title, body, loud=loud)
        self._choices = choices
        self._reason = reason

    def answers(self) -> ComposeResult:
        """The reason or the line for it, then the row of answers."""
        yield Lines(id="reason-shown")
        entry = Input(self._reason, placeholder="reason, for the record", compact=True, select_on_focus=False)
        entry.display = False
        entry.cursor_blink = False
        yield entry
        yield Lines([()], id="reason-hint")
        yield Choices(self._choices, id="choices")

    @property
    def answer_rows(self) -> int:
        """The rows of the answers, of the reason and of the blank line between them."""
        return self.query_one(Choices).rows_for(min(WIDEST, self.app.size.width - 2) - 4) + 2

    def lay_out(self) -> None:
        """Lay out the reason too."""
        super().lay_out()
        self.query_one("#reason-shown", Lines).show(
            [fit(self._reason_line(), min(WIDEST, self.app.size.width - 2) - 4)]
        )

    def _reason_line(self) -> Line:
        reason = sanitize_cell(self.query_one(Input).value.strip(), limit=WIDEST)
        hint = (Span(REASON_KEY, Tone.KEY), Span(" changes it" if reason else " writes one", Tone.MUTED))
        shown = Span(f"{reason}  ") if reason else Span("none  ", Tone.MUTED)
        return line(Span(LABEL, Tone.MUTED), shown, *hint)

    @property
    def _writes(self) -> bool:
        return isinstance(self.focused, Input)

    def decides(self, event: events.Key) -> bool:
        """True for Enter and for the letters of the answers, but for none of them while the reason is typed."""
        return not self._writes and (event.key == "enter" or any(each.key == event.key for each in self._choices))

    def action_write_reason(self) -> None:
        """Open the line for the reason."""
        entry = self.query_one(Input)
        self._show_line(entry, shown=True)
        entry.focus()

    def action_end_reason(self) -> None:
        """Close the line and go back to the answers."""
        self._show_line(self.query_one(Input), shown=False)
        self.query_one(Choices).focus()
        self.lay_out()
        self.wait_until_visible()

    def _show_line(self, entry: Input, *, shown: bool) -> None:
        hint = line(Span("enter", Tone.KEY), " to the answers   ", Span("esc", Tone.KEY), " back") if shown else ()
        self.query_one("#reason-hint", Lines).show([hint])
        entry.display = shown
        self.query_one("#reason-shown").display = not shown

    @on(Input.Submitted)
    def _submitted(self, event: Input.Submitted) -> None:
        event.stop()
        self.action_end_reason()

    @on(Choices.Taken)
    def _taken(self, event: Choices.Taken) -> None:
        event.stop()
        self.dismiss(None if event.id == BACK.id else Reasoned(event.id, self.query_one(Input).value.strip()))
