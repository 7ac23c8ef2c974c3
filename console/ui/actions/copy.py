"""`y`: what of a run goes to this terminal's clipboard, by the terminal's own sequence (OSC 52)."""

from __future__ import annotations

from functools import partial

from textual.binding import Binding

from console.domain.run import Run
from console.domain.text import sanitize
from console.ui.actions.run_actions import RunActionsScreen
from console.ui.dialogs.choices import Choice
from console.ui.dialogs.dialog import BACK, ChoiceDialog
from console.ui.runs.lines import labelled
from console.ui.spans import Line, Span, Tone, sanitize_cell

COPY_WHAT = Binding("y", "copy", "copy", id="run.copy_what", tooltip="Copies the run's id, its key or its result")
MOST = 70_000
"""Characters of a result that are copied; terminals drop longer sequences whole."""


class Copying(RunActionsScreen):
    """A board that asks what to copy; `y` again copies the id."""

    def action_copy(self) -> None:
        """Asks what."""
        run = self.selected_run()
        if run is not None:
            texts = copies(run)
            choices = [Choice(id=name, label=name, key=key) for name, (key, _) in texts.items()]
            question = ChoiceDialog("Copy what?", lambda cells: _shown(texts), [*choices, BACK])
            self.app.push_screen(question, partial(self._copy_chosen, run))

    def _copy_chosen(self, run: Run, name: str | None) -> None:
        if name is not None:
            self.app.copy_to_clipboard(copies(run)[name][1])
            self.post_notice(Span(f"copied the {name} of {sanitize_cell(run.task)}", Tone.MUTED))


def copies(run: Run) -> dict[str, tuple[str, str]]:
    """Key to press and text by name; what the run does not have is left out."""
    texts = {
        "id": ("y", run.id),
        "key": ("e", run.key),
        "result": ("r", sanitize(run.result, limit=MOST, newlines=True)),
        "remote id": ("i", sanitize(run.remote_id or "")),
    }
    return {name: pair for name, pair in texts.items() if pair[1]}


def _shown(texts: dict[str, tuple[str, str]]) -> list[Line]:
    return [labelled(name, Span(sanitize_cell(text, limit=200), Tone.MUTED)) for name, (_, text) in texts.items()]
