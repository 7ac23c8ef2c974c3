"""The line to type a filter into, with help below.

Tab completes, Enter returns to the table, Esc clears, then closes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.message import Message
from textual.widgets import Input

from console.engine.models import HistoryFilter
from console.ui.glyphs import Glyphs
from console.ui.history.filter import (
    NAMES,
    FilterContext,
    FilterError,
    complete,
    completions,
    parse_filter,
    without_unfinished_name,
)
from console.ui.spans import Line, Span, Tone, fit, line, sanitize_cell
from console.ui.widgets.lines import Lines


def help_line(text: str, trouble: str, context: FilterContext, cells: int, glyphs: Glyphs) -> Line:
    """The line below the filter: what is wrong with it, or the completions of its last piece."""
    begun = text.rpartition(" ")[2]
    found = completions(text, context)
    if trouble and begun not in ("since:", "until:") and not (":" in begun and found):
        return fit(line(Span("   "), Span(sanitize_cell(trouble), Tone.BAD)), cells, glyphs.ellipsis)
    if begun and found:
        choices = "  ".join(sanitize_cell(each) for each in found)
        return fit(line(Span("   tab ", Tone.KEY), Span(choices, Tone.MUTED)), cells, glyphs.ellipsis)
    if begun.startswith(("since:", "until:")):
        say = "a day as 2026-11-23, an instant as 2026-11-23T03:00Z, or how long ago as 90m, 12h, 7d"
        return fit(line(Span(f"   {say}", Tone.MUTED)), cells, glyphs.ellipsis)
    names = " ".join(f"{name}:" for name in NAMES)
    say = f"   {names} and words   "
    keys = line(Span(say, Tone.MUTED), Span("enter", Tone.KEY), " table   ", Span("esc", Tone.KEY), " clear")
    return fit(keys, cells, glyphs.ellipsis)


EVERYTHING = HistoryFilter(folded=True)
SAME_MS = 60_000
"""Filters whose times differ by less count as the same: with each letter `7d` is counted from a later time."""


class FilterLine(Vertical):
    """Hidden until it is opened. `wanted` is the last valid filter."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding(
            "escape", "let_go", "clear", id="filter.clear", tooltip="Clear the filter, then close it", priority=True
        ),
        Binding(
            "down,enter", "keep", "table", id="filter.keep", tooltip="Back to the table with this filter", priority=True
        ),
        Binding("tab", "complete", "complete", id="filter.complete", tooltip="Complete the last word", priority=True),
    ]

    @dataclass
    class Changed(Message):
        """The text has changed. `is_other` is true if other entries are wanted."""

        wanted: HistoryFilter
        is_other: bool

    @dataclass
    class Closed(Message):
        """The line was closed; the table gets the keyboard."""

    def __init__(self, context: Callable[[], FilterContext], glyphs: Glyphs, *, id: str) -> None:
        super().__init__(id=id)
        self._context_now = context
        self._glyphs = glyphs
        self.wanted = EVERYTHING
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
        # At once: a letter typed right behind the slash must reach the line, never act on the table.
        self.screen.set_focus(self._input)
        self._help()

    def clear(self) -> None:
        """Clear the filter."""
        self._input.value = ""

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
        self.post_message(self.Closed())

    def action_complete(self) -> None:
        """Complete the last word as far as all completions agree."""
        self._input.value = complete(self.text, self._context_now())
        self._input.cursor_position = len(self.text)

    @on(Input.Changed)
    def key_queue(self, event: Input.Changed) -> None:
        event.stop()
        self._ask(without_unfinished_name(event.value) if self.display else event.value)

    @on(Input.Submitted)
    def _submitted(self, event: Input.Submitted) -> None:
        event.stop()
        self.action_keep()

    def _ask(self, meant: str) -> None:
        """Apply the filter `meant`; keep the last valid filter while `meant` is not one."""
        before, self.trouble = self.wanted, ""
        try:
            self.wanted = parse_filter(meant, self._context_now())
        except FilterError as error:
            self.trouble = str(error)
        if _alike(before, self.wanted):
            self.wanted = before
        self._help()
        self.post_message(self.Changed(self.wanted, self.wanted is not before))

    def _help(self) -> None:
        line = help_line(self.text, self.trouble, self._context_now(), self.app.size.width, self._glyphs)
        self.query_one("#offers", Lines).show([line])


def _alike(one: HistoryFilter, other: HistoryFilter) -> bool:
    moved = (one.since_ms or 0) - (other.since_ms or 0), (one.until_ms or 0) - (other.until_ms or 0)
    same = replace(one, since_ms=other.since_ms, until_ms=other.until_ms) == other
    return same and all(abs(each) < SAME_MS for each in moved)
