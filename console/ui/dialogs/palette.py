"""The command palette: keys that work here by name, `write`, themes. Textual's own animates while it searches."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from console.ui.context import ExitReason, ExitResult
from console.ui.dialogs.choices import Choice
from console.ui.dialogs.dialog import BACK, ChoiceDialog, Item, PickerDialog
from console.ui.spans import Line, Span, line, wrapped
from console.ui.widgets.key_bar import hints, in_groups

if TYPE_CHECKING:
    from console.ui.app import ConsoleApp

THEME = "theme."
WRITE = Item(id="write", label="write", hint="Ends read-only, after a question")
GUARDS = "It opens anew as any other console: it guards runs, takes over lost ones and may launch what is due."


def palette(app: ConsoleApp) -> None:
    """Asks which command, and does it."""
    here = in_groups([hint for hint in hints(app.screen.active_bindings) if hint.enabled])
    actions = {hint.id: hint.action for hint in here}
    items = [Item(id=hint.id, label=hint.label, hint=f"{hint.keys[0]:<8} {hint.tooltip}") for hint in here]
    if app.context.read_only and app.context.liftable:
        items.append(WRITE)
    items += [
        Item(id=f"{THEME}{name}", label=f"theme {name}", hint="in use" if name == app.theme else "")
        for name in sorted(app.available_themes)
    ]
    chooser = PickerDialog("Commands", items, hint="type to search", pointer=app.context.glyphs.pointer)
    app.push_screen(chooser, partial(_do, app, actions))


async def _do(app: ConsoleApp, actions: dict[str, str], chosen: str | None) -> None:
    if chosen is None:
        return
    if chosen.startswith(THEME):
        app.theme = chosen.removeprefix(THEME)
    elif chosen == WRITE.id:
        choices = (BACK, Choice(id="write", label="Write"))
        question = ChoiceDialog("Write from this console?", _what_writing_means, choices, loud=True)
        app.push_screen(question, partial(_lift, app))
    else:
        await app.screen.run_action(actions[chosen])


def _what_writing_means(cells: int) -> list[Line]:
    return [line(Span(piece)) for piece in wrapped(GUARDS, cells)]


def _lift(app: ConsoleApp, answer: str | None) -> None:
    if answer is not None:
        app.exit(ExitResult(reason=ExitReason.WRITE))
