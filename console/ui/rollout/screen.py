"""Screen 3: the stage of each task, the evidence for the next one, and audited promotions and demotions."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import partial
from typing import ClassVar

from textual import on
from textual.binding import Binding, BindingType
from textual.widget import Widget

from console.domain.task import Stage
from console.engine.models import TaskRollout
from console.ui.actions.panel import PANEL_KEYS, panel_actions
from console.ui.actions.shell_commands import ShellCommand, command, rollout_commands
from console.ui.base_screen import BaseScreen, KeyAction
from console.ui.context import Context, trouble_line
from console.ui.dialogs.choices import Choice
from console.ui.dialogs.dialog import BACK, ChoiceDialog, Field, FormDialog
from console.ui.dialogs.reasoned import Reasoned, ReasonedDialog
from console.ui.filtering.controls import CLEAR, FILTER_KEYS, TableControls, filter_context
from console.ui.filtering.rows import RowFilter, RowGrammar
from console.ui.pages.agenda import demand_lines
from console.ui.rollout.arrangement import NAMES, ORDERS, arranged
from console.ui.rollout.lines import details, header, history_lines, rollout_line
from console.ui.spans import Line, Span, Tone, fit, line, sanitize_cell
from console.ui.state.background import BackgroundWork, CoalescedWork
from console.ui.state.view_state import ViewState
from console.ui.widgets.lines import Lines
from console.ui.widgets.row_list import RowList

CLOSE = Choice(id="back", label="Close")

MEANINGS = {
    Stage.SEMI: "Its scheduled launches then wait for approval.",
    Stage.UNATTENDED: "Its scheduled launches then run without approval.",
}


class RolloutScreen(BaseScreen):
    """The stages of all tasks over the panel of one task."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding(
            "p",
            "perform('promote')",
            "promote",
            id="stage.promote",
            tooltip="Promote by one stage; asks twice if the evidence is incomplete",
        ),
        Binding(
            "P", "perform('demote')", "demote", id="stage.demote", tooltip="Demote by one stage; asks for the reason"
        ),
        Binding(
            "h",
            "perform('history')",
            "history",
            id="stage.history",
            tooltip="Every promotion and demotion of this task, with who and why",
        ),
        *FILTER_KEYS,
        CLEAR,
        *PANEL_KEYS,
    ]

    def __init__(self, context: Context, background: BackgroundWork) -> None:
        super().__init__(context, background)
        self._rollouts: tuple[TaskRollout, ...] = ()
        self._trouble = ""
        self._list_rows: int | str = 0
        self._read_soon = CoalescedWork(self._read, background, name="rollout")
        self.controls: TableControls[RowFilter] = TableControls(
            self,
            "rollout",
            RowGrammar(NAMES, partial(filter_context, context), context.glyphs.ellipsis),
            ORDERS,
            changed=self._draw,
            focus=lambda: self.query_one(RowList),
        )
        self.key_actions = {
            **self.controls.key_actions(),
            "promote": KeyAction(
                self._promote, partial(self._can_move, Stage.UNATTENDED), partial(self._why_not, "the last stage")
            ),
            "demote": KeyAction(
                self._demote, partial(self._can_move, Stage.MANUAL), partial(self._why_not, "the first stage")
            ),
            "history": KeyAction(self._show_history),
            **panel_actions(self),
        }

    def body(self) -> Iterable[Widget]:
        yield from self.controls.widgets()
        yield RowList(self.context.glyphs.cursor, id="tasks")
        yield Lines(id="rule")
        yield Lines(id="panel")

    def on_mount(self) -> None:
        """Show what was asked for before."""
        self.controls.mounted()

    @property
    def selected(self) -> TaskRollout | None:
        """The task under the cursor."""
        if not self.has_body:
            return None
        cursor = self.query_one(RowList).cursor
        return next((rollout for rollout in self._rollouts if rollout.task.name == cursor), None)

    def update(self, view: ViewState) -> None:
        """Draw what was read last, and read again."""
        self._draw()
        self._read_soon()

    def shell_commands(self) -> Sequence[ShellCommand]:
        """The task under the cursor."""
        rollout = self.selected
        if rollout is None:
            return command(self.context.command, "all stages", "stage")
        return rollout_commands(self.context.command, rollout, read_only=self.context.read_only)

    @on(RowList.CursorMoved)
    def _cursor_moved(self, event: RowList.CursorMoved) -> None:
        event.stop()
        self._draw()
        self.refresh_bindings()

    async def _read(self) -> None:
        try:
            self._rollouts, self._trouble = await self.context.engine.rollout.tasks(), ""
        except Exception as error:  # a busy store must not end the screen; the error is shown in the panel
            self._trouble = trouble_line(error)
        if self.is_current:
            self._draw()
            self.refresh_bindings()

    def _draw(self) -> None:
        view = self.view
        if view is None or not self.has_body:
            return
        cells, glyphs, rules = self.app.size.width, self.context.glyphs, self.context.engine.settings.rollout
        controls = self.controls
        shown = arranged(self._rollouts, rules, controls.wanted, controls.order, reverse=controls.reverse)
        rows = [(rollout.task.name, rollout_line(rollout, view, rules, cells - 2, glyphs)) for rollout in shown]
        controls.show(len(shown), len(self._rollouts), "tasks")
        listed = self.query_one(RowList)
        listed.show(header(cells - 2), rows)
        self._share_rows(listed, self._list_height(len(rows)))
        rollout, panel = self.selected, self.query_one("#panel", Lines)
        name = sanitize_cell(rollout.task.name) if rollout else ""
        title = line(Span(f"{glyphs.rule * 2} ", Tone.FAINT), Span(f"{name} ", Tone.STRONG))
        self.query_one("#rule", Lines).show([fit((*title, Span(glyphs.rule * cells, Tone.FAINT)), cells, "")])
        lines = details(rollout, view, rules, cells - 2, glyphs) if rollout else []
        if controls.text and not shown:
            lines = [line(Span(" no task matches this filter; ", Tone.MUTED), Span("esc", Tone.KEY), " shows all")]
        if self._trouble:
            lines = [line(Span(f" {self._trouble}", Tone.BAD))]
        panel.show([*lines, *([()] * (panel.size.height - len(lines)))][: max(0, panel.size.height)])

    def _list_height(self, rows: int) -> int | str:
        """The height of the list: all rows of a short one, half the screen for a long one, less beside a large panel,
        everything without a panel."""
        if self.has_class("-folded"):
            return "1fr"
        share = 4 if self.has_class("-large") else (self.app.size.height - 4) // 2
        return min(rows + 1, max(4, share))

    def _share_rows(self, listed: RowList, rows: int | str) -> None:
        if rows != self._list_rows:
            self._list_rows = rows
            listed.styles.height = rows

    def _can_move(self, last: Stage) -> bool | None:
        """False in a read-only console, None at the stage where there is no further one."""
        if self.context.read_only:
            return False
        rollout = self.selected
        return True if rollout is not None and rollout.stage is not last else None

    def _why_not(self, end: str) -> str:
        rollout = self.selected
        if rollout is None:
            return "no task is selected"
        return f"{sanitize_cell(rollout.task.name)} is at {rollout.stage.label}, {end}"

    def _show_history(self) -> None:
        rollout, view = self.selected, self.view
        if rollout is not None and view is not None:
            glyphs = self.context.glyphs
            title = f"Stages of {sanitize_cell(rollout.task.name)}"
            dialog = ChoiceDialog(title, lambda cells: history_lines(rollout, view, cells, glyphs)[:20], (CLOSE,))
            self.app.push_screen(dialog)

    def _promote(self) -> None:
        """Ask once if the stage is earned; if not, say what is missing, ask, and ask for a reason."""
        rollout = self.selected
        if rollout is None or rollout.stage is Stage.UNATTENDED:
            return
        self.background.start(self._ask_promotion(rollout, Stage(rollout.stage + 1)), name="promotion", asks=True)

    async def _ask_promotion(self, rollout: TaskRollout, to: Stage) -> None:
        demand = await self.context.engine.rollout.demand(rollout.task.name)
        title = f"Promote {sanitize_cell(rollout.task.name)} to {to.label}?"
        missing = [line(Span(f"still missing: {sanitize_cell(each)}", Tone.BAD)) for each in rollout.unmet_criteria]

        def text(cells: int) -> list[Line]:
            return [line(MEANINGS[to]), *demand_lines(demand, to, cells), *missing]

        if not missing:
            choices = (BACK, Choice(id="promote", label="Promote", key="p"))
            earned = ReasonedDialog(title, text, choices)
            self.app.push_screen(earned, partial(self._promotion_decided, rollout, to))
            return
        choices = (BACK, Choice(id="force", label="Promote anyway…"))
        question = ChoiceDialog(title, text, choices, loud=True)
        self.app.push_screen(question, partial(self._force_decided, rollout, to))

    def _promotion_decided(self, rollout: TaskRollout, to: Stage, answer: Reasoned | None) -> None:
        if answer is not None:
            self._start_move(rollout, to, reason=answer.reason, forced=False)

    def _force_decided(self, rollout: TaskRollout, to: Stage, answer: str | None) -> None:
        if answer is not None:
            title = f"Promote {sanitize_cell(rollout.task.name)} to {to.label} without the evidence"
            form = FormDialog(title, lambda cells: [], (Field(label="reason"),), done="promote anyway", loud=True)
            self.app.push_screen(form, partial(self._reason_given, rollout, to, True))

    def _demote(self) -> None:
        """Ask for the reason."""
        rollout = self.selected
        if rollout is None or rollout.stage is Stage.MANUAL:
            return
        to = Stage(rollout.stage - 1)
        title = f"Demote {sanitize_cell(rollout.task.name)} to {to.label}?"
        form = FormDialog(title, lambda cells: [], (Field(label="reason"),), done=f"demote to {to.label}")
        self.app.push_screen(form, partial(self._reason_given, rollout, to, False))

    def _reason_given(self, rollout: TaskRollout, to: Stage, forced: bool, values: tuple[str, ...] | None) -> None:
        if values is not None:
            self._start_move(rollout, to, reason=values[0], forced=forced)

    def _start_move(self, rollout: TaskRollout, to: Stage, *, reason: str, forced: bool) -> None:
        work = self._move(rollout, to, reason=reason, forced=forced)
        self.background.start(work, name=f"stage {rollout.task.name}")

    async def _move(self, rollout: TaskRollout, to: Stage, *, reason: str, forced: bool) -> Span:
        moved = await self.context.engine.rollout.move(
            rollout.task.name, to, by=self.context.by, reason=reason, forced=forced
        )
        self._read_soon()
        tone = Tone.OK if to > rollout.stage else Tone.WARN
        return Span(f"{sanitize_cell(rollout.task.name)} is now at {moved.stage.label}", tone)
