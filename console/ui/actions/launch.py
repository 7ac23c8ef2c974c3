"""Launching by hand: choose a task, see what would be launched, confirm.

The request that is confirmed carries the date that was shown, so that confirming twice, or after midnight, is still
the same launch.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from textual.binding import Binding

from console.engine.models import LaunchRequest
from console.ui.actions import operations
from console.ui.actions.run_actions import Selection
from console.ui.base_screen import BaseScreen, KeyAction
from console.ui.format import format_duration, units
from console.ui.spans import Span, Tone, left, sanitize_cell, width

if TYPE_CHECKING:
    from console.domain.task import Task
    from console.engine.models import LaunchPreview
    from console.engine.prompts import PromptComparison
    from console.ui.dialogs.dialog import Item
    from console.ui.state.view_state import ViewState

SHOW_PROMPT = "prompt"
"""The answer of the question that shows the prompt first."""
LAUNCH = Binding("l", "perform('launch')", "launch", id="task.launch", tooltip="Launch a task by hand, after a preview")
AGAIN = Binding(
    "r", "perform('again')", "run again", id="history.again", tooltip="Run this key again by hand, after a preview"
)


class LaunchActions:
    """The steps from a key to a launch."""

    def __init__(self, screen: BaseScreen, selection: Selection) -> None:
        self._screen = screen
        self._context = screen.context
        self._selection = selection

    def key_actions(self) -> dict[str, KeyAction]:
        """The actions by the names that their bindings use."""
        return {
            "launch": KeyAction(self._choose_task),
            "again": KeyAction(self._again, lambda: True if self._selection.selected_run() is not None else None),
        }

    def _again(self) -> None:
        """Preview the task, date and target of the selected run once more."""
        run = self._selection.selected_run()
        if run is not None:
            request = LaunchRequest(task=run.task, date=run.date, target=run.target, by=self._context.by)
            self._show_preview(request)

    def _choose_task(self) -> None:
        from console.ui.dialogs.dialog import PickerDialog

        tasks = self._context.engine.settings.tasks
        if not tasks:
            self._screen.post_notice(Span("the config file has no task to launch", Tone.WARN))
            return
        widest = max(width((Span(sanitize_cell(task.target, limit=30)),)) for task in tasks)
        items = [_item(task, widest) for task in tasks]
        pointer = self._context.glyphs.pointer
        picker = PickerDialog("Launch which task?", items, hint="type to search", pointer=pointer)
        self._screen.app.push_screen(picker, self._task_chosen)

    def _task_chosen(self, task: str | None) -> None:
        if task is not None:
            self._show_preview(LaunchRequest(task=task, by=self._context.by))

    def _show_preview(self, request: LaunchRequest) -> None:
        self._screen.background.start(self._ask(request), name=f"preview {request.task}", asks=True)

    async def _ask(self, request: LaunchRequest) -> Span | None:
        """Ask whether to launch; where another screen was opened meanwhile, say that nothing was asked."""
        preview = await self._context.engine.queries.preview(request)
        prompt = await operations.read_prompt(self._context, request.task)
        view = self._screen.view
        if view is None or not self._screen.is_current:
            task = sanitize_cell(request.task, limit=60)
            return Span(f"{task} was not launched: another screen was opened before the question", Tone.WARN)
        self._push_question(preview, prompt, view)
        return None

    def _push_question(self, preview: LaunchPreview, prompt: PromptComparison | None, view: ViewState) -> None:
        from console.ui.actions.questions import launch_question

        question = launch_question(preview, view, self._context.glyphs, prompt)
        self._screen.app.push_screen(question, partial(self._decided, preview, prompt, view))

    def _decided(
        self,
        preview: LaunchPreview,
        prompt: PromptComparison | None,
        view: ViewState,
        answer: str | tuple[str, ...] | None,
    ) -> None:
        if answer == SHOW_PROMPT and prompt is not None:
            from console.ui.actions.prompt import show_prompt

            again = partial(self._push_question, preview, prompt, view)
            show_prompt(self._screen.app, prompt, preview.task.name, None, view, again)
        elif answer is not None:
            reason = answer[0] if isinstance(answer, tuple) else ""
            request = request_of(preview, by=self._context.by, reason=reason)
            self._screen.background.start(operations.launch(self._context, request), name=f"launch {request.task}")


def request_of(preview: LaunchPreview, *, by: str, reason: str = "") -> LaunchRequest:
    """The launch that was previewed; with a reason it repeats a key that had its run."""
    return LaunchRequest(
        task=preview.task.name,
        date=preview.date,
        target=preview.target,
        by=by,
        rerun=bool(reason),
        reason=reason,
    )


def _item(task: Task, widest: int) -> Item:
    from console.ui.dialogs.dialog import Item

    rails = task.guardrails
    target = left(sanitize_cell(task.target, limit=30), widest)
    hint = f"{target}  {format_duration(rails.max_ms)}, {units(rails.budget)} units"
    return Item(id=task.name, label=sanitize_cell(task.name, limit=40), hint=hint)
