"""Runs the console on a running engine and returns when it has ended, for whatever reason."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from console.domain.timestamps import Clock
from console.engine.acting_user import acting_user
from console.ui.context import Context, Contexts, ExitReason, ExitResult, Leave, SessionInfo
from console.ui.ports import EnginePort
from console.ui.state.preferences import Preferences
from console.ui.terminal.capabilities import (
    fitting_glyphs,
    fitting_theme,
    knows_titles,
    prepare_environment,
    wants_mouse,
)
from console.ui.terminal.clipboard import in_tmux

if TYPE_CHECKING:
    from console.ui.app import ConsoleApp

LAST_OPERATIONS_S = 5.0
"""The time to wait at the end for operations that are still running, such as a cancel at a slow provider."""


async def run_console(
    engine: EnginePort,
    *,
    clock: Clock,
    theme: str | None = None,
    slow: bool = False,
    mouse: bool | None = None,
    bell: bool = True,
    read_only: bool = False,
    liftable: bool = False,
    leave: Leave | None = None,
    leave_scheduler: Leave | None = None,
    session: SessionInfo | None = None,
    contexts: Contexts | None = None,
    themes_folder: Path | None = None,
    preferences: Path | None = None,
    keys: Mapping[str, str] | None = None,
    command: tuple[str, ...] = ("nightdesk",),
    ending_signals: Collection[int] = (signal.SIGTERM,),
) -> ExitResult:
    """Run the console until it ends; the engine and its runs are not affected by that.

    - `theme`: a name, or None for one that suits the terminal.
    - `slow`: refresh every five seconds in place of every second.
    - `mouse`: None for on, but off over SSH.
    - `bell`: ring when a person may be needed.
    - `read_only`: offer no key that changes anything; `liftable`: the caller answers `ExitReason.WRITE` by opening a
      console with full access.
    - `leave`: hands the runs over to a background process; `leave_scheduler`: the schedule as well. None if that is not
      possible.
    - `session`: where the console runs and what it acts on, for the header.
    - `contexts`: those whose consoles the caller opens after this one; `themes_folder`: the operator's own themes.
    - `preferences`: the file in which orders and saved filters are kept; a read-only console reads it only.
    - `keys`: keys by the id of a binding.
    - `command`: the command and options that reach this state folder from a shell.
    - `ending_signals`: they end the console with `ExitReason.TERMINATED`.

    A terminal that is gone ends it with `ExitReason.LINE_DROPPED`;
    descriptors 0 to 2 are then /dev/null and SIGHUP is ignored. The caller sets its own signal handlers afterwards.
    Raises ValueError for an unknown theme, OSError without a terminal.
    """
    prepare_environment(os.environ)
    context = Context(
        engine=engine,
        clock=clock,
        glyphs=fitting_glyphs(os.environ, sys.stdout.encoding),
        by=acting_user(os.environ, has_terminal=True),
        read_only=read_only,
        liftable=liftable,
        is_locked=read_only and not liftable,
        leave=leave,
        leave_scheduler=leave_scheduler,
        in_tmux=in_tmux(os.environ),
        session=session or SessionInfo(),
        contexts=contexts or Contexts(),
        preferences=Preferences(preferences, writable=not read_only),
        command=command,
    )
    app = _app(context, theme or fitting_theme(os.environ), themes_folder, keys or {}, slow=slow, bell=bell)
    return await _ended(app, ending_signals, mouse=wants_mouse(os.environ, mouse))


async def _ended(app: ConsoleApp, ending_signals: Collection[int], *, mouse: bool) -> ExitResult:
    loop = asyncio.get_running_loop()
    for number in ending_signals:
        loop.add_signal_handler(number, app.terminated)
    try:
        await app.load_first_view()
        result = await app.run_async(mouse=mouse)
    finally:
        for number in ending_signals:
            loop.remove_signal_handler(number)
    await app.background.wait(within=LAST_OPERATIONS_S)
    return result or ExitResult(reason=ExitReason.CRASHED, message=app.crash)


def _app(
    context: Context, theme: str, folder: Path | None, keys: Mapping[str, str], *, slow: bool, bell: bool
) -> ConsoleApp:
    from console.ui.app import ConsoleApp
    from console.ui.terminal.driver import ScreenDriver
    from console.ui.theme import load_themes

    app = ConsoleApp(
        context,
        themes=load_themes(folder),
        theme=theme,
        slow=slow,
        bell=bell,
        titles=knows_titles(os.environ),
        driver_class=ScreenDriver,
    )
    app.set_keymap(dict(keys))
    return app
