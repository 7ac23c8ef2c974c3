"""The way to a launch by hand: choose a task, see what it would be, confirm. The key is minted with what is seen."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from textual.binding import Binding

from console.engine.models import LaunchRequest
from console.ui.actions import operations as operations
from console.ui.actions.run_actions import RunActionsScreen
from console.ui.format import format_duration, units
from console.ui.spans import Span, Tone, left, sanitize_cell, width

if TYPE_CHECKING:
    from console.domain.task import Task
    from console.engine.models import LaunchPreview
    from console.ui.dialogs.dialog import Item

LAUNCH = Binding("l", "launch", "launch", id="task.launch", tooltip="Launches a task, after showing what it would be")

AGAIN = Binding("r", "again", "run again", id="history.again", tooltip="Runs this key again by hand, after a preview")


class Launching(RunActionsScreen):
    """A board from which tasks can be launched, and runs a second time."""

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """A run is run again where there was one to run."""
        if action == "again":
            return False if self.context.read_only else True if self.selected_run() is not None else None
        return super().check_action(action, parameters)

    def action_again(self) -> None:
        """The same task, date and target once more: what that would be, then the question."""
        run = self.selected_run()
        if run is not None:
            request = LaunchRequest(task=run.task, date=run.date, target=run.target, by=self.context.by)
            self.show_launch(request)

    def action_launch(self) -> None:
        """Asks which task."""
        from console.ui.dialogs.dialog import PickerDialog

        tasks = self.context.engine.settings.tasks
        if not tasks:
            self.post_notice(Span("the config file has no task to launch", Tone.WARN))
            return
        widest = max(width((Span(sanitize_cell(task.target, limit=30)),)) for task in tasks)
        items = [_item(task, widest) for task in tasks]
        pointer = self.context.glyphs.pointer
        chooser = PickerDialog("Launch which task?", items, hint="type to search", pointer=pointer)
        self.app.push_screen(chooser, self._task_chosen)

    def _task_chosen(self, task: str | None) -> None:
        if task is not None:
            self.show_launch(LaunchRequest(task=task, by=self.context.by))

    def show_launch(self, request: LaunchRequest) -> None:
        """Shows what a launch would be, and asks."""
        self.background.start(self._preview(request), name=f"preview {request.task}", asks=True)

    async def _preview(self, request: LaunchRequest) -> None:
        from console.ui.actions.questions import launch_question

        preview = await self.context.engine.queries.preview(request)
        if self.view is not None and self.is_current:
            question = launch_question(preview, self.view, self.context.glyphs)
            self.app.push_screen(question, partial(self._launch_decided, preview))

    def _launch_decided(self, preview: LaunchPreview, answer: str | tuple[str, ...] | None) -> None:
        if answer is not None:
            reason = answer[0] if isinstance(answer, tuple) else ""
            request = request_of(preview, by=self.context.by, reason=reason)
            self.background.start(operations.launch(self.context, request), name=f"launch {request.task}")


def request_of(preview: LaunchPreview, *, by: str, reason: str = "") -> LaunchRequest:
    """The launch that was shown, with its date: pressing twice or past midnight is still the same launch."""
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
