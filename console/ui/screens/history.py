"""Screen 2: every run, skip and refusal, newest first, page by page; what each key would meet now."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import ClassVar

from textual import events, on
from textual.binding import Binding, BindingType
from textual.widget import Widget
from textual.widgets import Input

from console.domain.run import Run
from console.engine.lookback import HistoryFilter
from console.engine.snapshot import LaunchRequest
from console.ui.acts import Acts, Soon
from console.ui.context import Context
from console.ui.export import export
from console.ui.format import at, zone
from console.ui.history_lines import COUNTED, help_line, panel, what_is_shown
from console.ui.history_query import BadFilter, Given, completed, settled, understood
from console.ui.look import Look
from console.ui.messages import LookAt
from console.ui.pages import PAGE, Pages
from console.ui.screens.acting import CANCEL, KILL, SETTLE
from console.ui.screens.copying import COPY_WHAT, Copying
from console.ui.screens.detail import DetailScreen
from console.ui.screens.dialogs import Field, Form
from console.ui.screens.launching import Launching
from console.ui.shell_words import Words, history_words
from console.ui.spans import Line, Span, Tone, foreign, line
from console.ui.widgets.filter_line import FilterLine
from console.ui.widgets.history_table import HistoryTable
from console.ui.widgets.lines import Lines

EVERY_MS = 2_000
"""The newest page is read no more often than this while nobody scrolls."""


class HistoryScreen(Copying, Launching):
    """The long table over the panel of one entry."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("slash", "filter", "filter", id="history.filter", tooltip="Filters by task, outcome, date, words, …"),
        Binding("enter", "detail", "detail", id="run.detail", tooltip="The run whole, with its timeline"),
        Binding("r", "again", "run again", id="history.again", tooltip="Runs this key again by hand, after a preview"),
        CANCEL,
        SETTLE,
        COPY_WHAT,
        Binding("e", "export", "export", id="history.export", tooltip="Writes what the filter shows to a new file"),
        Binding("escape", "everything", "all", id="history.all", tooltip="Takes the filter away", show=False),
        KILL,
    ]

    def __init__(self, context: Context, acts: Acts) -> None:
        super().__init__(context, acts)
        self._wanted = HistoryFilter(folded=True)
        self._text = self._trouble = ""
        self._count: int | None = None
        self._counted: HistoryFilter | None = None
        self._pages = Pages()
        self._read_ms: int | None = None
        self._is_typing = False
        self._read_soon = Soon(self._read, acts, name="history")
        self._newest_soon = Soon(self._read_newest, acts, name="newest history")

    def body(self) -> Iterable[Widget]:
        """What is shown, the line to filter with, table, rule, panel."""
        yield Lines(id="shown")
        yield FilterLine(id="filter")
        yield Lines(id="offers")
        yield HistoryTable(self.context.glyphs, id="history")
        yield Lines(id="rule")
        yield Lines(id="panel")

    def on_mount(self) -> None:
        """The keyboard belongs to the table until `/` is pressed."""
        self._show_filter(False)

    @property
    def table(self) -> HistoryTable:
        """The long table."""
        return self.query_one(HistoryTable)

    @property
    def given(self) -> Given:
        """How a filter is read now."""
        settings = self.context.engine.settings
        tasks = tuple(task.name for task in settings.tasks)
        return Given(now_ms=self.context.clock.now().wall_ms, zone=zone(settings.caps.time_zone), tasks=tasks)

    def picked(self) -> Run | None:
        entry = self.table.cursor if self.has_body else None
        return entry.run if entry is not None else None

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """A run is run again where there was one to run."""
        if action == "again":
            if self.context.read_only:
                return False
            return True if self.picked() is not None else None
        return super().check_action(action, parameters)

    def shell_words(self) -> Sequence[Words]:
        """The list that the filter shows, then the run under the cursor."""
        run = self.picked()
        listed = history_words(self.context.command, self._wanted)
        return (*listed, *(super().shell_words() if run is not None else ()))

    def update(self, look: Look) -> None:
        """Draws what is known; looks for new entries where that is some time ago."""
        self._draw()
        now = self.context.clock.now().boot_ms
        if self._read_ms is None or now - self._read_ms >= EVERY_MS:
            self._read_ms = now
            self._newest_soon()

    def on_screen_resume(self, event: events.ScreenResume) -> None:
        """Fresh entries for whoever comes back."""
        run = self.picked()
        self.post_message(LookAt(run.id if run is not None else None))
        self._newest_soon()

    async def _read(self) -> None:
        """Reads the pages that are in sight and not in memory, and the count where it is not known."""
        view = self.context.engine.view
        while True:
            pages, wanted = self._pages, self._wanted
            number = pages.missing(*self.table.in_sight)
            if number is None:
                break
            page = await view.history(wanted, limit=PAGE, after=pages.start(number))
            standings = await view.keys(run.key for run in page.runs)
            pages.put(number, page, standings)
            self._draw()
        if self._counted != self._wanted:
            wanted = self._wanted
            count = await view.count(wanted, at_most=COUNTED + 1)
            if wanted is self._wanted:
                self._count, self._counted = count, wanted
        self._draw()

    async def _read_newest(self) -> None:
        """Reads the newest page again where new rows move nothing from under the reader, and the run looked at."""
        if not self.has_body or not (self.table.at_top or len(self._pages) == 0):
            return
        wanted, view, pages = self._wanted, self.context.engine.view, Pages()
        page = await view.history(wanted, limit=PAGE)
        pages.put(0, page, await view.keys(run.key for run in page.runs))
        if wanted is not self._wanted or not self.table.at_top:
            return
        self._pages, self._counted = pages, None
        await self._read()

    def _draw(self) -> None:
        look = self.look
        if not self.has_body or look is None or not self.is_mounted:
            return
        cells, glyphs = self.app.size.width, self.context.glyphs
        self.table.show(self._pages, look)
        shown = what_is_shown(self._text, self._count, self._wanted.folded, cells, glyphs)
        self.query_one("#shown", Lines).show([shown])
        if self._is_typing:
            offered = help_line(self._text, self._trouble, self.given, cells, glyphs)
            self.query_one("#offers", Lines).show([offered])
        self._show_panel(look, cells)
        self.refresh_changed_bindings()

    def _show_panel(self, look: Look, cells: int) -> None:
        entry, field = self.table.cursor, self.query_one("#panel", Lines)
        rows, glyphs = field.size.height, self.context.glyphs
        lines: list[Line] = []
        name: Line = ()
        if entry is not None:
            lines = panel(entry, look.detail, look, cells - 2, rows, glyphs)
            name = line(Span(f" {foreign(entry.run.task)} ", Tone.STRONG), Span(f"{entry.run.id} ", Tone.MUTED))
        elif self._pages.complete:
            lines = [(), line(Span(" nothing fits this filter" if self._text else " nothing happened yet", Tone.MUTED))]
        rule = self.context.glyphs.rule
        self.query_one("#rule", Lines).show([(Span(rule * 2, Tone.FAINT), *name, Span(rule * cells, Tone.FAINT))])
        field.show([(Span(" "), *each) for each in lines] + [()] * (rows - len(lines)))

    @on(HistoryTable.Moved)
    def _moved(self, event: HistoryTable.Moved) -> None:
        event.stop()
        run = self.picked()
        self.post_message(LookAt(run.id if run is not None else None))
        if self._pages.missing(*self.table.in_sight) is not None:
            self._read_soon()
        self._draw()

    def action_filter(self) -> None:
        """Opens the line to type into."""
        self._show_filter(True)

    def action_everything(self) -> None:
        """No filter."""
        self.query_one(FilterLine).value = ""

    def _show_filter(self, shown: bool) -> None:
        self._is_typing = shown
        entry = self.query_one(FilterLine)
        entry.display = shown
        self.query_one("#offers").display = shown
        # At once: a letter typed on the heels of the slash must meet the line, never a key of the table.
        self.set_focus(entry if shown else self.table)
        self._draw()

    @on(FilterLine.Closed)
    def _filter_closed(self, event: FilterLine.Closed) -> None:
        event.stop()
        text = self.query_one(FilterLine).value
        self._ask(text, text)
        self._show_filter(False)

    @on(FilterLine.Completing)
    def _complete(self, event: FilterLine.Completing) -> None:
        event.stop()
        entry = self.query_one(FilterLine)
        entry.value = completed(entry.value, self.given)
        entry.cursor_position = len(entry.value)

    @on(Input.Changed)
    def _typed(self, event: Input.Changed) -> None:
        event.stop()
        self._ask(event.value, settled(event.value))

    def _ask(self, text: str, meant: str) -> None:
        """Shows what fits `meant`; while that is no filter, what fitted before."""
        self._text = text
        try:
            wanted = understood(meant, self.given)
        except BadFilter as error:
            self._trouble = str(error)
            self._draw()
            return
        self._trouble = ""
        if not _alike(wanted, self._wanted):
            self._wanted, self._pages, self._count, self._counted = wanted, Pages(), None, None
            self.table.forget()
            self._read_soon()
        self._draw()

    def action_detail(self) -> None:
        """The run under the cursor over the whole screen."""
        run = self.picked()
        if run is not None:
            self.app.push_screen(DetailScreen(self.context, self.acts, run.id))

    def action_again(self) -> None:
        """The same task, date and target once more: what that would be, then the question."""
        run = self.picked()
        if run is not None:
            request = LaunchRequest(task=run.task, date=run.date, target=run.target, by=self.context.by)
            self.show_launch(request)

    def action_export(self) -> None:
        """Asks for a name; its ending says in which form."""
        if self._trouble:
            self.tell(Span(foreign(self._trouble), Tone.BAD))
            return
        look = self.look
        day = f"{at(look.now_ms, look.zone):%Y-%m-%d}" if look is not None else "export"
        name = f"nightdesk-{day}.csv"
        field = Field(label="file, ending in .csv or .json", hint=name, needed=False)
        what = line(Span(self._text or "everything", Tone.STRONG), Span("  with each attempt on its own", Tone.MUTED))
        form = Form("Export what the filter shows", lambda cells: [what], (field,), done="writes it")
        self.app.push_screen(form, partial(self._export_to, name))

    def _export_to(self, name: str, values: tuple[str, ...] | None) -> None:
        if values is not None:
            self.acts.start(self._export(Path(values[0] or name).expanduser()), name="export")

    async def _export(self, path: Path) -> Span:
        now = self.context.clock.now()
        try:
            count = await export(self.context.engine.view, replace(self._wanted, folded=False), path, now)
        except OSError as error:
            return Span(f"not written: {foreign(str(path))}: {error.strerror or error}", Tone.BAD)
        return Span(f"wrote {count} entries to {foreign(str(path))}", Tone.OK)


def _alike(one: HistoryFilter, other: HistoryFilter) -> bool:
    """True where both fit the same entries: `7d` moves on with every letter typed, by less than a minute."""
    moved = (one.since_ms or 0) - (other.since_ms or 0), (one.until_ms or 0) - (other.until_ms or 0)
    same = replace(one, since_ms=other.since_ms, until_ms=other.until_ms) == other
    return same and all(abs(each) < 60_000 for each in moved)
