"""The Textual app of the console: its screens, the refresh of its state, notices, themes and the ways to leave.

The engine outlives the app, and the app owns no run. Screens that the first frame does not show are imported when they
are shown for the first time."""

from __future__ import annotations

import os
import traceback
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import ClassVar

from textual import events, on
from textual.app import App
from textual.binding import Binding, BindingType
from textual.driver import Driver
from textual.filter import LineFilter
from textual.reactive import var
from textual.theme import Theme

from console.domain.run import RunId
from console.domain.text import sanitize
from console.ui.actions.run_actions import CANCEL
from console.ui.base_screen import BaseScreen, HistoryWanted, NoticePosted, RunSelected
from console.ui.context import Context, ExitReason, ExitResult
from console.ui.glyphs import ASCII
from console.ui.runs.screen import RunsScreen
from console.ui.spans import Span, Tone
from console.ui.state.background import BackgroundWork, CoalescedWork
from console.ui.state.notifications import NoticeTimer, Notifier
from console.ui.state.view_state import StatePoller, ViewState
from console.ui.terminal.driver import TerminalLost
from console.ui.terminal.keys import KeyFilter, KeyProcessed, KeyQueue
from console.ui.terminal.sanitize import SanitizingFilter
from console.ui.theme import Themes, apply_theme
from console.ui.widgets.key_bar import hints, key_name
from console.ui.widgets.lines import repaint

FIRST = "runs"


def _history(context: Context, background: BackgroundWork) -> BaseScreen:
    from console.ui.history.screen import HistoryScreen

    return HistoryScreen(context, background)


def _rollout(context: Context, background: BackgroundWork) -> BaseScreen:
    from console.ui.rollout.screen import RolloutScreen

    return RolloutScreen(context, background)


def _usage(context: Context, background: BackgroundWork) -> BaseScreen:
    from console.ui.usage.screen import UsageScreen

    return UsageScreen(context, background)


SCREENS: Mapping[str, tuple[Callable[[Context, BackgroundWork], BaseScreen], Binding]] = {
    FIRST: (
        RunsScreen,
        Binding("1", "switch_mode('runs')", "runs", id="screen.runs", tooltip="Live runs and recent ones", show=False),
    ),
    "history": (
        _history,
        Binding("2", "switch_mode('history')", "history", id="screen.history", tooltip="History of runs", show=False),
    ),
    "rollout": (
        _rollout,
        Binding("3", "switch_mode('rollout')", "rollout", id="screen.rollout", tooltip="Stages of tasks", show=False),
    ),
    "usage": (
        _usage,
        Binding("4", "switch_mode('usage')", "usage", id="screen.usage", tooltip="Usage by day", show=False),
    ),
}
"""By mode: the factory of the screen, and the key that shows it."""

DIGITS = [binding for _, binding in SCREENS.values()]


MAX_TRACEBACK = 6_000
"""Characters of a traceback that are kept."""


def crash_text(error: BaseException) -> str:
    """The traceback without the values of variables, which may hold a key or a prompt; the end of a long one."""
    frames = traceback.TracebackException.from_exception(error, capture_locals=False)
    return sanitize("".join(frames.format())[-MAX_TRACEBACK:].rstrip(), newlines=True)


NOTICE_MS = 6_000
NEWS_MS = 12_000
"""News stands longer than the answer to a key, because the operator may not be looking."""
WARNINGS = frozenset({Tone.WARN, Tone.BAD, Tone.LOUD})
"""Tones of notices that a mere hint does not replace."""
SLOW_S, FAST_S = 5.0, 1.0
FIRST_VIEW_S = 0.3
"""The time that the first frame waits for the first state to be read."""


