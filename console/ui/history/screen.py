"""Screen 2: every run, skip and refusal, newest first, and what a launch of each key would meet now."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import partial
from typing import ClassVar

from textual import events, on
from textual.binding import Binding, BindingType
from textual.widget import Widget

from console.domain.run import Run
from console.engine.models import HistoryFilter, HistoryOrder
from console.ui.actions.copy import COPY_WHAT, copy_action
from console.ui.actions.launch import AGAIN, LaunchActions
from console.ui.actions.panel import PANEL_KEYS, panel_actions
from console.ui.actions.run_actions import CANCEL, DETAIL, KILL, SETTLE, RunActions
from console.ui.actions.shell_commands import ShellCommand, history_commands
from console.ui.base_screen import BaseScreen, KeyAction, RunSelected
from console.ui.context import Context
from console.ui.filtering.controls import CLEAR, FILTER_KEYS, Order, TableControls, filter_context
from console.ui.history.export import EXPORT, ExportAction
from console.ui.history.filter import HistoryGrammar
from console.ui.history.lines import panel, title_line
from console.ui.history.pages import Entry, HistoryLoader, Viewport
from console.ui.history.table import HistoryTable
from console.ui.runs.detail import DetailScreen
from console.ui.spans import Line, Span, Tone, line, sanitize_cell
from console.ui.state.background import BackgroundWork, CoalescedWork
from console.ui.state.view_state import ViewState
from console.ui.widgets.lines import Lines

NEWEST_MS = 2_000
"""The shortest time between two reads of the newest page."""
SORTED_MS = 15_000
"""The same for an order in which every entry is read."""
ORDERS = (
    Order(HistoryOrder.CREATED.value, "newest first", "oldest first"),
    Order(HistoryOrder.COST.value, "most expensive first", "cheapest first"),
    Order(HistoryOrder.UNITS.value, "most units first", "fewest units first"),
    Order(HistoryOrder.ELAPSED.value, "longest first", "shortest first"),
    Order(HistoryOrder.TASK.value, "by task", "by task, from Z to A"),
)


class HistoryScreen(BaseScreen):
    """The table of entries over the panel of one entry."""

    BINDINGS: ClassVar[list[BindingType]] = [
        *FILTER_KEYS,
        DETAIL,
        AGAIN,
        Binding(
            "space",
            "perform('attempts')",
            "attempts",
            id="history.attempts",
            tooltip="Show or hide the other attempts of this key",
        ),
        CANCEL,
        SETTLE,
        COPY_WHAT,
        EXPORT,
        CLEAR,
        KILL,
        *PANEL_KEYS,
    ]

    def __init__(self, context: Context, background: BackgroundWork) -> None:
        super().__init__(context, background)
        self._read_ms: int | None = None
        self._loader = HistoryLoader(context.engine.queries, self)
        self._read_soon = CoalescedWork(self._loader.read, background, name="history")
        self._newest_soon = CoalescedWork(self._loader.read_newest, background, name="newest history")
        self._run_actions = RunActions(self, self)
        grammar = HistoryGrammar(partial(filter_context, context), context.glyphs.ellipsis)
        self.controls: TableControls[HistoryFilter] = TableControls(
            self, "history", grammar, ORDERS, changed=self._others_wanted, focus=lambda: self.table
        )
        self._wanted = self._ordered()
        self.key_actions = {
            **self._run_actions.key_actions(),
            **LaunchActions(self, self).key_actions(),
            **ExportAction(self, self.shown).key_actions(),
            "copy": copy_action(self, self),
            "detail": KeyAction(self._open_detail, lambda: True if self.selected_run() is not None else None),
            "attempts": KeyAction(
                self._toggle_attempts, self._has_folded_attempts, lambda: "this key has a single attempt"
            ),
            **self.controls.key_actions(),
            **panel_actions(self),
        }

    def body(self) -> Iterable[Widget]:
        yield from self.controls.widgets()
        yield HistoryTable(self.context.glyphs, id="history")
        yield Lines(id="rule")
        yield Lines(id="panel")

    def on_mount(self) -> None:
        """Show what was asked for before, and give the keyboard to the table until `/` is pressed."""
        self.controls.mounted()

    @property
    def table(self) -> HistoryTable:
        """The table of entries."""
        return self.query_one(HistoryTable)

    def shown(self) -> tuple[str, HistoryFilter]:
        """The filter: as it was typed, and as the engine takes it."""
        return self.controls.text, self._wanted

    def wanted(self) -> HistoryFilter:
        """The filter with the order, as the engine takes it; another one is another object."""
        return self._wanted

    def _ordered(self) -> HistoryFilter:
        order = HistoryOrder(self.controls.order.name)
        return replace(self.controls.wanted, order=order, reverse=self.controls.reverse)

    def viewport(self) -> Viewport:
        """The rows that should be in memory."""
        return self.table.viewport if self.has_body else Viewport(0, 0)

    def selected_run(self) -> Run | None:
        """The run under the cursor."""
        entry = self.table.cursor if self.has_body else None
        return entry.run if entry is not None else None

    def marked_runs(self) -> tuple[Run, ...]:
        """None: entries cannot be marked."""
        return ()

    @property
    def has_just_moved(self) -> bool:
        """Never: the cursor moves by keys only."""
        return False

    def unmark(self) -> None:
        """Do nothing: entries cannot be marked."""

    def shell_commands(self) -> Sequence[ShellCommand]:
        """The list that the filter shows, then the run under the cursor."""
        listed = history_commands(self.context.command, self._wanted, self.controls.text)
        return (*listed, *self._run_actions.shell_commands())

    def update(self, view: ViewState) -> None:
        """Draw what is in memory; read the newest page again if the last read is some time ago."""
        self.draw()
        now = self.context.clock.now().boot_ms
        if self._read_ms is None or now - self._read_ms >= self._read_every_ms:
            self._read_ms = now
            self._newest_soon()

    @property
    def _read_every_ms(self) -> int:
        return NEWEST_MS if self._wanted.order is HistoryOrder.CREATED else SORTED_MS

    def on_screen_resume(self, event: events.ScreenResume) -> None:
        """Read the newest entries when the screen is shown again."""
        run = self.selected_run()
        self.post_message(RunSelected(run.id if run is not None else None))
        self._newest_soon()

    def draw(self) -> None:
        """Show what was read so far."""
        view = self.view
        if not self.has_body or view is None or not self.is_mounted:
            return
        cells, glyphs = self.app.size.width, self.context.glyphs
        self.table.show(self._loader.pages, view)
        text, wanted = self.shown()
        title = title_line(
            text, self._loader.count, self._loader.most, wanted.folded, cells, glyphs, order=self.controls.order_label
        )
        self.query_one("#shown", Lines).show([title])
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
        elif self._loader.pages.complete:
            lines = [(), *self._empty()]
        rule = self.context.glyphs.rule
        self.query_one("#rule", Lines).show([(Span(rule * 2, Tone.FAINT), *name, Span(rule * cells, Tone.FAINT))])
        field.show([(Span(" "), *each) for each in lines] + [()] * (rows - len(lines)))

    def _empty(self) -> list[Line]:
        """What to do where the list is empty."""
        if self.controls.text:
            return [line(Span(" no entry matches this filter; ", Tone.MUTED), Span("esc", Tone.KEY), " shows all")]
        hint = line(Span(" go to ", Tone.MUTED), Span("1", Tone.KEY), " and press ", Span("l", Tone.KEY), " to launch")
        return [line(Span(" nothing was launched, skipped or refused yet", Tone.MUTED)), hint]

    @on(HistoryTable.Moved)
    def _moved(self, event: HistoryTable.Moved) -> None:
        event.stop()
        run = self.selected_run()
        self.post_message(RunSelected(run.id if run is not None else None))
        if self._loader.pages.missing(self.table.viewport) is not None:
            self._read_soon()
        self.draw()

    def _others_wanted(self) -> None:
        self._wanted = self._ordered()
        if not self.has_body:
            return
        self._loader.forget()
        self.table.forget()
        self._read_soon()
        self.draw()

    def _open_detail(self) -> None:
        run = self.selected_run()
        if run is not None:
            self.app.push_screen(DetailScreen(self.context, self.background, run.id))

    def _has_folded_attempts(self) -> bool | None:
        entry = self.table.cursor if self.has_body else None
        if entry is None or not self._wanted.folded:
            return None
        return True if entry.run.attempt and entry.key_status.attempts > 1 else None

    def _toggle_attempts(self) -> None:
        """Show the other attempts of the selected key below it, or hide them."""
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
            self.table.unfold(entry.run.id, tuple(Entry(run=run, key_status=entry.key_status) for run in others))
