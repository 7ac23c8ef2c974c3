"""`c`: what is selected as shell commands, in a dialog that copies them; the screen and the shell do the same."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

from console.ui.screens.dialogs import BACK, Ask
from console.ui.shell_words import Words
from console.ui.spans import Line, Span, Tone, foreign, line, wrapped
from console.ui.widgets.choices import Choice

if TYPE_CHECKING:
    from console.ui.screens.board import Board

KEYS = "y23456789"
"""The first command is what `y` copies, as everywhere; the others have their number."""


def show_words(board: Board, words: Sequence[Words]) -> None:
    """Asks which command goes to the clipboard."""
    choices = [
        Choice(id=str(at), label=f"copy {each.name}", key=key)
        for at, (each, key) in enumerate(zip(words, KEYS, strict=False))
    ]
    question = Ask("The same in a shell", lambda cells: _lines(words, cells), [*choices, BACK])
    board.app.push_screen(question, partial(_chosen, board, words))


def _chosen(board: Board, words: Sequence[Words], answer: str | None) -> None:
    if answer is not None:
        text = words[int(answer)].text
        board.app.copy_to_clipboard(text)
        board.tell(Span(f"copied {foreign(text, limit=200)}", Tone.MUTED))


def _lines(words: Sequence[Words], cells: int) -> list[Line]:
    lines: list[Line] = []
    for each, key in zip(words, KEYS, strict=False):
        pieces = wrapped(foreign(each.text, limit=2_000), cells - 4)
        lines.append(line(Span(f"{key}  ", Tone.KEY), Span("$ ", Tone.MUTED), pieces[0]))
        lines.extend(line(f"     {piece}") for piece in pieces[1:])
    return lines
