"""The command palette: the keys that work here by name, `write`, and the themes.

A module of its own because it is loaded when `:` is pressed. Textual's own palette animates while it searches.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from textual.app import App

from console.ui.context import Context, ExitReason, ExitResult
from console.ui.dialogs.choices import Choice
from console.ui.dialogs.dialog import BACK, ChoiceDialog, Item, PickerDialog
from console.ui.spans import Line, Span, line, wrapped
from console.ui.widgets.key_bar import hints, in_groups

THEME = "theme."
WRITE = Item(id="write", label="write", hint="Leave read-only mode (asks first)")
WRITE_MEANING = "The console restarts with full access: it can supervise runs and launch what is due."


def open_palette(app: App[ExitResult], context: Context) -> None:
    """Ask for a command, and do it."""
    here = in_groups([hint for hint in hints(app.screen.active_bindings) if hint.enabled])
    actions = {hint.id: hint.action for hint in here}
    items = [Item(id=hint.id, label=hint.label, hint=f"{hint.keys[0]:<8} {hint.tooltip}") for hint in here]
    if context.read_only and context.liftable:
        items.append(WRITE)
    items += [
        Item(id=f"{THEME}{name}", label=f"theme {name}", hint="in use" if name == app.theme else "")
        for name in sorted(app.available_themes)
    ]
    picker = PickerDialog("Commands", items, hint="type to search", pointer=context.glyphs.pointer)
    app.push_screen(picker, partial(_chosen, app, actions))


async def _chosen(app: App[ExitResult], actions: dict[str, str], chosen: str | None) -> None:
    if chosen is None:
        return
    if chosen.startswith(THEME):
        app.theme = chosen.removeprefix(THEME)
    elif chosen == WRITE.id:
        choices = (BACK, Choice(id="write", label="Write"))
        question = ChoiceDialog("Leave read-only mode?", _write_lines, choices, loud=True)
        app.push_screen(question, partial(_write_decided, app))
    else:
        await app.screen.run_action(actions[chosen])


def _write_lines(cells: int) -> list[Line]:
    return [line(Span(piece)) for piece in wrapped(WRITE_MEANING, cells)]


def _write_decided(app: App[Any], answer: str | None) -> None:
    if answer is not None:
        app.exit(ExitResult(reason=ExitReason.WRITE))