class ConsoleApp(App[ExitResult], inherit_bindings=False):
    """The console. Returns an `ExitResult`; after a crash None, and `crash` holds the traceback."""

    CSS_PATH = "app.tcss"
    DEFAULT_MODE = FIRST
    ENABLE_COMMAND_PALETTE = False
    TITLE = "Nightdesk"

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding(
            "colon",
            "palette",
            "commands",
            id="app.palette",
            tooltip="All commands by name; jumps to runs, tasks, screens and filters",
        ),
        Binding(
            "q",
            "leave",
            "quit",
            id="app.quit",
            tooltip="Leave the console; asks where runs or the schedule depend on it",
        ),
        Binding("ctrl+q,ctrl+c", "leave", "quit", id="app.quit_now", tooltip="The same", show=False, priority=True),
        *DIGITS,
        Binding(
            "5",
            "agenda",
            "agenda",
            id="screen.agenda",
            tooltip="All scheduled times of the next 24 hours, and what each will do",
            show=False,
        ),
        Binding(
            "6", "audit", "audit", id="screen.audit", tooltip="What people did: who, from where, when, why", show=False
        ),
        Binding(
            "exclamation_mark",
            "problems",
            "problems",
            id="app.problems",
            tooltip="All problems with their age and count",
            show=False,
        ),
        Binding("question_mark", "help", "help", id="app.help", tooltip="Keys, signs and words"),
    ]

    # Not `reactive`, which would paint the whole screen again each second: the screens paint what has changed.
    view: var[ViewState | None] = var(None)
    notice: var[Span | None] = var(None)

    def __init__(
        self,
        context: Context,
        *,
        themes: Themes,
        theme: str,
        slow: bool = False,
        bell: bool = True,
        titles: bool = False,
        driver_class: type[Driver] | None = None,
    ) -> None:
        self.context = context
        self.crash = ""
        self._only_text = SanitizingFilter(ascii_only=context.glyphs is ASCII)
        # Under NO_COLOR Textual would turn all colours into greys, also those of the terminal's own palette.
        super().__init__(driver_class=driver_class, ansi_color=True if "NO_COLOR" in os.environ else None)
        apply_theme(self, themes, theme)
        self._theme_problems = themes.problems
        self.key_queue = KeyQueue(
            self,
            super().on_event,
            is_decisive=self._is_decisive,
            was_visible=self._was_visible,
            on_dropped=self._key_dropped,
        )
        self.background = BackgroundWork(self._post_notice, self.key_queue.hold)
        self._poller = StatePoller(context)
        # Handlers never await a refresh: keys come through the same message queue, and a store may be slow.
        self._refresh_soon = CoalescedWork(self.refresh_view, self.background, name="view")
        self._slow = slow
        self._selected_run: RunId | None = None
        self._notice_timer = NoticeTimer(context.clock)
        self._notifier = Notifier(self._write, bell=bell, titles=titles, session=context.session.label)
        for mode, (screen, _) in SCREENS.items():
            self.add_mode(mode, partial(screen, context, self.background))

    def get_line_filters(self) -> Sequence[LineFilter]:
        """Textual's filters, then the sanitizing one, which sees everything that is drawn."""
        return (*super().get_line_filters(), self._only_text)

    async def on_mount(self) -> None:
        """Start the refresh with the next whole second of the wall clock."""
        if self.view is None:
            self._refresh_soon()
        self.theme_changed_signal.subscribe(self, self._theme_changed)
        if self._theme_problems:
            self._post_notice(Span("; ".join(self._theme_problems), Tone.WARN))
        self.set_timer(1.02 - self.context.clock.now().wall_ms % 1000 / 1000, self._begin_to_tick)

    async def load_first_view(self) -> None:
        """Read the state that the first frame shows, before the screen opens; wait no longer than FIRST_VIEW_S."""
        self._refresh_soon()
        await self.background.wait(within=FIRST_VIEW_S)

    async def _begin_to_tick(self) -> None:
        self.set_interval(SLOW_S if self._slow else FAST_S, self.refresh_view)
        await self.refresh_view()

    async def refresh_view(self) -> None:
        """Read the state, show it, and remove a notice that has stood for its time."""
        view = await self._poller.read(self._selected_run)
        if view is None:
            return
        self.view = view
        if self._selected_run is None and view.detail is not None:
            self._selected_run = view.detail.run.id
        found = self._notifier.update(view)
        if found is not None:
            self._show(found, NEWS_MS)
        elif self.notice is not None and self._notice_timer.is_over:
            self.notice = None

    async def on_event(self, event: events.Event) -> None:
        """Queue keys and pastes; count what was shown before a key or click as seen.

        Input that is still on its way when the console ends, and its screens are gone, does nothing.
        """
        if isinstance(event, events.InputEvent | events.Paste) and not self.screen_stack:
            return
        if isinstance(event, events.Key | events.MouseDown) and not event.is_forwarded:
            self._notifier.mark_seen()
            if self._notice_timer.key_pressed():
                self.notice = None
        if isinstance(event, events.Key | events.Paste) and not event.is_forwarded:
            await self.key_queue.put(event)
        else:
            await super().on_event(event)

    def on_key(self, event: events.Key) -> None:
        """Say why a key does nothing, where it does not. Textual looks up the bindings behind this.

        Not for a key of a paste, which would hide what was ignored in it.
        """
        if isinstance(self.screen, BaseScreen) and not self.key_queue.is_in_burst(event):
            self.screen.explain(event)

    @on(KeyProcessed)
    async def _key_processed(self, event: KeyProcessed) -> None:
        await self.key_queue.processed(event.number)

    def _is_decisive(self, event: events.Key) -> bool:
        """True for a key that acts at once and cannot be taken back: the answer to a question, and `x`."""
        screen = self.screen
        if isinstance(screen, KeyFilter):
            return screen.decides(event)
        active = screen.active_bindings.get(event.key)
        return active is not None and active.enabled and active.binding.id == CANCEL.id

    def _was_visible(self, event: events.Key) -> bool:
        """True where the screen could be seen when the key was typed; dialogs see to it themselves."""
        return not isinstance(self.screen, BaseScreen) or self.screen.was_visible(event)

    def _key_dropped(self, event: events.Key, why: str) -> None:
        self._post_notice(Span(f"{key_name(event.key)} was ignored: {why}; press it again", Tone.WARN))

    def _theme_changed(self, _theme: Theme) -> None:
        for screen in self.screen_stack:
            repaint(screen)

    def _write(self, data: str) -> None:
        if self._driver is not None:
            self._driver.write(data)

    def _post_notice(self, span: Span) -> None:
        self.post_message(NoticePosted(span))
        self._refresh_soon()

    def _show(self, notice: Span, for_ms: int) -> None:
        self._notice_timer.start(for_ms)
        self.notice = notice

    @on(RunSelected)
    def _run_selected(self, event: RunSelected) -> None:
        if event.run_id != self._selected_run:
            self._selected_run = event.run_id
            if event.run_id is not None:
                self._refresh_soon()

    @on(HistoryWanted)
    async def _history_wanted(self, event: HistoryWanted) -> None:
        from console.ui.filtering.line import FilterLine

        await self.switch_mode("history")
        self.screen.query_one(FilterLine).set_text(event.text)

    @on(NoticePosted)
    def _notice_posted(self, event: NoticePosted) -> None:
        if event.span.tone is Tone.MUTED and self._stands_a_warning:
            # Keys of a paste that do nothing must not cover that one of them was ignored.
            return
        self._show(event.span, NOTICE_MS)

    @property
    def _stands_a_warning(self) -> bool:
        return self.notice is not None and self.notice.tone in WARNINGS and not self._notice_timer.is_over

    @on(TerminalLost)
    def line_dropped(self) -> None:
        """End the console because its terminal is gone; the engine goes on."""
        self.exit(ExitResult(reason=ExitReason.LINE_DROPPED))

    def terminated(self) -> None:
        """End the console because of SIGTERM."""
        self.exit(ExitResult(reason=ExitReason.TERMINATED))

    def action_help(self) -> None:
        """Show the keys of this screen, the signs and the words."""
        from console.ui.dialogs.help import help_page

        page = help_page(hints(self.screen.active_bindings), self.context.glyphs, self.context.session)
        self.push_screen(page)

    def action_problems(self) -> None:
        """Show all problems with their age and count."""
        from console.ui.dialogs.help import problems_page

        self.push_screen(problems_page(self.view))

    def action_agenda(self) -> None:
        """Show what the schedules are going to do."""
        self.background.start(self._show_agenda(), name="agenda", asks=True)

    async def _show_agenda(self) -> None:
        from console.ui.pages.agenda import agenda_page

        self.push_screen(await agenda_page(self.context))

    def action_audit(self) -> None:
        """Show what people did."""
        self.background.start(self._show_audit(), name="audit", asks=True)

    async def _show_audit(self) -> None:
        from console.ui.pages.audit import audit_page

        self.push_screen(await audit_page(self.context))

    def action_palette(self) -> None:
        """Show all commands by name, and what can be jumped to."""
        from console.ui.dialogs.palette import Palette

        Palette(self, self.context, self.background, self.leave_for).open(self.view)

    def leave_for(self, context_name: str) -> None:
        """End the console for that of another context, as `q` does."""
        from console.ui.dialogs.quit import Quit

        Quit(self, self.context, self.background, next_context=context_name).ask(self.view)

    def action_leave(self) -> None:
        """End the console at once where no run is live, else ask."""
        from console.ui.dialogs.quit import Quit

        Quit(self, self.context, self.background).ask(self.view)

    def _fatal_error(self) -> None:
        # Textual would print a traceback with the values of all variables.
        self.crash = self.crash or crash_text(self._exception or RuntimeError("unknown"))
        self._close_messages_no_wait()
