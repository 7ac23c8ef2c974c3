"""What all full screens share: the header, the alarms, the key bar, and the refresh that feeds them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
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
from console.ui.header import Alarm, Tab, alarm_lines, header_lines
from console.ui.spans import Line, Span, Tone
from console.ui.state.background import BackgroundWork
from console.ui.state.view_state import ViewState
from console.ui.terminal.clipboard import NEEDS, load_tmux_buffer
from console.ui.terminal.driver import when_shown
from console.ui.widgets.key_bar import KeyBar, hints, key_name
from console.ui.widgets.lines import Lines, repaint

SHELL = Binding(
    "c", "shell", "as command", id="shell.words", tooltip="Show the selection as shell commands", show=False
)
MAX_ALARMS = 3
"""Alarm lines at most; the last one counts the others."""

AT_ONCE = "perform('stop')"
"""The action that acts without a question."""

WRITING = frozenset(
    {"stop", "approve", "decline", "settle", "kill_switch", "launch", "again", "mark", "promote", "demote"}
)
"""Names of the key actions that a read-only console does not offer."""


@dataclass
class RunSelected(Message):
    """The run whose details are wanted from now on; None for none."""

    run_id: RunId | None


@dataclass
class HistoryWanted(Message):
    """The history with this filter is wanted."""

    text: str


@dataclass
class NoticePosted(Message):
    """One line to show at the bottom of the screen for some seconds."""

    span: Span


def always() -> bool:
    """The availability of an action that works whatever is selected."""
    return True


def nothing_selected() -> str:
    """Why an action that needs a selection does nothing."""
    return "nothing is selected"


@dataclass(frozen=True, slots=True)
class KeyAction:
    """What a key does on one screen, and whether it can be done now."""

    perform: Callable[[], object]
    is_available: Callable[[], bool | None] = always
    """False hides the key, None shows it greyed."""
    why_not: Callable[[], str] = nothing_selected
    """What is said when the key is pressed while it is not available."""


class BaseScreen(Screen[None], inherit_bindings=False):
    """A full screen. A concrete screen gives `body` and `update`, and registers key actions.

    The action of a binding is `perform('NAME')`; NAME is looked up in `key_actions`.
    """

    TITLE = "Nightdesk"
    AUTO_FOCUS = ""
    """Each screen gives the keyboard to its table: by itself Textual would give it to a line for text."""

    BINDINGS: ClassVar[list[BindingType]] = [SHELL]

    def __init__(self, context: Context, background: BackgroundWork) -> None:
        super().__init__()
        self.context = context
        self.background = background
        self.VERTICAL_BREAKPOINTS = [(0, "-short"), (20, "-low"), (24, "-tall")]
        self.view: ViewState | None = None
        self.key_actions: Mapping[str, KeyAction] = {}
        self.has_body = False
        """True once the widgets exist."""
        self._offered: tuple[bool | None, ...] = ()
        self._mode = self._painted_theme = ""
        self._known_tabs: tuple[Tab, ...] = ()
        self._was_painted = False
        self._visible_since: float | None = None

    def body(self) -> Iterable[Widget]:
        """The widgets between the alarms and the key bar."""
        return ()

    def update(self, view: ViewState) -> None:
        """Show the state that was read last."""

    def shell_commands(self) -> Sequence[ShellCommand]:
        """The selection as shell commands."""
        return command(self.context.command, "this table", "ps")

    def compose(self) -> ComposeResult:
        yield Lines(id="header", on_paint=self._header_painted)
        yield Lines(id="alarms")
        yield from self.body()
        yield KeyBar(self.context.glyphs.ellipsis, id="keys")

    def on_mount(self) -> None:
        """Follow the state and the notice of the app."""
        self.has_body = True
        self._mode = self.app.current_mode
        self.watch(self.app, "view", self._view_changed)
        self.watch(self.app, "notice", self._notice_changed)
        self.bindings_updated_signal.subscribe(self, self._bindings_changed)

    def _header_painted(self) -> None:
        if not self._was_painted:
            self._was_painted = True
            when_shown(self.app, self._now_visible)

    def _now_visible(self, since: float) -> None:
        self._visible_since = since

    def was_visible(self, event: events.Key) -> bool:
        """True for a key that was typed when the screen could be seen, and not earlier, into the shell for example."""
        return self._visible_since is not None and event.time >= self._visible_since

    def on_screen_resume(self, event: events.ScreenResume) -> None:
        """Paint again what was painted while another theme was in use."""
        if self._painted_theme != self.app.theme:
            self._painted_theme = self.app.theme
            repaint(self)

    def on_resize(self) -> None:
        self._view_changed(self.view)

    def post_notice(self, span: Span) -> None:
        """Show a line at the bottom for some seconds."""
        self.post_message(NoticePosted(span))

    def copy(self, text: str, what: str) -> None:
        """Send `text` to the clipboard and say so; `what` is how the notice calls it."""
        self.app.copy_to_clipboard(text)
        sent = Span(f"sent to the terminal's clipboard: {what}", Tone.MUTED)
        if not self.context.in_tmux:
            self.post_notice(sent)
            return

        async def copy_in_tmux() -> Span:
            if await load_tmux_buffer(text):
                return Span(f"sent to tmux and its terminal's clipboard: {what}", Tone.MUTED)
            return Span(f"{NEEDS}: {what}", Tone.WARN)

        self.background.start(copy_in_tmux(), name="copy")

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Whether a key is offered: False hides it, None greys it."""
        if action != "perform":
            return True
        name = str(parameters[0])
        if name in WRITING and self.context.read_only:
            return False
        if name == "export" and self.context.is_locked:
            return False
        return self.key_actions[name].is_available()

    async def action_perform(self, name: str) -> None:
        """Do what the key action of that name does, if it is available."""
        if self.check_action("perform", (name,)):
            self.key_actions[name].perform()

    def explain(self, event: events.Key) -> None:
        """Say why a key does nothing; called for each key that no widget has taken."""
        active, name = self.active_bindings.get(event.key), key_name(event.key)
        if active is not None and active.enabled:
            return
        if active is not None:
            action = active.binding.action.removeprefix("perform('").removesuffix("')")
            text = self.key_actions[action].why_not() if action in self.key_actions else f"{name} does nothing here"
        elif any(each.key == event.key for each in self._read_only_bindings()):
            lifts = "; `:write` lifts that" if self.context.liftable else ""
            text = f"this console is read-only: {name} is off{lifts}"
        elif event.is_printable or event.key.startswith(("ctrl+", "f")):
            text = f"{name} does nothing here; ? shows the keys"
        else:
            return
        self.post_notice(Span(text, Tone.MUTED))

    def _read_only_bindings(self) -> Iterable[Binding]:
        """The bindings of this screen that a read-only console does not offer."""
        if self.context.read_only:
            for bindings in self._bindings.key_to_bindings.values():
                for binding in bindings:
                    name = binding.action.removeprefix("perform('").removesuffix("')")
                    if binding.action.startswith("perform('") and name in WRITING:
                        yield binding

    def refresh_changed_bindings(self) -> None:
        """Have the key bar drawn again if other actions are available than before. Drawing it costs a repaint."""
        offered = tuple(self.check_action("perform", (name,)) for name in self.key_actions)
        if offered != self._offered:
            self._offered = offered
            self.refresh_bindings()

    def action_shell(self) -> None:
        """Show the shell commands in a dialog that copies them."""
        from console.ui.dialogs.shell_commands import show_shell_commands

        show_shell_commands(self.app, self, self.shell_commands())

    def _view_changed(self, view: ViewState | None) -> None:
        if view is None or not self.has_body:
            return
        self.view = view
        cells, glyphs = self.app.size.width, self.context.glyphs
        header = header_lines(view, cells, glyphs, session=self.context.session, tabs=self._tabs())
        self.query_one("#header", Lines).show(header)
        self.query_one("#alarms", Lines).show(self._alarms(view, cells))
        self.update(view)

    def _tabs(self) -> tuple[Tab, ...]:
        """The full screens with their digits, taken from the bindings of the app."""
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
        alarms = alarm_lines(view, glyphs)
        if len(alarms) > MAX_ALARMS:
            more = len(alarms) - MAX_ALARMS + 1
            last = Alarm(word=alarms[MAX_ALARMS - 1].word, text=f"and {more} more; press ! to read them")
            alarms = (*alarms[: MAX_ALARMS - 1], last)
        return [alarm.line(cells, glyphs) for alarm in alarms]

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
        if event.action == AT_ONCE:
            # A click that only meant to focus the window of the terminal must not cancel a run.
            self.post_notice(Span("a click does not cancel: press the key", Tone.WARN))
        else:
            await self.run_action(event.action)
