"""`y` on the screens that show one run in full: asks what to copy to the clipboard of this terminal.

A module of its own because the dialogs that it needs are not loaded with the first screen, which copies ids only.
The terminal copies by itself, on a control sequence (OSC 52).
"""

from __future__ import annotations

from functools import partial

from textual.binding import Binding

from console.domain.run import Run
from console.domain.text import sanitize
from console.ui.actions.run_actions import Selection
from console.ui.base_screen import BaseScreen, KeyAction
from console.ui.dialogs.choices import Choice
from console.ui.dialogs.dialog import BACK, ChoiceDialog
from console.ui.runs.lines import labelled
from console.ui.spans import Line, Span, Tone, sanitize_cell

COPY_WHAT = Binding(
    "y", "perform('copy')", "copy", id="run.copy_what", tooltip="Copy the run's id, its key or its result"
)
MAX_COPIED = 70_000
"""Characters of a result that are copied; terminals drop longer sequences entirely."""


def copy_action(screen: BaseScreen, selection: Selection) -> KeyAction:
    """The action that asks what of the selected run to copy; `y` again copies the id."""

    def ask() -> None:
        run = selection.selected_run()
        if run is not None:
            texts = copies(run)
            choices = [Choice(id=name, label=name, key=key) for name, (key, _) in texts.items()]
            question = ChoiceDialog("Copy what?", lambda cells: _lines(texts), [*choices, BACK])
            screen.app.push_screen(question, partial(chosen, run))

    def chosen(run: Run, name: str | None) -> None:
        if name is not None:
            text = copies(run)[name][1]
            # A short text can be copied by hand from the notice as well.
            screen.copy(text, text if name != "result" else f"the result of {sanitize_cell(run.task)}")

    return KeyAction(ask, lambda: True if selection.selected_run() is not None else None)


def copies(run: Run) -> dict[str, tuple[str, str]]:
    """The key to press and the text, by name; what the run does not have is left out."""
    texts = {
        "id": ("y", run.id),
        "key": ("e", run.key),
        "result": ("r", sanitize(run.result, limit=MAX_COPIED, newlines=True)),
        "remote id": ("i", sanitize(run.remote_id or "")),
    }
    return {name: pair for name, pair in texts.items() if pair[1]}


def _lines(texts: dict[str, tuple[str, str]]) -> list[Line]:
    return [labelled(name, Span(sanitize_cell(text, limit=200), Tone.MUTED)) for name, (_, text) in texts.items()]
