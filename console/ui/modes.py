"""The full screens and their digits. A screen is registered here and nowhere else."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from textual.binding import Binding

from console.ui.acts import Acts
from console.ui.context import Context
from console.ui.screens.board import Board
from console.ui.screens.history import HistoryScreen
from console.ui.screens.rollout import RolloutScreen
from console.ui.screens.runs import RunsScreen
from console.ui.screens.usage import UsageScreen

FIRST = "runs"

SCREENS: Mapping[str, tuple[Callable[[Context, Acts], Board], Binding]] = {
    FIRST: (
        RunsScreen,
        Binding("1", "switch_mode('runs')", "runs", id="screen.runs", tooltip="What is live now", show=False),
    ),
    "history": (
        HistoryScreen,
        Binding("2", "switch_mode('history')", "history", id="screen.history", tooltip="What happened", show=False),
    ),
    "rollout": (
        RolloutScreen,
        Binding(
            "3", "switch_mode('rollout')", "rollout", id="screen.rollout", tooltip="How far tasks run alone", show=False
        ),
    ),
    "usage": (
        UsageScreen,
        Binding("4", "switch_mode('usage')", "usage", id="screen.usage", tooltip="What was used, by day", show=False),
    ),
}
"""By mode: what makes the screen, and the key that shows it."""

DIGITS = [binding for _, binding in SCREENS.values()]
