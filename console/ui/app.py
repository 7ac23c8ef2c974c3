"""The screen over an engine that outlives it: modes, themes, the one tick, the ways out. It owns no run."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from typing import ClassVar

from textual import on
from textual.app import App
from textual.binding import Binding, BindingType
from textual.driver import Driver
from textual.filter import LineFilter
from textual.reactive import reactive

from console.domain.run import RunId
from console.engine.snapshot import Snapshot
from console.ui import deeds
from console.ui.acts import Acts
from console.ui.context import Context, trouble_line
from console.ui.crash import crash_text
from console.ui.farewell import End, Farewell
from console.ui.filters import OnlyText
from console.ui.glyphs import ASCII
from console.ui.keys import hints
from console.ui.look import Look
from console.ui.messages import LineDropped, LookAt, Told
from console.ui.palette import palette
from console.ui.screens.help import HelpScreen
from console.ui.screens.leaving import LeaveQuestion, Waiting, holding, leave_question
from console.ui.screens.runs import RunsScreen
from console.ui.spans import Span
from console.ui.theme import Themes, wear

NOTICE_MS = 6_000
SLOW_S, FAST_S = 5.0, 1.0


class ConsoleApp(App[Farewell], inherit_bindings=False):
    """`Farewell` says how it ended; None after a crash, which `crash` then describes."""

    CSS_PATH = "app.tcss"
    ENABLE_COMMAND_PALETTE = False
    TITLE = "Nightdesk"

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("colon", "palette", "commands", id="app.palette", tooltip="Everything that can be done here, by name"),
        Binding("q", "leave", "quit", id="app.quit", tooltip="Leaves the console; asks while runs are live"),
        Binding(
            "ctrl+q,ctrl+c",
            "leave",
            "quit",
            id="app.quit_anywhere",
            tooltip="The same, from any dialog",
            show=False,
            priority=True,
        ),
        Binding("question_mark", "help", "help", id="app.help", tooltip="All keys that work here"),
    ]

    look: reactive[Look | None] = reactive(None)
    notice: reactive[Span | None] = reactive(None)

    def __init__(
        self,
        context: Context,
        *,
        themes: Themes,
        theme: str,
        slow: bool = False,
        driver_class: type[Driver] | None = None,
    ) -> None:
        self.context = context
        self.crash = ""
        self._only_text = OnlyText(ascii_only=context.glyphs is ASCII)
        # Under NO_COLOR Textual would turn colours into greys, black ones of the terminal's own palette included.
        super().__init__(driver_class=driver_class, ansi_color=True if "NO_COLOR" in os.environ else None)
        wear(self, themes, theme)
        self.acts = Acts(self._tell)
        self._slow = slow
        self._looked_at: RunId | None = None
        self.looks_asked = self._answered = 0
        self._notice_until = 0

    def get_line_filters(self) -> Sequence[LineFilter]:
        """Textual's own, then ours: nothing reaches the terminal past it."""
        return (*super().get_line_filters(), self._only_text)

    async def on_mount(self) -> None:
        """Every screen is a mode; the tick begins with the next whole second of the wall clock."""
        self.add_mode("runs", lambda: RunsScreen(self.context, self.acts))
        await self.switch_mode("runs")
        self.call_later(self.refresh_look)
        self.set_timer(1.02 - self.context.clock.now().wall_ms % 1000 / 1000, self._begin_to_tick)

    async def _begin_to_tick(self) -> None:
        self.set_interval(SLOW_S if self._slow else FAST_S, self.refresh_look)
        await self.refresh_look()

    async def refresh_look(self) -> None:
        """The one poll. It never raises, for that would end the screen: what went wrong is shown as a stale look."""
        self.looks_asked += 1
        asked, engine, clock = self.looks_asked, self.context.engine, self.context.clock
        try:
            snapshot = await engine.view.snapshot()
            detail = await engine.view.detail(self._looked_at) if self._looked_at is not None else None
            look = Look(snapshot=snapshot, now=clock.now(), detail=detail, guarded=engine.guarded)
        except Exception as error:
            now = clock.now()
            before = self.look or Look(snapshot=Snapshot(taken=now), now=now)
            look = replace(before, now=now, trouble=trouble_line(error))
        self.take_look(look, asked=asked)

    def take_look(self, look: Look, *, asked: int) -> None:
        """Shows `look` unless one that was asked for later is shown already."""
        if asked >= self._answered:
            self._answered, self.look = asked, look
        if self.notice is not None and look.now.boot_ms >= self._notice_until:
            self.notice = None

    def _tell(self, span: Span) -> None:
        self.post_message(Told(span))

    @on(LookAt)
    async def _look_at(self, event: LookAt) -> None:
        if event.run_id != self._looked_at:
            self._looked_at = event.run_id
            await self.refresh_look()

    @on(Told)
    async def _told(self, event: Told) -> None:
        self._notice_until = self.context.clock.now().boot_ms + NOTICE_MS
        self.notice = event.span
        await self.refresh_look()

    @on(LineDropped)
    def line_dropped(self) -> None:
        """The terminal is gone: the screen goes too, the engine does not."""
        self.exit(Farewell(end=End.LINE_DROPPED))

    def terminated(self) -> None:
        """SIGTERM."""
        self.exit(Farewell(end=End.TERMINATED))

    def action_help(self) -> None:
        """The keys of the screen that is shown."""
        self.push_screen(HelpScreen(hints(self.screen.active_bindings), self.context.glyphs))

    def action_palette(self) -> None:
        """All commands by name."""
        palette(self)

    def action_leave(self) -> None:
        """Leaves at once where nothing is live, else asks; asking twice stays one question."""
        if not holding(self.look):
            self.exit(Farewell(end=End.QUIT))
        elif self.look is not None and not any(
            isinstance(each, (LeaveQuestion, Waiting)) for each in self.screen_stack
        ):
            self.push_screen(leave_question(self.look, self.context), self._leave_decided)

    def _leave_decided(self, answer: str | None) -> None:
        if answer == "leave":
            self.acts.start(self._hand_over(), name="hand over")
        elif answer == "stop":
            self.acts.start(self._stop_all(), name="stop all")
        elif answer == "proven":
            self.exit(Farewell(end=End.STOPPED))

    async def _hand_over(self) -> Span | None:
        if self.context.leave is not None:
            await self.context.leave()
        self.exit(Farewell(end=End.LEFT))
        return None

    async def _stop_all(self) -> Span:
        self.push_screen(Waiting(self.context), self._leave_decided)
        return await deeds.stop_all(self.context)

    def _fatal_error(self) -> None:
        # Textual would print a traceback with the values of all locals.
        self.crash = self.crash or crash_text(self._exception or RuntimeError("unknown"))
        self._close_messages_no_wait()
