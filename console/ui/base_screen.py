"""What screens tell the app."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from textual import events, on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.message import Message
from textual.screen import Screen
from textual.widget import Widget

from console.domain.run import RunId
from console.ui.actions.shell_commands import ShellCommand, command
from console.ui.context import Context
from console.ui.header import Tab, alarm_lines, header_lines
from console.ui.spans import Line, Span, fit
from console.ui.state.view_state import ViewState
from console.ui.widgets.key_bar import KeyBar, hints
from console.ui.widgets.lines import Lines, repaint


@dataclass
class RunSelected(Message):
    """The run whose detail is wanted from now on; None for none."""

    run_id: RunId | None


@dataclass
class NoticePosted(Message):
    """A line for the operator."""

    span: Span


SHELL = Binding(
    "c", "shell", "as command", id="shell.words", tooltip="Shows what is selected as shell commands", show=False
)
ALARMS = 3
"""Alarm lines at most; the last one counts the rest."""


class BaseScreen(Screen[None], inherit_bindings=False):
    """A full screen. Subclasses give `body` and `update`."""

    TITLE = "Nightdesk"

    BINDINGS: ClassVar[list[BindingType]] = [SHELL]

    def __init__(self, context: Context) -> None:
        super().__init__()
        self.context = context
        self.VERTICAL_BREAKPOINTS = [(0, "-short"), (20, "-tall")]
        self.view: ViewState | None = None
        self._mode = self._painted_theme = ""
        self._known_tabs: tuple[Tab, ...] = ()
        self.has_body = False
        """True once the widgets are there."""

    def body(self) -> Iterable[Widget]:
        """The widgets between the alarms and the key bar."""
        return ()

    def update(self, view: ViewState) -> None:
        """Shows another tick."""

    def shell_words(self) -> Sequence[ShellCommand]:
        """What is selected, as commands for a shell."""
        return command(self.context.command, "this table", "ps")

    def compose(self) -> ComposeResult:
        yield Lines(id="header")
        yield Lines(id="alarms")
        yield from self.body()
        yield KeyBar(self.context.glyphs.ellipsis, id="keys")

    def on_mount(self) -> None:
        """Follows the app's look and notice; both are values, so nothing is asked for here."""
        self.has_body = True
        self._mode = self.app.current_mode
        self.watch(self.app, "view", self._view_changed)
        self.watch(self.app, "notice", self._notice_changed)
        self.bindings_updated_signal.subscribe(self, self._bindings_changed)

    def on_screen_resume(self, event: events.ScreenResume) -> None:
        """What was painted before another theme was put on is painted again."""
        if self._painted_theme != self.app.theme:
            self._painted_theme = self.app.theme
            repaint(self)

    def on_resize(self) -> None:
        self._view_changed(self.view)

    def post_notice(self, span: Span) -> None:
        """Shows a line at the bottom for some seconds."""
        self.post_message(NoticePosted(span))

    def _view_changed(self, view: ViewState | None) -> None:
        if view is None or not self.has_body:
            return
        self.view = view
        cells, glyphs = self.app.size.width, self.context.glyphs
        header = header_lines(view, cells, glyphs, title=self.title or "", tabs=self._tabs())
        self.query_one("#header", Lines).show(header)
        self.query_one("#alarms", Lines).show(self._alarms(view, cells))
        self.update(view)

    def _tabs(self) -> tuple[Tab, ...]:
        """The full screens by their digits, as the app's own bindings have them."""
        if self._known_tabs:
            return self._known_tabs
        shown = f"switch_mode({self._mode!r})"
        switches = (each.binding for each in self.active_bindings.values())
        self._known_tabs = tuple(
            Tab(key=each.key, name=each.description, is_shown=each.action == shown)
            for each in switches
            if each.action.startswith("switch_mode(")
        )
        return self._known_tabs

    def _alarms(self, view: ViewState, cells: int) -> list[Line]:
        glyphs = self.context.glyphs
        alarms = [(word, Span(f" {text}")) for word, text in alarm_lines(view, glyphs)]
        if len(alarms) > ALARMS:
            more = len(alarms) - ALARMS + 1
            alarms = [*alarms[: ALARMS - 1], (alarms[ALARMS - 1][0], Span(f" and {more} more"))]
        return [fit(alarm, cells, glyphs.ellipsis) for alarm in alarms]

    def action_shell(self) -> None:
        """The commands in a dialog that copies them."""
        from console.ui.dialogs.shell_commands import show_words

        show_words(self, self.shell_words())

    def _notice_changed(self, notice: Span | None) -> None:
        self.query_one(KeyBar).notice = notice

    def _bindings_changed(self, screen: Screen[Any]) -> None:
        if screen.is_mounted and screen is self:
            self.query_one(KeyBar).hints = hints(self.active_bindings)
            if not self._known_tabs:
                self._view_changed(self.view)

    @on(KeyBar.Clicked)
    async def _key_clicked(self, event: KeyBar.Clicked) -> None:
        event.stop()
        await self.run_action(event.action)
