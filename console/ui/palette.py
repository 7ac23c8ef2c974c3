"""The command palette: the keys that work here by name, and the themes. Textual's own animates while it searches."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from console.ui.keys import hints
from console.ui.screens.dialogs import Chooser, Item

if TYPE_CHECKING:
    from console.ui.app import ConsoleApp

THEME = "theme."


def palette(app: ConsoleApp) -> None:
    """Asks which command, and does it."""
    here = [hint for hint in hints(app.screen.active_bindings) if hint.enabled]
    actions = {hint.id: hint.action for hint in here}
    items = [Item(id=hint.id, label=hint.label, hint=f"{hint.keys[0]:<8} {hint.tooltip}") for hint in here]
    items += [
        Item(id=f"{THEME}{name}", label=f"theme {name}", hint="in use" if name == app.theme else "")
        for name in sorted(app.available_themes)
    ]
    chooser = Chooser("Commands", items, hint="type to search", pointer=app.context.glyphs.pointer)
    app.push_screen(chooser, partial(_do, app, actions))


async def _do(app: ConsoleApp, actions: dict[str, str], chosen: str | None) -> None:
    if chosen is None:
        return
    if chosen.startswith(THEME):
        app.theme = chosen.removeprefix(THEME)
    else:
        await app.screen.run_action(actions[chosen])
