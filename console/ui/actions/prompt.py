"""The prompt of a task, from the config: whether it is the one that a person agreed to last, and on request its text.

Prompts are shown where somebody asks for one and nowhere else.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from difflib import unified_diff
from functools import partial

from textual.app import App
from textual.binding import Binding

from console.domain.formatting import counted
from console.domain.run import Run
from console.engine.prompts import PromptComparison
from console.ui.base_screen import BaseScreen, KeyAction
from console.ui.context import ExitResult
from console.ui.dialogs.choices import Choice
from console.ui.dialogs.help import TextPage
from console.ui.format import when
from console.ui.runs.lines import labelled
from console.ui.spans import Line, Span, Tone, line, sanitize_cell, wrapped
from console.ui.state.view_state import ViewState

PROMPT = Binding(
    "p", "perform('prompt')", "prompt", id="run.prompt", tooltip="The prompt in the config, and what was approved last"
)
SHOW = Choice(id="prompt", label="Prompt…", key="p")
"""The answer of a question that shows the prompt first."""
MAX_LINES = 2_000
"""Lines of a prompt that are shown."""
MAX_LINE = 4_000
"""Characters of one line of a prompt that are shown."""


def prompt_fact(prompt: PromptComparison, view: ViewState) -> Line:
    """The length of the prompt and whether it is the one that was approved last, without any text of it."""
    length, status = counted(len(prompt.text), "character"), prompt_status(prompt, view)
    return labelled("prompt", length, Span(f", {status.text}", status.tone))


def prompt_status(prompt: PromptComparison, view: ViewState) -> Span:
    """Whether the prompt in the config is the one that was approved last."""
    approved = prompt.approved
    if approved is None:
        return Span("no run of the task was approved yet", Tone.MUTED)
    at = when(approved.created_ms, view.now_ms, view.zone)
    if not prompt.has_changed:
        return Span(f"as approved {at}", Tone.MUTED)
    then = f"{approved.fingerprint.prompt_length} then"
    return Span(f"CHANGED since a run was approved {at} ({then})", Tone.WARN)


def prompt_lines(prompt: PromptComparison, run: Run | None, view: ViewState, cells: int) -> Iterator[Line]:
    """The page: what was approved, the difference to it, and the whole text; `run` is the one it was asked for."""
    yield prompt_fact(prompt, view)
    if run is not None and run.fingerprint.prompt_sha256 != prompt.sha256:
        length = counted(run.fingerprint.prompt_length, "character")
        yield line(Span(f"This run has another prompt than the config now, of {length}.", Tone.WARN))
    yield ()
    if prompt.has_changed and prompt.approved_text is None:
        unknown = (
            f"The earlier text is not known here: only its length and SHA-256 are stored, {_approved_hash(prompt)}."
        )
        yield from (line(Span(piece, Tone.MUTED)) for piece in wrapped(unknown, cells))
        yield ()
    elif prompt.has_changed and prompt.approved_text is not None:
        yield line(Span("difference to the last approved one", Tone.STRONG))
        yield from _difference(prompt.approved_text, prompt.text, cells)
        yield ()
        yield line(Span("the whole prompt", Tone.STRONG))
    for text in prompt.text.splitlines()[:MAX_LINES]:
        yield from (line(Span(piece)) for piece in wrapped(sanitize_cell(text, limit=MAX_LINE), cells) or [""])


def _approved_hash(prompt: PromptComparison) -> str:
    """The hash of the approved prompt, in full: an earlier version of the config is found by it."""
    return prompt.approved.fingerprint.prompt_sha256 if prompt.approved is not None else "-"


TONES = {"+": Tone.OK, "-": Tone.BAD, "@": Tone.MUTED}


def _difference(before: str, after: str, cells: int) -> Iterator[Line]:
    for text in list(unified_diff(before.splitlines(), after.splitlines(), lineterm="", n=2))[2:]:
        sign, rest = text[:1], sanitize_cell(text[1:], limit=MAX_LINE)
        for number, piece in enumerate(wrapped(rest, max(8, cells - 2))):
            yield line(Span(f"{sign if not number else ' '} {piece}", TONES.get(sign, Tone.PLAIN)))


def show_prompt(
    app: App[ExitResult],
    prompt: PromptComparison,
    name: str,
    run: Run | None,
    view: ViewState,
    then: Callable[[], None] = lambda: None,
) -> None:
    """Show the prompt of the task `name` over the screen; `then` is called when it is closed."""

    def text(cells: int) -> list[Line]:
        return list(prompt_lines(prompt, run, view, cells))

    app.push_screen(TextPage(f"Prompt of {sanitize_cell(name)}, from the config", text), lambda _: then())


def prompt_action(screen: BaseScreen, selected: Callable[[], Run | None]) -> KeyAction:
    """The action of the key that shows the prompt of the selected run's task."""

    async def read(run: Run) -> Span | None:
        prompt = await screen.context.engine.queries.prompt(run.task)
        if prompt is None:
            return Span(f"{sanitize_cell(run.task)} is not in the config any more: its prompt is not known", Tone.WARN)
        if screen.view is not None and screen.is_current:
            show_prompt(screen.app, prompt, run.task, run, screen.view)
        return None

    def show() -> None:
        run = selected()
        if run is not None:
            screen.background.start(read(run), name=f"prompt of {run.task}", asks=True)

    return KeyAction(show, partial(_is_there, selected))


def _is_there(selected: Callable[[], Run | None]) -> bool | None:
    return True if selected() is not None else None
