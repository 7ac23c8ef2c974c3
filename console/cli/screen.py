"""Runs the screen, and the engine beyond it: however the screen ends, the runs keep a guard."""

from __future__ import annotations

import signal
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import assert_never

from console.app import App
from console.cli.exit_codes import ExitCode, HandoverFailed
from console.cli.handover import hand_over
from console.cli.invocation import Invocation
from console.cli.locations import themes_folder
from console.cli.signals import shutdown_on_signals
from console.ui.context import ExitReason, ExitResult, Leave
from console.ui.run_console import run_console

POLL_S = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ScreenOptions:
    """How the screen is shown."""

    theme: str | None = None
    """None: chosen by the terminal."""
    slow: bool = False
    mouse: bool | None = None
    """None: on, but not over SSH."""
    bell: bool = True
    command: tuple[str, ...] = ("nightdesk",)
    """The words that reach the same state folder from a shell."""
    keys: Mapping[str, str] = field(default_factory=dict)


async def run_screen(app: App, options: ScreenOptions, leave: Leave | None = None) -> ExitResult:
    """Show the screen until it ends. Raises ValueError for an unknown theme."""
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
        themes_folder=themes_folder(),
        keys=options.keys,
        command=options.command,
    )


async def run_console_command(invocation: Invocation, app: App, options: ScreenOptions) -> int | None:
    """Run the screen, then see to the runs that it leaves. Return the exit code.

    None: it was read-only, and the operator wants one that writes. A read-only one leaves runs as it found them.
    """
    if app.engine.settings.read_only:
        result = await run_screen(app, options)
        return None if result.reason is ExitReason.WRITE else _report(invocation, result)
    guards: list[str | None] = []

    async def leave() -> None:
        guards.append(await hand_over(invocation, app))

    result = await run_screen(app, options, leave)
    if result.reason is ExitReason.LINE_DROPPED:
        return await _headless(invocation, app, ExitCode.HUNG_UP)
    code = _report(invocation, result)
    try:
        guard = guards[0] if guards else await hand_over(invocation, app)
    except HandoverFailed as error:
        invocation.say(f"{error}; this process goes on guarding, without a screen, until it is asked to end")
        return await _headless(invocation, app, code)
    if guard:
        invocation.say(f"guarded by {guard}; `nightdesk` shows the runs again, `nightdesk cancel --all` stops them")
    return code


def _report(invocation: Invocation, result: ExitResult) -> ExitCode:
    if result.message:
        invocation.say(*result.message.splitlines())
    return exit_code_of_screen(result)


async def _headless(invocation: Invocation, app: App, code: ExitCode) -> int:
    """Guard without a terminal until the runs have ended, another process has taken them, or a signal asks to end."""
    with shutdown_on_signals(signal.SIGTERM, signal.SIGINT, signal.SIGQUIT, on_suspend=lambda: None) as shutdown:
        while app.engine.guarded and shutdown.code is None:
            await shutdown.wait(POLL_S)
        try:
            await hand_over(invocation, app)
        except HandoverFailed as error:
            await app.engine.hand_over()
            invocation.say(f"{error}; the runs have no guard until `nightdesk` is started again")
            return ExitCode.UNCONFIRMED
    return shutdown.code or code


def exit_code_of_screen(result: ExitResult) -> ExitCode:
    """Return the exit code for the way the screen ended."""
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
