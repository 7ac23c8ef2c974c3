"""`space`: the other attempts of a key below its newest, in a list that folds them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import partial
from typing import ClassVar

from textual import events, on
from textual.binding import Binding, BindingType
from textual.widget import Widget

from console.domain.run import Run
from console.engine.models import HistoryFilter
from console.ui.actions.copy import COPY_WHAT, Copying
from console.ui.actions.launch import AGAIN, Launching
from console.ui.actions.run_actions import CANCEL, KILL, SETTLE, RunActionsScreen
from console.ui.actions.shell_commands import ShellCommand, history_words
from console.ui.base_screen import RunSelected
from console.ui.context import Context
from console.ui.format import zone
from console.ui.history.export import EXPORT, Exporting
from console.ui.history.filter import FilterContext
from console.ui.history.filter_line import FilterLine
from console.ui.history.lines import panel, what_is_shown
from console.ui.history.pages import Entry, HistoryLoader, Viewport
from console.ui.history.table import HistoryTable
from console.ui.runs.detail import DetailScreen
from console.ui.spans import Line, Span, Tone, line, sanitize_cell
from console.ui.state.background import BackgroundWork, CoalescedWork
from console.ui.state.view_state import ViewState
from console.ui.widgets.lines import Lines

ATTEMPTS = Binding(
    "space",
    "unfold",
    "attempts",
    id="history.attempts",
    tooltip="Shows the other attempts of this key below it, or folds them again",
)


class Unfolding(RunActionsScreen):
    """A board over the long table."""

    @property
    def table(self) -> HistoryTable:
        """The long table."""
        return self.query_one(HistoryTable)

    @property
    def folds(self) -> bool:
        """True where the list shows the newest attempt of each key alone."""
        return False

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """There must be several attempts, and folded."""
        if action != "unfold":
            return super().check_action(action, parameters)
        entry = self.table.cursor if self.has_body else None
        return True if entry is not None and entry.run.attempt and entry.standing.attempts > 1 and self.folds else None

    def action_unfold(self) -> None:
        """The other attempts of the key under the cursor, or none."""
        rows, entry = self.table.rows, self.table.cursor
        if entry is None:
            return
        if any(each.run.key == entry.run.key for each in rows.below):
            self.table.unfold(None)
        else:
            self.background.start(self._unfold(entry), name=f"attempts of {entry.run.key}")

    async def _unfold(self, entry: Entry) -> None:
        detail = await self.context.engine.queries.detail(entry.run.id)
        others = [run for run in reversed(detail.attempts) if run.id != entry.run.id] if detail is not None else []
        if self.table.rows.index(entry.run.id) is not None:
            self.table.unfold(entry.run.id, tuple(Entry(run=run, standing=entry.standing) for run in others))


EVERY_MS = 2_000
"""The newest page is read no more often than this while nobody scrolls."""


class HistoryScreen(Copying, Exporting, Launching, Unfolding):
    """The long table over the panel of one entry."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("slash", "filter", "filter", id="history.filter", tooltip="Filters by task, outcome, date, words, …"),
        Binding("enter", "detail", "detail", id="run.detail", tooltip="The run whole, with its timeline"),
        AGAIN,
        ATTEMPTS,
        CANCEL,
        SETTLE,
        COPY_WHAT,
        EXPORT,
        Binding("escape", "everything", "all", id="history.all", tooltip="Takes the filter away", show=False),
        KILL,
    ]

    def __init__(self, context: Context, background: BackgroundWork) -> None:
        super().__init__(context, background)
        self._read_ms: int | None = None
        self._book = HistoryLoader(context.engine.queries, self)
        self._read_soon = CoalescedWork(self._book.read, background, name="history")
        self._newest_soon = CoalescedWork(self._book.read_newest, background, name="newest history")

    def body(self) -> Iterable[Widget]:
        """What is shown, the line to filter with, table, rule, panel."""
        yield Lines(id="shown")
        yield FilterLine(partial(given, self.context), self.context.glyphs, id="filter")
        yield HistoryTable(self.context.glyphs, id="history")
        yield Lines(id="rule")
        yield Lines(id="panel")

    def on_mount(self) -> None:
        """The keyboard belongs to the table until `/` is pressed."""
        self.table.focus()

    @property
    def filter(self) -> FilterLine:
        """What is asked for."""
        return self.query_one(FilterLine)

    def shown(self) -> tuple[str, HistoryFilter]:
        return self.filter.text, self.filter.wanted

    @property
    def folds(self) -> bool:
        return self.filter.wanted.folded

    def wanted(self) -> HistoryFilter:
        """What is asked for now."""
        return self.filter.wanted

    def viewport(self) -> Viewport:
        """What should be in memory."""
        return self.table.viewport if self.has_body else Viewport(0, 0)

    def selected_run(self) -> Run | None:
        entry = self.table.cursor if self.has_body else None
        return entry.run if entry is not None else None

    def shell_words(self) -> Sequence[ShellCommand]:
        """The list that the filter shows, then the run under the cursor."""
        run = self.selected_run()
        listed = history_words(self.context.command, self.filter.wanted)
        return (*listed, *(super().shell_words() if run is not None else ()))

    def update(self, view: ViewState) -> None:
        """Draws what is known; looks for new entries where that is some time ago."""
        self.draw()
        now = self.context.clock.now().boot_ms
        if self._read_ms is None or now - self._read_ms >= EVERY_MS:
            self._read_ms = now
            self._newest_soon()

    def on_screen_resume(self, event: events.ScreenResume) -> None:
        """Fresh entries for whoever comes back."""
        run = self.selected_run()
        self.post_message(RunSelected(run.id if run is not None else None))
        self._newest_soon()

    def draw(self) -> None:
        """Shows what was read so far."""
        view = self.view
        if not self.has_body or view is None or not self.is_mounted:
            return
        cells, glyphs = self.app.size.width, self.context.glyphs
        self.table.show(self._book.pages, view)
        text, wanted = self.shown()
        shown = what_is_shown(text, self._book.count, self._book.most, wanted.folded, cells, glyphs)
        self.query_one("#shown", Lines).show([shown])
        self._show_panel(view, cells)
        self.refresh_changed_bindings()

    def _show_panel(self, view: ViewState, cells: int) -> None:
        entry, field = self.table.cursor, self.query_one("#panel", Lines)
        rows, glyphs = field.size.height, self.context.glyphs
        lines: list[Line] = []
        name: Line = ()
        if entry is not None:
            lines = panel(entry, view.detail, view, cells - 2, rows, glyphs)
            name = line(Span(f" {sanitize_cell(entry.run.task)} ", Tone.STRONG), Span(f"{entry.run.id} ", Tone.MUTED))
        elif self._book.pages.complete:
            lines = [
                (),
                line(Span(" nothing fits this filter" if self.filter.text else " nothing happened yet", Tone.MUTED)),
            ]
        rule = self.context.glyphs.rule
        self.query_one("#rule", Lines).show([(Span(rule * 2, Tone.FAINT), *name, Span(rule * cells, Tone.FAINT))])
        field.show([(Span(" "), *each) for each in lines] + [()] * (rows - len(lines)))

    @on(HistoryTable.Moved)
    def _moved(self, event: HistoryTable.Moved) -> None:
        event.stop()
        run = self.selected_run()
        self.post_message(RunSelected(run.id if run is not None else None))
        if self._book.pages.missing(self.table.viewport) is not None:
            self._read_soon()
        self.draw()

    def action_filter(self) -> None:
        """Opens the line to type into."""
        self.filter.open()

    def action_everything(self) -> None:
        """No filter."""
        self.filter.clear()

    @on(FilterLine.Closed)
    def _filter_closed(self, event: FilterLine.Closed) -> None:
        event.stop()
        self.set_focus(self.table)

    @on(FilterLine.Asked)
    def _asked(self, event: FilterLine.Asked) -> None:
        event.stop()
        if event.is_other:
            self._book.forget()
            self.table.forget()
            self._read_soon()
        self.draw()

    def action_detail(self) -> None:
        """The run under the cursor over the whole screen."""
        run = self.selected_run()
        if run is not None:
            self.app.push_screen(DetailScreen(self.context, self.background, run.id))


def given(context: Context) -> FilterContext:
    """How a filter is read now."""
    settings = context.engine.settings
    tasks = tuple(task.name for task in settings.tasks)
    return FilterContext(now_ms=context.clock.now().wall_ms, zone=zone(settings.caps.time_zone), tasks=tasks)
