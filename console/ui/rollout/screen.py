"""Screen 3: each task's rung on the way to running alone, what it has shown, and the audited step up or down."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import partial
from typing import ClassVar

from textual import on
from textual.binding import Binding, BindingType
from textual.widget import Widget

from console.domain.task import Stage
from console.engine.models import TaskRollout
from console.ui.actions.shell_commands import ShellCommand, command, rung_words
from console.ui.base_screen import BaseScreen
from console.ui.context import Context, trouble_line
from console.ui.dialogs.choices import Choice
from console.ui.dialogs.dialog import BACK, ChoiceDialog, Field, FormDialog
from console.ui.rollout.lines import details, header, history_lines, rung_line
from console.ui.spans import Span, Tone, fit, line, sanitize_cell
from console.ui.state.background import BackgroundWork, CoalescedWork
from console.ui.state.view_state import ViewState
from console.ui.widgets.lines import Lines
from console.ui.widgets.row_list import RowList

CLOSE = Choice(id="back", label="Close")


class RolloutScreen(BaseScreen):
    """The ladder of every task over the panel of one."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("p", "promote", "promote", id="stage.promote", tooltip="One rung up; asks, and twice if not earned"),
        Binding("P", "demote", "demote", id="stage.demote", tooltip="One rung down; asks for the reason"),
        Binding("h", "steps", "history", id="stage.history", tooltip="Every step of this task, with who and why"),
    ]

    def __init__(self, context: Context, background: BackgroundWork) -> None:
        super().__init__(context)
        self._background = background
        self._rungs: tuple[TaskRollout, ...] = ()
        self._trouble = ""
        self._list_rows = 0
        self._read_soon = CoalescedWork(self._read, background, name="rollout")

    def body(self) -> Iterable[Widget]:
        """Ladder, rule, panel."""
        yield RowList(self.context.glyphs.cursor, id="rungs")
        yield Lines(id="rule")
        yield Lines(id="panel")

    @property
    def selected_run(self) -> TaskRollout | None:
        """The task under the cursor."""
        if not self.has_body:
            return None
        cursor = self.query_one(RowList).cursor
        return next((rung for rung in self._rungs if rung.task.name == cursor), None)

    def update(self, view: ViewState) -> None:
        """Draws what is known and reads on."""
        self._draw()
        self._read_soon()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """False hides a key, None greys it."""
        if action in ("promote", "demote"):
            if self.context.read_only:
                return False
            rung, end = self.selected_run, Stage.UNATTENDED if action == "promote" else Stage.MANUAL
            return True if rung is not None and rung.stage is not end else None
        return True

    def shell_words(self) -> Sequence[ShellCommand]:
        """The task under the cursor."""
        rung = self.selected_run
        if rung is None:
            return command(self.context.command, "all stages", "stage")
        return rung_words(self.context.command, rung, read_only=self.context.read_only)

    @on(RowList.CursorMoved)
    def _moved(self, event: RowList.CursorMoved) -> None:
        event.stop()
        self._draw()
        self.refresh_bindings()

    async def _read(self) -> None:
        try:
            self._rungs, self._trouble = await self.context.engine.rollout.tasks(), ""
        except Exception as error:  # a busy store must not end the screen; it is told in its place
            self._trouble = trouble_line(error)
        if self.is_current:
            self._draw()
            self.refresh_bindings()

    def _draw(self) -> None:
        view = self.view
        if view is None or not self.has_body:
            return
        cells, glyphs, rules = self.app.size.width, self.context.glyphs, self.context.engine.settings.rollout
        rows = [(rung.task.name, rung_line(rung, view, rules, cells - 2, glyphs)) for rung in self._rungs]
        rows_shown = self.query_one(RowList)
        rows_shown.show(header(cells - 2), rows)
        # The panel gets what a short list leaves; a long one scrolls in its half.
        self._share_out(rows_shown, min(len(rows) + 1, max(4, (self.app.size.height - 4) // 2)))
        rung, panel = self.selected_run, self.query_one("#panel", Lines)
        name = sanitize_cell(rung.task.name) if rung else ""
        title = line(Span(f"{glyphs.rule * 2} ", Tone.FAINT), Span(f"{name} ", Tone.STRONG))
        self.query_one("#rule", Lines).show([fit((*title, Span(glyphs.rule * cells, Tone.FAINT)), cells, "")])
        lines = details(rung, view, rules, cells - 2, glyphs) if rung else []
        if self._trouble:
            lines = [line(Span(f" {self._trouble}", Tone.BAD))]
        panel.show([*lines, *([()] * (panel.size.height - len(lines)))][: max(0, panel.size.height)])

    def _share_out(self, shown: RowList, rows: int) -> None:
        if rows != self._list_rows:
            self._list_rows = rows
            shown.styles.height = rows

    def action_steps(self) -> None:
        """The history of stages of one task."""
        rung, view = self.selected_run, self.view
        if rung is not None and view is not None:
            glyphs = self.context.glyphs
            title = f"Steps of {sanitize_cell(rung.task.name)}"
            self.app.push_screen(
                ChoiceDialog(title, lambda cells: history_lines(rung, view, cells, glyphs)[:20], (CLOSE,))
            )

    def action_promote(self) -> None:
        """Asks once where the rung is earned; where not, says what is missing and asks for a reason."""
        rung = self.selected_run
        if rung is None or rung.stage is Stage.UNATTENDED:
            return
        to = Stage(rung.stage + 1)
        title = f"Promote {sanitize_cell(rung.task.name)} to {to.label}?"
        meaning = {
            Stage.SEMI: "Its scheduled launches then wait for a person's yes.",
            Stage.UNATTENDED: "Its scheduled launches then run with nobody watching.",
        }[to]
        if not rung.unmet_criteria:
            choices = (BACK, Choice(id="promote", label="Promote", key="p"))
            self.app.push_screen(
                ChoiceDialog(title, lambda cells: [line(meaning)], choices), partial(self._promoted, rung, to)
            )
            return
        lacks = [
            line(Span(f"not earned yet: {sanitize_cell(unmet_criteria)}", Tone.BAD))
            for unmet_criteria in rung.unmet_criteria
        ]
        choices = (BACK, Choice(id="force", label="Go on without"))
        question = ChoiceDialog(title, lambda cells: [line(meaning), *lacks], choices, loud=True)
        self.app.push_screen(question, partial(self._asked_to_force, rung, to))

    def _promoted(self, rung: TaskRollout, to: Stage, answer: str | None) -> None:
        if answer is not None:
            self._background.start(self._move(rung, to, reason="", forced=False), name=f"promote {rung.task.name}")

    def _asked_to_force(self, rung: TaskRollout, to: Stage, answer: str | None) -> None:
        if answer is not None:
            title = f"{sanitize_cell(rung.task.name)} to {to.label} without the evidence"
            form = FormDialog(
                title, lambda cells: [], (Field(label="reason"),), done="promotes all the same", loud=True
            )
            self.app.push_screen(form, partial(self._reasoned, rung, to, True))

    def action_demote(self) -> None:
        """Asks for the reason."""
        rung = self.selected_run
        if rung is None or rung.stage is Stage.MANUAL:
            return
        to = Stage(rung.stage - 1)
        title = f"Demote {sanitize_cell(rung.task.name)} to {to.label}?"
        form = FormDialog(title, lambda cells: [], (Field(label="reason"),), done=f"demotes to {to.label}")
        self.app.push_screen(form, partial(self._reasoned, rung, to, False))

    def _reasoned(self, rung: TaskRollout, to: Stage, forced: bool, values: tuple[str, ...] | None) -> None:
        if values is not None:
            step = self._move(rung, to, reason=values[0], forced=forced)
            self._background.start(step, name=f"stage {rung.task.name}")

    async def _move(self, rung: TaskRollout, to: Stage, *, reason: str, forced: bool) -> Span:
        moved = await self.context.engine.rollout.move(
            rung.task.name, to, by=self.context.by, reason=reason, forced=forced
        )
        self._read_soon()
        tone = Tone.OK if to > rung.stage else Tone.WARN
        return Span(f"{sanitize_cell(rung.task.name)} is at {moved.stage.label} now", tone)
