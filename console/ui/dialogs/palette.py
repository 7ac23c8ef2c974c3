"""`:`, the list of commands: what the keys do here, then where one can go to: screens, runs, tasks, saved
filters and the consoles of other contexts.

The places that were chosen last come first; a command never does, so that `:` and Enter do nothing by accident.
A module of its own because it is loaded when `:` is pressed. Textual's own palette animates while it searches.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

from textual.app import App

from console.domain.run import Run
from console.ui.base_screen import HistoryWanted, NoticePosted
from console.ui.context import Context, ExitReason, ExitResult
from console.ui.dialogs.choices import Choice
from console.ui.dialogs.dialog import BACK, ChoiceDialog, Item, PickerDialog
from console.ui.runs.detail import DetailScreen
from console.ui.spans import Line, Span, Tone, line, sanitize_cell, wrapped
from console.ui.state.background import BackgroundWork
from console.ui.state.view_state import ViewState
from console.ui.widgets.key_bar import hints, in_groups

WRITE_MEANING = "The console restarts with full access: it can supervise runs and launch what is due."
SCREENS = "screen."
"""How the ids of the keys begin that show a screen."""
FILTERED = "history"
"""The screen whose saved filters can be jumped to."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry of the list, and what choosing it does."""

    item: Item
    choose: Callable[[], object]
    is_place: bool = True
    """False for a command, which acts on what is selected."""


class Palette:
    """Makes the list for what is on the screen now, and does what is chosen."""

    def __init__(
        self,
        app: App[ExitResult],
        context: Context,
        background: BackgroundWork,
        leave_for: Callable[[str], object],
    ) -> None:
        """`leave_for` leaves this console for that of another context."""
        self._app = app
        self._context = context
        self._background = background
        self._leave_for = leave_for

    def open(self, view: ViewState | None) -> None:
        """Ask what to do or where to go."""
        recent = self._context.preferences.recent
        entries = {entry.item.id: entry for entry in self._entries(view)}
        first = [entries[each].item for each in recent if each in entries]
        items = [*first, *(entry.item for entry in entries.values() if entry.item not in first)]
        picker = PickerDialog("Commands and places", items, hint="type to search", pointer=self._context.glyphs.pointer)
        self._app.push_screen(picker, partial(self._chosen, entries))

    async def _chosen(self, entries: dict[str, Entry], chosen: str | None) -> None:
        if chosen is None:
            return
        if entries[chosen].is_place:
            self._context.preferences.use(chosen)
            self._background.start(self._context.preferences.write(), name="console.json")
        done = entries[chosen].choose()
        if isinstance(done, Awaitable):
            await done

    def _entries(self, view: ViewState | None) -> Iterator[Entry]:
        active = self._app.screen.active_bindings
        nodes = {each.binding.id: each.node for each in active.values()}
        for hint in in_groups([hint for hint in hints(active) if hint.enabled]):
            item = Item(id=hint.id, label=hint.label, hint=f"{hint.keys[0]:<8} {hint.tooltip}")
            # The action of a key is one of the node that has the binding: of the app, of its screen, of the table.
            act = partial(self._app.run_action, hint.action, default_namespace=nodes[hint.id])
            yield Entry(item, act, hint.id.startswith(SCREENS))
        if self._context.read_only and self._context.liftable:
            yield Entry(
                Item(id="write", label="write", hint="Leave read-only mode (asks first)"), self._ask_to_write, False
            )
        if view is not None:
            for run in (*view.snapshot.live, *view.snapshot.recent):
                state = run.outcome.value if run.outcome else run.state.value
                hint_text = f"run, {state}  {sanitize_cell(run.target, limit=30)}  {run.id}"
                item = Item(id=f"run {run.id}", label=sanitize_cell(run.task, limit=40), hint=hint_text)
                yield Entry(item, partial(self._show_run, run))
        for task in self._context.engine.settings.tasks:
            item = Item(
                id=f"task {task.name}",
                label=sanitize_cell(task.name, limit=40),
                hint=f"task, its history  {sanitize_cell(task.target, limit=30)}",
            )
            yield Entry(item, partial(self._show_history, f"task:{task.name}"))
        for text in self._context.preferences.filters(FILTERED):
            item = Item(id=f"filter {text}", label=sanitize_cell(text, limit=40), hint="saved filter of the history")
            yield Entry(item, partial(self._show_history, text))
        for name, file in self._context.contexts.files.items():
            used = "in use" if name == self._context.session.context else "leaves for its console"
            hint_text = f"context, {used}  {file}"
            # A command: `:` and Enter must not leave the console because it was left before.
            yield Entry(
                Item(id=f"context {name}", label=f"ctx {name}", hint=hint_text), partial(self._go_to, name), False
            )
        for name in sorted(self._app.available_themes):
            item = Item(id=f"theme.{name}", label=f"theme {name}", hint="in use" if name == self._app.theme else "")
            yield Entry(item, partial(self._use_theme, name))

    def _show_run(self, run: Run) -> None:
        self._app.push_screen(DetailScreen(self._context, self._background, run.id))

    def _show_history(self, text: str) -> None:
        self._app.post_message(HistoryWanted(text))

    def _go_to(self, name: str) -> None:
        if name == self._context.session.context:
            self._app.post_message(NoticePosted(Span(f"this is the console of context {name}", Tone.MUTED)))
        else:
            self._background.start(self._leave(name), name="context", asks=True)

    async def _leave(self, name: str) -> None:
        # Before anything is handed over: a console that cannot open would leave the operator with none.
        await asyncio.to_thread(self._context.contexts.check, name)
        self._leave_for(name)

    def _use_theme(self, name: str) -> None:
        self._app.theme = name

    def _ask_to_write(self) -> None:
        choices = (BACK, Choice(id="write", label="Write"))
        question = ChoiceDialog("Leave read-only mode?", _write_lines, choices, loud=True)
        self._app.push_screen(question, partial(_write_decided, self._app))


def _write_lines(cells: int) -> list[Line]:
    return [line(Span(piece)) for piece in wrapped(WRITE_MEANING, cells)]


def _write_decided(app: App[Any], answer: str | None) -> None:
    if answer is not None:
        app.exit(ExitResult(reason=ExitReason.WRITE))
