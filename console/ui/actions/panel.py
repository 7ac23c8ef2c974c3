"""`+` and `-`: the panel below a table grows and folds, and the table gets what it leaves.

Kept apart because three screens share it.
"""

from __future__ import annotations

from textual.binding import Binding

from console.ui.base_screen import BaseScreen, KeyAction

PANEL_KEYS = (
    Binding(
        "plus",
        "perform('grow')",
        "larger panel",
        id="panel.grow",
        tooltip="More room for the panel below the table",
        show=False,
    ),
    Binding(
        "minus",
        "perform('fold')",
        "smaller panel",
        id="panel.fold",
        tooltip="Less room for the panel; pressed again, none",
        show=False,
    ),
)
SIZES = ("-folded", "-usual", "-large")
"""The style classes of a screen, from the smallest panel on."""


def panel_actions(screen: BaseScreen) -> dict[str, KeyAction]:
    """The actions by the names that the bindings use."""

    def now() -> int:
        return next((at for at, name in enumerate(SIZES) if screen.has_class(name)), 1)

    def resize(step: int) -> None:
        size = SIZES[now() + step]
        screen.remove_class(*SIZES)
        screen.add_class(size)
        # The panel is filled for its new height once it has it.
        screen.call_after_refresh(screen.on_resize)

    return {
        "grow": KeyAction(
            lambda: resize(1),
            lambda: True if now() + 1 < len(SIZES) else None,
            lambda: "the panel is as large as it gets",
        ),
        "fold": KeyAction(lambda: resize(-1), lambda: True if now() else None, lambda: "the panel is folded"),
    }
