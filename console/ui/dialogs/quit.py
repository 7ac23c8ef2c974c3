"""Leaving a console on which runs or the schedule depend: hand them over, stop all and wait for proof, or stay."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from textual import on
from textual.app import App, ComposeResult

from console.domain.run import HOLDING, LIVE, Run
from console.ui.actions import operations
from console.ui.actions.questions import run_names
from console.ui.context import Context, ExitReason, ExitResult, Leave
from console.ui.dialogs.choices import Choice, Choices
from console.ui.dialogs.dialog import Body, ChoiceDialog, Dialog
from console.ui.format import when
from console.ui.spans import Line, Span, Tone, line, sanitize_cell, wrapped
from console.ui.state.background import BackgroundWork
from console.ui.state.view_state import ViewState
from console.ui.words import owner_name

QUITTING = "-quitting"
"""The class of the dialogs of quitting, which are opened once."""
STAY = Choice(id="stay", label="Stay")


def holding(view: ViewState | None) -> tuple[Run, ...]:
    """The runs that use units, or may use them, while no console is open."""
    return tuple(run for run in view.snapshot.live if run.state in HOLDING) if view is not None else ()


def schedule_ends(view: ViewState | None) -> bool:
    """True where tasks are due and nobody is going to launch them once this console is gone."""
    snapshot = view.snapshot if view is not None else None
    return snapshot is not None and snapshot.schedule_ends_here


def nothing_is_lost(view: ViewState | None, context: Context) -> bool:
    """True where leaving changes nothing: no run and no task depends on this console."""
    if view is None or context.read_only or context.session.is_demo:
        return True
    return not schedule_ends(view) and all(_is_elsewhere(run, view) for run in holding(view))


def _is_elsewhere(run: Run, view: ViewState) -> bool:
    owner = view.snapshot.owners.get(run.owner or "")
    return run.id not in view.guarded and owner is not None and owner.alive and not owner.mine


def scheduling_lines(view: ViewState, cells: int) -> list[Line]:
    """Which process launches scheduled tasks after this console is closed; empty where nothing is scheduled."""
    snapshot, ahead = view.snapshot, view.snapshot.next_launch
    if ahead is None or snapshot.scheduler is None:
        return []
    if schedule_ends(view):
        due = f"{sanitize_cell(ahead.task)} is due {when(ahead.at_ms, view.now_ms, view.zone)}"
        text = f"This console is the scheduler. {due}, and will be missed unless another scheduler runs then."
        return [line(Span(each, Tone.WARN)) for each in wrapped(text, cells)]
    others = [owner for owner in snapshot.owners.values() if owner.alive and not owner.mine]
    goes_on = snapshot.scheduler if not snapshot.scheduler.mine else next((o for o in others if o.may_schedule), None)
    if goes_on is None:
        return []
    text = f"{owner_name(goes_on)} schedules from then on."
    return [line(Span(text, Tone.MUTED))]


def quit_question(view: ViewState, context: Context) -> tuple[str, Body, Sequence[Choice]]:
    """The title, the text and the answers for the present state.

    The answers are `leave`, `schedule` or `stop`, and `quit` where no run depends on this console.
    """
    runs, ends = holding(view), schedule_ends(view)
    if ends and all(_is_elsewhere(run, view) for run in runs):
        return _schedule_question(view, context)
    if not runs:
        return _nothing_left()
    count = "1 run is" if len(runs) == 1 else f"{len(runs)} runs are"
    choices: list[Choice] = []
    if all(_is_elsewhere(run, view) for run in runs):
        text = "Other processes supervise them, and go on when you leave."
        choices.append(Choice(id="leave", label="Leave"))
    elif context.leave is None:
        text = "If you quit now, nothing supervises these runs."
        choices.append(STAY)
    else:
        text = "A background process can supervise them until you open a console again."
        choices.append(Choice(id="leave", label="Leave them in the background"))
    if ends and context.leave_scheduler is not None:
        text += " It can also launch what is due."
        choices[:1] = [Choice(id="schedule", label="Leave runs and schedule"), Choice(id="leave", label="Runs only")]
    choices.append(Choice(id="stop", label="Stop all, wait for proof"))
    choices.append(Choice(id="leave", label="Quit") if choices[0] is STAY else STAY)

    def body(cells: int) -> list[Line]:
        lines = [*(line(Span(each)) for each in wrapped(text, cells)), *scheduling_lines(view, cells)]
        return [*lines, (), *run_names(runs, cells, context.glyphs)]

    return f"{count} live", body, choices


def _schedule_question(view: ViewState, context: Context) -> tuple[str, Body, Sequence[Choice]]:
    choices = [STAY, Choice(id="quit", label="Quit, schedule nothing")]
    if context.leave_scheduler is not None:
        choices.insert(1, Choice(id="schedule", label="Leave a scheduler in the background"))
    return "Who launches what is due?", lambda cells: scheduling_lines(view, cells), choices


def _nothing_left() -> tuple[str, Body, Sequence[Choice]]:
    ended = line(Span("All runs that were live have ended."))
    return "No runs are live any more", lambda cells: [ended], (Choice(id="quit", label="Quit"), STAY)


class StopProgressDialog(Dialog[str]):
    """Shown while all runs are being stopped; returns `proven` once none is live.

    Unconfirmed runs are not waited for: a run without an id cannot be proven to have ended.
    """

    def __init__(self, context: Context) -> None:
        super().__init__("Waiting until every run has ended", self._text)
        self._given = context
        self._runs: Sequence[Run] = ()

    def answers(self) -> ComposeResult:
        leave = (Choice(id="leave", label="Leave them in the background"),) if self._given.leave is not None else ()
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
    """The steps from `q`, or from the choice of another context, to the end of the console."""

    def __init__(
        self, app: App[ExitResult], context: Context, background: BackgroundWork, *, next_context: str = ""
    ) -> None:
        """`next_context` is the context whose console is opened next; empty for none."""
        self._app = app
        self._context = context
        self._background = background
        self._next_context = next_context

    def ask(self, view: ViewState | None) -> None:
        """End the console at once where nothing depends on it, else ask; does nothing while the question is open."""
        if view is None or nothing_is_lost(view, self._context):
            self._exit(ExitReason.QUIT)
        elif not any(screen.has_class(QUITTING) for screen in self._app.screen_stack):
            title, body, choices = quit_question(view, self._context)
            follow = partial(quit_question, context=self._context)
            self._open(ChoiceDialog(title, body, choices, follow=follow))

    def _open(self, dialog: Dialog[str]) -> None:
        dialog.add_class(QUITTING)
        self._app.push_screen(dialog, self._decided)

    def _decided(self, answer: str | None) -> None:
        if answer == "quit":
            self._exit(ExitReason.QUIT)
        elif answer == "leave":
            self._background.start(self._hand_over(self._context.leave, ExitReason.LEFT), name="hand over")
        elif answer == "schedule":
            work = self._hand_over(self._context.leave_scheduler, ExitReason.SCHEDULER_LEFT)
            self._background.start(work, name="leave a scheduler")
        elif answer == "stop":
            self._open(StopProgressDialog(self._context))
            self._background.start(operations.stop_all(self._context), name="stop all")
        elif answer == "proven":
            self._exit(ExitReason.STOPPED)

    async def _hand_over(self, leave: Leave | None, reason: ExitReason) -> None:
        if leave is not None:
            await leave()
        self._exit(reason)

    def _exit(self, reason: ExitReason) -> None:
        self._app.exit(ExitResult(reason=reason, context=self._next_context))
