"""What can be done with runs, the same on every screen that shows them. A key acts on the run it was pressed on.

What only a question needs is loaded when the first one is asked.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from textual.binding import Binding

from console.domain.run import Run, State
from console.ui.actions import operations as operations
from console.ui.actions.shell_commands import ShellCommand, run_words
from console.ui.base_screen import BaseScreen
from console.ui.context import Context
from console.ui.spans import Span, Tone
from console.ui.state.background import BackgroundWork
from console.ui.state.view_state import can_settle, can_stop

WRITES = frozenset({"stop", "approve", "decline", "settle", "kill_switch", "launch", "mark"})
"""Actions that a read-only console does not offer."""

DEPENDS_ON_THE_RUN = ("stop", "approve", "decline", "settle", "detail", "mark", "unfold")

CANCEL = Binding(
    "x", "stop", "cancel", id="run.cancel", tooltip="Cancels this run at once; marked ones after one question"
)
APPROVE = Binding("a", "approve", "approve", id="run.approve", tooltip="Lets a proposed run go")
DECLINE = Binding("d", "decline", "decline", id="run.decline", tooltip="Says no to a proposed run")
SETTLE = Binding("s", "settle", "settle", id="run.settle", tooltip="Rules on a run of which nobody knows what became")
COPY = Binding("y", "copy", "copy id", id="run.copy", tooltip="Copies the id to this terminal's clipboard", show=False)
KILL = Binding(
    "X", "kill_switch", "kill switch", id="all.kill_switch", tooltip="Pauses all launches or resumes them; asks first"
)


class RunActionsScreen(BaseScreen):
    """A board whose runs can be acted on."""

    def __init__(self, context: Context, background: BackgroundWork) -> None:
        super().__init__(context)
        self.background = background
        self._offered: tuple[bool | None, ...] = ()

    def selected_run(self) -> Run | None:
        """The run that a key acts on."""
        return None

    def marked_runs(self) -> tuple[Run, ...]:
        """The runs that are marked."""
        return ()

    def unmark(self) -> None:
        """Takes all marks away."""

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """False hides a key, None greys it."""
        if action in WRITES and self.context.read_only:
            return False
        run = self.selected_run()
        match action:
            case "stop":
                stoppable = any(map(can_stop, self.marked_runs())) or (run is not None and can_stop(run))
                return True if stoppable else None
            case "approve" | "decline":
                return run is not None and run.state is State.PROPOSED
            case "settle":
                return run is not None and can_settle(run)
            case "detail" | "copy" | "mark":
                return True if run is not None else None
            case _:
                return True

    def shell_words(self) -> Sequence[ShellCommand]:
        """The run under the cursor; the screen's own command where there is none."""
        run = self.selected_run()
        if run is None:
            return super().shell_words()
        return run_words(self.context.command, run, read_only=self.context.read_only)

    def refresh_changed_bindings(self) -> None:
        """Asks for new key hints where what can be done has changed, and only there: hints cost a repaint."""
        offered = tuple(self.check_action(action, ()) for action in DEPENDS_ON_THE_RUN)
        if offered != self._offered:
            self._offered = offered
            self.refresh_bindings()

    def action_stop(self) -> None:
        """One run at once, several after one question."""
        run, marked = self.selected_run(), tuple(filter(can_stop, self.marked_runs()))
        if run is not None and can_stop(run) and [each.id for each in marked] in ([], [run.id]):
            self.background.start(operations.stop(self.context, (run.id,)), name=f"stop {run.id}")
        elif marked:
            from console.ui.actions import questions

            question = questions.stop_question(marked, self.context.glyphs)
            self.app.push_screen(question, partial(self._stop_decided, marked))

    def _stop_decided(self, runs: tuple[Run, ...], answer: str | None) -> None:
        if answer is not None:
            self.background.start(
                operations.stop(self.context, tuple(run.id for run in runs)), name=f"stop {len(runs)} runs"
            )
            self.unmark()

    def action_approve(self) -> None:
        """Shows what would run, then lets it go."""
        run, view = self.selected_run(), self.view
        if run is not None and view is not None:
            from console.ui.actions import questions

            self.app.push_screen(questions.approve_question(run, view), partial(self._approve_decided, run))

    def _approve_decided(self, run: Run, answer: str | None) -> None:
        if answer is not None:
            self.background.start(operations.approve(self.context, run.id), name=f"approve {run.id}")

    def action_decline(self) -> None:
        """Asks why not."""
        run, view = self.selected_run(), self.view
        if run is not None and view is not None:
            from console.ui.actions import questions

            self.app.push_screen(questions.decline_question(run, view), partial(self._decline_decided, run))

    def _decline_decided(self, run: Run, values: tuple[str, ...] | None) -> None:
        if values is not None:
            self.background.start(operations.decline(self.context, run.id, values[0]), name=f"decline {run.id}")

    def action_settle(self) -> None:
        """Asks what became of the run, then for the reason."""
        run = self.selected_run()
        if run is not None:
            from console.ui.actions import questions

            self.app.push_screen(questions.ruling_question(run), partial(self._ruled, run))

    def _ruled(self, run: Run, ruling: str | None) -> None:
        if ruling is not None:
            from console.ui.actions import questions

            self.app.push_screen(questions.reason_question(run, ruling), partial(self._settle, run, ruling))

    def _settle(self, run: Run, ruling: str, values: tuple[str, ...] | None) -> None:
        if values is not None:
            self.background.start(operations.settle(self.context, run.id, ruling, values), name=f"settle {run.id}")

    def action_copy(self) -> None:
        """The id, by the terminal's own clipboard sequence."""
        run = self.selected_run()
        if run is not None:
            self.app.copy_to_clipboard(run.id)
            self.post_notice(Span(f"copied {run.id}", Tone.MUTED))

    def action_kill_switch(self) -> None:
        """Pause, pause and cancel all, or resume."""
        if self.view is not None:
            from console.ui.actions import questions

            self.app.push_screen(questions.kill_question(self.view, self.context.glyphs), self._switch_decided)

    def _switch_decided(self, answer: str | None) -> None:
        if answer is not None:
            self.background.start(operations.switch(self.context, answer), name=f"kill switch {answer}")
