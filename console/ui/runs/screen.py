"""Screen 1: the runs that are live and the ones that ended recently, over a panel with the selected run."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import partial
from typing import ClassVar

from textual import events, on
from textual.binding import Binding, BindingType
from textual.widget import Widget

from console.domain.run import Run
from console.engine.models import RunDetail
from console.ui.actions.launch import LAUNCH, LaunchActions
from console.ui.actions.panel import PANEL_KEYS, panel_actions
from console.ui.actions.run_actions import APPROVE, CANCEL, COPY, DECLINE, DETAIL, KILL, SETTLE, RunActions
from console.ui.actions.shell_commands import ShellCommand
from console.ui.base_screen import BaseScreen, KeyAction, RunSelected
from console.ui.context import Context
from console.ui.filtering.controls import FILTER_KEYS, TableControls, filter_context
from console.ui.filtering.rows import RowFilter, RowGrammar
from console.ui.runs.arrangement import HOST, NAMES, NAMES_IN_FLEET, ORDERS, Arrangement
from console.ui.runs.lines import facts, steps
from console.ui.runs.table import RunTable
from console.ui.spans import Line, Span, Tone, fit, line, middle, sanitize_cell, width
from console.ui.state.background import BackgroundWork
from console.ui.state.view_state import ViewState
from console.ui.widgets.lines import Lines

SIDE_BY_SIDE = 100
"""From this width on the steps stand beside the facts, below it under them."""

EMPTY = (
    (),
    line(Span("  No runs and no proposals.", Tone.MUTED)),
    line(Span("  Press "), Span("l", Tone.KEY), Span(" to launch a task by hand.")),
)


NO_MATCH = ((), line(Span("  No run matches this filter; ", Tone.MUTED), Span("esc", Tone.KEY), Span(" shows all.")))


class RunsScreen(BaseScreen):
    """The live table over the panel of one run."""

    BINDINGS: ClassVar[list[BindingType]] = [
        CANCEL,
        DETAIL,
        LAUNCH,
        APPROVE,
        DECLINE,
        SETTLE,
        Binding(
            "space", "perform('mark')", "mark", id="run.mark", tooltip="Mark the run, to cancel several runs together"
        ),
        Binding(
            "escape", "perform('unmark')", "unmark", id="run.unmark", tooltip="Clear marks, then the filter", show=False
        ),
        COPY,
        KILL,
        *FILTER_KEYS,
        *PANEL_KEYS,
    ]

    def __init__(self, context: Context, background: BackgroundWork) -> None:
        super().__init__(context, background)
        self._run_actions = RunActions(self, self)
        names, orders = (NAMES_IN_FLEET, (*ORDERS, HOST)) if context.session.in_fleet else (NAMES, ORDERS)
        self.controls: TableControls[RowFilter] = TableControls(
            self,
            "runs",
            RowGrammar(names, partial(filter_context, context), context.glyphs.ellipsis),
            orders,
            changed=self._rearrange,
            focus=lambda: self.table,
        )
        self.key_actions = {
            **self._run_actions.key_actions(),
            **LaunchActions(self, self).key_actions(),
            "detail": KeyAction(self._open_detail, lambda: True if self.selected_run() is not None else None),
            "mark": KeyAction(self._mark, lambda: True if self.selected_run() is not None else None),
            **self.controls.key_actions(),
            "unmark": KeyAction(self._clear),
            **panel_actions(self),
        }

    def body(self) -> Iterable[Widget]:
        yield from self.controls.widgets()
        yield RunTable(self.context.glyphs, id="runs")
        yield Lines(id="rule")
        yield Lines(id="panel")

    def on_mount(self) -> None:
        """Show the rows in the order that is remembered."""
        self.table.arrangement = self._arrangement
        self.controls.mounted()

    @property
    def table(self) -> RunTable:
        """The live table."""
        return self.query_one(RunTable)

    def selected_run(self) -> Run | None:
        """The run under the cursor."""
        return self.view.run(self.table.cursor) if self.view is not None and self.has_body else None

    def marked_runs(self) -> tuple[Run, ...]:
        """The marked runs from top to bottom."""
        view = self.view
        runs = (view.run(each) for each in self.table.marked) if view is not None and self.has_body else ()
        return tuple(run for run in runs if run is not None)

    @property
    def has_just_moved(self) -> bool:
        """True for a moment after the cursor went to another run by itself."""
        return self.has_body and self.table.moved_by_itself

    def unmark(self) -> None:
        """Clear all marks."""
        self.table.marks = frozenset()

    def shell_commands(self) -> Sequence[ShellCommand]:
        """The selected run as shell commands, or the table where no run is selected."""
        return self._run_actions.shell_commands() or super().shell_commands()

    def update(self, view: ViewState) -> None:
        """Show the state in the table and the panel."""
        self.table.view = view
        self.controls.show(*self.table.counts, "runs")
        self._show_panel(view)
        self.refresh_changed_bindings()

    def on_screen_suspend(self) -> None:
        """Let no row move while a dialog is open."""
        self.table.frozen = True

    def on_screen_resume(self, event: events.ScreenResume) -> None:
        """Ask for the details of the run under the cursor again."""
        self.table.frozen = False
        if self.table.cursor is not None:
            self.post_message(RunSelected(self.table.cursor))

    @on(RunTable.CursorMoved)
    def _cursor_moved(self, event: RunTable.CursorMoved) -> None:
        event.stop()
        self.post_message(RunSelected(event.run_id))
        if self.view is not None:
            self.update(self.view)

    @on(RunTable.MarksChanged)
    def _marks_changed(self, event: RunTable.MarksChanged) -> None:
        event.stop()
        if self.view is not None:
            self.update(self.view)
        if event.marks:
            self.post_notice(Span(f"{len(event.marks)} marked; x cancels them after a question, esc unmarks"))

    @property
    def _arrangement(self) -> Arrangement:
        return Arrangement(wanted=self.controls.wanted, order=self.controls.order, reverse=self.controls.reverse)

    def _rearrange(self) -> None:
        if self.has_body:
            self.table.rearrange(self._arrangement)
            if self.view is not None:
                self.update(self.view)

    def _clear(self) -> None:
        """Clear the marks; where there are none, the filter."""
        if self.table.marks:
            self.unmark()
        else:
            self.controls.line.clear()

    def _mark(self) -> None:
        self.table.toggle_mark()

    def _open_detail(self) -> None:
        run = self.selected_run()
        if run is not None:
            # Not needed for the first frame.
            from console.ui.runs.detail import DetailScreen

            self.app.push_screen(DetailScreen(self.context, self.background, run.id))

    def _show_panel(self, view: ViewState) -> None:
        panel, cells = self.query_one("#panel", Lines), self.app.size.width
        run = view.run(self.table.cursor)
        self.query_one("#rule", Lines).show([self._rule(run, cells)])
        if run is None:
            hints = EMPTY[: 2 if self.context.read_only else None] if not view.snapshot.live else ()
            if self.controls.text:
                hints = NO_MATCH
            panel.show(_filled(hints, panel.size.height))
            return
        panel.show(_filled(self._panel(run, view, cells - 2, panel.size.height), panel.size.height))

    def _rule(self, run: Run | None, cells: int) -> Line:
        rule = self.context.glyphs.rule
        if run is None:
            return (Span(rule * cells, Tone.FAINT),)
        name = line(
            Span(f"{rule * 2} ", Tone.FAINT),
            Span(sanitize_cell(run.task), Tone.STRONG),
            Span(f"  {sanitize_cell(run.target)} ", Tone.MUTED),
        )
        identity = Span(f" {middle(run.id, max(8, cells // 3))} ", Tone.MUTED)
        named = fit(name, max(0, min(width(name), cells - width((identity,)) - 2)), self.context.glyphs.ellipsis)
        between = cells - width(named) - width((identity,)) - 2
        return (*named, Span(rule * max(0, between), Tone.FAINT), identity, Span(rule * 2, Tone.FAINT))

    def _panel(self, run: Run, view: ViewState, cells: int, rows: int) -> list[Line]:
        glyphs, detail = self.context.glyphs, view.detail
        if detail is not None and detail.run.id != run.id:
            detail = None
        if cells < SIDE_BY_SIDE:
            said = facts(run, view, cells, glyphs, detail=detail)
            newest = (
                steps(detail, view, cells, min(4, max(0, rows - 5)), glyphs)
                if detail is not None and detail.steps
                else []
            )
            said = said[: rows - len(newest) - (1 if newest else 0)]
            return [(Span(" "), *each) for each in (*said, *([()] if newest else []), *newest)]
        half = min(64, cells // 2)
        done = steps(detail, view, cells - half - 3, rows, glyphs) if detail is not None and _has_steps(detail) else []
        if not done:
            return [(Span(" "), *each) for each in facts(run, view, cells, glyphs, detail=detail)[:rows]]
        said = facts(run, view, half, glyphs, detail=detail)
        beside = [fit(each, cells - half - 3, glyphs.ellipsis) for each in done]
        return [
            (
                Span(" "),
                *(said[at] if at < len(said) else (Span(" " * half),)),
                Span("   "),
                *(beside[at] if at < len(beside) else ()),
            )
            for at in range(min(rows, max(len(said), len(beside))))
        ]


def _has_steps(detail: RunDetail) -> bool:
    return bool(detail.steps or detail.run.result)


def _filled(lines: Iterable[Line], rows: int) -> list[Line]:
    """Exactly `rows` lines, so that the panel keeps its height."""
    kept = list(lines)[:rows]
    return [*kept, *([()] * (rows - len(kept)))]
