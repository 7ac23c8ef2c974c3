"""`console`, which is also what `nightdesk` alone opens: the screen over an engine that outlives it."""

from __future__ import annotations

import asyncio

import click

from console.cli.invocation import Invocation, pass_invocation, shared_options


@click.command("console")
@click.option("--read-only", is_flag=True, help="Never schedule, take over or write.")
@click.option("--slow", is_flag=True, help="Fewer updates, for slow lines.")
@click.option("--mouse", is_flag=True, help="Use the mouse over SSH too.")
@click.option("--theme", metavar="NAME", help="A theme of the package, or of the config folder.")
@shared_options
@pass_invocation
def console_command(shell: Invocation, read_only: bool, slow: bool, mouse: bool, theme: str | None = None) -> int:
    """The screen: watch runs, cancel with one key, step tasks through the rollout, read the usage.

    Where no screen can be drawn it prints what `nightdesk ps` prints.
    """
    from console.ui.terminal.capabilities import why_no_screen

    why = why_no_screen(shell.environment, shell.stdin, shell.stdout)
    if why is not None:
        from console.cli.commands.ps import print_live

        shell.say(why)
        return asyncio.run(print_live(shell))
    return asyncio.run(_console(shell, read_only=read_only, slow=slow, mouse=mouse, theme=theme))


async def _console(shell: Invocation, *, read_only: bool, slow: bool, mouse: bool, theme: str | None) -> int:
    from console.app import engine_settings, open_app, provider_factory
    from console.cli.screen import ScreenOptions, console
    from console.engine.settings import ProcessKind

    settings = shell.settings()
    wished = settings.console
    looks = ScreenOptions(
        theme=theme or wished.theme,
        slow=slow or wished.slow,
        mouse=True if mouse else wished.mouse,
        bell=wished.bell,
        keys=wished.keys,
        command=shell.again,
    )
    while True:
        async with open_app(
            folder=shell.folder,
            settings=engine_settings(settings, ProcessKind.CONSOLE, read_only=read_only),
            make_provider=provider_factory(settings.provider, shell.environment),
        ) as house:
            code = await console(shell, house, looks)
        if code is not None:
            return code
        read_only = False
