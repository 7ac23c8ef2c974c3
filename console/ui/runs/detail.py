"""One run over the whole screen: facts, timeline, steps, the other attempts of its key, and its result."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import ClassVar

from textual import events
from textual.binding import Binding, BindingType
from textual.widget import Widget

from console.domain.run import Run, RunId
from console.engine.models import RunDetail
from console.ui.actions.copy import COPY_WHAT, copy_action
from console.ui.actions.run_actions import APPROVE, CANCEL, DECLINE, KILL, SETTLE, RunActions
from console.ui.actions.shell_commands import ShellCommand
from console.ui.base_screen import BaseScreen, RunSelected
from console.ui.context import Context
from console.ui.format import clock, elapsed, units, when
from console.ui.glyphs import Glyphs, state_span
from console.ui.runs.lines import facts, labelled, result_lines, step_line
from console.ui.spans import Line, Span, Tone, fit, line, sanitize_cell
from console.ui.state.background import BackgroundWork
from console.ui.state.view_state import ViewState
from console.ui.widgets.lines import Lines, ScrollLines


class DetailScreen(BaseScreen):
    """Follows one run until it is closed."""

    BINDINGS: ClassVar[list[BindingType]] = [
        CANCEL,
        APPROVE,
        DECLINE,
        SETTLE,
        COPY_WHAT,
        KILL,
        Binding("escape,enter", "close", "back", id="detail.back", tooltip="Back to the table"),
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
        self._run_actions = RunActions(self, self)
        self.key_actions = {**self._run_actions.key_actions(), "copy": copy_action(self, self)}

    def body(self) -> Iterable[Widget]:
        yield Lines(id="rule")
        yield ScrollLines(id="whole")

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
        cells, glyphs = self.app.size.width, self.context.glyphs
        title = line(
            Span(f" {sanitize_cell(run.task)}", Tone.STRONG),
            Span(f"  {sanitize_cell(run.target)}  {run.id}", Tone.MUTED),
        )
        self.query_one("#rule", Lines).show([fit(title, cells, glyphs.ellipsis)])
        lines = detail_lines(run, self._detail, view, cells - 3, glyphs)
        self.query_one(ScrollLines).show([(Span(" "), *each) for each in lines], follows=run.outcome is None)
        self.refresh_changed_bindings()

    def action_close(self) -> None:
        """Go back to the screen below."""
        self.dismiss()

    def action_scroll(self, rows: int) -> None:
        """Scroll by lines."""
        self.query_one(ScrollLines).scroll_relative(y=rows, animate=False)

    def action_page(self, pages: int) -> None:
        """Scroll by pages."""
        lines = self.query_one(ScrollLines)
        lines.scroll_relative(y=pages * max(1, lines.size.height - 1), animate=False)

    def action_edge(self, side: int) -> None:
        """Scroll to the top or the end."""
        lines = self.query_one(ScrollLines)
        lines.scroll_to(y=0 if side < 0 else lines.virtual_size.height, animate=False)


def detail_lines(run: Run, detail: RunDetail | None, view: ViewState, cells: int, glyphs: Glyphs) -> list[Line]:
    """Everything that is known about a run, in sections; each line at most `cells` wide.

    The steps come last, so that the end of the text is the newest one; below them only the result of an ended run.
    """
    lines = facts(run, view, cells, glyphs, detail=detail)
    if detail is None:
        return lines
    lines += _section("timeline", _timeline(detail, view))
    if len(detail.attempts) > 1:
        lines += _section("attempts of this key", [_attempt(each, view, run.id, glyphs) for each in detail.attempts])
    lines += _section("what was launched", _fingerprint(run))
    newest = sorted(detail.steps, key=lambda step: step.index)
    lines += _section("steps, newest last", [step_line(step, cells, glyphs, view) for step in newest])
    result = result_lines(run, cells, glyphs)[1:]
    lines += _section("result", result)
    return [fit(each, cells, glyphs.ellipsis) for each in lines]


def _section(title: str, lines: list[Line]) -> list[Line]:
    return [(), line(Span(title, Tone.STRONG)), *lines] if lines else []


def _fingerprint(run: Run) -> list[Line]:
    """The fields of the fingerprint, which show whether an attempt launched something else than another one."""
    fields = run.fingerprint.as_fields()
    return [
        labelled(name.replace("_", " ")[:10], Span(sanitize_cell(str(value)), Tone.MUTED))
        for name, value in fields.items()
    ]


def _timeline(detail: RunDetail, view: ViewState) -> list[Line]:
    first = detail.timeline[0].at_ms if detail.timeline else 0
    return [
        line(
            Span(f"{clock(event.at_ms, view.zone)}  +{elapsed(event.at_ms - first):<9}", Tone.MUTED),
            Span(f"{sanitize_cell(event.kind, limit=14):<15}"),
            Span(sanitize_cell(event.text), Tone.MUTED),
        )
        for event in detail.timeline
    ]


def _attempt(run: Run, view: ViewState, shown: RunId, glyphs: Glyphs) -> Line:
    here = "  this one" if run.id == shown else ""
    state = state_span(run, glyphs)
    return line(
        Span(f"{run.attempt:>3}  ", Tone.MUTED),
        Span(f"{state.text:<15}", state.tone),
        f"{when(run.created_ms, view.now_ms, view.zone)}  {units(run.used)} units",
        Span(f"  {run.id}{here}", Tone.MUTED),
    )
