"""The full screens and their digits. A screen is registered here and nowhere else; the others load when shown."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from textual.binding import Binding

from console.ui.screens.runs import RunsScreen

if TYPE_CHECKING:
    from console.ui.acts import Acts
    from console.ui.context import Context
    from console.ui.screens.board import Board

FIRST = "runs"


def _history(context: Context, acts: Acts) -> Board:
    from console.ui.screens.history import HistoryScreen

    return HistoryScreen(context, acts)


def _rollout(context: Context, acts: Acts) -> Board:
    from console.ui.screens.rollout import RolloutScreen

    return RolloutScreen(context, acts)


def _usage(context: Context, acts: Acts) -> Board:
    from console.ui.screens.usage import UsageScreen

    return UsageScreen(context, acts)


SCREENS: Mapping[str, tuple[Callable[[Context, Acts], Board], Binding]] = {
    FIRST: (
        RunsScreen,
        Binding("1", "switch_mode('runs')", "runs", id="screen.runs", tooltip="What is live now", show=False),
    ),
    "history": (
        _history,
        Binding("2", "switch_mode('history')", "history", id="screen.history", tooltip="What happened", show=False),
    ),
    "rollout": (
        _rollout,
        Binding(
            "3", "switch_mode('rollout')", "rollout", id="screen.rollout", tooltip="How far tasks run alone", show=False
        ),
    ),
    "usage": (
        _usage,
        Binding("4", "switch_mode('usage')", "usage", id="screen.usage", tooltip="What was used, by day", show=False),
    ),
}
"""By mode: what makes the screen, and the key that shows it."""

DIGITS = [binding for _, binding in SCREENS.values()]
