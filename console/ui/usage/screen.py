"""Screen 4: usage by day, read from the log alone: a chart, a table, days that stand out, and the month's forecast."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import ClassVar, TypeVar

from textual import events
from textual.binding import Binding, BindingType
from textual.widget import Widget

from console.domain.usage_stats import Group, Measure
from console.engine.usage import MemberTotal, UsageQuery, UsageReport
from console.ui.actions.shell_commands import ShellCommand, usage_commands
from console.ui.base_screen import BaseScreen, HistoryWanted, KeyAction
from console.ui.context import Context, trouble_line
from console.ui.filtering.controls import FILTER_KEYS, TableControls, filter_context
from console.ui.filtering.rows import RowFilter, RowGrammar
from console.ui.glyphs import ASCII
from console.ui.spans import Line, Span, Tone
from console.ui.state.background import BackgroundWork, CoalescedWork
from console.ui.state.view_state import ViewState
from console.ui.theme import MONO
from console.ui.usage.arrangement import NAMES, ORDERS, arranged
from console.ui.usage.chart import ChartStyle
from console.ui.usage.lines import EVERYTHING, Selection, lines
from console.ui.widgets.lines import Lines

RANGES = (7, 30, 90, 365)
READ_MS = 5_000
"""The shortest time between two reads of the log."""


class UsageScreen(BaseScreen):
    """The chart and its table."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("t", "perform('range')", "range", id="usage.range", tooltip="7, 30, 90 or 365 days"),
        Binding("u", "perform('measure')", "measure", id="usage.measure", tooltip="Units, cost, runs or seconds"),
        Binding(
            "g",
            "perform('group')",
            "group",
            id="usage.group",
            tooltip="Stack by task, outcome or stage, or show plain days",
        ),
        Binding(
            "left", "day(-1)", "day before", id="usage.day_before", tooltip="To the bar of the day before", show=False
        ),
        Binding(
            "right", "day(1)", "day after", id="usage.day_after", tooltip="To the bar of the day after", show=False
        ),
        Binding(
            "enter",
            "perform('drill')",
            "history",
            id="usage.history",
            tooltip="The history behind the selected bar and row, or behind the whole chart",
        ),
        *FILTER_KEYS,
        Binding(
            "escape",
            "perform('everything')",
            "all",
            id="usage.all",
            tooltip="Select everything, then clear the filter",
            show=False,
        ),
        Binding("down,j", "row(1)", "down", id="usage.down", tooltip="To the next row of the table", show=False),
        Binding("up,k", "row(-1)", "up", id="usage.up", tooltip="To the row before", show=False),
        Binding("pagedown", "row(8)", "page down", id="usage.page_down", tooltip="Eight rows down", show=False),
        Binding("pageup", "row(-8)", "page up", id="usage.page_up", tooltip="Eight rows up", show=False),
        Binding("home", "row(-100000)", "first", id="usage.first", tooltip="To the first row", show=False),
        Binding("end,G", "row(100000)", "last", id="usage.last", tooltip="To the last row", show=False),
    ]

    def __init__(self, context: Context, background: BackgroundWork) -> None:
        super().__init__(context, background)
        self.query_now = UsageQuery()
        self._report: UsageReport | None = None
        self._drawn: tuple[UsageReport, int, int, ChartStyle, Selection, tuple[MemberTotal, ...]] | None = None
        self.selection = EVERYTHING
        self._lines: list[Line] = []
        self._trouble = ""
        self._read_ms: int | None = None
        self._read_soon = CoalescedWork(self._read, background, name="usage")
        self.controls: TableControls[RowFilter] = TableControls(
            self,
            "usage",
            RowGrammar(NAMES, partial(filter_context, context), context.glyphs.ellipsis),
            ORDERS,
            changed=self._rearrange,
            focus=lambda: None,
        )
        self.key_actions = {
            **self.controls.key_actions(),
            "range": KeyAction(self._next_range),
            "measure": KeyAction(self._next_measure),
            "group": KeyAction(self._next_group),
            "drill": KeyAction(self._show_history),
            "everything": KeyAction(self._select_everything),
        }

    def body(self) -> list[Widget]:
        return [*self.controls.widgets(), Lines(id="chart")]

    def on_mount(self) -> None:
        """Show what was asked for before."""
        self.controls.mounted()

    def update(self, view: ViewState) -> None:
        """Draw the last report; read the log again if the last read is some time ago."""
        self._draw()
        now = self.context.clock.now().boot_ms
        if self._read_ms is None or now - self._read_ms >= READ_MS:
            self._read_ms = now
            self._read_soon()

    def on_screen_resume(self, event: events.ScreenResume) -> None:
        """Read the log when the screen is shown again."""
        self._read_soon()

    def shell_commands(self) -> Sequence[ShellCommand]:
        """The chart that is shown, as shell commands."""
        return usage_commands(self.context.command, self.query_now)

    def _next_range(self) -> None:
        self._show(replace(self.query_now, days=_next(RANGES, self.query_now.days)))

    def _next_measure(self) -> None:
        self._show(replace(self.query_now, measure=_next(tuple(Measure), self.query_now.measure)))

    def _next_group(self) -> None:
        several = self.context.engine.settings.has_several_services
        groups = tuple(group for group in Group if several or group is not Group.PROVIDER)
        self._show(replace(self.query_now, group=_next(groups, self.query_now.group)))

    def action_row(self, rows: int) -> None:
        """Move the cursor of the table; above its first row everything is selected."""
        names = [member.member for member in self._shown()]
        now = names.index(self.selection.member) if self.selection.member in names else -1
        row = min(now + rows, len(names) - 1)
        if row < 0 and now > 0:
            row = 0
        self._select(replace(self.selection, member=names[row] if row >= 0 else None))

    def action_day(self, days: int) -> None:
        """Move the cursor of the chart; after its last day all days are selected."""
        if self._report is None:
            return
        shown, now = self._report.days, self.selection.day
        at = (shown.index(now) if now in shown else len(shown)) + days
        self._select(replace(self.selection, day=shown[max(0, at)] if at < len(shown) else None))

    def _select(self, selection: Selection) -> None:
        self.selection = selection
        self._draw()

    def _select_everything(self) -> None:
        if self.selection == EVERYTHING:
            self.controls.line.clear()
        self._select(EVERYTHING)

    def _rearrange(self) -> None:
        """Draw the table again; a row that the filter hides is not selected any more."""
        self._deselect_hidden()
        self._draw()

    def _deselect_hidden(self) -> None:
        """Select no row and no day that is not on the screen, or enter would lead to what nobody sees."""
        if self._report is None:
            return
        if self.selection.member not in {member.member for member in self._shown()}:
            self.selection = replace(self.selection, member=None)
        if self.selection.day not in self._report.days:
            self.selection = replace(self.selection, day=None)

    def _shown(self) -> Sequence[MemberTotal]:
        """The rows of the table: those that fit the filter, in the order that is chosen."""
        controls, report = self.controls, self._report
        return arranged(report, controls.wanted, controls.order, reverse=controls.reverse) if report is not None else ()

    def _show_history(self) -> None:
        if self._report is not None:
            self.post_message(HistoryWanted(history_filter_text(self._report, self.selection)))

    def _show(self, query: UsageQuery) -> None:
        if query.group is not self.query_now.group:
            self.selection = replace(self.selection, member=None)
        self.query_now = query
        self._read_soon()

    async def _read(self) -> None:
        try:
            self._report = await self.context.engine.usage.report(self.query_now)
        except Exception as error:  # a log that cannot be read must not end the screen; the error is shown in its place
            self._trouble = trouble_line(error)
        else:
            self._trouble = ""
            self._deselect_hidden()
        if self.is_current:
            self._draw()

    def _draw(self) -> None:
        if not self.has_body:
            return
        chart = self.query_one("#chart", Lines)
        cells, rows = self.app.size.width, chart.size.height
        if self._trouble:
            chart.show([(Span(f" {self._trouble}", Tone.BAD),)])
        elif self._report is None:
            chart.show([(Span(" reading the log", Tone.MUTED),)])
        else:
            ascii_only = self.context.glyphs is ASCII
            cursor = self.context.glyphs.cursor
            patterned = ascii_only or self.app.theme == MONO
            pen = ChartStyle(patterned=patterned, ascii_only=ascii_only, cursor=cursor)
            shown = self._shown()
            self.controls.show(len(shown), len(self._report.members), "rows")
            drawing = self._report, cells, rows, pen, self.selection, tuple(shown)
            if drawing != self._drawn:
                # Not at every refresh: plotext takes some milliseconds for the course of the month.
                self._drawn = drawing
                self._lines = lines(*drawing)
            chart.show(self._lines)


T = TypeVar("T")


def _next(choices: tuple[T, ...], now: T) -> T:
    return choices[(choices.index(now) + 1) % len(choices)] if now in choices else choices[0]


GROUP_FILTERS = {Group.TASK: "task", Group.OUTCOME: "outcome", Group.STAGE: "stage"}
"""The filters of the history that stand for a member of a group."""


def history_filter_text(report: UsageReport, selection: Selection) -> str:
    """The filter of the history that shows the runs behind the selection.

    By the day on which they were asked for, which may be the day before the one whose caps they were booked to.
    """
    first, last = report.days[0], report.days[-1]
    if selection.day is not None:
        first = last = selection.day
    member = selection.member
    if member is not None and report.query.group is Group.DAY:
        first = last = member
    name = GROUP_FILTERS.get(report.query.group)
    chosen = f"{name}:{member} " if member is not None and name is not None else ""
    return f"{chosen}since:{first} until:{last}"
