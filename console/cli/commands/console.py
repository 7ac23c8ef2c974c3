"""`console`: the screen. `nightdesk` without a command opens it too."""

from __future__ import annotations

import asyncio
from functools import partial

import click

from console.cli.config_watch import ConfigWatch
from console.cli.invocation import Invocation, pass_invocation, shared_options
from console.cli.live_table import print_live
from console.cli.opening import opened
from console.config import Settings
from console.engine.settings import ProcessKind
from console.ui.terminal.capabilities import why_no_screen


@click.command("console")
@click.option("--read-only", is_flag=True, help="Never schedule, take over or write.")
@click.option("--slow", is_flag=True, help="Fewer updates, for slow lines.")
@click.option("--mouse", is_flag=True, help="Use the mouse over SSH as well.")
@click.option("--theme", metavar="NAME", help="A built-in theme, or one in the config folder.")
@shared_options
@pass_invocation
def console_command(invocation: Invocation, read_only: bool, slow: bool, mouse: bool, theme: str | None = None) -> int:
    """Open the console: watch and cancel runs, promote tasks, read usage.

    Without a terminal that can show it, prints what `nightdesk ps` prints.
    """
    why = why_no_screen(invocation.environment, invocation.stdin, invocation.stdout)
    if why is not None:
        invocation.say(why)
        return print_live(invocation)
    return asyncio.run(_console(invocation, read_only=read_only, slow=slow, mouse=mouse, theme=theme))


def _reloaded(invocation: Invocation, settings: Settings) -> None:
    """The settings that are handed to a successor are those in force."""
    invocation.loaded_settings = settings


async def _console(invocation: Invocation, *, read_only: bool, slow: bool, mouse: bool, theme: str | None) -> int:
    from console.cli.screen import ScreenOptions, run_console_command

    settings = invocation.settings()
    wished = settings.console
    options = ScreenOptions(
        theme=theme or wished.theme,
        slow=slow or wished.slow,
        mouse=True if mouse else wished.mouse,
        bell=wished.bell,
        keys=wished.keys,
        command=invocation.again,
    )
    while True:
        async with opened(invocation, ProcessKind.CONSOLE, settings=settings, read_only=read_only) as app:
            if not read_only:
                ConfigWatch(app.engine, invocation.config.path, settings, partial(_reloaded, invocation)).start()
            code = await run_console_command(invocation, app, options)
        if code is not None:
            return code
        read_only = False
