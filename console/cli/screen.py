"""The screen and what comes after it: the engine outlives it, whatever ended it."""

from __future__ import annotations

import signal
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, assert_never

from console.cli.exit_codes import ExitCode
from console.cli.handover import hand_over
from console.cli.locations import user_config_folder
from console.cli.signals import shutdown_on_signals
from console.ui.context import ExitReason, ExitResult
from console.ui.run_console import run_console

if TYPE_CHECKING:
    from console.app import App
    from console.cli.invocation import Invocation
    from console.ui.context import Leave

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


async def run_screen(house: App, looks: ScreenOptions, leave: Leave | None = None) -> ExitResult:
    """The screen until it ends. Raises ValueError for an unknown theme."""
    return await run_console(
        house.engine,
        clock=house.clock,
        theme=looks.theme,
        slow=looks.slow,
        mouse=looks.mouse,
        bell=looks.bell,
        read_only=house.engine.settings.read_only,
        liftable=True,
        leave=leave,
        themes_folder=_folder(),
        keys=looks.keys,
        command=looks.command,
    )


def _folder() -> Path:
    return user_config_folder() / "themes"


async def console(shell: Invocation, house: App, looks: ScreenOptions) -> int | None:
    """The screen, then whatever the runs need once it is gone; the exit code.

    None: it was read-only, and the operator wants one that writes. A read-only one leaves runs as it found them.
    """
    if house.engine.settings.read_only:
        return _told(shell, await run_screen(house, looks))
    left: list[str | None] = []

    async def leave() -> None:
        left.append(await hand_over(shell, house))

    farewell = await run_screen(house, looks, leave)
    if farewell.end is ExitReason.LINE_DROPPED:
        return await _headless(shell, house)
    if farewell.message:
        shell.say(*farewell.message.splitlines())
    guards = left[0] if left else await hand_over(shell, house)
    if guards:
        shell.say(f"guarded by {guards}; `nightdesk` shows the runs again, `nightdesk cancel --all` stops them")
    return exit_code_of_screen(farewell)


def _told(shell: Invocation, farewell: ExitResult) -> ExitCode | None:
    if farewell.end is ExitReason.WRITE:
        return None
    if farewell.message:
        shell.say(*farewell.message.splitlines())
    return exit_code_of_screen(farewell)


async def _headless(shell: Invocation, house: App) -> int:
    """Goes on without a terminal until the runs have ended or another process has taken them."""
    with shutdown_on_signals(signal.SIGTERM, signal.SIGINT) as leaving:
        while house.engine.guarded and leaving.code is None:
            await leaving.wait(LOOK_SECONDS)
    await hand_over(shell, house)
    return leaving.code or ExitCode.HUNG_UP


def exit_code_of_screen(farewell: ExitResult) -> ExitCode:
    """What the end of the screen says to the shell."""
    match farewell.end:
        case ExitReason.QUIT | ExitReason.LEFT | ExitReason.STOPPED | ExitReason.WRITE:
            return ExitCode.OK
        case ExitReason.LINE_DROPPED:
            return ExitCode.HUNG_UP
        case ExitReason.TERMINATED:
            return ExitCode.TERMINATED
        case ExitReason.CRASHED:
            return ExitCode.INTERNAL
        case _:
            assert_never(farewell.end)
