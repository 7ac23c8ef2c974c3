"""The screen and what comes after it: the engine outlives it, whatever ended it."""

from __future__ import annotations

import signal
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, assert_never

from console.cli.exits import Exit
from console.cli.folders import user_config_folder
from console.cli.leave import hand_over
from console.cli.signals import leaving_on_signals
from console.ui.farewell import End, Farewell
from console.ui.show import show

if TYPE_CHECKING:
    from console.cli.build import House
    from console.cli.shell import Shell
    from console.ui.context import Leave

LOOK_SECONDS = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Looks:
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


async def shown(house: House, looks: Looks, leave: Leave | None = None) -> Farewell:
    """The screen until it ends. Raises ValueError for an unknown theme."""
    return await show(
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


async def console(shell: Shell, house: House, looks: Looks) -> int | None:
    """The screen, then whatever the runs need once it is gone; the exit code.

    None: it was read-only, and the operator wants one that writes. A read-only one leaves runs as it found them.
    """
    if house.engine.settings.read_only:
        return _told(shell, await shown(house, looks))
    left: list[str | None] = []

    async def leave() -> None:
        left.append(await hand_over(shell, house))

    farewell = await shown(house, looks, leave)
    if farewell.end is End.LINE_DROPPED:
        return await _headless(shell, house)
    if farewell.message:
        shell.say(*farewell.message.splitlines())
    guards = left[0] if left else await hand_over(shell, house)
    if guards:
        shell.say(f"guarded by {guards}; `nightdesk` shows the runs again, `nightdesk cancel --all` stops them")
    return exit_of_farewell(farewell)


def _told(shell: Shell, farewell: Farewell) -> Exit | None:
    if farewell.end is End.WRITE:
        return None
    if farewell.message:
        shell.say(*farewell.message.splitlines())
    return exit_of_farewell(farewell)


async def _headless(shell: Shell, house: House) -> int:
    """Goes on without a terminal until the runs have ended or another process has taken them."""
    with leaving_on_signals(signal.SIGTERM, signal.SIGINT) as leaving:
        while house.engine.guarded and leaving.code is None:
            await leaving.wait(LOOK_SECONDS)
    await hand_over(shell, house)
    return leaving.code or Exit.HUNG_UP


def exit_of_farewell(farewell: Farewell) -> Exit:
    """What the end of the screen says to the shell."""
    match farewell.end:
        case End.QUIT | End.LEFT | End.STOPPED | End.WRITE:
            return Exit.OK
        case End.LINE_DROPPED:
            return Exit.HUNG_UP
        case End.TERMINATED:
            return Exit.TERMINATED
        case End.CRASHED:
            return Exit.INTERNAL
        case _:
            assert_never(farewell.end)
