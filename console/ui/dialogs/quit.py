"""Leaving with live runs: behind under guard, all stopped and proven, or not at all. Never by accident."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

from textual import on
from textual.app import ComposeResult

from console.domain.run import HOLDING, LIVE, Run
from console.ui.actions import operations as operations
from console.ui.actions.questions import run_names
from console.ui.context import Context, ExitReason, ExitResult
from console.ui.dialogs.choices import Choice, Choices
from console.ui.dialogs.dialog import Body, ChoiceDialog, Dialog
from console.ui.spans import Line, Span, Tone, line, sanitize_cell, wrapped
from console.ui.state.view_state import ViewState

if TYPE_CHECKING:
    from console.ui.app import ConsoleApp

STAY = Choice(id="stay", label="Stay")


def holding(view: ViewState | None) -> tuple[Run, ...]:
    """The runs that spend, or may spend, while nobody looks."""
    return tuple(run for run in view.snapshot.live if run.state in HOLDING) if view is not None else ()


class QuitDialog(ChoiceDialog):
    """Returns `leave` or `stop`, which may become `quit` while it stands: it counts only what is live now."""

    def __init__(self, view: ViewState, context: Context) -> None:
        self._given = context
        super().__init__(*leaving(view, context))

    def on_mount(self) -> None:
        self.watch(self.app, "view", self._view_changed)

    def _view_changed(self, view: ViewState | None) -> None:
        if view is not None and self.is_mounted:
            title, body, choices = leaving(view, self._given)
            self.offer(choices)
            self.say(title, body)


def scheduling_lines(view: ViewState | None, cells: int) -> list[Line]:
    """Who launches what is due once this console is gone; nothing where nothing is due or nobody schedules."""
    snapshot = view.snapshot if view is not None else None
    if snapshot is None or snapshot.scheduler is None or snapshot.next_launch is None:
        return []
    scheduler, task = snapshot.scheduler, sanitize_cell(snapshot.next_launch.task)
    if scheduler.mine:
        words = f"This console schedules: {task} is next, and waits for another scheduler."
        return [line(Span(each, Tone.WARN)) for each in wrapped(words, cells)]
    return [line(Span(f"{sanitize_cell(scheduler.kind)}, pid {scheduler.pid}, goes on scheduling.", Tone.MUTED))]


def leaving(view: ViewState, context: Context) -> tuple[str, Body, Sequence[Choice]]:
    """What q, ctrl+q and ctrl+c ask alike: title, text and answers."""
    runs = holding(view)
    if not runs:
        ended = line(Span("All that was live has ended."))
        return "Nothing is live any more", lambda cells: [ended], (Choice(id="quit", label="Quit"), STAY)
    elsewhere = sum(run.id not in view.guarded for run in runs)
    count = "1 run is" if len(runs) == 1 else f"{len(runs)} runs are"
    choices: list[Choice] = []
    if context.read_only or elsewhere == len(runs):
        words = "Other processes guard them; they go on."
        choices.append(Choice(id="leave", label="Leave"))
    elif context.leave is None:
        words = "Nobody goes on guarding once this console is gone."
        choices.append(STAY)
    else:
        words = "Left behind, they stay under guard in the background; the next console shows them again."
        choices.append(Choice(id="leave", label="Leave them under guard"))
    if not context.read_only:
        choices.append(Choice(id="stop", label="Stop all, wait for proof"))
    choices.append(Choice(id="leave", label="Quit") if choices[0] is STAY else STAY)

    def body(cells: int) -> list[Line]:
        said = [*(line(Span(each)) for each in wrapped(words, cells)), *scheduling_lines(view, cells)]
        return [*said, (), *run_names(runs, cells, context.glyphs)]

    return f"{count} live", body, choices


class StopProgressDialog(Dialog[str]):
    """Shown while everything stops; closes by itself with `proven` once nothing is live.

    Unconfirmed runs are not waited for: no proof can come of a run without an id.
    """

    def __init__(self, context: Context) -> None:
        super().__init__("Waiting until every run has ended", self._text)
        self._given = context
        self._runs: Sequence[Run] = ()

    def answers(self) -> ComposeResult:
        """Staying is always possible; leaving where somebody else can guard."""
        leave = (Choice(id="leave", label="Leave them under guard"),) if self._given.leave is not None else ()
        yield Choices((STAY, *leave), id="choices")

    def on_mount(self) -> None:
        self.watch(self.app, "view", self._view_changed)

    def _view_changed(self, view: ViewState | None) -> None:
        self._runs = tuple(run for run in holding(view) if run.state in LIVE)
        if view is not None and not view.trouble and not self._runs:
            self.dismiss("proven")
        elif self.is_mounted:
            self.lay_out()

    def _text(self, cells: int) -> list[Line]:
        words = Span("A run counts as stopped when the provider shows its end.", Tone.MUTED)
        return [line(words), (), *run_names(self._runs, cells, self._given.glyphs)]

    @on(Choices.Taken)
    def _taken(self, event: Choices.Taken) -> None:
        event.stop()
        self.dismiss(event.id)


def leave(app: ConsoleApp) -> None:
    """Ends the screen at once where nothing is live, else asks; asking again while asked is the same question."""
    view = app.view
    if view is None or not holding(view):
        app.exit(ExitResult(reason=ExitReason.QUIT))
    elif not any(isinstance(screen, (QuitDialog, StopProgressDialog)) for screen in app.screen_stack):
        app.push_screen(QuitDialog(view, app.context), partial(_decided, app))


def _decided(app: ConsoleApp, answer: str | None) -> None:
    if answer == "quit":
        app.exit(ExitResult(reason=ExitReason.QUIT))
    elif answer == "leave":
        app.background.start(_hand_over(app), name="hand over")
    elif answer == "stop":
        app.push_screen(StopProgressDialog(app.context), partial(_decided, app))
        app.background.start(operations.stop_all(app.context), name="stop all")
    elif answer == "proven":
        app.exit(ExitResult(reason=ExitReason.STOPPED))


async def _hand_over(app: ConsoleApp) -> None:
    if app.context.leave is not None:
        await app.context.leave()
    app.exit(ExitResult(reason=ExitReason.LEFT))
