"""The key actions on runs, the same on every screen that shows runs. A key acts on the run that was selected when it
was pressed.

Modules that only a question needs are loaded when the first question is asked.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Protocol

from textual.binding import Binding

from console.domain.run import Run, State
from console.engine.prompts import PromptComparison
from console.ui.actions import operations
from console.ui.actions.shell_commands import ShellCommand, run_commands
from console.ui.base_screen import BaseScreen, KeyAction
from console.ui.spans import Span, Tone, sanitize_cell
from console.ui.state.view_state import can_settle, can_stop

if TYPE_CHECKING:
    from console.ui.dialogs.reasoned import Reasoned

CANCEL = Binding(
    "x",
    "perform('stop')",
    "cancel",
    id="run.cancel",
    tooltip="Cancel this run at once; marked runs after one question, with a reason",
)
APPROVE = Binding("a", "perform('approve')", "approve", id="run.approve", tooltip="Approve the proposal")
DECLINE = Binding("d", "perform('decline')", "decline", id="run.decline", tooltip="Decline the proposal")
SETTLE = Binding("s", "perform('settle')", "settle", id="run.settle", tooltip="Resolve a run whose outcome is unknown")
DETAIL = Binding("enter", "perform('detail')", "detail", id="run.detail", tooltip="Full details and timeline")
COPY = Binding(
    "y",
    "perform('copy')",
    "copy id",
    id="run.copy",
    tooltip="Copy the run's id to the clipboard of this terminal",
    show=False,
)
KILL = Binding(
    "X",
    "perform('kill_switch')",
    "kill switch",
    id="all.kill_switch",
    tooltip="Pause or resume all launches (asks first)",
)

NO_RUN = "no run is selected"
"""Why a key that acts on a run does nothing."""


class Selection(Protocol):
    """The runs that a key acts on."""

    def selected_run(self) -> Run | None:
        """The run under the cursor; None where there is none."""
        ...

    def marked_runs(self) -> tuple[Run, ...]:
        """The runs that are marked."""
        ...

    @property
    def has_just_moved(self) -> bool:
        """True for a moment after another run was selected without a key."""
        ...

    def unmark(self) -> None:
        """Clear all marks."""
        ...


class RunActions:
    """Asks what has to be asked, then hands the operation to the background work of its screen."""

    def __init__(self, screen: BaseScreen, selection: Selection) -> None:
        self._screen = screen
        self._context = screen.context
        self._selection = selection

    def key_actions(self) -> dict[str, KeyAction]:
        """The actions by the names that their bindings use."""
        return {
            "stop": KeyAction(self._stop, self._can_stop, self._why_no_stop),
            "approve": KeyAction(self._approve, self._is_proposed, partial(self._why_no_proposal, "approve")),
            "decline": KeyAction(self._decline, self._is_proposed, partial(self._why_no_proposal, "decline")),
            "settle": KeyAction(self._settle, self._can_settle, self._why_no_settle),
            "copy": KeyAction(self._copy_id, self._has_run),
            "kill_switch": KeyAction(self._kill_switch),
        }

    def shell_commands(self) -> Sequence[ShellCommand]:
        """The selected run as shell commands; empty where no run is selected."""
        run = self._selection.selected_run()
        return run_commands(self._context.command, run, read_only=self._context.read_only) if run is not None else ()

    def _has_run(self) -> bool | None:
        return True if self._selection.selected_run() is not None else None

    def _can_stop(self) -> bool | None:
        run = self._selection.selected_run()
        return True if any(map(can_stop, (*self._selection.marked_runs(), *([run] if run else [])))) else None

    def _is_proposed(self) -> bool | None:
        run = self._selection.selected_run()
        return True if run is not None and run.state is State.PROPOSED else None

    def _can_settle(self) -> bool | None:
        run = self._selection.selected_run()
        return True if run is not None and can_settle(run) else None

    def _why_no_stop(self) -> str:
        run = self._selection.selected_run()
        if run is None:
            return NO_RUN
        if run.state is State.PROPOSED:
            return f"{sanitize_cell(run.task)} is a proposal: press d to decline it"
        return f"{sanitize_cell(run.task)} has ended: nothing to cancel"

    def _why_no_proposal(self, verb: str) -> str:
        run = self._selection.selected_run()
        return NO_RUN if run is None else f"{sanitize_cell(run.task)} is not a proposal: nothing to {verb}"

    def _why_no_settle(self) -> str:
        run = self._selection.selected_run()
        return NO_RUN if run is None else f"{sanitize_cell(run.task)}: its outcome is not in doubt, nothing to settle"

    def _stop(self) -> None:
        """Stop the selected run at once, marked ones after one question, which takes a reason too."""
        run, marks = self._selection.selected_run(), self._selection.marked_runs()
        marked = tuple(filter(can_stop, marks))
        if marks and not marked:
            # Who marked a run does not mean the one under the cursor.
            self._screen.post_notice(Span("the marked runs have ended; esc clears the marks", Tone.WARN))
            return
        if self._selection.has_just_moved and run is not None and not marked:
            text = f"the cursor has just moved to {sanitize_cell(run.task)}: press the key again to cancel it"
            self._screen.post_notice(Span(text, Tone.WARN))
            return
        if run is not None and can_stop(run) and not marked:
            self._screen.background.start(operations.stop(self._context, (run.id,)), name=f"stop {run.id}")
        elif marked:
            from console.ui.actions import questions

            question = questions.stop_question(marked, self._context.glyphs)
            self._screen.app.push_screen(question, partial(self._stop_marked, marked))

    def _stop_marked(self, runs: tuple[Run, ...], answer: Reasoned | None) -> None:
        if answer is not None:
            work = operations.stop(self._context, tuple(run.id for run in runs), answer.reason)
            self._screen.background.start(work, name=f"stop {len(runs)} runs")
            self._selection.unmark()

    def _approve(self) -> None:
        """Show what would be launched, and ask."""
        run = self._selection.selected_run()
        if run is not None:
            self._screen.background.start(self._ask_to_approve(run), name=f"prompt of {run.task}", asks=True)

    async def _ask_to_approve(self, run: Run) -> Span | None:
        """Ask; where another screen was opened meanwhile, say that nothing was asked."""
        prompt = await operations.read_prompt(self._context, run.task)
        if self._screen.view is None or not self._screen.is_current:
            return Span("nothing was approved: another screen was opened before the question", Tone.WARN)
        self._push_approve_question(run, prompt)
        return None

    def _push_approve_question(self, run: Run, prompt: PromptComparison | None, reason: str = "") -> None:
        from console.ui.actions import questions

        if self._screen.view is not None:
            question = questions.approve_question(run, self._screen.view, prompt, reason)
            self._screen.app.push_screen(question, partial(self._approve_decided, run, prompt))

    def _approve_decided(self, run: Run, prompt: PromptComparison | None, answer: Reasoned | None) -> None:
        if answer is None:
            return
        if answer.id == "prompt" and prompt is not None and self._screen.view is not None:
            from console.ui.actions.prompt import show_prompt

            again = partial(self._push_approve_question, run, prompt, answer.reason)
            show_prompt(self._screen.app, prompt, run.task, run, self._screen.view, again)
        else:
            work = operations.approve(self._context, run.id, answer.reason)
            self._screen.background.start(work, name=f"approve {run.id}")

    def _decline(self) -> None:
        """Ask for a reason, which may stay empty."""
        run, view = self._selection.selected_run(), self._screen.view
        if run is not None and view is not None:
            from console.ui.actions import questions

            self._screen.app.push_screen(questions.decline_question(run, view), partial(self._decline_decided, run))

    def _decline_decided(self, run: Run, values: tuple[str, ...] | None) -> None:
        if values is not None:
            work = operations.decline(self._context, run.id, values[0])
            self._screen.background.start(work, name=f"decline {run.id}")

    def _settle(self) -> None:
        """Ask what became of the run, then for the reason."""
        run = self._selection.selected_run()
        if run is not None:
            from console.ui.actions import questions

            self._screen.app.push_screen(questions.ruling_question(run), partial(self._ruling_chosen, run))

    def _ruling_chosen(self, run: Run, ruling: str | None) -> None:
        if ruling is not None:
            from console.ui.actions import questions

            question = questions.reason_question(run, ruling)
            self._screen.app.push_screen(question, partial(self._reason_given, run, ruling))

    def _reason_given(self, run: Run, ruling: str, values: tuple[str, ...] | None) -> None:
        if values is not None:
            work = operations.settle(self._context, run.id, ruling, values)
            self._screen.background.start(work, name=f"settle {run.id}")

    def _copy_id(self) -> None:
        run = self._selection.selected_run()
        if run is not None:
            self._screen.copy(run.id, run.id)

    def _kill_switch(self) -> None:
        """Ask: pause, pause and cancel all, or resume."""
        if self._screen.view is not None:
            from console.ui.actions import questions

            question = questions.kill_question(self._screen.view, self._context.glyphs)
            self._screen.app.push_screen(question, self._kill_switch_decided)

    def _kill_switch_decided(self, answer: Reasoned | None) -> None:
        if answer is not None:
            work = operations.switch(self._context, answer.id, answer.reason)
            self._screen.background.start(work, name=f"kill switch {answer.id}")
