"""Leaving a console with live runs: hand them over to a background process, stop all and wait for proof, or stay."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from textual import on
from textual.app import App, ComposeResult

from console.domain.run import HOLDING, LIVE, Run
from console.ui.actions import operations
from console.ui.actions.questions import run_names
from console.ui.context import Context, ExitReason, ExitResult
from console.ui.dialogs.choices import Choice, Choices
from console.ui.dialogs.dialog import Body, ChoiceDialog, Dialog
from console.ui.spans import Line, Span, Tone, line, sanitize_cell, wrapped
from console.ui.state.background import BackgroundWork
from console.ui.state.view_state import ViewState

QUITTING = "-quitting"
"""The class of the dialogs of quitting, which are opened once."""
STAY = Choice(id="stay", label="Stay")


def holding(view: ViewState | None) -> tuple[Run, ...]:
    """The runs that use units, or may use them, while no console is open."""
    return tuple(run for run in view.snapshot.live if run.state in HOLDING) if view is not None else ()


def scheduling_lines(view: ViewState | None, cells: int) -> list[Line]:
    """Which process launches scheduled tasks after this console is closed; empty where nothing is scheduled."""
    snapshot = view.snapshot if view is not None else None
    if snapshot is None or snapshot.scheduler is None or snapshot.next_launch is None:
        return []
    scheduler, task = snapshot.scheduler, sanitize_cell(snapshot.next_launch.task)
    if scheduler.mine:
        text = f"This console is the scheduler. {task} is next, and is not launched until another scheduler runs."
        return [line(Span(each, Tone.WARN)) for each in wrapped(text, cells)]
    text = f"{sanitize_cell(scheduler.kind)} (pid {scheduler.pid}) goes on scheduling."
    return [line(Span(text, Tone.MUTED))]


def quit_question(view: ViewState, context: Context) -> tuple[str, Body, Sequence[Choice]]:
    """The title, the text and the answers for the present state.

    The answers are `leave` or `stop`, and `quit` once everything has ended.
    """
    runs = holding(view)
    if not runs:
        ended = line(Span("All runs that were live have ended."))
        return "No runs are live any more", lambda cells: [ended], (Choice(id="quit", label="Quit"), STAY)
    elsewhere = sum(run.id not in view.guarded for run in runs)
    count = "1 run is" if len(runs) == 1 else f"{len(runs)} runs are"
    choices: list[Choice] = []
    if context.read_only or elsewhere == len(runs):
        text = "Other processes supervise them, and go on when you leave."
        choices.append(Choice(id="leave", label="Leave"))
    elif context.leave is None:
        text = "If you quit now, nothing supervises these runs."
        choices.append(STAY)
    else:
        text = "A background process can supervise them until you open a console again."
        choices.append(Choice(id="leave", label="Leave them under guard"))
    if not context.read_only:
        choices.append(Choice(id="stop", label="Stop all, wait for proof"))
    choices.append(Choice(id="leave", label="Quit") if choices[0] is STAY else STAY)

    def body(cells: int) -> list[Line]:
        lines = [*(line(Span(each)) for each in wrapped(text, cells)), *scheduling_lines(view, cells)]
        return [*lines, (), *run_names(runs, cells, context.glyphs)]

    return f"{count} live", body, choices


class StopProgressDialog(Dialog[str]):
    """Shown while all runs are being stopped; returns `proven` once none is live.

    Unconfirmed runs are not waited for: a run without an id cannot be proven to have ended.
    """

    def __init__(self, context: Context) -> None:
        super().__init__("Waiting until every run has ended", self._text)
        self._given = context
        self._runs: Sequence[Run] = ()

    def answers(self) -> ComposeResult:
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
        text = Span("A run counts as stopped when the provider shows its end.", Tone.MUTED)
        return [line(text), (), *run_names(self._runs, cells, self._given.glyphs)]

    @on(Choices.Taken)
    def _taken(self, event: Choices.Taken) -> None:
        event.stop()
        self.dismiss(event.id)


class Quit:
    """The steps from `q` to the end of the console."""

    def __init__(self, app: App[ExitResult], context: Context, background: BackgroundWork) -> None:
        self._app = app
        self._context = context
        self._background = background

    def ask(self, view: ViewState | None) -> None:
        """End the console at once where no run is live, else ask; does nothing while the question is open."""
        if view is None or not holding(view):
            self._app.exit(ExitResult(reason=ExitReason.QUIT))
        elif not any(screen.has_class(QUITTING) for screen in self._app.screen_stack):
            title, body, choices = quit_question(view, self._context)
            follow = partial(quit_question, context=self._context)
            self._open(ChoiceDialog(title, body, choices, follow=follow))

    def _open(self, dialog: Dialog[str]) -> None:
        dialog.add_class(QUITTING)
        self._app.push_screen(dialog, self._decided)

    def _decided(self, answer: str | None) -> None:
        if answer == "quit":
            self._app.exit(ExitResult(reason=ExitReason.QUIT))
        elif answer == "leave":
            self._background.start(self._hand_over(), name="hand over")
        elif answer == "stop":
            self._open(StopProgressDialog(self._context))
            self._background.start(operations.stop_all(self._context), name="stop all")
        elif answer == "proven":
            self._app.exit(ExitResult(reason=ExitReason.STOPPED))

    async def _hand_over(self) -> None:
        if self._context.leave is not None:
            await self._context.leave()
        self._app.exit(ExitResult(reason=ExitReason.LEFT))
