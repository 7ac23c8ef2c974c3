"""`c`: a dialog with the selection as shell commands, which copies one of them.

A module of its own because dialogs are not loaded with the first screen, and the commands themselves are.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from textual.app import App

from console.ui.actions.shell_commands import ShellCommand
from console.ui.dialogs.choices import Choice
from console.ui.dialogs.dialog import BACK, ChoiceDialog
from console.ui.spans import Line, Span, Tone, line, sanitize_cell, wrapped

KEYS = "y23456789"
"""`y` copies the first command, as it copies everywhere; the other commands are numbered."""


class CopyingScreen(Protocol):
    """A screen that copies and says so."""

    def copy(self, text: str, what: str) -> None:
        """Send `text` to the clipboard; `what` is how the notice calls it."""
        ...


def show_shell_commands(app: App[Any], screen: CopyingScreen, commands: Sequence[ShellCommand]) -> None:
    """Ask which command to copy to the clipboard, and copy it."""

    def chosen(answer: str | None) -> None:
        if answer is not None:
            text = commands[int(answer)].text
            screen.copy(text, sanitize_cell(text, limit=200))

    choices = [
        Choice(id=str(at), label=f"copy {each.name}", key=key)
        for at, (each, key) in enumerate(zip(commands, KEYS, strict=False))
    ]
    question = ChoiceDialog("The same in a shell", lambda cells: _lines(commands, cells), [*choices, BACK])
    app.push_screen(question, chosen)


def _lines(commands: Sequence[ShellCommand], cells: int) -> list[Line]:
    lines: list[Line] = []
    for each, key in zip(commands, KEYS, strict=False):
        pieces = wrapped(sanitize_cell(each.text, limit=2_000), cells - 4)
        lines.append(line(Span(f"{key}  ", Tone.KEY), Span("$ ", Tone.MUTED), pieces[0]))
        lines.extend(line(f"     {piece}") for piece in pieces[1:])
    return lines
