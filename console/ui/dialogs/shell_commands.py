"""`c`: what is selected as shell commands, in a dialog that copies them; the screen and the shell do the same."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

from console.ui.actions.shell_commands import ShellCommand
from console.ui.dialogs.choices import Choice
from console.ui.dialogs.dialog import BACK, ChoiceDialog
from console.ui.spans import Line, Span, Tone, line, sanitize_cell, wrapped

if TYPE_CHECKING:
    from console.ui.base_screen import BaseScreen

KEYS = "y23456789"
"""The first command is what `y` copies, as everywhere; the others have their number."""


def show_words(screen: BaseScreen, words: Sequence[ShellCommand]) -> None:
    """Asks which command goes to the clipboard."""
    choices = [
        Choice(id=str(at), label=f"copy {each.name}", key=key)
        for at, (each, key) in enumerate(zip(words, KEYS, strict=False))
    ]
    question = ChoiceDialog("The same in a shell", lambda cells: _lines(words, cells), [*choices, BACK])
    screen.app.push_screen(question, partial(_chosen, screen, words))


def _chosen(screen: BaseScreen, words: Sequence[ShellCommand], answer: str | None) -> None:
    if answer is not None:
        text = words[int(answer)].text
        screen.app.copy_to_clipboard(text)
        screen.post_notice(Span(f"copied {sanitize_cell(text, limit=200)}", Tone.MUTED))


def _lines(words: Sequence[ShellCommand], cells: int) -> list[Line]:
    lines: list[Line] = []
    for each, key in zip(words, KEYS, strict=False):
        pieces = wrapped(sanitize_cell(each.text, limit=2_000), cells - 4)
        lines.append(line(Span(f"{key}  ", Tone.KEY), Span("$ ", Tone.MUTED), pieces[0]))
        lines.extend(line(f"     {piece}") for piece in pieces[1:])
    return lines
