"""The screen and what comes after it: the engine outlives it, whatever ended it."""

from __future__ import annotations

import signal
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import assert_never

from console.app import App
from console.cli.exit_codes import ExitCode
from console.cli.handover import hand_over
from console.cli.invocation import Invocation
from console.cli.locations import user_config_folder
from console.cli.signals import shutdown_on_signals
from console.ui.context import ExitReason, ExitResult, Leave
from console.ui.run_console import run_console

LOOK_SECONDS = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ScreenOptions:
    """How the screen is to be."""

    theme: str | None = None
    """None: one that fits the terminal."""
    slow: bool = False
    mouse: bool | None = None
    """None: on, but not over SSH."""
    bell: bool = True
    command: tuple[str, ...] = ("nightdesk",)
    """What reaches the same state folder from a shell."""
    keys: Mapping[str, str] = field(default_factory=dict)


async def run_screen(app: App, options: ScreenOptions, leave: Leave | None = None) -> ExitResult:
    """The screen until it ends. Raises ValueError for an unknown theme."""
    return await run_console(
        app.engine,
        clock=app.clock,
        theme=options.theme,
        slow=options.slow,
        mouse=options.mouse,
        bell=options.bell,
        read_only=app.engine.settings.read_only,
        liftable=True,
        leave=leave,
        themes_folder=_folder(),
        keys=options.keys,
        command=options.command,
    )


def _folder() -> Path:
    return user_config_folder() / "themes"


async def console(invocation: Invocation, app: App, options: ScreenOptions) -> int | None:
    """The screen, then whatever the runs need once it is gone; the exit code.

    None: it was read-only, and the operator wants one that writes. A read-only one leaves runs as it found them.
    """
    if app.engine.settings.read_only:
        return _told(invocation, await run_screen(app, options))
    left: list[str | None] = []

    async def leave() -> None:
        left.append(await hand_over(invocation, app))

    result = await run_screen(app, options, leave)
    if result.reason is ExitReason.LINE_DROPPED:
        return await _headless(invocation, app)
    if result.message:
        invocation.say(*result.message.splitlines())
    guards = left[0] if left else await hand_over(invocation, app)
    if guards:
        invocation.say(f"guarded by {guards}; `nightdesk` shows the runs again, `nightdesk cancel --all` stops them")
    return exit_code_of_screen(result)


def _told(invocation: Invocation, result: ExitResult) -> ExitCode | None:
    if result.reason is ExitReason.WRITE:
        return None
    if result.message:
        invocation.say(*result.message.splitlines())
    return exit_code_of_screen(result)


async def _headless(invocation: Invocation, app: App) -> int:
    """Goes on without a terminal until the runs have ended or another process has taken them."""
    with shutdown_on_signals(signal.SIGTERM, signal.SIGINT) as shutdown:
        while app.engine.guarded and shutdown.code is None:
            await shutdown.wait(LOOK_SECONDS)
    await hand_over(invocation, app)
    return shutdown.code or ExitCode.HUNG_UP


def exit_code_of_screen(result: ExitResult) -> ExitCode:
    """What the end of the screen says to the shell."""
    match result.reason:
        case ExitReason.QUIT | ExitReason.LEFT | ExitReason.STOPPED | ExitReason.WRITE:
            return ExitCode.OK
        case ExitReason.LINE_DROPPED:
            return ExitCode.HUNG_UP
        case ExitReason.TERMINATED:
            return ExitCode.TERMINATED
        case ExitReason.CRASHED:
            return ExitCode.INTERNAL
        case _:
            assert_never(result.reason)
