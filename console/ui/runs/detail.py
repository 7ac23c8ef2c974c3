"""One run over the whole screen: facts, timeline, steps, the other attempts of its key, and its result."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import ClassVar

from textual import events, on
from textual.binding import Binding, BindingType
from textual.widget import Widget

from console.domain.run import Run, RunId, State
from console.engine.models import RunDetail
from console.ui.actions.copy import COPY_WHAT, copy_action
from console.ui.actions.prompt import PROMPT, prompt_action
from console.ui.actions.run_actions import APPROVE, CANCEL, DECLINE, KILL, SETTLE, RunActions
from console.ui.actions.shell_commands import ShellCommand
from console.ui.base_screen import BaseScreen, KeyAction, RunSelected
from console.ui.context import Context
from console.ui.runs.detail_lines import detail_lines
from console.ui.runs.reader import Reader
from console.ui.spans import Line, Span, Tone, line, sanitize_cell, spread
from console.ui.state.background import BackgroundWork
from console.ui.state.view_state import ViewState
from console.ui.widgets.lines import Lines


class DetailScreen(BaseScreen):
    """Follows one run until it is closed."""

    BINDINGS: ClassVar[list[BindingType]] = [
        CANCEL,
        APPROVE,
        DECLINE,
        SETTLE,
        Binding("f", "perform('follow')", "follow", id="detail.follow", tooltip="Keep the newest step in view, or not"),
        Binding("slash", "perform('search')", "search", id="detail.search", tooltip="Search in this text"),
        Binding("n", "perform('next')", "next", id="detail.next_match", tooltip="To the next match", show=False),
        Binding(
            "N",
            "perform('previous')",
            "previous",
            id="detail.previous_match",
            tooltip="To the match above",
            show=False,
        ),
        Binding("enter", "perform('whole')", "whole steps", id="detail.whole", tooltip="Steps with their whole text"),
        Binding("w", "perform('wrap')", "wrap", id="detail.wrap", tooltip="Break long lines, or cut them"),
        PROMPT,
        COPY_WHAT,
        KILL,
        Binding("escape", "close", "back", id="detail.back", tooltip="Clear the search, then back to the table"),
        Binding("down,j", "scroll(1)", "down", id="detail.down", tooltip="One line down", show=False),
        Binding("up,k", "scroll(-1)", "up", id="detail.up", tooltip="One line up", show=False),
        Binding("pagedown", "page(1)", "page down", id="detail.page_down", tooltip="One page down", show=False),
        Binding("pageup", "page(-1)", "page up", id="detail.page_up", tooltip="One page up", show=False),
        Binding("home,g", "edge(-1)", "top", id="detail.top", tooltip="To the top", show=False),
        Binding("end,G", "edge(1)", "end", id="detail.end", tooltip="To the end", show=False),
    ]

    def __init__(self, context: Context, background: BackgroundWork, run_id: RunId) -> None:
        super().__init__(context, background)
        self._run_id = run_id
        self._detail: RunDetail | None = None
        self._whole = self._wraps = False
        self._run_actions = RunActions(self, self)
        self.key_actions = {
            **self._run_actions.key_actions(),
            "copy": copy_action(self, self),
            "prompt": prompt_action(self, self.selected_run),
            "follow": KeyAction(self._toggle_follow, self._can_follow, lambda: "it has ended: nothing to follow"),
            "search": KeyAction(lambda: self.reader.search.open()),
            "next": KeyAction(lambda: self._next_match(1), self._is_searching, lambda: "press / to search first"),
            "previous": KeyAction(lambda: self._next_match(-1), self._is_searching, lambda: "press / to search first"),
            "whole": KeyAction(self._toggle_whole),
            "wrap": KeyAction(self._toggle_wrap),
        }

    def body(self) -> Iterable[Widget]:
        yield Lines(id="rule")
        yield Reader(self.context.glyphs, self._lines, id="reader")

    def on_mount(self) -> None:
        """Give the keyboard to the text until `/` is pressed."""
        self.set_focus(self.reader.text)

    @property
    def reader(self) -> Reader:
        """The text with its search."""
        return self.query_one(Reader)

    def selected_run(self) -> Run | None:
        """The run that is shown, as new as it is known."""
        live = self.view.run(self._run_id) if self.view is not None else None
        return live or (self._detail.run if self._detail is not None else None)

    def marked_runs(self) -> tuple[Run, ...]:
        """None: this screen shows a single run."""
        return ()

    @property
    def has_just_moved(self) -> bool:
        """Never: this screen shows a single run."""
        return False

    def unmark(self) -> None:
        """Do nothing: no run is marked here."""

    def shell_commands(self) -> Sequence[ShellCommand]:
        """The run as shell commands."""
        return self._run_actions.shell_commands()

    def on_screen_resume(self, event: events.ScreenResume) -> None:
        """Ask for the details of this run again."""
        self.post_message(RunSelected(self._run_id))

    def update(self, view: ViewState) -> None:
        """Show the run as it is now."""
        if view.detail is not None and view.detail.run.id == self._run_id:
            self._detail = view.detail
        run = self.selected_run()
        if run is None:
            return
        self.reader.reload()
        self._show_title(run)
        self.refresh_changed_bindings()

    def _lines(self) -> list[Line]:
        """The text. While something is searched for nothing of it is cut."""
        run, view = self.selected_run(), self.view
        if run is None or view is None:
            return []
        searching, cells, glyphs = self.reader.is_searching, self.app.size.width - 3, self.context.glyphs
        whole, wraps = self._whole or searching, self._wraps or searching
        lines = detail_lines(run, self._detail, view, cells, glyphs, whole=whole, wraps=wraps)
        return [(Span(" "), *each) for each in lines]

    def _show_title(self, run: Run) -> None:
        title = line(
            Span(f" {sanitize_cell(run.task)}", Tone.STRONG),
            Span(f"  {sanitize_cell(run.target)}  {run.id}", Tone.MUTED),
        )
        modes = ["whole steps"] if self._whole else []
        said = ", ".join(filter(None, [self.reader.status(), *modes, *(["wrapped"] if self._wraps else [])]))
        state = line(Span(f"  {said} ", Tone.BUSY)) if said else ()
        self.query_one("#rule", Lines).show([spread(title, state, self.app.size.width, self.context.glyphs.ellipsis)])

    @on(Reader.Changed)
    def _reader_changed(self, event: Reader.Changed) -> None:
        event.stop()
        run = self.selected_run()
        if run is not None:
            self._show_title(run)
        self.refresh_changed_bindings()

    def _can_follow(self) -> bool | None:
        run = self.selected_run()
        return True if run is not None and run.state is not State.ENDED else None

    def _is_searching(self) -> bool | None:
        return True if self.has_body and self.reader.is_searching else None

    def _toggle_follow(self) -> None:
        self.reader.follow(not self.reader.follows)

    def _toggle_whole(self) -> None:
        self._whole = not self._whole
        self._redraw()

    def _toggle_wrap(self) -> None:
        self._wraps = not self._wraps
        self._redraw()

    def _redraw(self) -> None:
        if self.view is not None:
            self.update(self.view)

    def _next_match(self, step: int) -> None:
        if not self.reader.next_match(step):
            went = "top" if step > 0 else "end"
            self.post_notice(Span(f"the search went on at the {went}", Tone.MUTED))

    def action_close(self) -> None:
        """Clear the search; without one go back to the screen below."""
        if self.reader.is_searching:
            self.reader.search.clear()
        else:
            self.dismiss()

    def action_scroll(self, rows: int) -> None:
        """Scroll by lines."""
        self.reader.scroll_rows(rows)

    def action_page(self, pages: int) -> None:
        """Scroll by pages."""
        self.reader.scroll_pages(pages)

    def action_edge(self, side: int) -> None:
        """Scroll to the top or the end."""
        self.reader.scroll_edge(side)
